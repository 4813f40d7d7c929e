//! A search for broken promises: the controller in this process, on paused time, between a model of the API server and the
//! simulated clouds. A seed becomes a story, a story is played, and what reaches the API server and the clouds is checked.
//!
//! `make sim` goes on until it is told to stop; `make sim SEED=7` plays one story. docs/testing.md has the figures.

mod api_server;
mod clouds;
mod core;
mod promises;
mod shrink;
mod story;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use promises::Broken;
use shrink::shrink;
use story::Story;
use world::{Tally, play};

/// How many stories `make test` plays.
const STORIES: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn report(seed: u64, story: Story, broken: Broken) -> String {
    let (story, broken) = if number("SIM_SHORTEN") == Some(0) { (story, broken) } else { shrink(&story, broken) };
    let Broken { promise, at, how } = broken;
    let story = serde_json::to_string(&story).unwrap();
    format!(
        "seed {seed} breaks a promise, {promise:?}, after {at} s: {how}\n\
         the shortest story that does: {story}\n\
         play it again with make sim SEED={seed}; once it is mended, keep it in tests/sim/found"
    )
}

/// Plays the stories from the `first` seed on, on all cores, until so many are played or the time is up.
fn search(first: u64, most: u64, until: Option<Instant>) -> (u64, Tally) {
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    let play_some = || {
        let (mut played, mut all) = (0, Tally::default());
        while until.is_none_or(|until| Instant::now() < until) && !is_over.load(Ordering::SeqCst) {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed - first >= most {
                break;
            }
            let story = Story::of(seed);
            match play(&story) {
                Ok(tally) => all += tally,
                Err(broken) => {
                    if !is_over.swap(true, Ordering::SeqCst) {
                        println!("{}", report(seed, story, broken));
                    }
                    panic!("a promise was broken");
                }
            }
            played += 1;
        }
        (played, all)
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let players: Vec<_> = (0..cores).map(|_| scope.spawn(play_some)).collect();
        players.into_iter().fold((0, Tally::default()), |(played, mut all), player| {
            let (more, tally) = player.join().expect("a promise was broken");
            all += tally;
            (played + more, all)
        })
    })
}

#[test]
fn no_story_breaks_a_promise() {
    if let Some(seed) = number("SIM_SEED") {
        let (_, tally) = search(seed, 1, None);
        println!("seed {seed} keeps every promise: {tally:?}");
        return;
    }
    let began = Instant::now();
    let until = number("SIM_SECONDS").map(|seconds| began + Duration::from_secs(seconds));
    let most = number("SIM_STORIES").unwrap_or(if until.is_some() { u64::MAX } else { STORIES });
    let first = number("SIM_FIRST").unwrap_or(0);
    let (played, tally) = search(first, most, until);
    println!("{played} stories from seed {first} on, in {:?}: {tally:?}", began.elapsed());
    // A search that meets nothing finds nothing.
    assert!(tally.polls as u64 > 10 * played, "{tally:?}");
    assert!(tally.crashes as u64 > played / 4, "{tally:?}");
    assert!(tally.ends as u64 > played / 2, "{tally:?}");
}

/// Stories that once broke a promise.
#[test]
fn what_was_found_stays_mended() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/found");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let story: Story = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if let Err(broken) = play(&story) {
            panic!("{}: {broken:?}", path.display());
        }
        played += 1;
    }
    assert!(played > 0, "none is there");
}

#[test]
fn a_story_is_played_the_same_each_time() {
    for seed in 0..20 {
        let story = Story::of(seed);
        assert_eq!(play(&story), play(&story), "seed {seed}");
    }
}
