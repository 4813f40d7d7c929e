//! The simulator as a program, to rehearse a pipeline against.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use cloudop_simulator::{Options, Scenario, Simulator, rehearsal_accounts};
use tokio::signal::unix::{SignalKind, signal};

/// Plays clouds' APIs for long-running operations over HTTPS on loopback.
///
/// Stops on SIGINT and SIGTERM. Prints a line for each request: the time, the connection, the status sent (0: none), the
/// method, the path, and the cloud it belongs to. No header and no body is printed.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A loopback address and port, or any where --host is given; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// What to play: accounts, operations with their stages, faults. Without it there is one account, with the token
    /// let-me-in, and no operation
    #[arg(long, value_name = "FILE.yaml")]
    scenario: Option<PathBuf>,

    /// Has every operation be there that is asked for, and go as the token says: success, failure, parked, slow or
    /// flapping; who signs in does so by that name, with the secret let-me-in
    #[arg(long, conflicts_with = "scenario")]
    rehearse: bool,

    /// A name that it is reached by, for its certificate; may be given several times
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Where to write the certificate authority of this run, as PEM; - is standard output
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,

    /// Speaks HTTP/1.1 only
    #[arg(long)]
    http1: bool,

    /// How much faster than written the stages pass
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloudop-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let scenario = match &arguments.scenario {
        Some(path) => {
            let yaml = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let scenario = Scenario::parse(&yaml);
            Some(scenario.map_err(|error| format!("{}: {error}", path.display()))?)
        }
        None => None,
    };
    let simulator = Simulator::start_with(Options {
        listen: arguments.listen,
        hosts: arguments.hosts,
        accounts: if arguments.rehearse { rehearsal_accounts() } else { Vec::new() },
        speed: arguments.speed,
        http2: !arguments.http1,
        log: true,
    })
    .await?;
    if let Some(scenario) = scenario {
        scenario.load(&simulator);
    }
    // The file appears before the line that says the server is there: whoever waits for one has the other.
    if arguments.ca_out.as_deref() == Some(Path::new("-")) {
        write!(io::stdout(), "{}", simulator.ca_pem())?;
    } else if let Some(path) = &arguments.ca_out {
        fs::write(path, simulator.ca_pem()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mut terminated = signal(SignalKind::terminate())?;
    writeln!(io::stdout(), "listening on {}", simulator.url())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Ok(())
}
