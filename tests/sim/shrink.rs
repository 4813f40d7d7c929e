//! The shortest story that breaks the same promise: whatever can be left out is.

use crate::promises::{Broken, Promise};
use crate::story::{End, Story};
use crate::world::play;

fn breaks(story: &Story, promise: Promise) -> bool {
    play(story).is_err_and(|broken| broken.promise == promise)
}

/// Shortens `story`, which breaks a promise, and says how the short one does.
pub fn shrink(story: &Story, broken: Broken) -> (Story, Broken) {
    let promise = broken.promise;
    let mut best = story.clone();
    loop {
        let shorter = candidates(&best).into_iter().find(|candidate| breaks(candidate, promise));
        match shorter {
            Some(shorter) => best = shorter,
            None => break,
        }
    }
    let broken = play(&best).err().unwrap_or(broken);
    (best, broken)
}

/// Stories with one thing less, or one that is plainer.
fn candidates(story: &Story) -> Vec<Story> {
    let mut candidates = Vec::new();
    let mut add = |change: &dyn Fn(&mut Story)| {
        let mut changed = story.clone();
        change(&mut changed);
        if changed != *story {
            candidates.push(changed);
        }
    };
    add(&|story| story.happenings.clear());
    add(&|story| story.server_faults.clear());
    add(&|story| story.cloud_faults.clear());
    (0..story.happenings.len()).for_each(|n| add(&|story| _ = story.happenings.remove(n)));
    (0..story.server_faults.len()).for_each(|n| add(&|story| _ = story.server_faults.remove(n)));
    (0..story.cloud_faults.len()).for_each(|n| add(&|story| _ = story.cloud_faults.remove(n)));
    // Those before keep their numbers.
    add(&|story| _ = story.operations.len().gt(&1).then(|| story.operations.pop()));
    add(&|story| story.lag = 0);
    add(&|story| story.streams = false);
    for number in 0..story.operations.len() {
        add(&|story| story.operations[number].created = 0);
        add(&|story| story.operations[number].interval = None);
        add(&|story| story.operations[number].deadline = None);
        add(&|story| story.operations[number].ttl = None);
        add(&|story| story.operations[number].grace = 120);
        add(&|story| story.operations[number].end = End::Never);
        add(&|story| story.operations[number].runs = 30);
    }
    let many = story.operations.len();
    candidates.retain(|story| {
        story.happenings.iter().all(|happening| match happening.what {
            crate::story::What::Edit { operation, .. } => operation < story.operations.len(),
            _ => true,
        }) && story.operations.len() <= many
    });
    candidates
}
