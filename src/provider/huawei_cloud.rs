//! What the services of Huawei Cloud have in common: their hosts, and how one signs in to them.

use super::*;

/// SberCloud Advanced runs the same services under the last two.
pub(super) const DOMAINS: &[&str] = &["myhuaweicloud.com", "myhuaweicloud.eu", "hc.sbercloud.ru", "hc.cloud.ru"];

/// The base URL of a regional service.
pub(super) fn endpoint(service: &str, region: &str) -> String {
    format!("https://{service}.{region}.{}", domain(region))
}

/// How one signs in to a service of a project.
pub(super) fn sign_in(region: &str, project_id: &str) -> SignIn {
    SignIn {
        methods: Cow::Borrowed(&["token", "keystonePassword", "accessKey"]),
        identity_service: Some(IdentityService {
            url: endpoint("iam", region),
            domain: Some(domain(region).to_owned()),
        }),
        scope: Scope::Project(project_id.to_owned()),
        oauth: None,
    }
}

fn domain(region: &str) -> &'static str {
    if region == "eu-west-101" { "myhuaweicloud.eu" } else { "myhuaweicloud.com" }
}
