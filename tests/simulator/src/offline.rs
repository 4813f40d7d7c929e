//! The clouds without a server: for whoever brings a network and a clock of their own.

use jiff::Timestamp;

use crate::{
    account::Account,
    clouds,
    fault::Answer,
    http::Request,
    life::{Key, Operation},
    world::World,
};

/// What the clouds know, and what they answer.
#[derive(Debug)]
pub struct Clouds(World);

/// What a cloud answers.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Clouds {
    pub fn new(accounts: Vec<Account>) -> Self {
        Self(World::new(accounts, 1.0))
    }

    /// Adds an operation, or replaces the one of the same key; its life begins `now`.
    pub fn put(&mut self, operation: Operation, now: Timestamp) -> Key {
        let key = self.0.put(operation, now);
        self.word(&key, now);
        key
    }

    /// The word for the operation's state; `None` while its cloud does not know it.
    pub fn word(&mut self, key: &Key, now: Timestamp) -> Option<String> {
        self.0.lives.get_mut(key)?.poll(now, 1.0).map(|moment| moment.stage.state.clone())
    }

    /// What they answer to a request. `None` where nothing comes back, as a fault has it.
    pub fn answer(
        &mut self,
        (method, path_and_query): (&str, &str),
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Option<Answered> {
        let request = Request {
            method: method.to_owned(),
            path_and_query: path_and_query.to_owned(),
            headers,
            body,
            keep_alive: true,
            is_http2: true,
        };
        match clouds::answer(&mut self.0, &request, now).0 {
            Answer::Reply(reply) => Some(Answered { status: reply.status, headers: reply.headers, body: reply.body }),
            _ => None,
        }
    }
}
