//! What is sent to sign in, and that it opens the door: from apply to success.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudop_simulator::{Account, BasicHeader, Cloud, Operation, RecordedRequest, Scope, Stage};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::credentials::{Case, DOMAIN, Proof, cases};
use crate::{apply_all, await_success_of_all, bed, operation, polls, sign_ins};

#[test]
fn each_cloud_is_signed_in_to_with_each_set_of_credentials_and_the_operation_succeeds() {
    let bed = bed();
    let cases = cases("s3cret");
    let mut objects = Vec::new();
    for case in &cases {
        bed.simulator.account(case.account());
        bed.simulator.put(case.operation(true));
        objects.push(operation(case.name, &case.provider(), case.name, case.name));
        let keys = case.keys(&bed.simulator);
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        bed.secret(case.name, &keys);
    }
    apply_all(&bed, &objects);
    let _controller = bed.controller(&[]);
    await_success_of_all(&bed);
    let sign_ins = sign_ins(&bed.simulator);
    for case in &cases {
        let own: Vec<&RecordedRequest> =
            sign_ins.iter().filter(|request| String::from_utf8_lossy(&request.body).contains(&case.id())).collect();
        let polls = polls(&bed.simulator, case.name);
        assert_eq!(polls.len(), 3, "{}", case.name);
        for poll in &polls {
            assert_eq!((poll.method.as_str(), poll.status), ("GET", 200), "{}", case.name);
            check_poll(case, poll);
        }
        match (case.proof, own.as_slice()) {
            (Proof::Token | Proof::Signature { .. } | Proof::ScopedSignature { .. }, []) => {}
            (Proof::Client | Proof::Password | Proof::Key | Proof::FormKey, [sign_in]) => check_sign_in(case, sign_in),
            (_, own) => panic!("{}: {} sign-ins", case.name, own.len()),
        }
    }
    let minting = |case: &&Case| matches!(case.proof, Proof::Client | Proof::Password | Proof::Key | Proof::FormKey);
    assert_eq!(sign_ins.len(), cases.iter().filter(minting).count());
}

/// <https://docs.numspot.com/docs/iam/concepts/api>,
/// <https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html>,
/// <https://cloud.ru/docs/console_api/ug/topics/guides__auth_api>
fn check_sign_in(case: &Case, request: &RecordedRequest) {
    let body = std::str::from_utf8(&request.body).unwrap();
    let form = |id: &str, secret: &str, grant: &str| {
        let mut fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        fields.sort();
        let expected = [(id, case.id()), (secret, case.secret.clone()), ("grant_type", grant.to_owned())];
        let mut expected: Vec<(String, String)> = expected.map(|(name, value)| (name.to_owned(), value)).into();
        expected.sort();
        assert_eq!(fields, expected);
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    };
    let json = |expected: Value| {
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
        assert_eq!(request.header("content-type"), Some("application/json"));
    };
    let basic = request.header("authorization");
    match case.proof {
        Proof::Client => {
            assert_eq!((request.path_and_query.as_str(), request.status), ("/iam/token", 200));
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", encode(&case.id()), encode(&case.secret)));
            assert_eq!(basic, Some(format!("Basic {pair}").as_str()));
            form("client_id", "client_secret", "client_credentials");
        }
        Proof::Password => {
            assert_eq!((request.path_and_query.as_str(), request.status), ("/v3/auth/tokens?nocatalog=true", 201));
            let scope = match case.cloud {
                Cloud::HuaweiUcsFederation => json!({"domain": {"name": DOMAIN}}),
                _ => json!({"project": {"id": case.owner()}}),
            };
            let user = json!({"name": case.id(), "password": case.secret, "domain": {"name": DOMAIN}});
            let identity = json!({"methods": ["password"], "password": {"user": user}});
            json(json!({"auth": {"identity": identity, "scope": scope}}));
        }
        Proof::Key => {
            assert_eq!((request.path_and_query.as_str(), request.status), ("/api/v1/auth/token", 200));
            json(json!({"keyId": case.id(), "secret": case.secret}));
        }
        Proof::FormKey => {
            assert_eq!((request.path_and_query.as_str(), request.status), ("/auth/system/openid/token", 200));
            form("client_id", "client_secret", "access_key");
        }
        Proof::Token | Proof::Signature { .. } | Proof::ScopedSignature { .. } => panic!("{} signs in", case.name),
    }
    assert_eq!(basic.is_some(), case.proof == Proof::Client);
}

fn check_poll(case: &Case, request: &RecordedRequest) {
    let name = case.name;
    let header = |name| request.header(name);
    let project = Some(case.owner()).filter(|_| case.cloud != Cloud::HuaweiUcsFederation);
    let (temporary, start) = match case.proof {
        Proof::Signature { temporary } => (temporary, format!("SDK-HMAC-SHA256 Access={}, ", case.id())),
        Proof::ScopedSignature { temporary } => {
            let day = &header("x-sdk-date").unwrap()[..8];
            (temporary, format!("SDK-HMAC-SHA256 Credential={}/{day}///sdk_request, ", case.id()))
        }
        _ => {
            let bearer =
                matches!(case.cloud, Cloud::NumspotKubernetes | Cloud::NumspotCluster | Cloud::SbercloudOpenshiftTask);
            let token = match bearer {
                true => header("authorization").and_then(|value| value.strip_prefix("Bearer ")),
                false => header("x-auth-token"),
            };
            let token = token.unwrap_or_else(|| panic!("{name} sends no token"));
            assert_eq!(token == case.secret, case.proof == Proof::Token, "{name}");
            assert_eq!(header("authorization").is_some(), bearer, "{name}");
            assert!(header("x-sdk-date").is_none(), "{name}");
            return;
        }
    };
    let scope = if project.is_some() { "x-project-id" } else { "x-domain-id" };
    let session = if temporary { ";x-security-token" } else { "" };
    let signed = match scope {
        "x-project-id" => format!("content-type;host;x-project-id;x-sdk-date{session}"),
        _ => "content-type;host;x-domain-id;x-sdk-date".to_owned(),
    };
    let authorization = header("authorization").unwrap();
    assert!(
        authorization.starts_with(&format!("{start}SignedHeaders={signed}, Signature=")),
        "{name}: {authorization}"
    );
    assert_eq!(header(scope), Some(project.as_deref().unwrap_or("domain-id")), "{name}");
    assert_eq!(header("x-security-token"), temporary.then_some(case.security_token.as_str()), "{name}");
    assert!(header("x-auth-token").is_none(), "{name}");
    assert!(!request.path_and_query.ends_with('/'), "{name}");
}

#[test]
fn a_client_secret_goes_into_the_basic_header_encoded_and_raw_once_more_where_that_is_refused() {
    let bed = bed();
    bed.simulator.account(Account::new("raw").credential("robot", "s3cret/+&", ""));
    bed.simulator.basic_header(BasicHeader::Raw);
    let key = Operation::new(Cloud::NumspotKubernetes, Scope::numspot("space", "cluster"), "raw");
    bed.simulator.put(key.stage(Stage::state("RUNNING")));
    bed.secret("raw", &[("clientId", "robot"), ("clientSecret", "s3cret/+&")]);
    let provider = json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "space"}});
    apply_all(&bed, &[operation("raw", &provider, "raw", "raw")]);
    let _controller = bed.controller(&[]);
    bed.until_reason("raw", "Succeeded", "Running");
    let tries: Vec<u16> = sign_ins(&bed.simulator).iter().map(|request| request.status).collect();
    assert_eq!(tries, [401, 200]);
}
