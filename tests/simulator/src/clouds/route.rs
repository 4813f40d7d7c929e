//! One address of an API that is told to the simulator rather than built in: what it must be sent, and what it answers.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;

use super::Refusal;
use crate::{
    http::{Reply, Request},
    world::World,
};

/// An address whose answers are given word for word.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) path_and_query: String,
    proof: Proof,
    required: Vec<(String, String)>,
    answers: Vec<(u16, String)>,
    at: usize,
}

/// What lets a request in.
#[derive(Clone, Debug)]
enum Proof {
    /// A token in a header of that name, behind that prefix.
    Header(String, String),
    /// The ID and secret of an account (RFC 7617).
    Basic,
}

impl Route {
    /// Answers for this path with exactly this query, both as they are sent, to those with a bearer token.
    pub fn new(path_and_query: impl Into<String>) -> Self {
        Self {
            path_and_query: path_and_query.into(),
            proof: Proof::Header("authorization".into(), "Bearer ".into()),
            required: Vec::new(),
            answers: Vec::new(),
            at: 0,
        }
    }

    /// Wants the token in another header, behind a prefix.
    pub fn token_in(mut self, header: &str, prefix: &str) -> Self {
        self.proof = Proof::Header(header.to_owned(), prefix.to_owned());
        self
    }

    /// Wants a user and a password.
    pub fn basic(mut self) -> Self {
        self.proof = Proof::Basic;
        self
    }

    /// Refuses a request without this header.
    pub fn requires(mut self, header: &str, value: &str) -> Self {
        self.required.push((header.to_owned(), value.to_owned()));
        self
    }

    /// The next answer, given until [`crate::Simulator::advance_route`] is called.
    pub fn answer(mut self, status: u16, body: impl Into<String>) -> Self {
        self.answers.push((status, body.into()));
        self
    }

    /// Goes on to the next answer. False at the last one.
    pub(crate) fn advance(&mut self) -> bool {
        let moves = self.at + 1 < self.answers.len();
        self.at += usize::from(moves);
        moves
    }

    pub(crate) fn reply(&self, world: &World, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        if request.method != "GET" {
            return Err(Refusal::NoSuchMethod);
        }
        if !self.lets_in(world, request, now) {
            return Err(Refusal::Unauthenticated);
        }
        for (name, value) in &self.required {
            if request.header(name) != Some(value) {
                return Err(Refusal::BadRequest("a header that this API wants is missing"));
            }
        }
        let (status, body) = self.answers.get(self.at).ok_or(Refusal::Unknown)?;
        Ok(Reply::new(*status, "application/json", body.as_str()))
    }

    fn lets_in(&self, world: &World, request: &Request, now: Timestamp) -> bool {
        match &self.proof {
            Proof::Header(name, prefix) => {
                let token = request.header(name).and_then(|value| value.strip_prefix(prefix.as_str()));
                token.is_some_and(|token| world.holder(token, now).is_some())
            }
            Proof::Basic => world.accounts.iter().filter_map(|account| account.credential.as_ref()).any(|credential| {
                let pair = STANDARD.encode(format!("{}:{}", credential.id, credential.secret));
                request.header("authorization") == Some(&format!("Basic {pair}"))
            }),
        }
    }

    pub(super) fn refuse(refusal: &Refusal) -> Reply {
        let status = match refusal {
            Refusal::NoSuchPath | Refusal::Unknown => 404,
            Refusal::NoSuchMethod => 405,
            Refusal::BadRequest(_) => 400,
            Refusal::Unauthenticated | Refusal::ClockSkew => 401,
            Refusal::Forbidden | Refusal::Echo(_) => 403,
            Refusal::Throttled { status, .. } | Refusal::Broken { status } => *status,
        };
        Reply::new(status, "text/plain", "")
    }
}
