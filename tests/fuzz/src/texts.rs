//! Texts and times of clouds, and secrets in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use cloudop::time::{parse_any_time, parse_time};
use cloudop::upstream::Redaction;
use cloudop::wording::sanitize;
use secrecy::SecretString;
use serde_json::Value;

use crate::split_line;

/// A secret, and a text in which it stands where there is a 1 (as it is), a 2 (as JSON has it) or a 3 (as Base64).
pub fn redaction(data: &[u8]) {
    let (secret, rest) = split_line(data);
    let Ok(pattern) = std::str::from_utf8(rest) else { return };
    if secret.len() < 4 {
        return;
    }
    let quoted = Value::from(secret).to_string();
    let spellings = [secret.to_owned(), quoted[1..quoted.len() - 1].to_owned(), STANDARD_NO_PAD.encode(secret)];
    // What of the marker is itself the secret cannot be hidden.
    if spellings.iter().any(|spelling| "[redacted]".contains(spelling.as_str())) {
        return;
    }
    let mut text = String::new();
    for c in pattern.chars() {
        match c.to_digit(4) {
            Some(number @ 1..=3) => text.push_str(&spellings[number as usize - 1]),
            _ => text.push(c),
        }
    }
    let redaction = Redaction::new([&SecretString::from(secret)]);
    let redacted = redaction.redact(&text);
    let is_in = |text: &str| spellings.iter().find(|spelling| text.contains(spelling.as_str())).cloned();
    if is_in(&text).is_some() {
        assert!(redacted.is_some(), "{text:?} is not redacted");
    }
    let shown = redacted.as_deref().unwrap_or(&text);
    for shown in [shown.to_owned(), sanitize(shown, usize::MAX), sanitize(shown, 64)] {
        if let Some(spelling) = is_in(&shown) {
            // A marker beside what is left may make it anew: known of secrets that hold a bracket.
            assert!(secret.contains(['[', ']']), "{spelling:?} shows in {shown:?}, of {text:?}");
        }
    }
    let json = Value::from(text.as_str()).to_string();
    if redacted.is_some() {
        assert!(redaction.may_be_in(json.as_bytes()), "{json} is taken for harmless");
    }
}

/// How long at most, as a number; a text.
pub fn text(data: &[u8]) {
    let Some((max, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let max = usize::from(*max);
    for max in [max.max(1), usize::MAX] {
        let clean = sanitize(&text, max);
        assert!(clean.chars().count() <= max, "{clean:?} is longer than {max}");
        assert!(!clean.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{clean:?}");
        assert!(!clean.contains("  ") && clean.trim() == clean, "{clean:?}");
        assert_eq!(sanitize(&clean, max), clean);
    }
}

pub fn time(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for read in [parse_time, parse_any_time] {
        let Some(time) = read(text) else { continue };
        let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
        assert!((2000..2200).contains(&year), "{time}");
        assert_eq!(read(&time.to_string()), Some(time), "what it is written as is read otherwise");
        assert_eq!(read(&format!(" {text}\n")), Some(time));
    }
    if let Some(time) = parse_time(text) {
        assert_eq!(parse_any_time(text), Some(time), "{text}");
    }
}
