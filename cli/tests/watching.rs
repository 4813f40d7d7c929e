//! What people see of `watch` and `get`: in a terminal, which is a pty with an emulator behind it, and without one.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use serde_json::json;
use vt100::Parser;

mod place;

use place::{Place, Seen, failed, running, succeeded};

/// Long enough for a loaded machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A program in a terminal.
struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    /// What the emulator shows, and all that was written.
    seen: Arc<Mutex<(Parser, Vec<u8>)>>,
    reader: Option<JoinHandle<()>>,
}

fn whole(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

fn emulator([rows, columns]: [u16; 2]) -> Parser {
    Parser::new(whole(rows), whole(columns), 1000)
}

impl Terminal {
    fn start(place: &Place, arguments: &[&str], [rows, columns]: [u16; 2]) -> Self {
        Self::start_with(place, arguments, [rows, columns], &[])
    }

    fn start_with(place: &Place, arguments: &[&str], [rows, columns]: [u16; 2], env: &[(&str, &str)]) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let kubeconfig = place.cluster.kubeconfig();
        let command = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop"))
            .args(arguments)
            .args(["--kubeconfig", &kubeconfig.to_string_lossy(), "--namespace", &place.namespace])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .env_remove("GITHUB_ACTIONS")
            .envs(env.iter().copied());
        let child = command.spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let seen = Arc::new(Mutex::new((emulator([rows, columns]), Vec::new())));
        let (source, sink) = (Arc::clone(&pty), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A pty whose program has ended gives an error.
            while let Ok(length @ 1..) = (&*source).read(&mut buffer) {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.0.process(&buffer[..length]);
                sink.1.extend(&buffer[..length]);
            }
        });
        Self { pty, child, seen, reader: Some(reader) }
    }

    fn screen(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.screen().contents()
    }

    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap_or_else(PoisonError::into_inner).1).into_owned()
    }

    fn resize(&self, [rows, columns]: [u16; 2]) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.screen_mut().set_size(whole(rows), whole(columns));
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn press_ctrl_c(&self) {
        (&*self.pty).write_all(b"\x03").unwrap();
    }

    /// Waits for its end: the exit code.
    fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "it goes on:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(50));
        };
        self.reader.take().unwrap().join().unwrap();
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// The lines with one sign for every picture of the spinner and without times, which go on.
fn still(screen: &str) -> Vec<String> {
    let spinner = |c: char| if "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏".contains(c) { '~' } else { c };
    screen.lines().map(|line| line.chars().map(spinner).collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn a_terminal_shows_bars_and_parts_follows_its_size_and_is_put_back() {
    let place = Place::new();
    let mut job = running();
    job["progress"] = json!({"completed": 2, "total": 4, "percent": 50});
    job["subJobs"] = json!([{"id": "1", "name": "CreateNode", "phase": "Running"},
                            {"id": "2", "parentId": "1", "name": "InstallNode", "phase": "Pending"}]);
    place.operation("job", &job);
    place.operation("other", &failed());
    let mut terminal = Terminal::start(&place, &["watch"], [20, 100]);
    let screen = terminal.until("both are there", |screen| screen.contains("1 not succeeded"));
    assert_eq!(
        still(&screen),
        [
            "~ job   Running ██████████░░░░░░░░░░ 2/4",
            "  OTC says Running (2/4)",
            "  └─ ~ CreateNode",
            "     └─ · InstallNode",
            "✖ other Failed",
            "  OTC says Failed (1/3): Quota exceeded for cores",
            "  sub-job: CreateNodeVM (j-2): Quota exceeded",
            "  code: CCE.03400013",
            "  message: Quota exceeded for cores",
            "  request ID: r-1",
            "  └─ ✖ CreateNodeVM",
            "     Quota exceeded",
            "",
            "1 going on, 1 not succeeded · Ctrl-C ends this, not the operations",
        ]
    );
    assert!(terminal.raw().contains("\x1b[31m"), "red");
    terminal.resize([4, 40]);
    let screen = terminal.until("the small screen", |screen| screen.contains("job") && screen.contains("en…"));
    assert_eq!(
        still(&screen),
        ["~ job   Running 2/4", "✖ other Failed", "", "1 going on, 1 not succeeded · Ctrl-C en…"]
    );
    terminal.resize([20, 100]);
    place.write("job", &succeeded());
    terminal.until("the change", |screen| screen.contains("1 succeeded, 1 not succeeded"));
    terminal.press_ctrl_c();
    assert_eq!(terminal.end(), Some(130));
    let screen = terminal.screen();
    assert!(screen.contains("✔ job   Succeeded"), "{screen}");
    assert!(!screen.contains("Ctrl-C ends"), "{screen}");
    let raw = terminal.raw();
    assert_eq!(raw.matches("\x1b[?1049h").count(), 1);
    assert_eq!(raw.matches("\x1b[?25h\x1b[?1049l").count(), 1);
}

#[test]
fn named_ones_end_it_with_their_verdict() {
    let place = Place::new();
    place.operation("job", &running());
    let mut terminal = Terminal::start(&place, &["watch", "job", "late"], [20, 100]);
    terminal.until("one is missing", |screen| screen.contains("not there yet: late"));
    place.operation("late", &succeeded());
    place.write("job", &failed());
    assert_eq!(terminal.end(), Some(1));
    assert!(terminal.screen().contains("1 succeeded, 1 not succeeded"), "{}", terminal.screen());
}

#[test]
fn without_colour_nothing_is_coloured() {
    let place = Place::new();
    place.operation("job", &failed());
    for arguments in [["watch", "job"], ["wait", "job"]] {
        let mut terminal = Terminal::start_with(&place, &arguments, [20, 100], &[("NO_COLOR", "1")]);
        assert_eq!(terminal.end(), Some(1));
        let raw = terminal.raw();
        assert!(raw.contains("Quota exceeded") && !raw.contains("\x1b[3"), "{raw:?}");
    }
}

#[test]
fn without_a_terminal_there_is_a_line_for_each_change() {
    let place = Place::new();
    place.operation("job", &running());
    let mut watch = place.command(&["watch", "job"]);
    let watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    place.write("job", &json!({"trackingStartTime": "2026-11-27T00:00:01Z"}));
    place.write("job", &succeeded());
    let seen = Seen::of(&watch.wait_with_output().unwrap());
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    assert_eq!(seen.stdout, "job: Running: OTC says Running (2/4)\njob: Succeeded: OTC says Success (4/4)\n");
}

#[test]
fn a_list_is_a_table_or_objects() {
    let place = Place::new();
    let mut job = running();
    job["startTime"] = json!("2026-11-27T00:00:00Z");
    job["completionTime"] = json!("2026-11-27T00:12:30Z");
    job["progress"] = json!({"completed": 2, "total": 4});
    place.operation("job", &job);
    place.operation("other", &failed());
    let seen = place.run(&["get"]);
    assert_eq!(seen.code, Some(0));
    assert_eq!(
        seen.stdout,
        "NAME   PROVIDER   PHASE    PROGRESS  TIME  MESSAGE\n\
         job    otcCceJob  Running  2/4       12m   OTC says Running (2/4)\n\
         other  otcCceJob  Failed                   OTC says Failed (1/3): Quota exceeded for cores\n"
    );
    assert_eq!(place.run(&["get", "job", "-o", "name"]).stdout, "cloudoperation.cloudop.dev/job\n");
    let seen = place.run(&["get", "job", "nope"]);
    assert_eq!((seen.code, seen.stdout.lines().count()), (Some(4), 2));
    assert!(seen.stderr.contains("there is no CloudOperation nope"), "{}", seen.stderr);
    let seen = place.run(&["get", "-l", "batch=b"]);
    assert_eq!((seen.code, &*seen.stdout, &*seen.stderr), (Some(0), "", "There are no such CloudOperations.\n"));
    let seen = place.run(&["get", "-A", "-l", "batch=a"]);
    assert!(seen.stdout.starts_with("NAMESPACE"), "{}", seen.stdout);
}
