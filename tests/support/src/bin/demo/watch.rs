//! `kubectl cloudop watch`, on the terminal of this program.

use std::{
    error::Error,
    io,
    process::{Child, Stdio},
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
        let child = cluster.command(arguments)?.stdin(Stdio::null()).spawn()?;
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

fn interrupt() -> bool {
    let process = SHOWN.load(Ordering::SeqCst);
    // SAFETY: no memory is involved, and the process is a child that nobody has waited for.
    process != 0 && unsafe { libc::kill(process, libc::SIGINT) } == 0
}
