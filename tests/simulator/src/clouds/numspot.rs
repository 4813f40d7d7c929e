//! NumSpot: a cluster's operations.
//! <https://docs.numspot.com/docs/managed-services/kubernetes/actions/get-operation>

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CloudApi, Front, Location, Refusal, ScopeShape, Target, Words};
use crate::{
    http::{Reply, Request},
    life::{Key, Scope},
    play::Moment,
    world::World,
};

/// Which generation of the API is played: its paths and spellings changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NumspotApi {
    /// As the documentation page shows it: `createTime`, an `error` text, and a list `{"operations": […]}`.
    #[default]
    Documented,
    /// As the v1 definition has it: `createdAt`, an `error` object, and a list in pages
    /// `{"items": […], "totalSize", "nextPageToken"}`.
    V1,
    /// The same without the path of a single operation, which later versions dropped.
    V1ListOnly,
}

const LARGEST_PAGE: usize = 50;

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        let (space, cluster, id) = match *segments {
            ["kubernetes", "spaces", space, "operations", id] => (space, "", Some(id)),
            ["kubernetes", "spaces", space, "clusters", cluster, "operations"] => (space, cluster, None),
            _ => return None,
        };
        Some(Location::new(Scope::numspot(space, cluster), id))
    }

    fn root(&self) -> Option<&'static str> {
        Some("kubernetes")
    }

    fn words(&self) -> Words {
        Words::plain(["PENDING", "RUNNING", "DONE", "FAILED"])
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: Some("space"), cluster: true }
    }

    fn front(&self) -> Front {
        Front::BEARER
    }

    fn has(&self, world: &World, target: &Target) -> bool {
        target.id.is_none() || world.numspot != NumspotApi::V1ListOnly
    }

    /// RFC 9457 problems with the vendor's URNs.
    fn refuse(&self, refusal: &Refusal, _: &str) -> Reply {
        let (status, name, title) = match refusal {
            // A path that the platform lacks is not an unknown resource; how it says so is not documented.
            Refusal::NoSuchPath => (404, "", "Not Found"),
            Refusal::NoSuchMethod => (405, "", "Method Not Allowed"),
            Refusal::BadRequest(_) => (400, "invalid_parameter", "Invalid parameter"),
            Refusal::Unauthenticated | Refusal::ClockSkew => (401, "unauthenticated_access", "Unauthenticated access"),
            Refusal::Forbidden | Refusal::Echo(_) => (403, "forbidden_access", "Forbidden access"),
            Refusal::Unknown => (404, "resource_not_found", "Resource not found"),
            Refusal::Throttled { status: 503, .. } => (503, "internal_error", "Service unavailable"),
            Refusal::Throttled { status, .. } => (*status, "too_many_requests", "Too many requests"),
            Refusal::Broken { status } => (*status, "internal_error", "Internal error"),
        };
        let kind = match name {
            "" => "about:blank".to_owned(),
            name => format!("urn:numspot:errors#{name}"),
        };
        let mut problem = json!({"type": kind, "title": title});
        match refusal {
            Refusal::BadRequest(why) => problem["detail"] = json!(why),
            Refusal::Echo(sent) => problem["detail"] = json!(format!("{sent} may not do this")),
            _ => {}
        }
        let reply = Reply::new(status, "application/problem+json", problem.to_string());
        match status {
            429 => reply.header("RateLimit-Remaining", "0"),
            _ => reply,
        }
    }

    fn reply(&self, world: &mut World, target: &Target, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        let host = request.header("host").unwrap_or("localhost").to_owned();
        let api = world.numspot;
        let shape = |moment: &Moment| operation(moment, api, &host);
        if let Some(id) = &target.id {
            // The path of one operation does not name its cluster.
            let first = Key { cloud: target.cloud, scope: target.scope.clone(), id: String::new() };
            let key = world
                .lives
                .range(first..)
                .map(|(key, _)| key)
                .take_while(|key| key.cloud == target.cloud && key.scope.owner == target.scope.owner)
                .find(|key| key.id == *id);
            let key = key.cloned().ok_or(Refusal::Unknown)?;
            return world.show(&key, now, shape);
        }
        let operations = world.list(target, now, shape);
        let body = match api {
            NumspotApi::Documented => format!(r#"{{"operations":[{}]}}"#, operations.join(",")),
            NumspotApi::V1 | NumspotApi::V1ListOnly => page(&operations, &request.query())?,
        };
        Ok(Reply::new(200, "application/json", body))
    }
}

impl Scope {
    /// A cluster in a NumSpot space.
    pub fn numspot(space: impl Into<String>, cluster: impl Into<String>) -> Self {
        Self::new(space, cluster)
    }
}

/// A page of the list: `page[size]` (at most 50) items from where `page[nextToken]` points.
fn page(operations: &[String], query: &[(String, String)]) -> Result<String, Refusal> {
    let given = |name| query.iter().find(|(key, _)| key == name).map(|(_, v)| v);
    let size = match given("page[size]").map(|text| text.parse::<usize>()) {
        None => LARGEST_PAGE,
        Some(Ok(size @ 1..=LARGEST_PAGE)) => size,
        Some(_) => return Err(Refusal::BadRequest("page[size] must be within 1 and 50")),
    };
    let start = match given("page[nextToken]") {
        None => 0,
        Some(token) => read_token(token)
            .filter(|start| *start < operations.len())
            .ok_or(Refusal::BadRequest("page[nextToken] is not one we gave"))?,
    };
    let end = (start + size).min(operations.len());
    let next = if end < operations.len() {
        format!(r#","nextPageToken":"{}""#, URL_SAFE_NO_PAD.encode(end.to_string()))
    } else {
        String::new()
    };
    let items = operations[start..end].join(",");
    let total = operations.len();
    Ok(format!(r#"{{"items":[{items}],"totalSize":{total}{next}}}"#))
}

fn read_token(token: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    String::from_utf8(bytes).ok()?.parse().ok()
}

fn operation(moment: &Moment, api: NumspotApi, host: &str) -> Value {
    let operation = moment.operation;
    let Scope { owner, cluster } = &operation.scope;
    let space = format!("https://{host}/kubernetes/spaces/{owner}");
    let mut shown = json!({
        "id": operation.id,
        "operationType": operation.kind,
        "status": moment.stage.state,
        "progress": moment.stage.progress.as_deref().unwrap_or_default(),
        "target": format!("{space}/clusters/{cluster}"),
        "selfLink": format!("{space}/operations/{}", operation.id),
    });
    let span = moment.span();
    let documented = api == NumspotApi::Documented;
    let names = if documented { ["createTime", "startTime", "endTime"] } else { ["createdAt", "startedAt", "endedAt"] };
    for (name, at) in names.into_iter().zip([Some(moment.created), span.start, span.end]) {
        if let Some(at) = at {
            shown[name] = json!(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        }
    }
    if !documented {
        shown["clusterId"] = json!(cluster);
        shown["targetName"] = json!(operation.target.name);
    }
    if let Some(error) = &moment.stage.error {
        shown["error"] = if documented {
            json!(super::otc::reason(error))
        } else {
            json!({
                "type": format!("urn:numspot:errors#{}", error.code),
                "title": error.message,
                "detail": error.message,
            })
        };
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let operations: Vec<String> = (0..5).map(|n| n.to_string()).collect();
        let mut query = vec![("page[size]".to_owned(), "2".to_owned())];
        let mut seen = Vec::new();
        loop {
            let page: Value = serde_json::from_str(&page(&operations, &query).unwrap()).unwrap();
            assert_eq!(page["totalSize"], 5);
            seen.extend(page["items"].as_array().unwrap().clone());
            match page["nextPageToken"].as_str() {
                None => break,
                Some(token) => {
                    query.truncate(1);
                    query.push(("page[nextToken]".to_owned(), token.to_owned()));
                }
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_page_that_can_not_be_is_refused() {
        for (name, value) in [("page[size]", "0"), ("page[size]", "51"), ("page[nextToken]", "x")] {
            let refusal = page(&["{}".to_owned()], &[(name.to_owned(), value.to_owned())]);
            assert!(matches!(refusal, Err(Refusal::BadRequest(_))), "{name}={value}");
        }
    }
}
