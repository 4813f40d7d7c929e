//! All that the simulated clouds know: accounts, tokens, operations, planned faults, and what was asked of them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    account::Account,
    clouds::{BasicHeader, Cloud, NumspotApi, Refusal, Route, Target},
    fault::{Answer, Fault, Times},
    http::{Reply, Request},
    life::{Key, Operation},
    play::{Life, Moment},
    record::{Matcher, RecordedRequest},
    rehearsal::Outcome,
    signature,
};

/// The oldest requests are forgotten beyond this many.
const REQUESTS_KEPT: usize = 50_000;

const TOO_LONG: &str = "<html>\r\n<head><title>400 Request Header Or Cookie Too Large</title></head>\r\n<body>\r\n\
    <center><h1>400 Bad Request</h1></center>\r\n<center>Request Header Or Cookie Too Large</center>\r\n\
    <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) accounts: Vec<Account>,
    pub(crate) lives: BTreeMap<Key, Life>,
    /// By path and query.
    pub(crate) routes: BTreeMap<String, Route>,
    pub(crate) requests: VecDeque<RecordedRequest>,
    pub(crate) latency: Duration,
    pub(crate) numspot: NumspotApi,
    pub(crate) basic_header: BasicHeader,
    /// How far the clouds' clock is ahead of ours.
    pub(crate) clock: SignedDuration,
    /// The longest headers that are taken, in bytes.
    pub(crate) longest_headers: Option<usize>,
    pub(crate) speed: f64,
    minted: BTreeMap<String, Minted>,
    admitted: BTreeMap<String, VecDeque<Instant>>,
    faults: Vec<Planned>,
    serial: u64,
}

#[derive(Debug)]
struct Planned {
    number: u64,
    fault: Fault,
    matcher: Matcher,
    times: Times,
    struck: usize,
}

/// A token from a sign-in.
#[derive(Debug)]
struct Minted {
    account: String,
    expires: Timestamp,
    reach: Reach,
}

/// What a token is scoped to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reach {
    Everything,
    Project(String),
    Domain,
}

impl World {
    pub(crate) fn new(accounts: Vec<Account>, speed: f64) -> Self {
        Self {
            accounts,
            lives: BTreeMap::new(),
            routes: BTreeMap::new(),
            requests: VecDeque::new(),
            latency: Duration::ZERO,
            numspot: NumspotApi::default(),
            basic_header: BasicHeader::default(),
            clock: SignedDuration::ZERO,
            longest_headers: None,
            speed,
            minted: BTreeMap::new(),
            admitted: BTreeMap::new(),
            faults: Vec::new(),
            serial: 0,
        }
    }

    /// The time by the clouds' clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(self.clock).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, mut operation: Operation, now: Timestamp) -> Key {
        let key = operation.key();
        if operation.job_uid.is_none() {
            let serial = self.serial();
            operation.job_uid = Some(format!("{serial:08x}-2fa4-11ee-bf07-0255ac1000b9"));
        }
        self.lives.insert(key.clone(), Life::new(operation, now));
        key
    }

    /// The reply for one operation.
    pub(crate) fn show(
        &mut self,
        key: &Key,
        now: Timestamp,
        shape: impl Fn(&Moment) -> Value,
    ) -> Result<Reply, Refusal> {
        let life = self.lives.get_mut(key).ok_or(Refusal::Unknown)?;
        let moment = life.poll(now, self.speed).ok_or(Refusal::Unknown)?;
        Ok(match &moment.stage.raw {
            Some(raw) => Reply::new(200, "application/json", raw.as_str()),
            None => Reply::json(200, &shape(&moment)),
        })
    }

    /// Every operation of the target's scope, ordered by ID, each as JSON.
    pub(crate) fn list(&mut self, target: &Target, now: Timestamp, shape: impl Fn(&Moment) -> Value) -> Vec<String> {
        let first = Key { cloud: target.cloud, scope: target.scope.clone(), id: String::new() };
        self.lives
            .range_mut(first..)
            .take_while(|(key, _)| key.cloud == target.cloud && key.scope == target.scope)
            .filter_map(|(_, life)| {
                let moment = life.poll(now, self.speed)?;
                Some(match &moment.stage.raw {
                    Some(raw) => target.cloud.api().listed(raw),
                    None => shape(&moment).to_string(),
                })
            })
            .collect()
    }

    pub(crate) fn record(&mut self, request: RecordedRequest) {
        if self.requests.len() == REQUESTS_KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(crate) fn plan(&mut self, fault: Fault, matcher: Matcher, times: Times) -> u64 {
        let number = self.serial();
        if matches!(times, Times::Exactly(0)) {
            return number;
        }
        self.faults.push(Planned { number, fault, matcher, times, struck: 0 });
        number
    }

    pub(crate) fn cancel_fault(&mut self, number: u64) {
        self.faults.retain(|planned| planned.number != number);
    }

    /// The fault that strikes this request: of those that match, the one planned first.
    pub(crate) fn strike(&mut self, path: &str, cloud: Option<Cloud>, id: Option<&str>) -> Option<Fault> {
        let index = self.faults.iter().position(|planned| planned.matcher.matches(path, cloud, id))?;
        let planned = &mut self.faults[index];
        let fault = planned.fault.turn(planned.struck);
        planned.struck += 1;
        if let Times::Exactly(left) = &mut planned.times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.faults.remove(index);
            }
        }
        Some(fault)
    }

    /// As nginx does: the end of the connection over HTTP/2, its own 400 over HTTP/1.1.
    pub(crate) fn refuse_long_headers(&self, request: &Request) -> Option<Answer> {
        let length: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.longest_headers.filter(|longest| length > *longest)?;
        if request.is_http2 {
            return Some(Answer::GoAway);
        }
        Some(Answer::Reply(Reply::new(400, "text/html", TOO_LONG).header("Connection", "close")))
    }

    pub(crate) fn mint(&mut self, account: &str, token: String, expires: Timestamp, reach: Reach) {
        let minted = Minted { account: account.to_owned(), expires, reach };
        self.minted.insert(token, minted);
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.minted.remove(token);
        for account in &mut self.accounts {
            account.tokens.retain(|known| known != token);
        }
    }

    /// A number never given before.
    pub(crate) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Lets a request in, and says what its account plays, or how the cloud refuses it.
    pub(crate) fn admit(
        &mut self,
        target: &Target,
        request: &Request,
        now: Timestamp,
    ) -> Result<Option<Outcome>, Refusal> {
        let (account, reach) = self.authenticate(target.cloud, request, now)?;
        let account = account.clone();
        self.throttle(&account)?;
        let opens = target.cloud.api().front().opens(&reach, target.owner());
        if opens && account.sees(target.owner()) { Ok(account.plays) } else { Err(Refusal::Forbidden) }
    }

    fn authenticate(&self, cloud: Cloud, request: &Request, now: Timestamp) -> Result<(&Account, Reach), Refusal> {
        let front = cloud.api().front();
        match front.token(request) {
            Some(token) => self.holder(token, now).ok_or(Refusal::Unauthenticated),
            None if front.signed => signature::verify(request, &self.accounts, now),
            None => Err(Refusal::Unauthenticated),
        }
    }

    pub(crate) fn holder(&self, token: &str, now: Timestamp) -> Option<(&Account, Reach)> {
        if let Some(minted) = self.minted.get(token) {
            let account = self.accounts.iter().find(|a| a.name == minted.account)?;
            return (now < minted.expires).then(|| (account, minted.reach.clone()));
        }
        self.accounts
            .iter()
            .find(|account| account.tokens.iter().any(|known| known == token))
            .map(|account| (account, Reach::Everything))
    }

    fn throttle(&mut self, account: &Account) -> Result<(), Refusal> {
        let Some(limit) = account.rate_limit else {
            return Ok(());
        };
        let recent = self.admitted.entry(account.name.clone()).or_default();
        let now = Instant::now();
        recent.retain(|at| now.duration_since(*at) < limit.per);
        if recent.len() < limit.requests {
            recent.push_back(now);
            return Ok(());
        }
        let wait = recent.front().map_or(limit.per, |oldest| limit.per - now.duration_since(*oldest));
        Err(Refusal::Throttled { status: 429, retry_after: vec![wait.as_secs_f64().ceil().max(1.0).to_string()] })
    }
}
