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
    /// The longest input worth making up, in bytes.
    pub longest: usize,
    /// Whether what stands behind the first line is JSON, and changed as such.
    pub is_json: bool,
}

const fn json(name: &'static str, longest: usize, run: fn(&[u8])) -> Target {
    Target { name, run, longest, is_json: true }
}

const fn raw(name: &'static str, longest: usize, run: fn(&[u8])) -> Target {
    Target { name, run, longest, is_json: false }
}

pub const TARGETS: &[Target] = &[
    json("reply", 4096, replies::reply),
    json("large", 2048, replies::large),
    json("page", 4096, replies::page),
    json("refusal", 1024, wire::refusal),
    raw("retry-after", 128, wire::retry_after),
    json("token", 256, wire::token),
    raw("secret", 512, wire::secret),
    raw("endpoint", 128, wire::endpoint),
    raw("pem", 2048, wire::pem),
    raw("redaction", 96, texts::redaction),
    raw("text", 96, texts::text),
    raw("time", 64, texts::time),
    json("object", 4096, objects::object),
    json("profile", 8192, objects::profile),
    raw("kubeconfig", 2048, objects::kubeconfig),
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
