//! Where etcd, kube-apiserver, kubectl and helm are.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::Error;

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../control-plane/build");

/// The folder that holds etcd, kube-apiserver and kubectl; builds them if need be.
pub(crate) fn folder() -> Result<PathBuf, Error> {
    static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);
    find(&FOLDER, &["--without-helm"])
}

/// The folder that holds helm as well; builds it if need be.
pub(crate) fn folder_with_helm() -> Result<PathBuf, Error> {
    static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);
    find(&FOLDER, &[])
}

fn find(known: &Mutex<Option<PathBuf>>, options: &[&str]) -> Result<PathBuf, Error> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = &*known {
        return Ok(folder.clone());
    }
    // Progress goes to standard error, where a person sees it even under `cargo test`.
    let output = Command::new(BUILD)
        .args(options)
        .stderr(Stdio::inherit())
        .output()
        .map_err(Error::io(format!("run {BUILD}")))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    match stdout.lines().last() {
        Some(folder) if output.status.success() => Ok(known.insert(folder.into()).clone()),
        _ => Err(Error::Programs),
    }
}
