//! The simulated clouds on a simulated network.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use cloudop::observation::{FailureKind, PollFailure};
use cloudop::upstream::Wire;
use cloudop_simulator::{Account, Answered, Cloud, Clouds, Key, Operation, Scope, Stage, Task};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api_server::Crashes;
use crate::promises::Promise;
use crate::story::{CloudFault, End, Followed, Provider};
use crate::world::Network;

pub const HOST: &str = "clouds.example.com";
const PLACES: [&str; 2] = ["place-a", "place-b"];

/// The token of an account; the word after it is looked for where no secret may be.
pub fn token(account: usize) -> String {
    format!("canary-{account}-0123456789abcdef")
}

impl Provider {
    fn cloud(self) -> Cloud {
        match self {
            Self::Numspot => Cloud::NumspotKubernetes,
            Self::HuaweiCce => Cloud::HuaweiCceUpgrade,
            Self::Ucs => Cloud::HuaweiUcsFederation,
            Self::Otc => Cloud::OtcCceJob,
            Self::Sbercloud => Cloud::SbercloudOpenshiftTask,
        }
    }

    fn scope(self, place: &str) -> Scope {
        match self {
            Self::Numspot => Scope::numspot(place, "cluster"),
            Self::HuaweiCce => Scope::cce(place, "cluster"),
            Self::Ucs => Scope::ucs(),
            Self::Otc => Scope::otc(place),
            Self::Sbercloud => Scope::sbercloud(place),
        }
    }

    fn spec(self, place: &str) -> Value {
        match self {
            Self::Numspot => {
                json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": place, "clusterId": "cluster"}})
            }
            Self::HuaweiCce => {
                json!({"huaweiCceUpgrade": {"region": "ap-southeast-3", "projectId": place, "clusterId": "cluster"}})
            }
            Self::Ucs => json!({"huaweiUcsFederation": {}}),
            Self::Otc => json!({"otcCceJob": {"region": "eu-de", "projectId": place}}),
            Self::Sbercloud => json!({"sbercloudOpenshiftTask": {"serviceInstanceId": place}}),
        }
    }

    /// Its names, as Secrets have them.
    pub const NAMES: &str = "numspotKubernetes,huaweiCceUpgrade,huaweiUcsFederation,otcCceJob,sbercloudOpenshiftTask";

    /// The words for an operation that waits, goes on, has succeeded and has failed.
    fn words(self) -> [&'static str; 4] {
        match self {
            Self::Numspot => ["PENDING", "RUNNING", "DONE", "FAILED"],
            Self::HuaweiCce => ["Init", "Running", "Success", "Cancel"],
            Self::Ucs | Self::Otc => ["Initializing", "Running", "Success", "Failed"],
            Self::Sbercloud => ["queued", "running", "done", "failed"],
        }
    }
}

impl Followed {
    pub fn operation_id(&self, number: usize) -> String {
        format!("operation-{number}")
    }

    /// Whether a request for `target` asks for it alone. NumSpot has no such request, and is asked for its list.
    pub fn is_asked_for(&self, number: usize, target: &str) -> bool {
        match self.provider {
            Provider::Numspot => target.contains(&format!("/spaces/{}/", PLACES[self.place])),
            _ => target.split(['/', '?']).any(|part| part == self.operation_id(number)),
        }
    }

    /// Whether an answer to that says that there is no such operation.
    pub fn is_denied(&self, status: u16, is_told_of: bool) -> bool {
        match self.provider {
            Provider::Numspot => status == 200 && !is_told_of,
            _ => status == 404,
        }
    }

    /// The spec of its CloudOperation, with the defaults that the API server sets.
    pub fn spec(&self, number: usize) -> Value {
        let mut spec = json!({
            "provider": self.provider.spec(PLACES[self.place]),
            "operationId": self.operation_id(number),
            "credentialsRef": {"name": format!("account-{}", self.account)},
            "notFoundGraceSeconds": self.grace,
            "suspend": false,
        });
        let optional = [
            ("pollIntervalSeconds", self.interval.map(i64::from)),
            ("activeDeadlineSeconds", self.deadline),
            ("ttlSecondsAfterFinished", self.ttl),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                spec[key] = json!(value);
            }
        }
        spec
    }

    pub fn key(&self, number: usize) -> Key {
        self.operation(number).key()
    }

    /// Its operation in the cloud.
    pub fn operation(&self, number: usize) -> Operation {
        let [waits, goes_on, succeeded, failed] = self.provider.words();
        let part = |share: u64| Duration::from_secs(self.runs * share / 10);
        let scope = self.provider.scope(PLACES[self.place]);
        let with_parts = |stage: Stage, done: usize| {
            let has_parts = matches!(self.provider, Provider::Ucs | Provider::Otc | Provider::HuaweiCce);
            let parts = ["first", "second"].into_iter().enumerate().filter(|_| has_parts);
            parts.fold(stage, |stage, (nth, name)| {
                stage.task(Task::new(name, name).state(if nth < done { succeeded } else { goes_on }))
            })
        };
        let life = Operation::new(self.provider.cloud(), scope, self.operation_id(number))
            .kind("Upgrade")
            .job_uid(format!("run-{number}"))
            .stage(Stage::state(waits).lasting(part(3)))
            .stage(with_parts(Stage::state(goes_on).lasting(part(3)), 1))
            // A part that failed for a moment begins again.
            .stage(with_parts(Stage::state(goes_on).lasting(part(2)), 0))
            .stage(with_parts(Stage::state(goes_on).lasting(part(2)), 1));
        match self.end {
            End::Succeeds => life.stage(Stage::state(succeeded)),
            End::Fails => life.stage(Stage::state(failed).error("7", "the quota is exceeded")),
            End::SucceedsWithError => life.stage(Stage::state(succeeded).error("7", "a part has failed")),
            End::Goes => life.stage(Stage::gone()),
            End::GoesFor(seconds) => life
                .stage(Stage::gone().lasting(Duration::from_secs(seconds)))
                .stage(Stage::state(goes_on).lasting(part(1)))
                .stage(Stage::state(succeeded)),
            End::Odd => life.stage(Stage::state("sideways")),
            End::Never => life.stage(Stage::state(goes_on)),
        }
    }

    /// Whether `word` is its cloud's for success, and no error stands beside it.
    pub fn is_success(&self, word: Option<&str>) -> bool {
        // A job's reason is no error by itself, and a workflow has no place for one.
        let has_place = matches!(self.provider, Provider::Numspot | Provider::Sbercloud);
        let has_error = self.end == End::SucceedsWithError && has_place;
        word == Some(self.provider.words()[2]) && !has_error
    }

    /// Whether `word` is an end in its cloud that is none of success.
    pub fn is_failure(&self, word: Option<&str>) -> bool {
        let words = self.provider.words();
        word == Some(words[3]) || (word == Some(words[2]) && !self.is_success(word))
    }
}

/// The clouds, and what happens to them.
#[derive(Debug)]
pub struct Sky {
    pub clouds: Clouds,
    pub calls: usize,
    pub faults: Vec<(usize, CloudFault)>,
    /// By account, until when.
    pub down: BTreeMap<usize, (Instant, CloudFault)>,
    /// Which accounts' tokens the clouds take.
    pub taken: [bool; 2],
}

impl Sky {
    pub fn new(faults: Vec<(usize, CloudFault)>) -> Self {
        let mut sky =
            Self { clouds: Clouds::new(Vec::new()), calls: 0, faults, down: BTreeMap::new(), taken: [true; 2] };
        let accounts = (0..2).map(|account| Account::new(format!("account-{account}")).token(token(account)));
        sky.clouds = Clouds::new(accounts.collect());
        sky
    }
}

/// The way to the clouds of one process.
#[derive(Clone)]
pub struct Line {
    pub network: Arc<Network>,
    pub process: u64,
    pub crashes: Crashes,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line of {}", self.process)
    }
}

/// One that is lost.
fn lost(why: &str) -> PollFailure {
    PollFailure::new(FailureKind::Unreachable, why)
}

impl Line {
    async fn crash(&self) -> ! {
        let _ = self.crashes.send(self.process);
        pending().await
    }

    async fn send(self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, PollFailure> {
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let account = (0..2).find(|account| headers.iter().any(|(_, value)| value.contains(&token(*account))));
        let network = &self.network;
        let is_known_host = request.uri().host() == Some(HOST);
        network
            .check(Promise::Credentials, is_known_host && account.is_some(), || format!("sent to {}", request.uri()));
        let account = account.unwrap_or_default();
        network.note_request(self.process, account);
        let (fault, lasting) = {
            let mut sky = network.sky();
            let number = sky.calls;
            sky.calls += 1;
            let fault = sky.faults.iter().find(|(nth, _)| *nth == number).map(|(_, fault)| *fault);
            let lasting = sky.down.get(&account).filter(|(until, _)| Instant::now() < *until).map(|(_, how)| *how);
            (fault, lasting)
        };
        let fault = fault.or(lasting);
        sleep(Duration::from_millis(30)).await;
        match fault {
            None | Some(CloudFault::CrashAfter) => {}
            Some(CloudFault::CrashBefore) => self.crash().await,
            Some(CloudFault::Reset) => return Err(lost("the connection was reset")),
            Some(CloudFault::Hangs) => pending().await,
            Some(CloudFault::Status(code)) => {
                // Some repeat what was sent.
                let body = json!({"error_code": "1", "error_msg": format!("not with {}", token(account))});
                return Ok(reply(code, "application/json", body.to_string().as_bytes()));
            }
            Some(CloudFault::NoSuchPage) => return Ok(reply(404, "text/html", b"<html>no such page</html>")),
            Some(CloudFault::Garbage) => return Ok(reply(200, "application/json", br#"{"status": "Success"#)),
            Some(CloudFault::Throttled { seconds, date }) => {
                network.note_pause(self.process, account, Duration::from_secs(seconds));
                let mut answer = reply(429, "application/json", b"{}");
                let now = network.time();
                let at = |time: Timestamp| HeaderValue::from_str(&http_date(time)).unwrap();
                let value = match date {
                    true => at(now + SignedDuration::from_secs(seconds as i64)),
                    false => HeaderValue::from(seconds),
                };
                answer.headers_mut().insert("retry-after", value);
                answer.headers_mut().insert("date", at(now));
                return Ok(answer);
            }
        }
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let answered = {
            let mut sky = network.sky();
            let headers = if sky.taken[account] { headers } else { Vec::new() };
            let now = network.time();
            let (head, body) = request.into_parts();
            sky.clouds.answer((head.method.as_str(), &target), headers, body, now)
        };
        let Some(Answered { status, headers, body }) = answered else { return Err(lost("nothing came back")) };
        network.note_answer(account, &target, status, &body);
        if fault == Some(CloudFault::CrashAfter) {
            self.crash().await;
        }
        let mut answer = reply(status, "application/json", &body);
        for (name, value) in headers {
            let pair = (http::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value));
            if let (Ok(name), Ok(value)) = pair {
                answer.headers_mut().insert(name, value);
            }
        }
        Ok(answer)
    }
}

impl Wire for Line {
    fn carry(&self, request: Request<Vec<u8>>) -> BoxFuture<'static, Result<Response<Vec<u8>>, PollFailure>> {
        Box::pin(self.clone().send(request))
    }
}

fn reply(status: u16, kind: &'static str, body: &[u8]) -> Response<Vec<u8>> {
    let mut reply = Response::new(body.to_vec());
    *reply.status_mut() = http::StatusCode::from_u16(status).unwrap();
    reply.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    reply
}

fn http_date(time: Timestamp) -> String {
    httpdate::fmt_http_date(time.into())
}
