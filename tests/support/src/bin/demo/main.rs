//! The demo: five operations on five simulated clouds, followed on a real API server by the real controller.
//!
//! Ends with 0 only if everything ended as it should have.

mod cast;
mod figures;
mod gate;
mod place;
mod scene;
mod screen;
mod show;
mod watch;

use std::{
    error::Error,
    process::{self, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use scene::Scene;
use screen::Screen;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

fn main() -> ExitCode {
    let screen = Screen;
    let result = end_on_signals().and_then(|()| play(&screen));
    // A signal's own way out removes it.
    let stays = if IS_ENDING.load(Ordering::SeqCst) { Vec::new() } else { place::tidy_up() };
    let result = result.map(|surprises| surprises.into_iter().chain(stays).collect::<Vec<_>>());
    match result {
        Ok(surprises) if surprises.is_empty() => ExitCode::SUCCESS,
        Ok(surprises) => {
            for surprise in surprises {
                eprintln!("demo: not as it should be: {surprise}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            // What fails because everything is being ended is no news.
            while IS_ENDING.load(Ordering::SeqCst) {
                thread::park();
            }
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Ends everything when this process is told to end: leaving by `exit` ends the children and removes the temporary
/// folder on every system.
fn end_on_signals() -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            IS_ENDING.store(true, Ordering::SeqCst);
            watch::end();
            place::tidy_up().iter().for_each(|stays| eprintln!("demo: not removed: {stays}"));
            eprintln!("\nStopped. Nothing is left running.");
            process::exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Plays it all, and returns what was not as it should have been.
fn play(screen: &Screen) -> Result<Vec<String>, Box<dyn Error>> {
    let began = Instant::now();
    let scene = Scene::set(screen)?;
    let mut surprises = show::run(screen, &scene)?;
    surprises.extend(gate::run(screen, &scene)?);
    let figures = figures::count(&scene)?;
    surprises.extend(scene.strike()?);
    screen.step("How it went")?;
    figures.print(screen, surprises.is_empty(), began.elapsed())?;
    Ok(surprises)
}
