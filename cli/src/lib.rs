//! `kubectl cloudop`: waits for operations of clouds, and explains them; and what needs no cluster.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::expect_used, clippy::panic, clippy::todo, clippy::unwrap_used))]

mod advice;
pub mod cloud;
pub mod cluster;
pub mod discover;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod follow;
pub mod frame;
pub mod get;
mod github;
mod installation;
pub mod man;
pub mod poke;
pub mod profile;
pub mod provider;
pub mod report;
mod screen;
pub mod tree;
pub mod verdict;
pub mod version;
pub mod wait;
pub mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use cloud::CloudFlags;
use cluster::{Cluster, ClusterFlags};
use discover::DiscoverFlags;
use exit::{Error, Exit};
use follow::FollowFlags;
use get::GetFlags;
use report::ReportFlags;
use version::VersionFlags;
use wait::WaitFlags;
use watch::WatchFlags;

/// Waits for operations of clouds, and explains them.
///
/// Exit codes: 0 succeeded; 1 failed or cancelled; 2 usage; 3 timeout or deadline; 4 outcome unknown (not found, expired,
/// deleted); 5 needs a person (blocked, no progress, credentials, profile); 6 cluster trouble; 130 interrupted. Of several
/// objects: the first that applies of 6, 1, 4, 5, 3, 0.
#[derive(Parser)]
#[command(version, name = "kubectl-cloudop", bin_name = "kubectl cloudop", disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Waits until CloudOperations are over; the exit code is the verdict
    Wait(WaitFlags),
    /// Creates a CloudOperation for an operation's ID, or for the reply that started it, and waits
    Follow(FollowFlags),
    /// Lists the operations that a cloud's own list has, and how to follow them
    Discover(DiscoverFlags),
    /// Shows how CloudOperations stand, as it changes; ends once those that are named are over
    Watch(WatchFlags),
    /// Lists CloudOperations
    Get(GetFlags),
    /// Says in words how a CloudOperation stands, since when, and what to do
    Explain {
        /// The CloudOperation
        name: String,
    },
    /// Shows the parts of a CloudOperation
    Tree {
        /// The CloudOperation
        name: String,
    },
    /// Has CloudOperations polled now
    Poll {
        /// The CloudOperations
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Has CloudOperations polled no more
    Suspend {
        /// The CloudOperations
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Has CloudOperations polled again
    Resume {
        /// The CloudOperations
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Looks at all that CloudOperations need of the cluster, and at the way to a cloud; exit code 5 where a person has to act
    Doctor(CloudFlags),
    /// Shows whether this program, the controllers and the CRDs are of one version; exit code 1 where they are not
    Version(VersionFlags),
    /// Writes what a bug report needs into one file that holds no secret
    Report(ReportFlags),
    /// OperationProfiles, without a cluster
    #[command(subcommand)]
    Profile(Profile),
    /// Prints a script that completes commands in a shell
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page
    Man {
        /// Write the page, and one for each command, into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Profile {
    /// Reads the examples of profiles as the controller does, a line for each. Exit code 1 where one is not read as
    /// expected
    Test {
        /// Files with OperationProfiles; - is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Reads a reply and prints the status that it would give a CloudOperation
    Try {
        /// File with one OperationProfile
        file: PathBuf,
        /// File with the reply, as the API sent it; - is standard input
        #[arg(long, value_name = "FILE")]
        reply: PathBuf,
        /// The ID of the operation that was asked for; by default what the reply itself says
        #[arg(long, value_name = "ID")]
        operation_id: Option<String>,
        /// What a parameter of the profile is, as name=value
        #[arg(long = "parameter", value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// Whether the reply is a page of the list
        #[arg(long)]
        from_list: bool,
    },
}

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Cluster.into();
        }
    };
    match runtime.block_on(execute(arguments)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {}", error.message);
            error.exit.into()
        }
    }
}

async fn execute(arguments: Arguments) -> Result<Exit, Error> {
    let cluster = || Cluster::find(&arguments.cluster);
    match arguments.command {
        Command::Wait(flags) => wait::wait(&cluster().await?, &flags).await,
        Command::Follow(flags) => follow::follow(&cluster().await?, &flags).await,
        Command::Discover(flags) => discover::discover(&cluster().await?, &flags).await,
        Command::Watch(flags) => watch::watch(&cluster().await?, &flags).await,
        Command::Get(flags) => get::get(&cluster().await?, &flags).await,
        Command::Explain { name } => explain::explain(&cluster().await?, &name).await,
        Command::Tree { name } => tree::tree(&cluster().await?, &name).await,
        Command::Poll { names } => poke::poll(&cluster().await?, &names).await,
        Command::Suspend { names } => poke::suspend(&cluster().await?, &names, true).await,
        Command::Resume { names } => poke::suspend(&cluster().await?, &names, false).await,
        Command::Doctor(flags) => doctor::doctor(&cluster().await?, &flags).await,
        Command::Version(flags) => version::version(cluster().await, &flags).await,
        Command::Report(flags) => report::report(&cluster().await?, &flags).await,
        Command::Profile(profile) => of_profile(profile),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "kubectl-cloudop", &mut std::io::stdout());
            Ok(Exit::Succeeded)
        }
        Command::Man { dir } => man::man(Arguments::command(), dir.as_deref()),
    }
}

fn of_profile(command: Profile) -> Result<Exit, Error> {
    let failed = |message| Error { exit: Exit::Failed, message };
    match command {
        Profile::Test { files } => {
            let passed = profile::test(&files).map_err(failed)?;
            Ok(if passed { Exit::Succeeded } else { Exit::Failed })
        }
        Profile::Try { file, reply, operation_id, parameters, from_list } => {
            profile::try_reply(&file, &reply, operation_id.as_deref(), &parameters, from_list).map_err(failed)?;
            Ok(Exit::Succeeded)
        }
    }
}
