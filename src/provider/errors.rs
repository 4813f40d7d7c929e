//! What stands in the member `error` of a reply, in whichever of the clouds' shapes.

use super::*;

/// How deep an error within an error, or a list within a list, is looked for: a cloud may nest tens of thousands.
const MOST_LEVELS: usize = 16;
/// Said where an error says nothing.
const UNTOLD: &str = "the cloud tells of an error without a code or a message";

/// The error that `value` tells of. `null`, `{}`, `[]`, `""`, `0`, a code of 0 or OK and their like tell of none;
/// anything else does, also where it has neither code nor message.
pub(crate) fn read_error(value: Json<'_>) -> Option<OperationError> {
    read_within(value, MOST_LEVELS)
}

/// What is nested deeper than so many `levels` is an error of which nothing more is said.
fn read_within(value: Json<'_>, levels: usize) -> Option<OperationError> {
    if !value.is_object() && !value.is_array() {
        let text = value.scalar()?.trim();
        return is_something(text)
            .then(|| OperationError { message: Some(text.to_owned()), ..OperationError::default() });
    }
    if value.is_empty() {
        return None;
    }
    let Some(levels) = levels.checked_sub(1) else {
        return Some(OperationError { message: Some(UNTOLD.to_owned()), ..OperationError::default() });
    };
    if value.is_array() {
        return value.items().find_map(|item| read_within(item, levels));
    }
    let pick = |names: &[&str]| {
        let texts = names.iter().filter_map(|name| value.get(name)?.scalar());
        texts.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
    };
    let code = pick(&["code", "errorCode", "error_code", "type", "status"]);
    if code.as_deref().is_some_and(|code| !is_something(code)) {
        return None;
    }
    let detail = pick(&["message", "errorMessage", "error_msg", "errorMsg", "detail", "description", "reason"]);
    let message = match (pick(&["title"]), detail) {
        (Some(title), Some(detail)) if title != detail => Some(format!("{title}: {detail}")),
        (title, detail) => title.or(detail),
    };
    // An error within the error, or details alone.
    let inner = || ["error", "errors", "details"].iter().find_map(|name| read_within(value.get(name)?, levels));
    let (code, message) = match (code.filter(|code| code != "about:blank"), message) {
        (None, None) => match inner() {
            Some(inner) => (inner.code, inner.message),
            None => (None, Some(UNTOLD.to_owned())),
        },
        told => told,
    };
    Some(OperationError {
        code: code.map(|code| shorten(&code)),
        message,
        request_id: pick(&["request_id", "requestId", "instance"]),
        sub_job: None,
    })
}

/// Whether a code or a text tells of an error.
fn is_something(text: &str) -> bool {
    const NOTHING: &[&str] = &["", "0", "ok", "false", "null", "none", "success"];
    !NOTHING.iter().any(|nothing| text.eq_ignore_ascii_case(nothing))
}

/// A type of RFC 9457 names the error behind "#" (`urn:numspot:errors#conflict`).
fn shorten(code: &str) -> String {
    match code.rsplit_once('#') {
        Some((_, name)) if !name.is_empty() => name.to_owned(),
        _ => code.to_owned(),
    }
}

/// Gives `observation` the `error` that stands beside its state: where that is an end, it has failed, whatever the word
/// says.
pub(crate) fn add_error(observation: &mut Observation, error: Option<OperationError>) {
    let Some(error) = error.filter(|_| is_end(observation.state)) else { return };
    if observation.state == State::Succeeded {
        observation.state = State::Failed;
    }
    let before = observation.error.take().unwrap_or_default();
    observation.error = Some(OperationError {
        code: before.code.or(error.code),
        message: before.message.or(error.message),
        request_id: before.request_id.or(error.request_id),
        sub_job: before.sub_job,
    });
}

/// Takes the vendor's code out of the text that it begins, as in `[CCE_CM.0303] the quota is used up` and
/// `CCE_CM.0303: the quota is used up`: capitals and digits with a dot or a dash among them.
pub(super) fn find_code(text: &str) -> Option<&str> {
    let is_code = |word: &str| {
        let is_of_code = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "._-".contains(c);
        let has = |test: fn(&char) -> bool| word.chars().any(|c| test(&c));
        word.len() <= 64
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.ends_with(|c: char| c.is_ascii_digit())
            && word.chars().all(is_of_code)
            && has(|c| *c == '.')
    };
    let words = text.split(|c: char| c.is_whitespace() || "[](){}:,;\"'".contains(c));
    words.filter(|word| !word.is_empty()).map(|word| word.trim_end_matches('.')).find(|word| is_code(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn read(json: &str) -> Option<(Option<String>, Option<String>)> {
        let document = Document::parse(format!(r#"{{"error":{json}}}"#).as_bytes()).unwrap();
        let error = document.root().get("error").and_then(read_error)?;
        Some((error.code, error.message))
    }

    #[rstest::rstest]
    fn these_tell_of_no_error(
        #[values(
            "null",
            "{}",
            "[]",
            "\"\"",
            "\" \"",
            "0",
            "\"0\"",
            "false",
            "{\"code\":0}",
            "{\"code\":\"OK\"}",
            "{\"code\":0,\"message\":\"success\"}",
            "[null,{},0]",
            "\"ok\"",
            "{\"code\":\"0\",\"details\":[]}"
        )]
        json: &str,
    ) {
        assert_eq!(read(json), None);
    }

    #[rstest::rstest]
    #[case::arrays("[", "]")]
    #[case::objects("{\"error\":", "}")]
    fn errors_within_errors_need_no_stack(#[case] before: &str, #[case] behind: &str) {
        let json = format!("{}1{}", before.repeat(60_000), behind.repeat(60_000));
        let (code, message) = read(&json).unwrap();
        assert_eq!((code, message.as_deref()), (None, Some(UNTOLD)));
    }

    #[rstest::rstest]
    #[case(r#""quota""#, None, "quota")]
    #[case("7", None, "7")]
    #[case(r#"["quota","other"]"#, None, "quota")]
    #[case(r#"[{},{"code":7,"message":"m"}]"#, Some("7"), "m")]
    #[case(r#"{"code":7,"message":"m"}"#, Some("7"), "m")]
    #[case(r#"{"details":[{"reason":"why"}]}"#, None, "why")]
    #[case(r#"{"details":["why"]}"#, None, "why")]
    #[case(r#"{"details":[{"@type":"x"}]}"#, None, "the cloud tells of an error without a code or a message")]
    #[case(r#"{"anything":{"at":"all"}}"#, None, "the cloud tells of an error without a code or a message")]
    #[case(r#"{"errorCode":"CCE.1","errorMessage":"m"}"#, Some("CCE.1"), "m")]
    #[case(
        r#"{"type":"urn:numspot:errors#conflict","title":"Conflict","detail":"d"}"#,
        Some("conflict"),
        "Conflict: d"
    )]
    #[case(r#"{"type":"about:blank","title":"Conflict"}"#, None, "Conflict")]
    #[case("true", None, "true")]
    fn anything_else_does(#[case] json: &str, #[case] code: Option<&str>, #[case] message: &str) {
        assert_eq!(read(json), Some((code.map(str::to_owned), Some(message.to_owned()))));
    }

    #[rstest::rstest]
    #[case("[CCE_CM.0303] the quota is used up", Some("CCE_CM.0303"))]
    #[case("CCE_CM.0303: the quota is used up", Some("CCE_CM.0303"))]
    #[case("CreateNode: failed (CCE.01400013), see there", Some("CCE.01400013"))]
    #[case("{\"error_code\":\"Ecs.0001\",\"error_code\":\"VPC.0202\"}", Some("VPC.0202"))]
    #[case("E.CFE.4040003", Some("E.CFE.4040003"))]
    #[case("no code at 10.0.0.1 of v1.25.3", None)]
    #[case("NodePool.NotReady", None)]
    #[case("", None)]
    fn a_code_is_found_in_a_text(#[case] text: &str, #[case] code: Option<&str>) {
        assert_eq!(find_code(text), code);
    }
}
