//! What is kept of the searches goes through its target again.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use cloudop_fuzz::{TARGETS, corpus};

/// As in a search, where it is a second: this is a debug build beside others.
const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn all_that_is_kept_keeps_the_promises() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let kept = corpus::kept(target.name)
            .into_iter()
            .enumerate()
            .map(|(line, input)| (format!("line {}", line + 1), input));
        let seeds = corpus::seeds(target.name).into_iter().enumerate().map(|(at, input)| (format!("seed {at}"), input));
        let inputs: Vec<_> = kept.chain(corpus::found(target.name)).chain(seeds).collect();
        assert!(!inputs.is_empty(), "nothing is kept of {}", target.name);
        for (name, input) in inputs {
            let begun = Instant::now();
            // What it panics with stands above.
            let kept = catch_unwind(|| (target.run)(&input)).is_ok();
            if !kept || begun.elapsed() > LONGEST {
                broken.push(format!("{} {name}: {:?}", target.name, begun.elapsed()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
