//! A cloud's JSON reply, read leniently where a field is odd and strictly where the whole is.
//!
//! Parsed without recursion into one flat list, so neither depth nor number of members can exhaust a stack. A key that
//! stands twice in one object, or anything after the first value, makes the whole reply unreadable: which half to
//! believe would be a guess.

use std::borrow::Cow;

use jiff::Timestamp;
use json_event_parser::{JsonEvent, SliceJsonParser};

use crate::observation::Misread;
use crate::time::parse_time;

/// The most values of one reply: `[0,0,…` takes fourteen times its size. A list of a megabyte has a tenth of them.
const MOST_VALUES: usize = 1 << 17;

/// A parsed reply: two blocks of memory, however many values there are in it, since thousands of them are kept.
#[derive(Debug)]
pub struct Document {
    nodes: Box<[Node]>,
    /// All keys, texts and numbers, one after another.
    texts: Box<str>,
}

#[derive(Debug)]
struct Node {
    key: Option<Span>,
    value: Value,
    /// Index of the first node after this one's subtree.
    end: u32,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Null,
    Bool(bool),
    /// Kept as text: a number out of range spoils its own field only.
    Number(Span),
    Text(Span),
    Array,
    Object,
}

/// A part of [`Document::texts`].
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn in_text(self, texts: &str) -> &str {
        texts.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Puts `text` behind the others.
fn push(texts: &mut String, text: &str) -> Result<Span, Misread> {
    let start = index(texts.len())?;
    texts.push_str(text);
    Ok(Span { start, end: index(texts.len())? })
}

fn index(number: usize) -> Result<u32, Misread> {
    u32::try_from(number).map_err(|_| Misread("the reply is too large".into()))
}

impl Document {
    /// Parses `body`.
    ///
    /// # Errors
    /// [`Misread`] when it is empty, not UTF-8, not JSON, or has a key twice in one object.
    pub fn parse(body: &[u8]) -> Result<Self, Misread> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        let text = std::str::from_utf8(body).map_err(|_| Misread("the reply is not UTF-8".into()))?;
        if text.trim().is_empty() {
            return Err(Misread("the reply is empty".into()));
        }
        match Self::parse_strictly(text) {
            Ok(document) => Ok(document),
            Err(error) => match repair(text) {
                Cow::Owned(repaired) => Self::parse_strictly(&repaired),
                Cow::Borrowed(_) => Err(error),
            },
        }
    }

    fn parse_strictly(text: &str) -> Result<Self, Misread> {
        let mut parser = SliceJsonParser::new(text.as_bytes());
        // Each value stands at the beginning or behind one of these; what is too much is given back in the end.
        let values = 1 + text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        let mut nodes: Vec<Node> = Vec::with_capacity(values.min(MOST_VALUES));
        let mut texts = String::with_capacity(text.len());
        let mut open: Vec<usize> = Vec::new();
        let mut key: Option<Span> = None;
        loop {
            let event = parser.parse_next().map_err(|_| {
                let kind = if text.trim_start().starts_with('<') {
                    "is a page of HTML or XML, not JSON"
                } else {
                    "is not valid JSON"
                };
                Misread(format!("the reply {kind}"))
            })?;
            let value = match event {
                JsonEvent::ObjectKey(name) => {
                    key = Some(push(&mut texts, &name)?);
                    continue;
                }
                JsonEvent::EndArray | JsonEvent::EndObject => {
                    if let Some(at) = open.pop() {
                        nodes[at].end = index(nodes.len())?;
                        refuse_duplicate_keys(&nodes, &texts, at)?;
                    }
                    continue;
                }
                JsonEvent::Eof => return Ok(Self { nodes: nodes.into(), texts: texts.into() }),
                JsonEvent::Null => Value::Null,
                JsonEvent::Boolean(value) => Value::Bool(value),
                JsonEvent::Number(digits) => Value::Number(push(&mut texts, &digits)?),
                JsonEvent::String(text) => Value::Text(push(&mut texts, &text)?),
                JsonEvent::StartArray => Value::Array,
                JsonEvent::StartObject => Value::Object,
            };
            let at = nodes.len();
            if at >= MOST_VALUES {
                return Err(Misread(format!("the reply holds more than {MOST_VALUES} values")));
            }
            if matches!(value, Value::Array | Value::Object) {
                open.push(at);
            }
            nodes.push(Node { key: key.take(), value, end: index(at + 1)? });
        }
    }

    /// The outermost value.
    pub fn root(&self) -> Json<'_> {
        Json { document: self, at: 0 }
    }

    /// How many bytes of memory it takes.
    pub fn size(&self) -> usize {
        std::mem::size_of_val(&*self.nodes) + self.texts.len()
    }

    /// The same with another text wherever `replace` gives one.
    ///
    /// # Errors
    /// [`Misread`] when it becomes too large.
    pub fn replace_texts(mut self, replace: impl Fn(&str) -> Option<String>) -> Result<Self, Misread> {
        let mut texts = String::new();
        for node in &mut self.nodes {
            if let Some(key) = &mut node.key {
                *key = push(&mut texts, key.in_text(&self.texts))?;
            }
            match &mut node.value {
                Value::Text(span) => {
                    let text = span.in_text(&self.texts);
                    *span = push(&mut texts, replace(text).as_deref().unwrap_or(text))?;
                }
                Value::Number(span) => *span = push(&mut texts, span.in_text(&self.texts))?,
                Value::Null | Value::Bool(_) | Value::Array | Value::Object => {}
            }
        }
        self.texts = texts.into();
        Ok(self)
    }
}

fn refuse_duplicate_keys(nodes: &[Node], texts: &str, object: usize) -> Result<(), Misread> {
    let mut keys = Vec::new();
    let mut child = object + 1;
    while child < nodes[object].end as usize {
        keys.extend(nodes[child].key.map(|key| key.in_text(texts)));
        child = nodes[child].end as usize;
    }
    keys.sort_unstable();
    match keys.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(Misread("the reply has a key twice in one object".into())),
        false => Ok(()),
    }
}

/// Fixes what some clouds' encoders get wrong without harm to the rest: `NaN` and `Infinity` become null, the escape of
/// half a surrogate pair becomes the replacement character.
fn repair(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut in_string = false;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let (skip, replacement) = if in_string {
            match rest {
                [b'"', ..] => {
                    in_string = false;
                    (1, None)
                }
                [b'\\', b'u', ..] => match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
                    (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, None),
                    (Some(_), _) => (6, Some("\\uFFFD")),
                    (None, _) => (2, None),
                },
                [b'\\', _, ..] => (2, None),
                _ => (1, None),
            }
        } else if rest.starts_with(b"\"") {
            in_string = true;
            (1, None)
        } else {
            [&b"NaN"[..], b"-Infinity", b"Infinity"]
                .into_iter()
                .find(|word| rest.starts_with(word))
                .map_or((1, None), |word| (word.len(), Some("null")))
        };
        if let Some(replacement) = replacement {
            out.push_str(&text[copied..at]);
            out.push_str(replacement);
            copied = at + skip;
        }
        at += skip;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

fn surrogate(escape: &[u8]) -> Option<u16> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&code).then_some(code)
}

/// One value within a [`Document`].
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    document: &'a Document,
    at: usize,
}

impl<'a> Json<'a> {
    fn node(self) -> &'a Node {
        &self.document.nodes[self.at]
    }

    fn children(self) -> impl Iterator<Item = Json<'a>> {
        let end = self.node().end as usize;
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let child = Json { document: self.document, at: next };
                next = child.node().end as usize;
                child
            })
        })
    }

    fn key(self) -> Option<&'a str> {
        self.node().key.map(|key| key.in_text(&self.document.texts))
    }

    /// The value at a path of keys joined by ".", absent also where it is null.
    pub fn get(self, path: &str) -> Option<Json<'a>> {
        let value = path.split('.').try_fold(self, Self::member)?;
        (!value.is_null()).then_some(value)
    }

    /// The member `key` of an object, which may be null. It is looked for as written, then in any other case: the same
    /// field is spelt `subJobs` and `subjobs` across versions of one API.
    pub fn member(self, key: &str) -> Option<Json<'a>> {
        let named = |test: &dyn Fn(&str) -> bool| self.children().find(|c| c.key().is_some_and(test));
        if !self.is_object() {
            return None;
        }
        named(&|k| k == key).or_else(|| named(&|k| k.eq_ignore_ascii_case(key)))
    }

    /// Whether this is null.
    pub fn is_null(self) -> bool {
        matches!(self.node().value, Value::Null)
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        matches!(self.node().value, Value::Object)
    }

    /// Whether this is an object or an array without members.
    pub fn is_empty(self) -> bool {
        matches!(self.node().value, Value::Object | Value::Array) && self.children().next().is_none()
    }

    /// Whether the member `key` is there and null: an empty list, to some encoders.
    pub fn has_null(self, key: &str) -> bool {
        let is_null = |child: &Json<'_>| matches!(child.node().value, Value::Null);
        self.is_object() && self.children().filter(|child| child.key() == Some(key)).any(|child| is_null(&child))
    }

    /// Whether this is an array.
    pub fn is_array(self) -> bool {
        matches!(self.node().value, Value::Array)
    }

    /// The members of an array; none for anything else.
    pub fn items(self) -> impl Iterator<Item = Json<'a>> {
        self.is_array().then(|| self.children()).into_iter().flatten()
    }

    /// The members of an array or the values of an object; none for anything else.
    pub fn values(self) -> impl Iterator<Item = Json<'a>> {
        (self.is_array() || self.is_object()).then(|| self.children()).into_iter().flatten()
    }

    /// The text, where this is a string.
    pub fn text(self) -> Option<&'a str> {
        match self.node().value {
            Value::Text(text) => Some(text.in_text(&self.document.texts)),
            _ => None,
        }
    }

    /// The text of a string, or a number or boolean as it stands: codes come as either.
    pub fn scalar(self) -> Option<&'a str> {
        match self.node().value {
            Value::Text(text) | Value::Number(text) => Some(text.in_text(&self.document.texts)),
            Value::Bool(value) => Some(if value { "true" } else { "false" }),
            Value::Null | Value::Array | Value::Object => None,
        }
    }

    /// The boolean, where this is one.
    pub fn boolean(self) -> Option<bool> {
        match self.node().value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, also where it stands in a string; a "%" behind it is allowed. Never infinite or NaN.
    pub fn number(self) -> Option<f64> {
        let (Value::Number(text) | Value::Text(text)) = self.node().value else { return None };
        let text = text.in_text(&self.document.texts).trim();
        let number: f64 = text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// The non-empty string at `path`, owned.
    pub fn text_at(self, path: &str) -> Option<String> {
        let text = self.get(path)?.text()?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    /// The time at `path`, absent where it cannot be read.
    pub fn time_at(self, path: &str) -> Option<Timestamp> {
        parse_time(self.get(path)?.text()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Document {
        Document::parse(body.as_bytes()).unwrap()
    }

    #[rstest::rstest]
    #[case::empty(b"" as &[u8], "the reply is empty")]
    #[case::blank(b" \n", "the reply is empty")]
    #[case::truncated(br#"{"status":{"phase":"Run"#, "the reply is not valid JSON")]
    #[case::html(b"<html><body>sign in</body></html>", "the reply is a page of HTML or XML, not JSON")]
    #[case::two_values(b"{} {}", "the reply is not valid JSON")]
    #[case::trailing_comma(br#"{"a":1,}"#, "the reply is not valid JSON")]
    #[case::comment(br#"{"a":1 /* one */}"#, "the reply is not valid JSON")]
    #[case::invalid_utf8(b"{\"a\":\"\xFF\"}", "the reply is not UTF-8")]
    #[case::utf16(b"\xFF\xFE{\0}\0", "the reply is not UTF-8")]
    #[case::duplicate_keys(br#"{"a":1,"a":2}"#, "the reply has a key twice in one object")]
    #[case::duplicate_keys_deeper(br#"{"x":[{"a":1,"b":{},"a":2}]}"#, "the reply has a key twice in one object")]
    fn an_unreadable_reply_says_why(#[case] body: &[u8], #[case] why: &str) {
        assert_eq!(Document::parse(body).unwrap_err().to_string(), why);
    }

    #[test]
    fn one_byte_order_mark_is_tolerated() {
        let document = Document::parse(b"\xEF\xBB\xBF{\"a\":\"b\"}").unwrap();
        assert_eq!(document.root().text_at("a").as_deref(), Some("b"));
    }

    #[test]
    fn numbers_that_cannot_be_held_spoil_only_their_own_field() {
        let document = parse(r#"{"a":1e999,"b":NaN,"c":-Infinity,"d":123456789012345678901234567890,"e":"NaN","f":7}"#);
        let number = |key| document.root().get(key).and_then(Json::number);
        assert_eq!((number("a"), number("b"), number("c"), number("e")), (None, None, None, None));
        assert_eq!((number("d"), number("f")), (Some(1.234_567_890_123_456_8e29), Some(7.0)));
        assert_eq!(document.root().text_at("e").as_deref(), Some("NaN"));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        let document = parse(r#"{"a":"x\ud800y\udc00","b":"\ud83d\ude00","c":"\\ud800"}"#);
        assert_eq!(document.root().text_at("a").as_deref(), Some("x\u{FFFD}y\u{FFFD}"));
        assert_eq!(document.root().text_at("b").as_deref(), Some("😀"));
        assert_eq!(document.root().text_at("c").as_deref(), Some("\\ud800"));
    }

    #[test]
    fn ten_thousand_levels_need_no_stack() {
        let body = format!("{}1{}", "{\"a\":[".repeat(10_000), "]}".repeat(10_000));
        let document = parse(&body);
        assert!(document.root().get("a").is_some_and(Json::is_array));
    }

    #[test]
    fn a_key_is_found_as_written_before_any_other_case() {
        let document = parse(r#"{"subjobs":1,"subJobs":2,"Reason":"x","n":null}"#);
        let number = |key| document.root().get(key).and_then(Json::number);
        assert_eq!((number("subJobs"), number("subjobs"), number("SUBJOBS")), (Some(2.0), Some(1.0), Some(1.0)));
        assert_eq!(document.root().text_at("reason").as_deref(), Some("x"));
        assert!(document.root().get("n").is_none());
        assert!(document.root().get("n.a").is_none());
    }

    #[rstest::rstest]
    #[case(r#"42"#, Some(42.0))]
    #[case(r#""42""#, Some(42.0))]
    #[case(r#"" 42 % ""#, Some(42.0))]
    #[case(r#"42.0"#, Some(42.0))]
    #[case(r#"-1"#, Some(-1.0))]
    #[case(r#""inf""#, None)]
    #[case(r#"null"#, None)]
    #[case(r#"true"#, None)]
    #[case(r#"{}"#, None)]
    fn a_number_is_read_from_digits_in_any_dress(#[case] json: &str, #[case] expected: Option<f64>) {
        let document = parse(&format!("{{\"p\":{json}}}"));
        assert_eq!(document.root().get("p").and_then(Json::number), expected);
    }
}
