//! What it cost, counted at the API server and at the clouds.

use std::{error::Error, io, time::Duration};

use crate::{cast::CAST, scene::Scene, screen::Screen};

/// Requests that the controller made.
pub struct Figures {
    /// To the API server, where it writes them down: reads, statuses, Events.
    api_server: Option<[usize; 3]>,
    /// To the clouds.
    polls: usize,
    connections: u64,
}

pub fn count(scene: &Scene) -> Result<Figures, Box<dyn Error>> {
    let is_write = |verb: &str| matches!(verb, "create" | "update" | "patch" | "delete");
    let log = scene.cluster.audit()?.map(|log| log.keep(|event| Scene::is_controller(&event.user)));
    Ok(Figures {
        api_server: log.map(|log| {
            [
                log.clone().keep(|event| !is_write(&event.verb)).len(),
                log.clone().subresource("status").keep(|event| is_write(&event.verb)).len(),
                log.resource("events").keep(|event| is_write(&event.verb)).len(),
            ]
        }),
        polls: scene.simulator.requests().len(),
        connections: scene.simulator.connections(),
    })
}

impl Figures {
    pub fn print(&self, screen: &Screen, is_as_planned: bool, took: Duration) -> io::Result<()> {
        let Self { api_server, polls, connections } = self;
        screen.line(&format!("to the clouds:     {polls} requests over {connections} connections"))?;
        if let Some([reads, statuses, events]) = api_server {
            screen
                .line(&format!("to the API server: {reads} reads and watches, {statuses} statuses, {events} Events"))?;
        }
        let verdict = if is_as_planned { "as planned" } else { "NOT as planned" };
        screen.line(&format!(
            "{} operations ended {verdict}, after {} s in all. Everything is stopped.",
            CAST.len(),
            took.as_secs()
        ))
    }
}
