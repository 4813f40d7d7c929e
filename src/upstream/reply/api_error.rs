//! What a cloud's error reply says. Pure.
//!
//! Clouds and the gateways before them have many shapes for an error: Huawei's `error_code` and `errorCode`, Keystone's
//! and Google's `error` object, OAuth's `error_description`, RFC 9457 problem details, gRPC gateways' `code` and
//! `message`, a bare text. All become one code and one message.

use crate::document::{Document, Json};
use crate::observation::ApiError;
use crate::wording::sanitize;

/// The longest code and message kept, in bytes.
const LONGEST_CODE: usize = 128;
const LONGEST_MESSAGE: usize = 1024;
/// Stands where the cloud's text repeats the ID of the request, which is another each time.
const REQUEST_ID: &str = "[request ID]";

/// Reads the error reply of `status`, as the cloud sent it. `request_id` is what its headers give. What is not JSON, such
/// as a gateway's HTML, is left out.
pub fn read_api_error(status: u16, request_id: Option<&str>, body: &[u8]) -> ApiError {
    let document = Document::parse(body).ok();
    let mut refusal = document.as_ref().map_or_else(ApiError::default, |document| read(document.root()));
    refusal.status = status;
    refusal.request_id = refusal.request_id.or_else(|| request_id.map(str::to_owned));
    // A code that only says the status again says nothing.
    refusal.code = refusal.code.filter(|code| *code != status.to_string());
    refusal
}

/// What may be shown of `refusal`: without what `redact` replaces, each text on one short line, and without the request's
/// ID in the message, which is another each time.
pub fn present(refusal: &ApiError, redact: impl Fn(&str) -> Option<String>) -> ApiError {
    let show = |text: &str, longest| line(redact(text).as_deref().unwrap_or(text), longest);
    let some = |text: &Option<String>, longest| {
        text.as_deref().map(|text| show(text, longest)).filter(|text| !text.is_empty())
    };
    let id = refusal.request_id.as_deref().filter(|id| id.len() >= 4);
    let message = refusal.message.as_deref().map(|message| match id {
        Some(id) => message.replace(id, REQUEST_ID),
        None => message.to_owned(),
    });
    ApiError {
        status: refusal.status,
        code: some(&refusal.code, LONGEST_CODE),
        message: some(&message, LONGEST_MESSAGE),
        request_id: some(&refusal.request_id, LONGEST_CODE),
    }
}

fn read(root: Json<'_>) -> ApiError {
    let root = first(root);
    if let Some(text) = root.text() {
        return ApiError { message: Some(text.to_owned()), ..ApiError::default() };
    }
    let error = root.get("error").or_else(|| root.get("errors")).map(first);
    let nested = error.filter(|error| error.is_object());
    let places = || nested.into_iter().chain([root]);
    let pick = |names: &[&str]| places().find_map(|place| names.iter().find_map(|name| scalar_at(place, name)));

    // The vendors' documents know CCE's errorCode, not the error_code that may stand beside it.
    let mut code = pick(&["errorCode", "error_code"]);
    let mut message = pick(&["errorMessage", "error_msg", "errorMsg"]);
    let detail = pick(&["message", "error_description", "detail", "msg"]);
    message = match (message, detail) {
        (Some(message), Some(detail)) if message != detail => Some(join(&message, &detail)),
        (message, detail) => message.or(detail),
    };
    if let Some(title) = pick(&["title"]) {
        message = Some(message.map_or(title.clone(), |message| join(&title, &message)));
    }
    if let Some(violations) = violations(root) {
        message = Some(message.map_or(violations.clone(), |message| join(&message, &violations)));
    }
    code = code.or_else(|| pick(&["code", "type"])).filter(|code| code != "about:blank");
    if let Some(text) = error.and_then(Json::text).map(str::to_owned) {
        // OAuth's code where a description goes with it, else all there is.
        match message {
            None => message = Some(text),
            Some(_) => code = code.or(Some(text)),
        }
    }
    ApiError { status: 0, code, message, request_id: pick(&["request_id", "requestId"]) }
}

/// The first of several errors.
fn first(errors: Json<'_>) -> Json<'_> {
    errors.items().next().unwrap_or(errors)
}

fn scalar_at(place: Json<'_>, name: &str) -> Option<String> {
    let text = place.get(name)?.scalar()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// NumSpot's list of what is wrong with which parameter.
fn violations(root: Json<'_>) -> Option<String> {
    let violations: Vec<String> = root
        .get("violations")?
        .items()
        .filter_map(|violation| {
            let description = violation.text_at("description")?;
            Some(violation.text_at("field").map_or(description.clone(), |field| format!("{field}: {description}")))
        })
        .collect();
    (!violations.is_empty()).then(|| violations.join("; "))
}

fn join(first: &str, second: &str) -> String {
    let first = first.trim_end_matches(['.', ':', ' ']);
    format!("{first}: {second}")
}

/// One clean line of at most `longest` bytes.
fn line(text: &str, longest: usize) -> String {
    const ELLIPSIS: char = '…';
    let line = sanitize(text, longest);
    if line.len() <= longest {
        return line;
    }
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() + ELLIPSIS.len_utf8() <= longest;
    line.char_indices().take_while(fits).map(|(_, c)| c).chain([ELLIPSIS]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_body(body: &str) -> (Option<String>, Option<String>, Option<String>) {
        let refusal = present(&read_api_error(404, None, body.as_bytes()), |_| None);
        assert_eq!(refusal.status, 404);
        (refusal.code, refusal.message, refusal.request_id)
    }

    #[rstest::rstest]
    #[case::cce(
        r#"{"errorMessage":"Resource not found","errorCode":"CCE.01404001"}"#,
        Some("CCE.01404001"),
        Some("Resource not found"),
        None
    )]
    #[case::gateway(
        r#"{"error_msg":"The API does not exist or has not been published","error_code":"APIGW.0101","request_id":"5b0fc"}"#,
        Some("APIGW.0101"), Some("The API does not exist or has not been published"), Some("5b0fc")
    )]
    #[case::all_of_cces_at_once(
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":400,"errorCode":"CCE.01400001","errorMessage":"Invalid request.","error_code":"CCE_CM.0004","error_msg":"Request is invalid","message":"Eni subnetId and subnetCidr not matched","reason":"BadRequest"}"#,
        Some("CCE.01400001"), Some("Invalid request: Eni subnetId and subnetCidr not matched"), None
    )]
    #[case::old_gateway(
        r#"{"message":"API not found","request_id":"5b0fc"}"#,
        None,
        Some("API not found"),
        Some("5b0fc")
    )]
    #[case::keystone(
        r#"{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}"#,
        Some("401"), Some("Unauthorized: The request you have made requires authentication."), None
    )]
    #[case::nested_code_equal_to_the_status(r#"{"error":{"code":404,"message":"gone"}}"#, None, Some("gone"), None)]
    #[case::nested_text_code(
        r#"{"error":{"code":"NOT_THERE","message":"gone"}}"#,
        Some("NOT_THERE"),
        Some("gone"),
        None
    )]
    #[case::rpc_status(
        r#"{"code":5,"message":"task not found","details":[{"@type":"type.googleapis.com/x"}]}"#,
        Some("5"),
        Some("task not found"),
        None
    )]
    #[case::oauth(
        r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#,
        Some("invalid_client"),
        Some("Client authentication failed"),
        None
    )]
    #[case::error_as_text(r#"{"error":"Invalid credentials"}"#, None, Some("Invalid credentials"), None)]
    #[case::error_as_array(
        r#"{"error":[{"code":"A","message":"first"},{"code":"B","message":"second"}]}"#,
        Some("A"),
        Some("first"),
        None
    )]
    #[case::errors(r#"{"errors":[{"code":7,"message":"first"}]}"#, Some("7"), Some("first"), None)]
    #[case::errors_as_texts(r#"{"errors":["first","second"]}"#, None, Some("first"), None)]
    #[case::array(r#"[{"code":7,"message":"first"}]"#, Some("7"), Some("first"), None)]
    #[case::problem(
        r#"{"type":"urn:numspot:errors#resource_not_found","title":"Not found","detail":"No such operation","instance":"/x"}"#,
        Some("urn:numspot:errors#resource_not_found"), Some("Not found: No such operation"), None
    )]
    #[case::problem_with_violations(
        r#"{"type":"urn:numspot:errors#invalid_parameter","title":"Invalid parameter.","violations":[{"field":"id","description":"not a UUID"},{"description":"too long"},3]}"#,
        Some("urn:numspot:errors#invalid_parameter"), Some("Invalid parameter: id: not a UUID; too long"), None
    )]
    #[case::problem_without_type(r#"{"type":"about:blank","title":"Not Found"}"#, None, Some("Not Found"), None)]
    #[case::nested_causes(
        r#"{"error":{"code":"X","message":"top","cause":{"code":"Y","message":"deep"}}}"#,
        Some("X"),
        Some("top"),
        None
    )]
    #[case::request_id_inside(r#"{"error":{"message":"m","requestId":"r-1"}}"#, None, Some("m"), Some("r-1"))]
    #[case::bare_text(r#""no requested resources""#, None, Some("no requested resources"), None)]
    #[case::bare_number("42", None, None, None)]
    #[case::odd_types(r#"{"errorCode":{},"error_code":null,"message":["x"],"error":true}"#, None, None, None)]
    #[case::blank(r#"{"errorCode":" ","message":""}"#, None, None, None)]
    #[case::empty_object("{}", None, None, None)]
    #[case::empty_array("[]", None, None, None)]
    #[case::empty("", None, None, None)]
    #[case::html("<html><head><title>404 Not Found</title></head></html>", None, None, None)]
    #[case::plain_text("404 page not found", None, None, None)]
    #[case::duplicate_keys(r#"{"code":1,"code":2}"#, None, None, None)]
    fn every_shape_gives_one_code_and_one_message(
        #[case] body: &str,
        #[case] code: Option<&str>,
        #[case] message: Option<&str>,
        #[case] request_id: Option<&str>,
    ) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(read_body(body), (owned(code), owned(message), owned(request_id)));
    }

    #[test]
    fn the_request_id_comes_from_the_header_where_the_body_has_none_and_not_in_the_message() {
        let body = br#"{"message":"failed, see req-0815 (req-0815)"}"#;
        let refusal = present(&read_api_error(500, Some("req-0815"), body), |_| None);
        assert_eq!(refusal.request_id.as_deref(), Some("req-0815"));
        assert_eq!(refusal.message.as_deref(), Some("failed, see [request ID] ([request ID])"));
    }

    #[test]
    fn a_message_is_one_short_clean_line() {
        let body = format!(r#"{{"message":"a\u001b[31m\r\n\u0000b\u202ec {}"}}"#, "é".repeat(5000));
        let message = read_body(&body).1.unwrap();
        assert!(message.starts_with("a bc éé"), "{message}");
        assert!(message.ends_with("é…") && message.len() <= LONGEST_MESSAGE, "{} bytes", message.len());
        assert!(message.len() > LONGEST_MESSAGE - 4);
        let code = read_body(&format!(r#"{{"code":"{}","message":"m"}}"#, "x".repeat(5000))).0.unwrap();
        assert!((LONGEST_CODE - 3..=LONGEST_CODE).contains(&code.len()));
    }

    #[test]
    fn secrets_are_redacted_before_the_text_is_cut() {
        let body = format!(r#"{{"message":"{}sesame"}}"#, "x".repeat(LONGEST_MESSAGE - 9));
        let refusal = read_api_error(400, None, body.as_bytes());
        let refusal = present(&refusal, |text| Some(text.replace("sesame", "***")));
        assert!(refusal.message.unwrap().ends_with("xxx***"));
    }
}
