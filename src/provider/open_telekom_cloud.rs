//! What the services of Open Telekom Cloud have in common: their hosts, and how one signs in to them.

use super::*;

pub(super) const DOMAINS: &[&str] = &["otc.t-systems.com"];

/// The base URL of a regional service. The Swiss cloud's hosts stand in a domain of their own.
pub(super) fn endpoint(service: &str, region: &str) -> String {
    let domain = if region == SWISS { "sc.otc.t-systems.com" } else { "otc.t-systems.com" };
    format!("https://{service}.{region}.{domain}")
}

/// How one signs in to a service of a project. The Swiss cloud's identity service stands at iam-pub.
pub(super) fn sign_in(region: &str, project_id: &str) -> SignIn {
    let service = if region == SWISS { "iam-pub" } else { "iam" };
    SignIn {
        methods: Cow::Borrowed(&["token", "keystonePassword", "accessKey"]),
        identity_service: Some(IdentityService {
            url: endpoint(service, region),
            domain: Some("otc.t-systems.com".to_owned()),
        }),
        scope: Scope::Project(project_id.to_owned()),
        oauth: None,
    }
}

const SWISS: &str = "eu-ch2";
