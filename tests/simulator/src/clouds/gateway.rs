//! Huawei's API gateway (APIGW), which stands before CCE and UCS and answers first.
//! Codes: <https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-errorcode.html>

use jiff::Timestamp;
use serde_json::json;

use super::{Front, Refusal, Takes};
use crate::http::Reply;

/// Before a service whose operations belong to a project.
pub(crate) const PROJECT: Front =
    Front { auth_token: true, bearer: false, signed: true, takes: Takes::Project, numbers_replies: true };

/// Before a service of the whole account.
pub(crate) const DOMAIN: Front = Front { takes: Takes::Domain, ..PROJECT };

/// The gateway's own refusal; `None` where the service decides.
pub(crate) fn refuse(refusal: &Refusal, request_id: &str) -> Option<Reply> {
    let (status, code, message) = match refusal {
        Refusal::NoSuchPath => {
            (404, "APIGW.0101", "The API does not exist or has not been published in the environment")
        }
        // Neither code nor body of a 405 is documented; this is the gateway's code for a bad request.
        Refusal::NoSuchMethod => (405, "APIGW.0201", "Method not allowed"),
        Refusal::Unauthenticated => (401, "APIGW.0301", "Incorrect IAM authentication information"),
        Refusal::ClockSkew => {
            (401, "APIGW.0303", "Incorrect app authentication information: the signature has expired")
        }
        Refusal::Throttled { status, .. } => (*status, "APIGW.0308", "The throttling threshold has been reached"),
        _ => return None,
    };
    let body = json!({"error_code": code, "error_msg": message, "request_id": request_id});
    Some(Reply::json(status, &body))
}

/// Go's `time.Time.String()` in UTC, in which the container services print times. It trims the fraction's trailing
/// zeros, and the dot with them.
pub(crate) fn go_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_does() {
        for (nanoseconds, text) in [
            (923_248_000, "2023-11-25 06:32:34.923248 +0000 UTC"),
            (672_772_389, "2023-11-25 06:32:34.672772389 +0000 UTC"),
            (780_000_000, "2023-11-25 06:32:34.78 +0000 UTC"),
            (0, "2023-11-25 06:32:34 +0000 UTC"),
        ] {
            let at = Timestamp::new(1_700_893_954, nanoseconds).unwrap();
            assert_eq!(go_time(at), text);
        }
    }
}
