//! What each refused sign-in says, where, and that it heals by itself once it is fixed.

use std::time::Duration;

use cloudop_simulator::{Account, Fault, FaultHandle, Matcher, Simulator, Times};
use cloudop_testbed::{Bed, condition, eventually};

use crate::credentials::{Case, DOMAIN, cases};
use crate::{apply_all, bed, operation, replace_secret, sign_ins};

type Keys = Vec<(&'static str, String)>;

/// What is wrong at first.
enum Wrong {
    /// A key of the Secret has another value.
    Key(&'static str, &'static str),
    /// A key holds this path below the simulator's address.
    Path(&'static str, &'static str),
    /// A key is not there.
    NoKey(&'static str),
    NoSecret,
    /// The cloud answers so, to requests of that path.
    Cloud(Fault, &'static str),
    /// The account may see nothing of the operation.
    Rights,
}

struct Trouble {
    name: &'static str,
    case: &'static str,
    wrong: Wrong,
    reason: &'static str,
    words: &'static [&'static str],
}

const CLIENT: &str = "clientId and clientSecret";
const PASSWORD: &str = "username, password and domainName";
const ACCESS_KEY: &str = "accessKey and secretKey";

fn troubles() -> Vec<Trouble> {
    let refuse = |status, body: &str| Fault::Status {
        code: status,
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: body.to_owned(),
    };
    let trouble = |name, case, wrong, reason, words| Trouble { name, case, wrong, reason, words };
    use Wrong::*;
    vec![
        trouble(
            "bad-client-secret",
            "numspot-client",
            Key("clientSecret", "wr0ng"),
            "Unauthorized",
            &[CLIENT, "401", "invalid_client"],
        ),
        trouble(
            "bad-password",
            "otc-password",
            Key("password", "wr0ng"),
            "Unauthorized",
            &[PASSWORD, "401", "second factor"],
        ),
        trouble("bad-domain", "ucs-password", Key("domainName", "wr0ng"), "Unauthorized", &[PASSWORD, "401"]),
        trouble(
            "bad-key",
            "sbercloud-key",
            Key("secret", "wr0ng"),
            "Unauthorized",
            &["keyId and secret", "Invalid credentials"],
        ),
        trouble(
            "bad-form-key",
            "sbercloud-form-key",
            Key("keyId", "wr0ng"),
            "Unauthorized",
            &["keyId and secret", "401"],
        ),
        trouble("bad-secret-key", "cce-key", Key("secretKey", "wr0ng"), "Unauthorized", &[ACCESS_KEY, "APIGW.0301"]),
        trouble(
            "bad-access-key",
            "otc-old-key",
            Key("accessKey", "wr0ng"),
            "Unauthorized",
            &[ACCESS_KEY, "CCE.01401001"],
        ),
        trouble(
            "expired-session",
            "otc-temporary-key",
            Key("securityToken", "wr0ng"),
            "Unauthorized",
            &["accessKey, secretKey and securityToken", "CCE.01401001"],
        ),
        trouble("expired-token", "cce-token", Key("token", "wr0ng"), "Unauthorized", &["key token", "APIGW.0301"]),
        trouble(
            "expired-password",
            "otc-password",
            Cloud(
                refuse(401, r#"{"error":{"code":401,"message":"The password is expired","title":"Unauthorized"}}"#),
                "/v3/auth/tokens",
            ),
            "Unauthorized",
            &[PASSWORD, "The password is expired"],
        ),
        trouble(
            "expired-client",
            "numspot-client",
            Cloud(refuse(400, r#"{"error":"invalid_client","error_description":"Client has expired"}"#), "/iam/token"),
            "Unauthorized",
            &[CLIENT, "400", "invalid_client", "Client has expired"],
        ),
        trouble(
            "clock",
            "ucs-key",
            Cloud(
                refuse(401, r#"{"error_code":"APIGW.0303","error_msg":"Incorrect app authentication information"}"#),
                "/federations/progress",
            ),
            "Unauthorized",
            &["APIGW.0303", "clock", "15 minutes"],
        ),
        trouble("wrong-scope", "cce-password", Rights, "Forbidden", &[PASSWORD, "403"]),
        trouble("no-right", "otc-key", Rights, "Forbidden", &[ACCESS_KEY, "403", "CCE.01403001"]),
        trouble(
            "identity-host",
            "otc-password",
            Key("iamEndpoint", "https://iam.evil.example"),
            "EndpointRefused",
            &["key iamEndpoint", "iam.evil.example"],
        ),
        trouble(
            "identity-path",
            "cce-password",
            Path("iamEndpoint", "/identity"),
            "EndpointRefused",
            &["key iamEndpoint", "404"],
        ),
        trouble(
            "no-exchange-there",
            "sbercloud-key",
            Path("iamEndpoint", "/oauth"),
            "CredentialsIncomplete",
            &["key iamEndpoint", "/api/v1/auth/token"],
        ),
        trouble(
            "identity-redirect",
            "ucs-password",
            Cloud(Fault::Redirect { code: 307, to: "https://evil.example/?x=1".to_owned() }, "/v3/auth/tokens"),
            "RedirectRefused",
            &["key iamEndpoint", "https://evil.example,"],
        ),
        trouble(
            "throttled",
            "otc-password",
            Cloud(Fault::Throttled { status: 429, retry_after: Some("8".to_owned()), twice: false }, "/v3/auth/tokens"),
            "Throttled",
            &["429", "IAM.0012"],
        ),
        trouble(
            "page",
            "sbercloud-key",
            Cloud(Fault::Html, "/api/v1/auth/token"),
            "InvalidResponse",
            &["signing in", "HTML"],
        ),
        trouble(
            "no-token",
            "numspot-client",
            Cloud(refuse(200, r#"{"expires_in":3600}"#), "/iam/token"),
            "InvalidResponse",
            &["access_token"],
        ),
        trouble("no-answer", "cce-password", Cloud(Fault::Reset, "/v3/auth/tokens"), "Unreachable", &["reset"]),
        trouble(
            "own-trouble",
            "numspot-client",
            Cloud(Fault::ServerError { status: 502 }, "/iam/token"),
            "ServerError",
            &["502", "signing in"],
        ),
        trouble("no-secret", "numspot-client", NoSecret, "CredentialsNotFound", &["spec.credentialsRef", "no-secret"]),
        trouble("half-a-set", "otc-password", NoKey("password"), "CredentialsIncomplete", &["key password is missing"]),
        trouble(
            "two-sets",
            "numspot-client",
            Key("token", "another"),
            "CredentialsIncomplete",
            &["more than one set", "token", "clientId"],
        ),
        trouble(
            "unknown-form",
            "cce-key",
            Key("signature", "v4"),
            "CredentialsIncomplete",
            &["key signature", "access or credential"],
        ),
        trouble("no-domain-id", "ucs-key", NoKey("domainId"), "CredentialsIncomplete", &["key domainId is missing"]),
        trouble(
            "no-endpoint",
            "sbercloud-token",
            NoKey("endpoint"),
            "CredentialsIncomplete",
            &["key endpoint is missing"],
        ),
    ]
}

/// One trouble, with a cloud of its own.
struct Scene {
    trouble: Trouble,
    case: Case,
    simulator: Simulator,
    fault: Option<FaultHandle>,
}

impl Scene {
    fn new(trouble: Trouble) -> Self {
        let simulator = futures::executor::block_on(Simulator::start()).unwrap();
        let case = cases("s3cret").into_iter().find(|case| case.name == trouble.case).unwrap();
        simulator.account(case.account());
        simulator.put(case.operation(true));
        let mut fault = None;
        match &trouble.wrong {
            Wrong::Cloud(what, path) => {
                fault = Some(simulator.fault(what.clone(), Matcher::path(*path), Times::Forever));
            }
            Wrong::Rights => {
                let blind = Account::new("blind").credential(case.id(), &case.secret, DOMAIN).may_see("nothing");
                simulator.set_accounts(vec![blind]);
            }
            _ => {}
        }
        Self { trouble, case, simulator, fault }
    }

    fn good_keys(&self) -> Keys {
        let address = [("endpoint", self.simulator.url()), ("ca.crt", self.simulator.ca_pem().to_owned())];
        self.case.keys(&self.simulator).into_iter().chain(address).collect()
    }

    /// Puts the Secret there as it is at first.
    fn spoil(&self, bed: &Bed) {
        let mut keys = self.good_keys();
        let mut set = |key, value| {
            keys.retain(|(name, _)| *name != key);
            keys.push((key, value));
        };
        match &self.trouble.wrong {
            Wrong::Key(key, value) => set(key, (*value).to_owned()),
            Wrong::Path(key, path) => set(key, format!("{}{path}", self.simulator.url())),
            Wrong::NoKey(key) => keys.retain(|(name, _)| name != key),
            Wrong::NoSecret => return,
            Wrong::Cloud(..) | Wrong::Rights => {}
        }
        create_secret(bed, self.trouble.name, &keys);
    }

    fn fix(&mut self, bed: &Bed) {
        match &self.trouble.wrong {
            Wrong::Cloud(..) => {
                if let Some(fault) = self.fault.take() {
                    fault.clear();
                }
            }
            Wrong::Rights => self.simulator.set_accounts(vec![self.case.account()]),
            Wrong::NoSecret => create_secret(bed, self.trouble.name, &self.good_keys()),
            _ => {
                let keys = self.good_keys();
                let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
                replace_secret(bed, self.trouble.name, &keys);
            }
        }
    }
}

fn create_secret(bed: &Bed, name: &str, keys: &Keys) {
    let literals: Vec<String> = keys.iter().map(|(key, value)| format!("--from-literal={key}={value}")).collect();
    let mut arguments = vec!["create", "secret", "generic", name];
    arguments.extend(literals.iter().map(String::as_str));
    let output = bed.kubectl(&arguments);
    assert!(output.success(), "{}", output.stderr);
}

#[test]
fn each_refusal_names_its_keys_and_the_cloud_s_words_and_heals_by_itself_once_mended() {
    let bed = bed();
    let mut scenes: Vec<Scene> = troubles().into_iter().map(Scene::new).collect();
    for scene in &scenes {
        scene.spoil(&bed);
    }
    let objects: Vec<_> = scenes
        .iter()
        .map(|scene| operation(scene.trouble.name, &scene.case.provider(), scene.case.name, scene.trouble.name))
        .collect();
    apply_all(&bed, &objects);
    let _controller = bed.controller(&[]);
    for Scene { trouble, case, .. } in &scenes {
        let status = bed.until_reason(trouble.name, "UpstreamReachable", trouble.reason);
        let reachable = condition(&status, "UpstreamReachable").unwrap();
        let message = reachable["message"].as_str().unwrap();
        for word in trouble.words {
            assert!(message.contains(word), "{}: {message}", trouble.name);
        }
        for secret in [&case.secret, &case.security_token, "wr0ng"] {
            assert!(!status.to_string().contains(secret), "{}: {status:#}", trouble.name);
        }
        let waits_for_the_user = !matches!(
            trouble.reason,
            "Throttled" | "ServerError" | "Unreachable" | "InvalidResponse" | "RedirectRefused"
        );
        let verdict = if waits_for_the_user { "CredentialsInvalid" } else { "PollFailing" };
        let verdicts = ["Succeeded", "Finished", "UpstreamReachable"].map(|kind| {
            let condition = condition(&status, kind).unwrap();
            (condition["status"].as_str().unwrap(), condition["reason"].as_str().unwrap())
        });
        assert_eq!(verdicts, [("Unknown", verdict), ("False", verdict), ("False", trouble.reason)], "{}", trouble.name);
        assert_eq!(status["phase"], "Pending", "{}: last known", trouble.name);
    }
    for scene in &mut scenes {
        scene.fix(&bed);
    }
    for scene in &scenes {
        let name = scene.trouble.name;
        eventually(Duration::from_secs(150), &format!("{name} heals"), || {
            let status = bed.get(name)?["status"].take();
            if status["phase"] == "Succeeded" { Ok(()) } else { Err(format!("{status:#}")) }
        });
        if name == "throttled" {
            let sign_ins = sign_ins(&scene.simulator);
            assert!(sign_ins.len() >= 2);
            for pair in sign_ins.windows(2) {
                let pause = pair[1].at - pair[0].at;
                assert!(pause >= Duration::from_secs(8), "{pause:?}");
            }
        }
    }
}
