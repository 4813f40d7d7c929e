//! Inputs made up with coverage as the guide: what each kind of bytes from outside is put through, and what must hold of
//! whatever comes out. A target is a function of bytes that panics where a promise is broken; `tests/corpus.rs` puts the kept
//! corpus through them in `make test`, `src/bin/engine.rs` hands them to libFuzzer in `make fuzz`.

pub mod apis;
pub mod corpus;
pub mod mutation;
mod objects;
mod replies;
mod texts;
mod wire;

/// What is put through one target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Whether what stands behind the first line is JSON, and changed as such.
    pub is_json: bool,
}

const fn json(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, is_json: true }
}

const fn raw(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, is_json: false }
}

pub const TARGETS: &[Target] = &[
    json("reply", replies::reply),
    json("page", replies::page),
    json("refusal", wire::refusal),
    raw("retry-after", wire::retry_after),
    json("token", wire::token),
    raw("secret", wire::secret),
    raw("endpoint", wire::endpoint),
    raw("pem", wire::pem),
    raw("redaction", texts::redaction),
    raw("text", texts::text),
    raw("time", texts::time),
    json("object", objects::object),
    json("profile", objects::profile),
    raw("kubeconfig", objects::kubeconfig),
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The first line, and what stands behind it.
pub(crate) fn split_line(data: &[u8]) -> (&str, &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(at);
    (std::str::from_utf8(line).unwrap_or_default(), rest.get(1..).unwrap_or_default())
}

pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::constant(1_795_435_200, 0)
}
