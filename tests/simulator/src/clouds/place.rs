//! Where a request leads, and what is answered there.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::{
    Cloud, Location, Refusal, Route, Target, UNCLAIMED,
    sign_in::{self, SignIn},
};
use crate::{
    fault::Answer,
    http::{Reply, Request},
    world::World,
};

/// Where a request leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Operations(Target),
    SignIn(SignIn),
    /// An address that was told to the simulator.
    Route(String),
    /// No such path; the one whose gateway says so.
    Nowhere(Cloud),
}

impl Place {
    fn of(path: &str) -> Self {
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let Some(sign_in) = sign_in::locate(&segments) {
            return Self::SignIn(sign_in);
        }
        // An empty segment is a doubled or trailing slash: no API has such a path.
        let is_possible = !segments.contains(&"");
        let locate = |cloud: &Cloud| {
            let Location { scope, id, version } = cloud.api().locate(&segments)?;
            Some(Target { cloud: *cloud, scope, id, version })
        };
        if let Some(target) = Cloud::ALL.iter().filter(|_| is_possible).find_map(locate) {
            return Self::Operations(target);
        }
        let claims = |cloud: &&Cloud| cloud.api().root().is_some_and(|root| segments.first() == Some(&root));
        Self::Nowhere(Cloud::ALL.iter().copied().find(|cloud| claims(&cloud)).unwrap_or(UNCLAIMED))
    }

    pub(crate) fn cloud(&self) -> Option<Cloud> {
        match self {
            Self::Operations(target) => Some(target.cloud),
            Self::SignIn(_) | Self::Route(_) | Self::Nowhere(_) => None,
        }
    }

    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Operations(target) => target.id.as_deref(),
            Self::SignIn(_) | Self::Route(_) | Self::Nowhere(_) => None,
        }
    }

    fn numbers_replies(&self) -> bool {
        match self {
            Self::SignIn(sign_in) => sign_in.numbers_replies(),
            Self::Route(_) => false,
            Self::Operations(Target { cloud, .. }) | Self::Nowhere(cloud) => cloud.api().front().numbers_replies,
        }
    }

    pub(crate) fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        let mut reply = match self {
            Self::SignIn(sign_in) => sign_in.refuse(refusal),
            Self::Route(_) => Route::refuse(refusal),
            Self::Operations(Target { cloud, .. }) | Self::Nowhere(cloud) => cloud.api().refuse(refusal, request_id),
        };
        if let Refusal::Throttled { retry_after, .. } = refusal {
            for value in retry_after {
                reply = reply.header("Retry-After", value);
            }
        }
        reply
    }

    fn reply(&self, world: &mut World, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        let target = match self {
            Self::Operations(target) => target,
            Self::SignIn(sign_in) => return sign_in.reply(world, request, now),
            Self::Route(address) => {
                let route = world.routes.get(address).ok_or(Refusal::NoSuchPath)?;
                return route.reply(world, request, now);
            }
            Self::Nowhere(_) => return Err(Refusal::NoSuchPath),
        };
        let api = target.cloud.api();
        if !api.has(world, target) {
            return Err(Refusal::NoSuchPath);
        }
        if request.method != "GET" {
            return Err(Refusal::NoSuchMethod);
        }
        if let Some(outcome) = world.admit(target, request, now)? {
            world.rehearse(target, outcome);
        }
        api.reply(world, target, request, now)
    }
}

/// The answer to a request, and where it led.
pub(crate) fn answer(world: &mut World, request: &Request, now: Timestamp) -> (Answer, Place) {
    let place = match world.routes.contains_key(&request.path_and_query) {
        true => Place::Route(request.path_and_query.clone()),
        false => Place::of(request.path()),
    };
    let request_id = request_id(world.serial());
    if let Some(answer) = world.refuse_long_headers(request) {
        return (answer, place);
    }
    let fault = world.strike(&request.path_and_query, place.cloud(), place.id());
    let mut truth = || place.reply(world, request, now).unwrap_or_else(|refusal| place.refuse(&refusal, &request_id));
    let mut answer = match fault {
        Some(fault) => fault.answer(&place, request, &request_id, truth),
        None => Answer::Reply(truth()),
    };
    if let Some(reply) = answer.reply_mut() {
        reply.date = Some(now);
        if place.numbers_replies() {
            reply.headers.push(("X-Request-Id".to_owned(), request_id));
        }
    }
    (answer, place)
}

fn request_id(serial: u64) -> String {
    // An odd factor keeps the numbers distinct and makes them look like the vendor's.
    let number = u128::from(serial).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("{number:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_owner() {
        let place = |path: &str| match Place::of(path) {
            Place::Operations(Target { cloud, id, version, .. }) => (cloud, id.unwrap_or_default(), version == 2),
            other => panic!("{path}: {other:?}"),
        };
        let found = |cloud, id: &str| (cloud, id.to_owned(), false);
        use Cloud::*;
        assert_eq!(place("/kubernetes/spaces/s/operations/o"), found(NumspotKubernetes, "o"));
        assert_eq!(place("/kubernetes/spaces/s/clusters/c/operations"), found(NumspotKubernetes, ""));
        let flows = "/api/v3/projects/p/clusters/c/operation/upgradeworkflows";
        assert_eq!(place(flows), found(HuaweiCceUpgrade, ""));
        assert_eq!(place(&format!("{flows}/w")), found(HuaweiCceUpgrade, "w"));
        assert_eq!(place("/v1/clustergroups/f/federations/progress"), found(HuaweiUcsFederation, "f"));
        assert_eq!(place("/api/v3/projects/p/jobs/j"), found(OtcCceJob, "j"));
        assert_eq!(place("/api/v2/projects/p/jobs/j"), (OtcCceJob, "j".to_owned(), true));
        assert_eq!(place("/api/v2/projects/p/jobs"), (OtcCceJob, String::new(), true));
        assert_eq!(place("/openshift/v1/i/tasks"), found(SbercloudOpenshiftTask, ""));
        assert_eq!(place("/openshift/v1/i/tasks/a%2Fb"), found(SbercloudOpenshiftTask, "a/b"));
    }

    #[test]
    fn a_path_that_is_not_the_apis_leads_nowhere() {
        for (path, gateway) in [
            ("/api/v3/projects/p/jobs/j/", Cloud::HuaweiCceUpgrade),
            ("/api/v3/projects/p/jobs", Cloud::HuaweiCceUpgrade),
            ("/api/v3/projects//jobs/j", Cloud::HuaweiCceUpgrade),
            ("/kubernetes/spaces/s/operations", Cloud::NumspotKubernetes),
            ("/openshift/v1/i/tasks/t/", Cloud::SbercloudOpenshiftTask),
            ("/", Cloud::HuaweiCceUpgrade),
        ] {
            assert_eq!(Place::of(path), Place::Nowhere(gateway), "{path}");
        }
    }
}
