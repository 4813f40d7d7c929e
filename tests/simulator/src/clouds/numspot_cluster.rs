//! NumSpot: a cluster, whose state is all that later versions of the API tell of what is done to it.
//! Made from the definition in terraform-provider-numspot, v1.7.3.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CloudApi, Front, Location, Refusal, ScopeShape, Target, Words, numspot};
use crate::{
    http::{Reply, Request},
    life::Scope,
    play::Moment,
    world::World,
};

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        match *segments {
            ["kubernetes", "spaces", space, "clusters", id] => Some(Location::new(Scope::numspot(space, ""), Some(id))),
            _ => None,
        }
    }

    fn words(&self) -> Words {
        Words::plain(["PENDING", "CREATING", "RUNNING", "FAILED"])
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: Some("space"), cluster: false }
    }

    fn front(&self) -> Front {
        Front::BEARER
    }

    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        numspot::Api.refuse(refusal, request_id)
    }

    fn reply(&self, world: &mut World, target: &Target, _: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        let id = target.id.as_deref().ok_or(Refusal::NoSuchPath)?;
        world.show(&target.key(id), now, cluster)
    }
}

fn cluster(moment: &Moment) -> Value {
    let operation = moment.operation;
    let mut status = json!({"state": moment.stage.state});
    let message = moment.stage.error.as_ref().map(|error| &error.message).or(moment.stage.progress.as_ref());
    if let Some(message) = message {
        status["message"] = json!(message);
    }
    json!({"id": operation.id, "name": operation.target.name, "status": status})
}
