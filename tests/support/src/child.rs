//! Child processes that cannot outlive this one.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc},
    thread,
};

use crate::{Error, scratch};

static LIVE: Mutex<Vec<Weak<Mutex<Child>>>> = Mutex::new(Vec::new());

/// Kills all children, those in statics too.
pub(crate) fn kill_all() {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    for child in live.iter().filter_map(Weak::upgrade) {
        let _ = end(&child);
    }
}

pub(crate) fn end(child: &Mutex<Child>) -> io::Result<ExitStatus> {
    let mut child = lock(child);
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    send(&child, libc::SIGKILL)?;
    child.wait()
}

/// Nobody holds this lock for longer than a moment, so it is safe to take at exit.
pub(crate) fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals the process group that `child` leads.
pub(crate) fn send(child: &Child, signal: libc::c_int) -> io::Result<()> {
    let group = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: a system call without pointers. The child isn't reaped yet, so its ID is its own.
    match unsafe { libc::kill(-group, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

type Request = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts `command` so that it dies with this process.
///
/// Linux sends a child its parent-death signal when the *thread* that started it ends
/// (<https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html>), and a test's thread ends
/// with the test. So one thread, which never ends, starts them all.
pub(crate) fn spawn(command: Command) -> Result<Arc<Mutex<Child>>, Error> {
    static SPAWNER: Mutex<Option<mpsc::Sender<Request>>> = Mutex::new(None);

    // Makes sure that the way out exists before there is anything to end.
    scratch::folder()?;
    let failed = Error::io(format!("start {}", command.get_program().display()));
    let sender = {
        let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
        match &*spawner {
            Some(sender) => sender.clone(),
            None => {
                let (sender, requests) = mpsc::channel::<Request>();
                thread::Builder::new()
                    .name("spawner".to_owned())
                    .spawn(move || {
                        for (command, reply) in requests {
                            let _ = reply.send(spawn_here(command));
                        }
                    })
                    .map_err(Error::io("start a thread"))?;
                spawner.insert(sender).clone()
            }
        }
    };
    let (reply, result) = mpsc::channel();
    let child = sender
        .send((command, reply))
        .map_err(io::Error::other)
        .and_then(|()| result.recv().map_err(io::Error::other)?)
        .map_err(failed)?;
    let child = Arc::new(Mutex::new(child));
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.retain(|child| child.strong_count() > 0);
    live.push(Arc::downgrade(&child));
    Ok(child)
}

fn spawn_here(mut command: Command) -> io::Result<Child> {
    // Ctrl-C in a terminal must reach the tests, not what they are about to end in order.
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        // SAFETY: the closure only makes system calls that are safe between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // The parent may have died before the signal was asked for.
                if u32::try_from(libc::getppid()) != Ok(parent) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Ok(())
            });
        }
    }
    command.spawn()
}
