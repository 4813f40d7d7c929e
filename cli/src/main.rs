//! `cloudop`: what needs no cluster.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::expect_used, clippy::panic, clippy::todo, clippy::unwrap_used))]

mod profile;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Works with what cloudop's controller reads, without a cluster.
#[derive(Parser)]
#[command(version, name = "cloudop")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// OperationProfiles: APIs that are described rather than built in.
    #[command(subcommand)]
    Profile(Profile),
}

#[derive(Subcommand)]
enum Profile {
    /// Reads the examples of profiles as the controller does, a line for each. Exit code 1 where one is not read as
    /// expected.
    Test {
        /// Files with OperationProfiles; - is standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Reads a reply and prints the status that it would give a CloudOperation.
    Try {
        /// File with one OperationProfile.
        file: PathBuf,
        /// File with the reply, as the API sent it; - is standard input.
        #[arg(long)]
        reply: PathBuf,
        /// The ID of the operation that was asked for; by default what the reply itself says.
        #[arg(long)]
        operation_id: Option<String>,
        /// What a parameter of the profile is, as name=value.
        #[arg(long = "parameter", value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// Whether the reply is a page of the list.
        #[arg(long)]
        from_list: bool,
    },
}

fn main() -> ExitCode {
    let Command::Profile(command) = Arguments::parse().command;
    let result = match command {
        Profile::Test { files } => profile::test(&files),
        Profile::Try { file, reply, operation_id, parameters, from_list } => {
            profile::try_reply(&file, &reply, operation_id.as_deref(), &parameters, from_list).map(|()| true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
