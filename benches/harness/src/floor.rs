//! The floor: the same requests at the same rate, by one reqwest client and one thread, without Kubernetes.

use std::{error::Error, fs, path::PathBuf, time::Duration};

use clap::Args;
use reqwest::{Certificate, Client};
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep_until},
};

/// How to run the floor.
#[derive(Args)]
pub struct Arguments {
    /// What to send, as the harness wrote it
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,

    /// PEM of the authority to trust
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,

    /// Seconds in which each request is sent once
    #[arg(long, value_name = "SECONDS")]
    interval: u64,
}

/// One request.
#[derive(Clone, Serialize, Deserialize)]
pub struct Planned {
    pub url: String,
    pub header: String,
    pub value: String,
}

/// Sends them for ever.
///
/// # Errors
/// When a file can't be read.
pub fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let requests: Vec<Planned> = serde_json::from_slice(&fs::read(&arguments.requests)?)?;
    let client = Client::builder()
        .tls_certs_only([Certificate::from_pem(&fs::read(&arguments.ca)?)?])
        .timeout(Duration::from_secs(20))
        .build()?;
    let count = u32::try_from(requests.len())?.max(1);
    let step = Duration::from_secs(arguments.interval) / count;
    // One thread: the cheapest there is.
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut next = Instant::now();
        for planned in requests.iter().cycle() {
            sleep_until(next).await;
            next += step;
            let request = client.get(&planned.url).header(&planned.header, &planned.value);
            tokio::spawn(async move {
                let body = match request.send().await {
                    Ok(answer) => answer.bytes().await.map(|body| body.len()),
                    Err(error) => Err(error),
                };
                if let Err(error) = body {
                    eprintln!("{error:?}");
                }
            });
        }
        Ok(())
    })
}
