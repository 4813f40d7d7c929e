//! Where in a reply something stands: keys with dots between them, `[n]`, `[-1]`, `[key=value]`, alternatives.

use std::fmt;

use crate::document::Json;

/// The most steps of one alternative.
const MOST_STEPS: usize = 16;
/// The most alternatives.
const MOST_ALTERNATIVES: usize = 8;

/// A path, ready to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// As it was written, for messages.
    text: Box<str>,
    alternatives: Box<[Box<[Step]>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(Box<str>),
    /// From the end where it is below zero.
    At(i32),
    /// The first whose key has that value.
    Where(Box<str>, Box<str>),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{text:?} is no path: {why}");
        let alternatives: Vec<Box<[Step]>> = split(text, '|')
            .into_iter()
            .map(|alternative| steps(alternative.trim()).map_err(|why| refuse(&why)))
            .collect::<Result<_, _>>()?;
        if alternatives.len() > MOST_ALTERNATIVES {
            return Err(refuse(&format!("more than {MOST_ALTERNATIVES} alternatives")));
        }
        Ok(Self { text: text.into(), alternatives: alternatives.into() })
    }

    /// What stands there below `root`: of the first alternative that has something, null being nothing.
    pub fn follow<'a>(&self, root: Json<'a>) -> Option<Json<'a>> {
        self.alternatives.iter().find_map(|steps| steps.iter().try_fold(root, |here, step| step.follow(here)))
    }

    /// The text there, a number or a boolean included, without spaces around it; none where it is empty.
    pub fn scalar<'a>(&self, root: Json<'a>) -> Option<&'a str> {
        self.follow(root)?.scalar().map(str::trim).filter(|text| !text.is_empty())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Step {
    fn follow<'a>(&self, here: Json<'a>) -> Option<Json<'a>> {
        let next = match self {
            Self::Key(key) => here.member(key),
            Self::At(index) => match usize::try_from(*index) {
                Ok(index) => here.items().nth(index),
                Err(_) => {
                    let count = here.items().count();
                    here.items().nth(count.checked_sub(index.unsigned_abs() as usize)?)
                }
            },
            Self::Where(key, value) => here.items().find(|item| item.member(key).and_then(Json::scalar) == Some(value)),
        };
        next.filter(|value| !value.is_null())
    }
}

/// The steps of one alternative.
fn steps(text: &str) -> Result<Box<[Step]>, String> {
    match text {
        "" => return Err("it is empty".into()),
        "$" => return Ok(Box::default()),
        _ => {}
    }
    let mut steps = Vec::new();
    for (number, part) in split(text, '.').into_iter().enumerate() {
        let (key, mut brackets) = match find(part, '[') {
            Some(at) => part.split_at(at),
            None => (part, ""),
        };
        match unescape(key)? {
            key if !key.is_empty() => steps.push(Step::Key(key.into())),
            _ if number == 0 && !brackets.is_empty() => {}
            _ => return Err("a key is empty".into()),
        }
        while !brackets.is_empty() {
            if !brackets.starts_with('[') {
                return Err("a bracket is not opened".into());
            }
            let end = find(brackets, ']').ok_or("a bracket is not closed")?;
            let inside = brackets.get(1..end).unwrap_or_default();
            steps.push(bracket(inside)?);
            brackets = &brackets[end + 1..];
        }
    }
    if steps.len() > MOST_STEPS {
        return Err(format!("more than {MOST_STEPS} steps"));
    }
    Ok(steps.into())
}

fn bracket(inside: &str) -> Result<Step, String> {
    if let Some(at) = find(inside, '=') {
        let (key, value) = (unescape(&inside[..at])?, unescape(&inside[at + 1..])?);
        return match key.is_empty() || value.is_empty() {
            true => Err(format!("[{inside}] lacks a key or a value")),
            false => Ok(Step::Where(key.into(), value.into())),
        };
    }
    inside.parse().map(Step::At).map_err(|_| format!("[{inside}] is neither a number nor key=value"))
}

/// Where `wanted` stands without a backslash before it. Dots and bars within brackets are those of a value.
fn find(text: &str, wanted: char) -> Option<usize> {
    let (mut is_escaped, mut is_inside) = (false, false);
    for (at, c) in text.char_indices() {
        if !is_escaped && c == wanted && (!is_inside || !".|".contains(wanted)) {
            return Some(at);
        }
        match c {
            '[' if !is_escaped => is_inside = true,
            ']' if !is_escaped => is_inside = false,
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}

fn split(text: &str, between: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = find(rest, between) {
        parts.push(&rest[..at]);
        rest = &rest[at + between.len_utf8()..];
    }
    parts.push(rest);
    parts
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().ok_or("a backslash ends it")?),
            '[' | ']' => return Err(format!("{c} in a key needs a backslash before it")),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    const REPLY: &str = r#"{
        "status": {"phase": "Running", "@odata.count": 7, "none": null, "empty": " "},
        "list": [{"name": "nodes done", "v": 1}, {"name": "a.b|c", "v": 2}, {"n": 5, "v": 3}],
        "bare": [[10, 20], [30]], "a|b": 8, "w[x]": 9, "back\\slash": 6, "on": true
    }"#;

    #[rstest::rstest]
    #[case("status.phase", Some("Running"))]
    #[case(" status.phase ", Some("Running"))]
    #[case("Status.Phase", Some("Running"))]
    #[case("status.@odata\\.count", Some("7"))]
    #[case("status.none", None)]
    #[case("status.empty", None)]
    #[case("status", None)]
    #[case("status.phase.deeper", None)]
    #[case("absent.phase", None)]
    #[case("absent|status.none|status.phase", Some("Running"))]
    #[case("absent | status.phase", Some("Running"))]
    #[case("list[0].v", Some("1"))]
    #[case("list[-1].v", Some("3"))]
    #[case("list[-3].v", Some("1"))]
    #[case("list[-4].v", None)]
    #[case("list[3].v", None)]
    #[case("list[name=nodes done].v", Some("1"))]
    #[case("list[name=a.b|c].v", Some("2"))]
    #[case("list[n=5].v", Some("3"))]
    #[case("list[name=absent].v", None)]
    #[case("bare[0][1]", Some("20"))]
    #[case("a\\|b", Some("8"))]
    #[case("w\\[x\\]", Some("9"))]
    #[case("back\\\\slash", Some("6"))]
    #[case("on", Some("true"))]
    fn a_path_leads_to_one_value_or_nowhere(#[case] path: &str, #[case] value: Option<&str>) {
        let document = Document::parse(REPLY.as_bytes()).unwrap();
        assert_eq!(Path::read(path).unwrap().scalar(document.root()), value);
    }

    #[test]
    fn a_dollar_is_the_root_and_a_bracket_may_come_first() {
        let document = Document::parse(b"[{\"id\": 4}]").unwrap();
        assert!(Path::read("$").unwrap().follow(document.root()).unwrap().is_array());
        assert_eq!(Path::read("[0].id").unwrap().scalar(document.root()), Some("4"));
    }

    #[rstest::rstest]
    #[case("", "it is empty")]
    #[case("a||b", "it is empty")]
    #[case("a..b", "a key is empty")]
    #[case(".a", "a key is empty")]
    #[case("a.", "a key is empty")]
    #[case("a.[0]", "a key is empty")]
    #[case("a[0", "a bracket is not closed")]
    #[case("a[0]b", "a bracket is not opened")]
    #[case("a]", "] in a key needs a backslash before it")]
    #[case("a[x]", "[x] is neither a number nor key=value")]
    #[case("a[]", "[] is neither a number nor key=value")]
    #[case("a[=x]", "[=x] lacks a key or a value")]
    #[case("a[x=]", "[x=] lacks a key or a value")]
    #[case("a[99999999999]", "neither a number")]
    #[case("a\\", "a backslash ends it")]
    #[case("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "more than 16 steps")]
    #[case("a|b|c|d|e|f|g|h|i", "more than 8 alternatives")]
    fn what_is_no_path_says_why(#[case] path: &str, #[case] why: &str) {
        let error = Path::read(path).unwrap_err();
        assert!(error.contains(why) && error.contains(&format!("{path:?}")), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn reading_and_following_any_text_ends(path in r"[ab.\[\]=|$\\0-]{0,24}") {
            let document = Document::parse(REPLY.as_bytes()).unwrap();
            if let Ok(path) = Path::read(&path) {
                path.follow(document.root());
            }
        }
    }
}
