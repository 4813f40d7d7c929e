//! Manual pages.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use crate::exit::{Error, Exit};

/// Writes a page for `command` and each of its subcommands into `folder`, or without one prints the first.
///
/// # Errors
/// They cannot be written.
pub fn man(command: Command, folder: Option<&Path>) -> Result<Exit, Error> {
    let written = match folder {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)),
        None => Man::new(command).render(&mut std::io::stdout()),
    };
    let place = folder.map_or_else(|| "standard output".to_owned(), |folder| folder.display().to_string());
    written.map_err(|error| Error { exit: Exit::Failed, message: format!("{place}: {error}") })?;
    Ok(Exit::Succeeded)
}
