//! Which words of a field mean what.

use super::path::Path;
use crate::api::{GoingOn, StateSpec, WordsSpec};
use crate::document::Json;
use crate::observation::State;

/// A table of words.
#[derive(Clone, Debug)]
pub struct Table {
    path: Path,
    exact: Box<[(Box<str>, State)]>,
    globs: Box<[(Glob, State)]>,
    /// The only words for which the next table is asked; empty: all that are not known.
    passed_on: Box<[Box<str>]>,
    absent: Option<State>,
}

/// A pattern in which `*` stands for any letters; the case of letters does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<[Box<str>]>);

impl Table {
    /// Reads a table; `field` is its place, for messages.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(spec: &StateSpec, field: &str) -> Result<Self, String> {
        let path = Path::read(&spec.path).map_err(|why| format!("{field}.path: {why}"))?;
        let mut known: Vec<(Box<str>, State)> = Vec::new();
        for (name, state, words) in spec.words.iter().flat_map(by_state) {
            for word in words {
                let lower: Box<str> = word.trim().to_ascii_lowercase().into();
                if lower.is_empty() {
                    return Err(format!(
                        "{field}.words.{name}: a word is empty; absent says what an empty field means"
                    ));
                }
                if known.iter().any(|(known, _)| *known == lower) {
                    return Err(format!("{field}.words.{name}: {word:?} stands there twice"));
                }
                known.push((lower, state));
            }
        }
        let passed_on: Box<[Box<str>]> =
            spec.pass_on.iter().map(|word| word.trim().to_ascii_lowercase().into()).collect();
        for word in &passed_on {
            if word.is_empty() || word.contains('*') {
                return Err(format!("{field}.passOn: {word:?} is no whole word"));
            }
            if known.iter().any(|(known, _)| known == word) {
                return Err(format!("{field}.passOn: {word:?} stands in words, too"));
            }
        }
        let absent = spec.absent.map(|absent| match absent {
            GoingOn::Pending => State::Pending,
            GoingOn::Running => State::Running,
        });
        if known.is_empty() && absent.is_none() {
            return Err(format!("{field}: has neither words nor absent"));
        }
        let (globs, exact): (Vec<_>, Vec<_>) = known.into_iter().partition(|(word, _)| word.contains('*'));
        let globs = globs.into_iter().map(|(word, state)| (Glob::read(&word), state)).collect();
        Ok(Self { path, exact: exact.into(), globs, passed_on, absent })
    }

    /// The word in `item`, if there is one.
    pub fn word<'a>(&self, item: Json<'a>) -> Option<&'a str> {
        self.path.scalar(item)
    }

    /// Where the table is looked up.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the word in `item` means, with the word itself; none where it is for the next table to say.
    pub fn look_up<'a>(&self, item: Json<'a>) -> Option<(State, &'a str)> {
        let Some(word) = self.word(item) else { return self.absent.map(|state| (state, "")) };
        let is_word = |known: &str| known.eq_ignore_ascii_case(word);
        let exact = self.exact.iter().find(|(known, _)| is_word(known)).map(|(_, state)| *state);
        if exact.is_none() && self.passed_on.iter().any(|known| is_word(known)) {
            return None;
        }
        let glob = || self.globs.iter().find(|(glob, _)| glob.matches(word)).map(|(_, state)| *state);
        let unknown = (!self.passed_on.is_empty()).then_some(State::Unrecognized);
        Some((exact.or_else(glob).or(unknown)?, word))
    }
}

fn by_state(words: &WordsSpec) -> [(&'static str, State, &Vec<String>); 6] {
    [
        ("Pending", State::Pending, &words.pending),
        ("Running", State::Running, &words.running),
        ("Blocked", State::Blocked, &words.blocked),
        ("Succeeded", State::Succeeded, &words.succeeded),
        ("Failed", State::Failed, &words.failed),
        ("Cancelled", State::Cancelled, &words.cancelled),
    ]
}

impl Glob {
    /// Reads a pattern; any text is one.
    pub fn read(text: &str) -> Self {
        Self(text.to_ascii_lowercase().split('*').map(Into::into).collect())
    }

    /// Whether the whole of `text` matches, in time that grows with its length.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let [first, middle @ .., last] = &*self.0 else { return self.0.first().is_some_and(|only| **only == *text) };
        let Some(mut rest) = text.strip_prefix(&**first) else { return false };
        for part in middle {
            let Some(at) = rest.find(&**part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(&**last)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::document::Document;

    fn table(spec: Value) -> Result<Table, String> {
        Table::read(&serde_json::from_value(spec).unwrap(), "read.state[0]")
    }

    #[rstest::rstest]
    #[case(json!("RUNNING"), Some((State::Running, "RUNNING")))]
    #[case(json!(" running "), Some((State::Running, "running")))]
    #[case(json!("UPDATE_FAILED"), Some((State::Failed, "UPDATE_FAILED")))]
    #[case::exact_before_glob(json!("CLEANUP_FAILED"), Some((State::Running, "CLEANUP_FAILED")))]
    #[case(json!(true), Some((State::Succeeded, "true")))]
    #[case(json!(200), Some((State::Succeeded, "200")))]
    #[case(json!("OTHER"), None)]
    #[case(json!("FAILED_"), None)]
    #[case(json!(null), Some((State::Pending, "")))]
    #[case(json!("  "), Some((State::Pending, "")))]
    #[case::no_word(json!({}), Some((State::Pending, "")))]
    fn a_word_means_what_its_table_says(#[case] word: Value, #[case] expected: Option<(State, &str)>) {
        let table = table(json!({
            "path": "status", "absent": "Pending",
            "words": {"Running": ["RUNNING", "CLEANUP_FAILED"], "Failed": ["*_FAILED"], "Succeeded": ["true", "200"]},
        }));
        let document = Document::parse(json!({"status": word}).to_string().as_bytes()).unwrap();
        assert_eq!(table.unwrap().look_up(document.root()), expected);
    }

    #[rstest::rstest]
    #[case("running", Some(State::Running))]
    #[case("Completed", None)]
    #[case("DONE_BADLY", Some(State::Failed))]
    #[case("verifying", Some(State::Unrecognized))]
    fn only_the_words_that_are_passed_on_reach_the_next_table(#[case] word: &str, #[case] expected: Option<State>) {
        let table = table(json!({
            "path": "status", "words": {"Running": ["running"], "Failed": ["*_badly", "c*"]}, "passOn": ["completed"],
        }));
        let document = Document::parse(json!({"status": word}).to_string().as_bytes()).unwrap();
        assert_eq!(table.unwrap().look_up(document.root()).map(|(state, _)| state), expected);
    }

    #[rstest::rstest]
    #[case(json!({"path": "a", "words": {"Running": ["x"], "Failed": ["X"]}}), "read.state[0].words.Failed: \"X\" stands there twice")]
    #[case(json!({"path": "a", "words": {"Running": [" "]}}), "words.Running: a word is empty")]
    #[case(json!({"path": "a."}), "read.state[0].path: \"a.\" is no path")]
    #[case(json!({"path": "a", "words": {}}), "read.state[0]: has neither words nor absent")]
    #[case(json!({"path": "a", "words": {"Running": ["x"]}, "passOn": ["X"]}), "passOn: \"x\" stands in words, too")]
    #[case(json!({"path": "a", "words": {"Running": ["x"]}, "passOn": ["y*"]}), "passOn: \"y*\" is no whole word")]
    fn what_is_no_table_says_why(#[case] spec: Value, #[case] why: &str) {
        let error = table(spec).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[rstest::rstest]
    #[case("*", "", true)]
    #[case("*", "x", true)]
    #[case("a*", "A", true)]
    #[case("a*c", "abc", true)]
    #[case("a*c", "ac", true)]
    #[case("a*a", "a", false)]
    #[case("*b*", "abc", true)]
    #[case("a*b*c", "aXbYc", true)]
    #[case("a*b*c", "acb", false)]
    #[case("a**c", "abc", true)]
    #[case("abc", "abc", true)]
    #[case("abc", "abcd", false)]
    fn a_star_stands_for_any_letters(#[case] glob: &str, #[case] text: &str, #[case] matches: bool) {
        assert_eq!(Glob::read(glob).matches(text), matches);
    }
}
