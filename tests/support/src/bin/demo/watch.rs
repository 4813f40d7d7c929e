//! `kubectl cloudop watch`, on the terminal of this program.

use std::{
    env,
    error::Error,
    ffi::OsString,
    io,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::Duration,
};

use crate::place::Place;

/// What it takes to bring the terminal back.
const AT_MOST: Duration = Duration::from_millis(500);

/// The process that shows it now; 0 if there is none.
static SHOWN: AtomicI32 = AtomicI32::new(0);

/// It runs in the process group of this program, so that Ctrl-C ends both.
pub struct Watch(Child);

impl Watch {
    pub fn start(cluster: &Place, arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let command = cluster.command(arguments)?;
        let mut command = match env::var_os("RECORDING") {
            Some(file) => record(&command, file)?,
            None => command,
        };
        let child = command.stdin(Stdio::null()).spawn()?;
        SHOWN.store(child.id().try_into()?, Ordering::SeqCst);
        Ok(Self(child))
    }

    /// Whether it has ended by itself.
    pub fn is_over(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        interrupt();
        let _ = self.0.wait();
        SHOWN.store(0, Ordering::SeqCst);
    }
}

/// Has it bring the terminal back, as this program is about to end.
pub fn end() {
    if interrupt() {
        thread::sleep(AT_MOST);
    }
}

/// The same, with a picture made of it.
fn record(command: &Command, file: OsString) -> io::Result<Command> {
    let mut recording = Command::new(env::current_exe()?.with_file_name("recording"));
    recording.arg(file).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        recording.env(name, value.unwrap_or_default());
    }
    Ok(recording)
}

fn interrupt() -> bool {
    let process = SHOWN.load(Ordering::SeqCst);
    // SAFETY: no memory is involved, and the process is a child that nobody has waited for.
    process != 0 && unsafe { libc::kill(process, libc::SIGINT) } == 0
}
