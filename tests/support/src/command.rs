use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    process::Command,
    thread,
    time::Duration,
};

use crate::{Error, child};

const PERIOD: Duration = Duration::from_millis(5);

/// What a command printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs `command` to its end with `input` on standard input.
pub(crate) fn run(mut command: Command, input: &str) -> Result<Output, Error> {
    let failed = || Error::io(format!("run {}", command.get_program().display()));
    // Files rather than pipes: no order of reading and writing can then get stuck.
    let new_file = || tempfile::tempfile().map_err(failed());
    let (mut stdin, mut stdout, mut stderr) = (new_file()?, new_file()?, new_file()?);
    stdin.write_all(input.as_bytes()).map_err(failed())?;
    stdin.rewind().map_err(failed())?;
    let copy = |file: &File| file.try_clone().map_err(failed());
    let (output, error) = (copy(&stdout)?, copy(&stderr)?);
    let (waiting, read_out, read_err) = (failed(), failed(), failed());
    command.stdin(stdin).stdout(output).stderr(error);
    let child = child::spawn(command)?;
    let status = loop {
        match child::lock(&child).try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return Err(waiting(error)),
        }
        thread::sleep(PERIOD);
    };
    Ok(Output {
        stdout: read_all(&mut stdout).map_err(read_out)?,
        stderr: read_all(&mut stderr).map_err(read_err)?,
        code: status.code(),
    })
}

fn read_all(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
