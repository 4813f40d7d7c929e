//! The five APIs: which path belongs to whom, who is let in, and what is said to those who are not.

mod cce;
mod gateway;
mod numspot;
mod otc;
mod sbercloud;
mod sign_in;
mod ucs;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

pub use numspot::NumspotApi;

use crate::{
    fault::Answer,
    http::{Reply, Request},
    life::{Cloud, Key, Scope},
    world::World,
};
use sign_in::SignIn;

/// What a path of one of the APIs names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) cloud: Cloud,
    pub(crate) scope: Scope,
    /// `None`: the list of the scope's operations.
    pub(crate) id: Option<String>,
    /// OTC's Job Management v2, whose shape differs.
    pub(crate) v2: bool,
}

impl Target {
    /// What an account must be allowed to see: the space, project or service instance, or else the fleet.
    pub(crate) fn owner(&self) -> &str {
        match self.cloud {
            Cloud::HuaweiUcsFederation => self.id.as_deref().unwrap_or_default(),
            _ => &self.scope.owner,
        }
    }

    fn key(&self, id: &str) -> Key {
        Key { cloud: self.cloud, scope: self.scope.clone(), id: id.to_owned() }
    }
}

/// Where a request leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Operations(Target),
    SignIn(SignIn),
    /// No such path; the one whose gateway says so.
    Nowhere(Cloud),
}

/// Why a cloud does not answer with an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The gateway knows no such path.
    NoSuchPath,
    NoSuchMethod,
    BadRequest(&'static str),
    Unauthenticated,
    /// A signed request's date is more than 15 minutes off.
    ClockSkew,
    Forbidden,
    /// 403 that repeats what was sent.
    Echo(String),
    /// The service knows no such ID.
    Unknown,
    Throttled {
        status: u16,
        retry_after: Vec<String>,
    },
    Broken {
        status: u16,
    },
}

impl Place {
    fn of(path: &str) -> Self {
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        // An empty segment is a doubled or trailing slash: no API has such a path.
        let found = if segments.contains(&"") {
            None
        } else {
            [numspot::locate, cce::locate, ucs::locate, otc::locate, sbercloud::locate]
                .iter()
                .find_map(|locate| locate(&segments))
        };
        if let Some(sign_in) = sign_in::locate(&segments) {
            return Self::SignIn(sign_in);
        }
        match (found, segments.first()) {
            (Some(target), _) => Self::Operations(target),
            (None, Some(&"kubernetes")) => Self::Nowhere(Cloud::NumspotKubernetes),
            (None, Some(&"openshift")) => Self::Nowhere(Cloud::SbercloudOpenshiftTask),
            (None, _) => Self::Nowhere(Cloud::HuaweiCceUpgrade),
        }
    }

    pub(crate) fn cloud(&self) -> Option<Cloud> {
        match self {
            Self::Operations(target) => Some(target.cloud),
            Self::SignIn(_) | Self::Nowhere(_) => None,
        }
    }

    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Operations(target) => target.id.as_deref(),
            Self::SignIn(_) | Self::Nowhere(_) => None,
        }
    }

    /// Whether Huawei's gateway stands before it, which numbers its replies.
    fn is_huawei(&self) -> bool {
        match self {
            Self::SignIn(sign_in) => matches!(sign_in, SignIn::Keystone | SignIn::KeystoneVersion),
            Self::Operations(Target { cloud, .. }) | Self::Nowhere(cloud) => {
                matches!(cloud, Cloud::HuaweiCceUpgrade | Cloud::HuaweiUcsFederation | Cloud::OtcCceJob)
            }
        }
    }

    pub(crate) fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        let mut reply = match self {
            Self::SignIn(sign_in) => sign_in.refuse(refusal),
            Self::Operations(Target { cloud, .. }) | Self::Nowhere(cloud) => match cloud {
                Cloud::NumspotKubernetes => numspot::refuse(refusal),
                Cloud::HuaweiCceUpgrade => cce::refuse(refusal, request_id),
                Cloud::HuaweiUcsFederation => ucs::refuse(refusal, request_id),
                Cloud::OtcCceJob => otc::refuse(refusal, request_id),
                Cloud::SbercloudOpenshiftTask => sbercloud::refuse(refusal),
            },
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
            Self::Nowhere(_) => return Err(Refusal::NoSuchPath),
        };
        if target.cloud == Cloud::NumspotKubernetes && !world.numspot.has(target) {
            return Err(Refusal::NoSuchPath);
        }
        if request.method != "GET" {
            return Err(Refusal::NoSuchMethod);
        }
        world.admit(target, request, now)?;
        match target.cloud {
            Cloud::NumspotKubernetes => numspot::reply(world, target, request, now),
            Cloud::HuaweiCceUpgrade => cce::reply(world, target, now),
            Cloud::HuaweiUcsFederation => ucs::reply(world, target, now),
            Cloud::OtcCceJob => otc::reply(world, target, now),
            Cloud::SbercloudOpenshiftTask => sbercloud::reply(world, target, now),
        }
    }
}

/// The answer to a request, and where it led.
pub(crate) fn answer(world: &mut World, request: &Request, now: Timestamp) -> (Answer, Place) {
    let place = Place::of(request.path());
    let request_id = request_id(world.serial());
    let fault = world.strike(&request.path_and_query, place.cloud(), place.id());
    let mut truth = || place.reply(world, request, now).unwrap_or_else(|refusal| place.refuse(&refusal, &request_id));
    let mut answer = match fault {
        Some(fault) => fault.answer(&place, request, &request_id, truth),
        None => Answer::Reply(truth()),
    };
    if let Answer::Reply(reply) | Answer::Cut(reply) | Answer::Drip(reply) = &mut answer
        && place.is_huawei()
    {
        reply.headers.push(("X-Request-Id".to_owned(), request_id));
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
            Place::Operations(Target { cloud, id, v2, .. }) => (cloud, id.unwrap_or_default(), v2),
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
