//! The temporary folder of this process, and the end of everything in it.

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{Error, child};

struct Scratch {
    folder: PathBuf,
    cleaner: Child,
}

static SCRATCH: Mutex<Option<Scratch>> = Mutex::new(None);

/// Waits for its input to end, which the end of this process brings about even when it is
/// killed, and removes the folder. What is still dying may write once more: hence the attempts.
const CLEANER: &str = r#"
trap '' HUP INT TERM
read -r _
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null && exit
    sleep 0.1
done
"#;

/// The temporary folder of this process, made on first use.
pub(crate) fn folder() -> Result<PathBuf, Error> {
    let mut scratch = SCRATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(scratch) = &*scratch {
        return Ok(scratch.folder.clone());
    }
    let folder =
        tempfile::Builder::new().prefix("cloudop-").tempdir().map_err(Error::io("make a temporary folder"))?.keep();
    let cleaner = Command::new("sh")
        .args(["-c", CLEANER, "cleaner"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal goes to a whole process group.
        .process_group(0)
        .spawn()
        .map_err(|error| {
            remove(&folder);
            Error::io("start sh")(error)
        })?;
    *scratch = Some(Scratch { folder: folder.clone(), cleaner });
    // SAFETY: `end` is a plain function that lives as long as the program, and does not unwind.
    unsafe { libc::atexit(end) };
    Ok(folder)
}

/// Values in statics are never dropped, so the control plane that a test process shares has to be
/// stopped here.
extern "C" fn end() {
    child::kill_all();
    let scratch = SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Scratch { folder, mut cleaner }) = scratch {
        remove(&folder);
        // `wait` closes the cleaner's input first.
        let _ = cleaner.wait();
    }
}

/// Writes a file in the temporary folder.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        let _ = writeln!(std::io::stderr(), "cannot remove {}: {error}", folder.display());
    }
}
