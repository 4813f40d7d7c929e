//! Child processes are heard, signalled and ended.

use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};

use cloudop_testbed::{Error, Process, eventually};

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Result<Process, Error> {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn("shell", command)
}

/// The state letter of a process, such as `S` for sleeping or `T` for stopped; `None` once it is
/// gone.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn both_outputs_are_logged_in_order() -> Result<(), Error> {
    let process = shell("echo one; echo two >&2; echo three; exit 4")?;
    assert_eq!(process.wait(SOON)?.code(), Some(4));
    assert_eq!(process.logs(), "one\ntwo\nthree\n");
    assert_eq!(std::fs::read_to_string(process.log_file()).unwrap(), process.logs());
    Ok(())
}

#[test]
fn a_line_is_waited_for() -> Result<(), Error> {
    let process = shell("sleep 0.2; echo it is ready now; sleep 60")?;
    assert_eq!(process.wait_for_log("ready", SOON)?, "it is ready now");
    let error = process.wait_for_log("never", Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    Ok(())
}

#[test]
fn waiting_for_a_line_ends_with_the_process() -> Result<(), Error> {
    let process = shell("echo cannot start >&2; exit 3")?;
    let started = Instant::now();
    let error = process.wait_for_log("ready", Duration::from_secs(60)).unwrap_err();
    assert!(started.elapsed() < SOON);
    let text = error.to_string();
    assert!(text.contains("exit status: 3") && text.contains("cannot start"), "{text}");
    Ok(())
}

#[test]
fn terminate_lets_it_tidy_up_and_kill_does_not() -> Result<(), Error> {
    let script = "trap 'echo tidied; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let process = shell(script)?;
    process.wait_for_log("up", SOON)?;
    assert_eq!(process.try_wait()?, None);
    // The signal goes to the whole group, so the sleep ends as well.
    assert_eq!(process.terminate()?.code(), Some(7));
    assert!(process.logs().ends_with("tidied\n"), "{}", process.logs());
    assert!(process.terminate().is_err(), "it has ended");

    let process = shell(script)?;
    process.wait_for_log("up", SOON)?;
    assert_eq!(process.kill()?.signal(), Some(9));
    assert_eq!(process.kill()?.signal(), Some(9), "twice is as good");
    assert_eq!(process.logs(), "up\n");
    Ok(())
}

#[test]
fn it_pauses_and_resumes() -> Result<(), Error> {
    let process = shell("while :; do echo on; sleep 0.01; done")?;
    process.wait_for_log("on", SOON)?;
    process.pause()?;
    eventually(SOON, "stopped", || match state_of(process.pid()) {
        // D: it waits for its child, which was stopped before it became sleep.
        Some('T' | 'D') => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let length = process.logs().len();
    process.resume()?;
    eventually(SOON, "more log", || match process.logs().len() > length {
        true => Ok(()),
        false => Err("nothing new".to_owned()),
    });
    Ok(())
}

#[test]
fn drop_ends_it_and_its_own_children() -> Result<(), Error> {
    let process = shell("sleep 60 & echo child $!; wait")?;
    let line = process.wait_for_log("child", SOON)?;
    let child: u32 = line["child ".len()..].parse().unwrap();
    let parent = process.pid();
    assert!(state_of(child).is_some());
    drop(process);
    assert_eq!(state_of(parent), None);
    // Nobody here can wait for the grandchild: it may stay a zombie (Z).
    eventually(SOON, "no grandchild", || match state_of(child) {
        None | Some('Z' | 'X') => Ok(()),
        other => Err(format!("{other:?}")),
    });
    Ok(())
}

#[test]
fn a_thread_that_ends_does_not_take_its_children_along() -> Result<(), Error> {
    let process = std::thread::spawn(|| shell("sleep 0.5; echo alive")).join().unwrap()?;
    assert_eq!(process.wait_for_log("alive", SOON)?, "alive");
    Ok(())
}

#[test]
fn a_missing_program_is_named() {
    let error = Process::spawn("none", Command::new("no-such-program-here")).err().unwrap();
    assert!(error.to_string().contains("no-such-program-here"), "{error}");
}

#[test]
#[should_panic(expected = "a blue moon: not within 60ms: still white")]
fn eventually_gives_up_with_the_last_error() {
    eventually(Duration::from_millis(60), "a blue moon", || Err::<(), _>("still white".to_owned()));
}
