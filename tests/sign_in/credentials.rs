//! Each cloud with each set of credentials that it takes.

use cloudop_simulator::{Account, Cloud, Operation, Scope, Simulator, Stage};
use serde_json::{Value, json};

/// How a credential proves itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proof {
    Token,
    Client,
    Password,
    /// `Access=` and, if so, a security token.
    Signature {
        temporary: bool,
    },
    /// `Credential=` and, if so, a security token.
    ScopedSignature {
        temporary: bool,
    },
    Key,
    FormKey,
}

/// One way to sign in to one cloud. Its name is the operation's ID as well.
pub struct Case {
    pub name: &'static str,
    pub cloud: Cloud,
    pub proof: Proof,
    /// What is secret in the Secret; hard to encode.
    pub secret: String,
    pub security_token: String,
}

pub const DOMAIN: &str = "OTC-EU-DE-00000000001000000001";

/// All of them; their secrets begin with `salt`.
pub fn cases(salt: &str) -> Vec<Case> {
    use Cloud::*;
    use Proof::*;
    [
        ("numspot-token", NumspotKubernetes, Token),
        ("numspot-client", NumspotKubernetes, Client),
        ("cce-token", HuaweiCceUpgrade, Token),
        ("cce-password", HuaweiCceUpgrade, Password),
        ("cce-key", HuaweiCceUpgrade, Signature { temporary: false }),
        ("cce-old-key", HuaweiCceUpgrade, ScopedSignature { temporary: false }),
        ("cce-temporary-key", HuaweiCceUpgrade, Signature { temporary: true }),
        ("ucs-token", HuaweiUcsFederation, Token),
        ("ucs-password", HuaweiUcsFederation, Password),
        ("ucs-key", HuaweiUcsFederation, Signature { temporary: false }),
        ("otc-token", OtcCceJob, Token),
        ("otc-password", OtcCceJob, Password),
        ("otc-key", OtcCceJob, Signature { temporary: false }),
        ("otc-old-key", OtcCceJob, ScopedSignature { temporary: false }),
        ("otc-temporary-key", OtcCceJob, ScopedSignature { temporary: true }),
        ("sbercloud-token", SbercloudOpenshiftTask, Token),
        ("sbercloud-key", SbercloudOpenshiftTask, Key),
        ("sbercloud-form-key", SbercloudOpenshiftTask, FormKey),
        ("job-token", HuaweiJob, Token),
        ("job-password", HuaweiJob, Password),
        ("job-key", HuaweiJob, Signature { temporary: false }),
        ("cluster-token", NumspotCluster, Token),
        ("cluster-client", NumspotCluster, Client),
    ]
    .into_iter()
    .map(|(name, cloud, proof)| Case {
        name,
        cloud,
        proof,
        secret: format!("{salt}-{name}-/+&=\"%~*\\"),
        security_token: format!("{salt}-{name}-session/+="),
    })
    .collect()
}

impl Case {
    /// What of its Secret must not get out.
    pub fn secrets(&self) -> Vec<&str> {
        match self.proof {
            Proof::Signature { temporary: true } | Proof::ScopedSignature { temporary: true } => {
                vec![&self.secret, &self.security_token]
            }
            _ => vec![&self.secret],
        }
    }

    /// The public half of the credential.
    pub fn id(&self) -> String {
        format!("{}-id", self.name)
    }

    /// The space, project or service instance.
    pub fn owner(&self) -> String {
        format!("{}-owner", self.name)
    }

    pub fn provider(&self) -> Value {
        let owner = self.owner();
        match self.cloud {
            Cloud::NumspotKubernetes => json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": owner}}),
            Cloud::HuaweiCceUpgrade => {
                json!({"huaweiCceUpgrade": {"region": "eu-west-101", "projectId": owner, "clusterId": "cluster"}})
            }
            Cloud::HuaweiUcsFederation => json!({"huaweiUcsFederation": {}}),
            Cloud::OtcCceJob => json!({"otcCceJob": {"region": "eu-de", "projectId": owner}}),
            Cloud::SbercloudOpenshiftTask => json!({"sbercloudOpenshiftTask": {"serviceInstanceId": owner}}),
            Cloud::HuaweiJob => json!({"otcJob": {"service": "evs", "region": "eu-de", "projectId": owner}}),
            Cloud::NumspotCluster => json!({"numspotCluster": {"region": "eu-west-2", "spaceId": owner}}),
        }
    }

    pub fn scope(&self) -> Scope {
        match self.cloud {
            Cloud::NumspotKubernetes => Scope::numspot(self.owner(), "cluster"),
            Cloud::HuaweiCceUpgrade => Scope::cce(self.owner(), "cluster"),
            Cloud::HuaweiUcsFederation => Scope::ucs(),
            Cloud::OtcCceJob => Scope::otc(self.owner()),
            Cloud::SbercloudOpenshiftTask => Scope::sbercloud(self.owner()),
            Cloud::HuaweiJob => Scope::project(self.owner()),
            Cloud::NumspotCluster => Scope::numspot(self.owner(), ""),
        }
    }

    /// The cloud's words for an operation under way and for one that succeeded.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self.cloud {
            Cloud::NumspotKubernetes => ("RUNNING", "DONE"),
            Cloud::SbercloudOpenshiftTask => ("RUNNING", "SUCCEEDED"),
            Cloud::HuaweiJob => ("RUNNING", "SUCCESS"),
            Cloud::NumspotCluster => ("CREATING", "RUNNING"),
            Cloud::HuaweiCceUpgrade | Cloud::HuaweiUcsFederation | Cloud::OtcCceJob => ("Running", "Success"),
        }
    }

    /// An operation that succeeds after two polls, or else when told to.
    pub fn operation(&self, by_itself: bool) -> Operation {
        let (running, done) = self.words();
        let running = Stage::state(running);
        let running = if by_itself { running.for_polls(2) } else { running };
        Operation::new(self.cloud, self.scope(), self.name).stage(running).stage(Stage::state(done))
    }

    /// The account that the credential opens, which sees nothing but this operation.
    pub fn account(&self) -> Account {
        self.renamed_account("first")
    }

    /// The same under another name: tokens of the one before are none of its.
    pub fn renamed_account(&self, prefix: &str) -> Account {
        let seen = if self.cloud == Cloud::HuaweiUcsFederation { self.name.to_owned() } else { self.owner() };
        let account = Account::new(format!("{prefix} {}", self.name)).may_see(seen);
        match self.proof {
            Proof::Token => account.token(&self.secret),
            Proof::Signature { temporary: true } | Proof::ScopedSignature { temporary: true } => {
                account.credential(self.id(), &self.secret, DOMAIN).security_token(&self.security_token)
            }
            _ => account.credential(self.id(), &self.secret, DOMAIN),
        }
    }

    /// The Secret's keys beside `endpoint` and `ca.crt`.
    pub fn keys(&self, simulator: &Simulator) -> Vec<(&'static str, String)> {
        let id = self.id();
        let secret = self.secret.clone();
        let url = simulator.url();
        let mut keys = match self.proof {
            Proof::Token => vec![("token", secret)],
            Proof::Client => vec![("clientId", id), ("clientSecret", secret)],
            Proof::Password => {
                let domain = ("domainName", DOMAIN.to_owned());
                vec![("username", id), ("password", secret), domain, ("iamEndpoint", format!("{url}/v3"))]
            }
            Proof::Signature { .. } => vec![("accessKey", id), ("secretKey", secret)],
            Proof::ScopedSignature { .. } => {
                vec![("accessKey", id), ("secretKey", secret), ("signature", "credential".to_owned())]
            }
            Proof::Key => vec![("keyId", id), ("secret", secret), ("iamEndpoint", url)],
            Proof::FormKey => {
                vec![("keyId", id), ("secret", secret), ("iamEndpoint", format!("{url}/auth/system/openid/token"))]
            }
        };
        match self.proof {
            Proof::Signature { temporary: true } | Proof::ScopedSignature { temporary: true } => {
                keys.push(("securityToken", self.security_token.clone()));
            }
            _ => {}
        }
        if self.cloud == Cloud::HuaweiUcsFederation && self.proof == (Proof::Signature { temporary: false }) {
            keys.push(("domainId", "domain-id".to_owned()));
        }
        keys
    }
}
