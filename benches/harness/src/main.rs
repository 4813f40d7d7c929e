//! Measures cloudop and, on the same objects, its peers. `make bench` builds all that this needs.

mod audit;
mod bed;
mod figures;
mod floor;
mod machine;
mod plan;
mod report;
mod requests;
mod run;
mod subject;
mod usage;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use plan::{Plan, Scenario};
use subject::Subject;

/// Runs cloudop and its peers, one at a time, on a real control plane and simulated clouds, and reports what they cost.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Numbers of CloudOperations
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000", value_name = "N")]
    sizes: Vec<usize>,

    /// What to measure
    #[arg(long, value_delimiter = ',', value_enum, default_value = "cloudop,twin,kopf,floor")]
    subjects: Vec<Subject>,

    /// How the operations lie in their clouds
    #[arg(long, value_delimiter = ',', value_enum, default_value = "single,http1,listed,job,declared")]
    scenarios: Vec<Scenario>,

    /// The shortest window to measure in, in seconds; it is rounded up to whole poll intervals
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    window: u64,

    /// The largest number of CloudOperations that kopf is given: beyond that it says nothing new and takes minutes
    #[arg(long, default_value_t = 1000, value_name = "N")]
    kopf_sizes_up_to: usize,

    /// Where the report goes: into the part between its markers, if the file has them
    #[arg(long, default_value = "docs/benchmarks.md", value_name = "FILE")]
    out: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// The floor: sends the requests of a plan, evenly spread, until it is killed
    Floor(floor::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Some(Command::Floor(floor)) => floor::run(floor),
        None => measure(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloudop-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let machine = machine::describe()?;
    let mut results = Vec::new();
    for &scenario in &arguments.scenarios {
        for &size in &arguments.sizes {
            let plan = Plan::new(scenario, size);
            for &subject in &arguments.subjects {
                // kopf knows no HTTP/2 and no lists, and the floor no lists: they would do the same as in *single*.
                let again = match subject {
                    Subject::Kopf => scenario != Scenario::Single,
                    Subject::Floor => scenario == Scenario::Listed || scenario.is_of_cloudop(),
                    Subject::Twin => scenario.is_of_cloudop(),
                    Subject::Cloudop => false,
                };
                if again || subject == Subject::Kopf && size > arguments.kopf_sizes_up_to {
                    continue;
                }
                eprintln!("{scenario}, {size} operations: {subject}");
                results.push(run::run(subject, &plan, arguments.window)?);
                // Written after each, so that a run which is stopped leaves what it has.
                report::write(&arguments.out, &machine, &results)?;
            }
        }
    }
    println!("{}", report::render(&machine, &results));
    Ok(())
}
