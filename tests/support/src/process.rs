use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{Error, child, scratch};

const PERIOD: Duration = Duration::from_millis(5);
const TERMINATION: Duration = Duration::from_secs(30);
const LAST_LINES: usize = 30;

/// A child process. Its standard output and error go to one file, in the order they were written.
///
/// Dropping it kills it. When this process ends in any other way, the child is killed as well.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Arc<Mutex<Child>>,
}

impl Process {
    /// Starts `command` in a process group of its own, with an empty standard input.
    /// `name` stands in error messages and in the log's file name.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = scratch::folder()?.join(format!("{count}-{name}.log"));
        let action = || Error::io(format!("write the log of {name}"));
        let output = File::options().create(true).append(true).open(&log).map_err(action())?;
        let error = output.try_clone().map_err(action())?;
        command.stdin(Stdio::null()).stdout(output).stderr(error);
        let child = child::spawn(command)?;
        let name = name.to_owned();
        Ok(Self { name, log, child })
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        child::lock(&self.child).id()
    }

    /// The file that its output goes to.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Everything it has printed so far.
    pub fn logs(&self) -> String {
        fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Waits until a line of the log contains `text`, and returns that line.
    ///
    /// # Errors
    ///
    /// When the process ends first, or `timeout` passes; both with the end of the log.
    pub fn wait_for_log(&self, text: &str, timeout: Duration) -> Result<String, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            // Asked before the log is read, so that its last words are not missed.
            let status = self.try_wait()?;
            if let Some(line) = self.logs().lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = status {
                return Err(self.ended(status));
            }
            if Instant::now() >= deadline {
                return Err(self.late(&format!("{} to log `{text}`", self.name), timeout));
            }
            thread::sleep(PERIOD);
        }
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    ///
    /// When the operating system doesn't say.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>, Error> {
        child::lock(&self.child).try_wait().map_err(Error::io(format!("wait for {}", self.name)))
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    ///
    /// When it still runs after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.late(&format!("the end of {}", self.name), timeout));
            }
            thread::sleep(PERIOD);
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    ///
    /// When it still runs after 30 s. Then it is killed.
    pub fn terminate(&self) -> Result<ExitStatus, Error> {
        self.signal(libc::SIGTERM)?;
        let outcome = self.wait(TERMINATION);
        if outcome.is_err() {
            self.kill()?;
        }
        outcome
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn kill(&self) -> Result<ExitStatus, Error> {
        child::end(&self.child).map_err(Error::io(format!("kill {}", self.name)))
    }

    /// Stops it where it stands (SIGSTOP), until [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(libc::SIGSTOP)
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(libc::SIGCONT)
    }

    pub(crate) fn ended(&self, status: ExitStatus) -> Error {
        Error::Ended { name: self.name.clone(), status: status.to_string(), log: self.last_lines() }
    }

    fn late(&self, what: &str, within: Duration) -> Error {
        Error::Timeout { what: what.to_owned(), within, last: self.last_lines() }
    }

    fn last_lines(&self) -> String {
        let logs = self.logs();
        let lines: Vec<&str> = logs.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn signal(&self, signal: libc::c_int) -> Result<(), Error> {
        let mut child = child::lock(&self.child);
        // Once it is reaped, its ID may belong to another process.
        if let Ok(Some(status)) = child.try_wait() {
            return Err(self.ended(status));
        }
        child::send(&child, signal).map_err(Error::io(format!("signal {}", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
