//! What it cost, counted at the API server and at the clouds.

use std::{error::Error, io, time::Duration};

use crate::{cast::CAST, scene::Scene, screen::Screen};

/// Requests that the controller made.
pub struct Figures {
    /// To the API server.
    reads: usize,
    status_writes: usize,
    events: usize,
    /// To the clouds.
    polls: usize,
    connections: u64,
}

pub fn count(scene: &Scene) -> Result<Figures, Box<dyn Error>> {
    let log = scene.cluster.audit()?.keep(|event| Scene::is_controller(&event.user));
    let is_write = |verb: &str| matches!(verb, "create" | "update" | "patch" | "delete");
    Ok(Figures {
        reads: log.clone().keep(|event| !is_write(&event.verb)).len(),
        status_writes: log.clone().subresource("status").keep(|event| is_write(&event.verb)).len(),
        events: log.resource("events").keep(|event| is_write(&event.verb)).len(),
        polls: scene.simulator.requests().len(),
        connections: scene.simulator.connections(),
    })
}

impl Figures {
    pub fn print(&self, screen: &Screen, is_as_planned: bool, took: Duration) -> io::Result<()> {
        let Self { reads, status_writes, events, polls, connections } = self;
        screen.line(&format!("to the clouds:     {polls} requests over {connections} connections"))?;
        screen.line(&format!(
            "to the API server: {reads} reads and watches, {status_writes} statuses, {events} Events"
        ))?;
        let verdict = if is_as_planned { "as planned" } else { "NOT as planned" };
        screen.line(&format!(
            "{} operations ended {verdict}, after {} s in all. Everything is stopped; nothing is left behind.",
            CAST.len(),
            took.as_secs()
        ))
    }
}
