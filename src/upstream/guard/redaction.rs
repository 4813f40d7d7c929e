//! What is secret never comes back, also when a cloud repeats it. Pure.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use crate::wording::sanitize;

const REDACTED: &str = "[redacted]";
/// Shorter secrets would black out half of every text, and tell an attacker nothing that it could not guess.
const SHORTEST: usize = 4;
/// Most encoders leave RFC 3986's unreserved characters as they are; some leave letters and digits only.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The secrets of one account, in the spellings in which a cloud may repeat them.
#[derive(Debug)]
pub struct Redaction {
    spellings: Vec<SecretString>,
}

impl Redaction {
    /// Hides each of `secrets` as it is, as a JSON text or a form has it, percent-encoded, and in Base64.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut spellings: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.expose_secret();
            if secret.len() < SHORTEST {
                continue;
            }
            let encoded = utf8_percent_encode(secret, UNRESERVED).to_string();
            spellings.extend([
                secret.to_owned(),
                as_json(secret),
                form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
                lower_case_escapes(&encoded),
                encoded,
                utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
                STANDARD_NO_PAD.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
            ]);
        }
        // The longer first: one spelling may begin another.
        spellings.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        spellings.dedup();
        Self { spellings: spellings.into_iter().map(SecretString::from).collect() }
    }

    /// Whether a text of the JSON document `body` may hold a secret: where there are no escapes, its texts stand in it as
    /// they are.
    pub fn may_be_in(&self, body: &[u8]) -> bool {
        let body = String::from_utf8_lossy(body);
        let is_in = |text: &str| self.spellings.iter().any(|spelling| text.contains(spelling.expose_secret()));
        body.contains('\\') || is_in(&body) || (!body.is_ascii() && is_in(&sanitize(&body, usize::MAX)))
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        self.spellings.iter().map(|spelling| spelling.expose_secret().len()).sum()
    }

    /// The text without secrets; `None` where there are none in it. One that shows only once what nobody sees is taken
    /// out of the text is found as well.
    pub fn redact(&self, text: &str) -> Option<String> {
        let redacted = self.replace(text);
        let shown = sanitize(redacted.as_deref().unwrap_or(text), usize::MAX);
        self.replace(&shown).or(redacted)
    }

    fn replace(&self, text: &str) -> Option<String> {
        let mut redacted: Option<String> = None;
        for spelling in &self.spellings {
            let current = redacted.as_deref().unwrap_or(text);
            if current.contains(spelling.expose_secret()) {
                redacted = Some(current.replace(spelling.expose_secret(), REDACTED));
            }
        }
        redacted
    }
}

/// As it stands within a JSON text.
fn as_json(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}

fn lower_case_escapes(encoded: &str) -> String {
    let mut escape = 0;
    encoded
        .chars()
        .map(|c| {
            escape = if c == '%' { 2 } else { i32::max(escape - 1, -1) };
            if escape >= 0 { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(secret: &str, text: &str) -> Option<String> {
        Redaction::new([&SecretString::from(secret)]).redact(text)
    }

    #[rstest::rstest]
    #[case("t0p/Secret+A=", "token t0p/Secret+A= is invalid", Some("token [redacted] is invalid"))]
    #[case("t0p/Secret+A=", "t0p/Secret+A=t0p/Secret+A=", Some("[redacted][redacted]"))]
    #[case("t0p/Secret+A=", "x=t0p%2FSecret%2BA%3D;", Some("x=[redacted];"))]
    #[case("t0p/Secret+A=", "x=t0p%2fSecret%2bA%3d;", Some("x=[redacted];"))]
    #[case("t0p-Secret", "x=t0p%2DSecret;", Some("x=[redacted];"))]
    #[case("t0p/Secret+A=", "dDBwL1NlY3JldCtBPQ==", Some("[redacted]=="))]
    #[case("\u{3ff}?>~~", "z78_Pn5-", Some("[redacted]"))]
    #[case(r#"t0p"Se\cret"#, r#"{"password":"t0p\"Se\\cret"}"#, Some(r#"{"password":"[redacted]"}"#))]
    #[case("t0p Se~cret*", "client_secret=t0p+Se%7Ecret*&x=y", Some("client_secret=[redacted]&x=y"))]
    #[case("abc", "abc", None)]
    #[case("", "any text", None)]
    #[case("t0p/Secret+A=", "nothing of it", None)]
    fn a_secret_is_redacted_in_every_spelling(
        #[case] secret: &str,
        #[case] text: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(redact(secret, text).as_deref(), expected);
        let redaction = Redaction::new([&SecretString::from(secret)]);
        assert_eq!(redaction.may_be_in(text.as_bytes()), expected.is_some() || text.contains('\\'));
    }

    #[test]
    fn what_escapes_may_hide_is_looked_for() {
        let redaction = Redaction::new([&SecretString::from("t0p-Secret")]);
        assert!(redaction.may_be_in(br#"{"message":"t0p\u002dSecret"}"#));
        assert!(!redaction.may_be_in(br#"{"message":"nothing of it"}"#));
    }

    #[test]
    fn of_two_secrets_the_longer_goes_first() {
        let secrets = [SecretString::from("abcd"), SecretString::from("abcdefgh")];
        let redacted = Redaction::new(&secrets).redact("abcdefgh abcd");
        assert_eq!(redacted.as_deref(), Some("[redacted] [redacted]"));
    }
}
