//! What the services of NumSpot have in common: their hosts, how one signs in to them, and their errors.

use super::*;

pub(super) const DOMAINS: &[&str] = &["numspot.com"];

/// The base URL of a region.
pub(super) fn endpoint(region: &str) -> String {
    format!("https://api.{region}.numspot.com")
}

/// <https://docs.numspot.com/docs/iam/concepts/api>; ID and secret in both places, as NumSpot's own Terraform provider
/// has them.
pub(super) fn sign_in() -> SignIn {
    let oauth = OAuth { path: "/iam/token".into(), scope: None, audience: None, client: ClientForm::Both };
    SignIn {
        methods: Cow::Borrowed(&["token", "clientCredentials"]),
        identity_service: None,
        scope: Scope::Account,
        oauth: Some(oauth),
    }
}

/// NumSpot's own errors are problems (RFC 9457) with a URN for a type.
pub(super) fn whose(refusal: &ApiError) -> Whose {
    super::whose(refusal, |code| code.starts_with("urn:numspot:"))
}
