//! Spoils a JSON document, byte by byte.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

/// Puts `bytes` before the brace that ends the document.
pub(crate) fn append(mut body: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    if let Some(end) = body.iter().rposition(|byte| *byte == b'}') {
        body.splice(end..end, bytes.iter().copied());
    }
    body
}

pub(crate) fn utf16(body: &[u8]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(String::from_utf8_lossy(body).encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn duplicate_key(body: Vec<u8>) -> Vec<u8> {
    let Ok(Value::Object(document)) = serde_json::from_slice(&body) else {
        return body;
    };
    let key = ["status", "task"]
        .into_iter()
        .find(|key| document.contains_key(*key))
        .or_else(|| document.keys().next().map(String::as_str));
    let Some((key, value)) = key.and_then(|key| document.get_key_value(key)) else {
        return body;
    };
    let copy = format!(",{}:{value}", Value::from(key.as_str()));
    append(body, copy.as_bytes())
}

/// Members whose text reaches people.
const TEXTS: [&str; 9] =
    ["progress", "reason", "command", "taskType", "operationType", "type", "message", "detail", "resourceName"];

/// Members that say what went wrong.
const ERRORS: [&str; 6] = ["errorMessage", "error_msg", "error_description", "title", "message", "error"];

/// Appends `escaped` (JSON's own escapes, as they stand) to every such text.
pub(crate) fn append_to_texts(body: Vec<u8>, escaped: &str) -> Vec<u8> {
    // Not every JSON escape can be held by a Rust string, so a placeholder goes through the serializer.
    const PLACEHOLDER: &str = "\u{e000}";
    let Ok(mut document) = serde_json::from_slice(&body) else {
        return body;
    };
    extend(&mut document, &TEXTS, PLACEHOLDER);
    document.to_string().replace(PLACEHOLDER, escaped).into_bytes()
}

/// Appends `suffix` to every text that says what went wrong.
pub(crate) fn append_to_errors(body: Vec<u8>, suffix: &str) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice(&body) else {
        return body;
    };
    extend(&mut document, &ERRORS, suffix);
    document.to_string().into_bytes()
}

fn extend(value: &mut Value, names: &[&str], suffix: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| extend(item, names, suffix)),
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if names.contains(&key.as_str()) => text.push_str(suffix),
                    other => extend(other, names, suffix),
                }
            }
        }
        _ => {}
    }
}

/// Members that hold a list's operations; a list may also be a bare array.
const LISTS: [&str; 3] = ["operations", "items", "tasks"];

/// What a list's operations are replaced with by `change`. Any other document stays as it is.
fn change_list(body: Vec<u8>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    let list = match &mut document {
        list @ Value::Array(_) => Some(list),
        Value::Object(members) => {
            members.iter_mut().find(|(name, _)| LISTS.contains(&name.as_str())).map(|(_, list)| list)
        }
        _ => None,
    };
    match list {
        Some(list) if list.is_array() => change(list),
        _ => return body,
    }
    document.to_string().into_bytes()
}

pub(crate) fn null_list(body: Vec<u8>) -> Vec<u8> {
    change_list(body, |list| *list = Value::Null)
}

pub(crate) fn odd_member(body: Vec<u8>) -> Vec<u8> {
    change_list(body, |list| {
        if let Some(first) = list.get_mut(0).and_then(Value::as_object_mut) {
            first.remove("status");
        }
    })
}

pub(crate) fn replace_id(body: Vec<u8>, id: Option<&str>) -> Vec<u8> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return body;
    };
    let other: String = id
        .chars()
        .map(|c| match c {
            '0'..='9' | 'a'..='z' | 'A'..='Z' => {
                if c == '7' {
                    '3'
                } else {
                    '7'
                }
            }
            other => other,
        })
        .collect();
    String::from_utf8_lossy(&body).replace(id, &other).into_bytes()
}

/// 128 gzip members of 8 MiB of spaces each: valid as one stream.
pub(crate) fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let spaces = vec![b' '; 64 * 1024];
    for _ in 0..128 {
        // Writing to a Vec never fails.
        let _ = encoder.write_all(&spaces);
    }
    encoder.finish().unwrap_or_default().repeat(128)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const DOCUMENT: &[u8] = br#"{"id":"a1","status":{"phase":"Running","reason":"why"}}"#;

    #[test]
    fn a_member_is_appended_inside_the_document() {
        let body = append(DOCUMENT.to_vec(), b",\"x\":1");
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["x"], 1);
    }

    #[test]
    fn the_state_stands_there_twice() {
        let body = String::from_utf8(duplicate_key(DOCUMENT.to_vec())).unwrap();
        assert_eq!(body.matches("\"status\":").count(), 2);
        assert!(serde_json::from_str::<Value>(&body).is_ok());
    }

    #[test]
    fn texts_get_the_escape_and_identifiers_do_not() {
        let body = String::from_utf8(append_to_texts(DOCUMENT.to_vec(), "\\ud800")).unwrap();
        assert!(body.contains(r#""reason":"why\ud800""#));
        assert!(body.contains(r#""id":"a1""#));
    }

    #[test]
    fn another_id_has_the_same_form() {
        let body = replace_id(DOCUMENT.to_vec(), Some("a1"));
        assert!(String::from_utf8(body).unwrap().contains(r#""id":"77""#));
    }

    #[test]
    fn the_bomb_is_small_and_unpacks_far_past_any_limit() {
        let bomb = gzip_bomb();
        assert!(bomb.len() < 2 * 1024 * 1024);
        let unpacked =
            std::io::copy(&mut flate2::read::MultiGzDecoder::new(bomb.as_slice()).take(1 << 31), &mut std::io::sink())
                .unwrap();
        assert_eq!(unpacked, 1 << 30);
    }
}
