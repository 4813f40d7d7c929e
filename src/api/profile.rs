//! What platform teams write to have the operations of one more API followed.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Phase};

/// How the operations of one API are asked for and read, as data. CloudOperations name it in spec.provider.declared.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cloudop.dev",
    version = "v1alpha1",
    kind = "OperationProfile",
    plural = "operationprofiles",
    derive = "PartialEq",
    status = "OperationProfileStatus",
    doc = "How the operations of one API are asked for and read, as data. CloudOperations name it in spec.provider.declared.",
    printcolumn(name = "Cloud", type_ = "string", json_path = ".spec.cloud"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint)")
        .message("is immutable, as it says where credentials go; create another OperationProfile")
        .field_path(".endpoint").reason(Reason::FieldValueInvalid),
    validation = Rule::new("has(self.hosts) == has(oldSelf.hosts) && (!has(self.hosts) || self.hosts == oldSelf.hosts)")
        .message("is immutable, as it says where credentials go; create another OperationProfile")
        .field_path(".hosts").reason(Reason::FieldValueInvalid),
    validation = Rule::new("self.auth == oldSelf.auth")
        .message("is immutable, as it says where credentials go; create another OperationProfile")
        .field_path(".auth").reason(Reason::FieldValueInvalid),
    validation = Rule::new("self.request == oldSelf.request")
        .message("is immutable, as it says what is asked with credentials; create another OperationProfile")
        .field_path(".request").reason(Reason::FieldValueInvalid),
    validation = Rule::new("has(self.list) == has(oldSelf.list) && (!has(self.list) || self.list == oldSelf.list)")
        .message("is immutable, as it says what is asked with credentials; create another OperationProfile")
        .field_path(".list").reason(Reason::FieldValueInvalid),
    validation = Rule::new("has(self.hosts) || !has(self.endpoint)")
        .message("is missing: with endpoint, name the hosts that a credential may go to")
        .field_path(".hosts").reason(Reason::FieldValueRequired),
    validation = Rule::new("self.examples.exists(e, has(e.expect.phase) && e.expect.phase == 'Succeeded') && self.examples.exists(e, has(e.expect.phase) && e.expect.phase == 'Failed')")
        .message("must hold a reply that is expected to be read as Succeeded and one as Failed")
        .field_path(".examples").reason(Reason::FieldValueInvalid)
)]
pub struct OperationProfileSpec {
    /// Name of the cloud or product, as it stands in messages.
    #[schemars(length(min = 1, max = 64))]
    pub cloud: String,
    /// Hosts that a credential may be sent to, such as api.example.com, *.example.com or api.example.com:8443; the
    /// controller's own list of allowed hosts holds as well. Without it the Secret's endpoint may be any host that the
    /// controller allows. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub hosts: Option<Vec<String>>,
    /// Base URL of the API, such as https://api.example.com; parameters in {braces} may be parts of its host. Without it
    /// the Secret must have the key endpoint, which goes first in any case. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https://[^\\s?#@]+$"), length(max = 253))]
    pub endpoint: Option<String>,
    /// The ways in which the API takes a credential: at least one member. Which of them is used follows from the keys of
    /// the Secret. Immutable.
    pub auth: AuthSpec,
    /// The parameters that a CloudOperation gives, by their names: each becomes one part of a path, percent-encoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub parameters: BTreeMap<String, ParameterSpec>,
    /// What an operation's ID looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<ParameterSpec>,
    /// The GET that asks for one operation. Immutable.
    pub request: RequestSpec,
    /// The GET that asks for many operations at once, where the API has one: several operations of one account then cost
    /// one request. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListSpec>,
    /// How a reply is read.
    pub read: ReadSpec,
    /// Replies and what is to be read of them. The profile serves only while all are read as expected.
    #[schemars(length(min = 2, max = 20))]
    pub examples: Vec<ExampleSpec>,
}

/// The ways in which an API takes a credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.bearer) || has(self.header) || has(self.basic) || has(self.oauth2) || has(self.keystone) || has(self.serviceKey)")
        .message("set at least one of bearer, header, basic, oauth2, keystone, serviceKey"),
    validation = Rule::new("!(has(self.basic) && has(self.keystone))")
        .message("set basic or keystone, not both: each reads the Secret's keys username and password"),
    validation = Rule::new("[has(self.oauth2), has(self.keystone), has(self.serviceKey)].filter(set, set).size() < 2")
        .message("set one of oauth2, keystone and serviceKey, not several")
)]
pub struct AuthSpec {
    /// A ready token, as Authorization: Bearer. The Secret's key is token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerSpec>,
    /// A ready token in another header. The Secret's key is token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderSpec>,
    /// A user and a password, as Authorization: Basic. The Secret's keys are username and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicSpec>,
    /// OAuth 2 client credentials (RFC 6749, section 4.4). The Secret's keys are clientId and clientSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Spec>,
    /// OpenStack Keystone v3, and the signed requests of the clouds that descend from Huawei's. The Secret's keys are
    /// username, password and domainName, or accessKey and secretKey; its key iamEndpoint, where url is not given here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystone: Option<KeystoneSpec>,
    /// Keys of a Cloud.ru service account. The Secret's keys are keyId and secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_key: Option<ServiceKeySpec>,
}

/// A token as Authorization: Bearer; nothing more to say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BearerSpec {}

/// A user and a password; nothing more to say of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BasicSpec {}

/// A header that carries a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderSpec {
    /// Its name, such as PRIVATE-TOKEN.
    #[schemars(regex(pattern = "^[A-Za-z0-9-]+$"), length(max = 64))]
    pub name: String,
    /// What stands before the token, with its space where there is one, such as "APIKey ".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[ -~]+$"), length(max = 64))]
    pub prefix: Option<String>,
}

/// How client credentials become a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2Spec {
    /// Address that gives tokens; parameters in {braces} may be parts of its path. Its host must be one of hosts.
    #[schemars(regex(pattern = "^https://[^\\s?#@]+$"), length(max = 253))]
    pub token_url: String,
    /// The scope to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub scope: Option<String>,
    /// The audience to ask for, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub audience: Option<String>,
    /// Where ID and secret of the client stand in the request: in the header Authorization (the default) or in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_in: Option<ClientIn>,
}

/// Where ID and secret of a client stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientIn {
    /// In the header Authorization.
    #[default]
    Header,
    /// In the form.
    Body,
}

/// How a Keystone user becomes a token, or a request is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneSpec {
    /// Address of the identity service; parameters in {braces} may be parts of its host. Its host must be one of hosts.
    /// Without it the Secret must have the key iamEndpoint, which goes first in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https://[^\\s?#@]+$"), length(max = 253))]
    pub url: Option<String>,
    /// ID of the project that the token is for, such as {projectId}; without it the token is for the whole domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub project: Option<String>,
    /// Whether the API takes signed requests, too (accessKey and secretKey), as those of Huawei Cloud and Open Telekom
    /// Cloud do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<bool>,
}

/// Where Cloud.ru exchanges the keys of service accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceKeySpec {
    /// Address of the identity service, such as https://iam.api.cloud.ru. Its host must be one of hosts. The Secret's key
    /// iamEndpoint goes first.
    #[schemars(regex(pattern = "^https://[^\\s?#@]+$"), length(max = 253))]
    pub url: String,
}

/// What a CloudOperation gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParameterSpec {
    /// What it is and where to find it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// Regular expression that the whole of it must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pattern: Option<String>,
    /// What it is where the CloudOperation does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default: Option<String>,
}

/// A GET for one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestSpec {
    /// Path below the endpoint, with {operationId} and the parameters in braces, such as
    /// /v1/projects/{project}/operations/{operationId}.
    #[schemars(regex(pattern = "^/[^\\s?#]*$"), length(max = 512))]
    pub path: String,
    /// Parameters of the query; their values may hold {operationId} and the parameters in braces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 253})))]
    pub query: BTreeMap<String, String>,
    /// Headers with fixed values, such as Accept. None that carries a credential or concerns the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 253})))]
    pub headers: BTreeMap<String, String>,
    /// Path to the operation in the reply, such as action, where it is not the reply itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub item: Option<String>,
}

/// A GET for many operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSpec {
    /// Path below the endpoint, with the parameters in braces.
    #[schemars(regex(pattern = "^/[^\\s?#]*$"), length(max = 512))]
    pub path: String,
    /// Parameters of the query; their values may hold the parameters in braces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 253})))]
    pub query: BTreeMap<String, String>,
    /// Path to the list of operations in the reply; $ is the reply itself.
    #[schemars(length(min = 1, max = 253))]
    pub items: String,
    /// How the next page is asked for, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextSpec>,
}

/// How the next page of a list is asked for: by path and query, or by linkHeader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.path) == has(self.query) && has(self.path) != has(self.linkHeader)")
        .message("set path and query, or linkHeader")
)]
pub struct NextSpec {
    /// Path to the token or number of the next page in the reply; where it is absent, null or empty, this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub path: Option<String>,
    /// The parameter of the query that it becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub query: Option<String>,
    /// Whether the header Link names the next page (RFC 8288, rel="next"). Only the query of its address is taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_header: Option<bool>,
}

/// How a reply is read. All paths begin at the operation.
///
/// A path is keys with dots between them: status.phase. [0] and [-1] are the first and the last of a list, [name=done]
/// is the first of a list whose name is done, \. is a dot within a key, | stands between alternatives, and $ is the
/// operation itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadSpec {
    /// Where the reply says which operation it is about; a reply about another one is not read.
    pub identity: IdentitySpec,
    /// Which words mean what. The first table that knows its word decides; where none does, the operation counts as
    /// going on and the condition's reason is UnrecognizedState.
    #[schemars(length(min = 1, max = 8))]
    pub state: Vec<StateSpec>,
    /// Where an error stands: at error or errors by default. A word of success beside an error is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorSpec>,
    /// Path to a percentage, as 60, "60" or "60%".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub percent: Option<String>,
    /// Path to the number of parts that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub completed: Option<String>,
    /// Path to the number of parts in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub total: Option<String>,
    /// Path to what the cloud says of the progress, or of the failure where the error has no message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub message: Option<String>,
    /// Path to what the cloud calls this kind of operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub operation_type: Option<String>,
    /// The resource that the operation works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSpec>,
    /// Path to the time of the start: RFC 3339, the same without a zone (UTC), or seconds or milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub start_time: Option<String>,
    /// Path to the time of the end, as for startTime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub completion_time: Option<String>,
    /// The parts of the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_jobs: Option<SubJobsSpec>,
    /// Seconds for which an end counts as the state from before, unless the resource has been seen busy since. For APIs
    /// that show the state of a resource and not of an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub settle_seconds: Option<i32>,
    /// What of the API's answers 404 and 410 is surely its own word that it does not know the operation. Any other
    /// counts as a fault, as a gateway answers so, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found: Option<NotFoundSpec>,
}

/// Where a reply says which operation it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentitySpec {
    /// Path to it.
    #[schemars(length(min = 1, max = 253))]
    pub path: String,
    /// What stands there, perhaps behind a slash and more; {operationId} by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub is: Option<String>,
    /// Whether it is the ID of an operation, which ends once, or of a resource, which had a state before. Operation by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<IdentityOf>,
}

/// What an ID is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityOf {
    /// An operation.
    #[default]
    Operation,
    /// A resource, whose state stands for the operation.
    Resource,
}

/// Which words of one field mean what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateSpec {
    /// Path to the word: a text, a number, true or false.
    #[schemars(length(min = 1, max = 253))]
    pub path: String,
    /// The words of each state, in any case of letters. * stands for any letters; words without it go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<WordsSpec>,
    /// Words that leave it to the next table, in any case of letters. With them any other unknown word is not recognized,
    /// whatever the next table says; without them every unknown word goes to the next table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub pass_on: Vec<String>,
    /// What it means that the field is absent, null or empty; without it the next table is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<GoingOn>,
}

/// A state that is no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GoingOn {
    /// Accepted, not started.
    Pending,
    /// Being worked on.
    Running,
}

/// The words of each state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WordsSpec {
    /// Accepted, not started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    pub pending: Vec<String>,
    /// Being worked on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    pub running: Vec<String>,
    /// Parked until a person acts there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    pub blocked: Vec<String>,
    /// Ended well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    pub succeeded: Vec<String>,
    /// Ended badly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    pub failed: Vec<String>,
    /// Ended as someone cancelled it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 128)))]
    pub cancelled: Vec<String>,
}

/// Where an error stands. null, {}, [], "", 0, and a code of 0 or OK are no error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorSpec {
    /// Path to the error: an object, a list of them or a text. Without it an error is looked for at error and errors, and
    /// code and message are read from the operation itself, where its state is a bad one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub path: Option<String>,
    /// Path to the code, from the error on; without it the usual names are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub code: Option<String>,
    /// Path to the message, as for code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub message: Option<String>,
    /// Path to the ID of the request, as for code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub request_id: Option<String>,
    /// Codes that say that someone cancelled the operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 128)))]
    pub cancelled_codes: Vec<String>,
    /// Whether an error ends the operation also while the state says that it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<bool>,
}

/// The resource that an operation works on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Path to its ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub id: Option<String>,
    /// Path to its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Path to its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub url: Option<String>,
}

/// The parts of an operation. All paths but items begin at the part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubJobsSpec {
    /// Path to them: a list, or an object whose members they are.
    #[schemars(length(min = 1, max = 253))]
    pub items: String,
    /// Path to the parts of a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub children: Option<String>,
    /// Path to its ID; without one, it is told apart by its name and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub id: Option<String>,
    /// Path to its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Which words mean what, as for the operation; by default they are the operation's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub state: Vec<StateSpec>,
    /// Path to what the cloud says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub message: Option<String>,
    /// Path to the time of its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub start_time: Option<String>,
    /// Path to the time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub completion_time: Option<String>,
}

/// What of an answer 404 or 410 is surely the API's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotFoundSpec {
    /// Its codes; * stands for any letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 128)))]
    pub codes: Vec<String>,
    /// Its messages; * stands for any letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 253)))]
    pub messages: Vec<String>,
}

/// A reply, and what is to be read of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExampleSpec {
    /// Its name, in messages.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The ID of the operation that was asked for.
    #[schemars(length(min = 1, max = 253))]
    pub operation_id: String,
    /// The parameters of the operation that was asked for, where they matter for reading the reply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 253})))]
    pub parameters: BTreeMap<String, String>,
    /// Whether the reply is a page of the list rather than one operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_list: Option<bool>,
    /// The reply, as the API sends it.
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub reply: JSON,
    /// What is to be read of it; what is not given is not compared.
    pub expect: ExpectSpec,
}

/// What is to be read of a reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.phase) || has(self.reason)").message("set phase, reason or both"))]
pub struct ExpectSpec {
    /// status.phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Reason of the condition Succeeded, to tell OperationCancelled from OperationFailed or UnrecognizedState from
    /// Running; InvalidResponse where the reply must not be read, OperationNotFound where a list lacks the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ExpectedReason>,
    /// status.upstreamState.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub upstream_state: Option<String>,
    /// status.operationType.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub operation_type: Option<String>,
    /// status.target.id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub target_id: Option<String>,
    /// The percentage that the reply tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// status.progress.message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// status.error; {} where there must be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ExpectedError>,
    /// status.startTime, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub start_time: Option<String>,
    /// status.completionTime, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub completion_time: Option<String>,
    /// status.subJobs: all of them, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub sub_jobs: Option<Vec<ExpectedSubJob>>,
}

/// What is to be read of a reply, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExpectedReason {
    /// Accepted, not started.
    Pending,
    /// Being worked on.
    Running,
    /// Parked until a person acts there.
    Blocked,
    /// A word that no table knows.
    UnrecognizedState,
    /// Ended well.
    OperationSucceeded,
    /// Ended badly.
    OperationFailed,
    /// Ended as someone cancelled it.
    OperationCancelled,
    /// A list without the operation.
    OperationNotFound,
    /// No reply about this operation.
    InvalidResponse,
}

/// status.error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedError {
    /// status.error.code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub code: Option<String>,
    /// status.error.message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// status.error.requestId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
}

/// One of status.subJobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedSubJob {
    /// Its name.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Its phase.
    pub phase: Phase,
    /// Its ID, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub id: Option<String>,
    /// The ID of the part that it belongs to, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub parent_id: Option<String>,
}

/// What the controller makes of a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationProfileStatus {
    /// The generation of the spec that this status speaks of; -1 before the controller has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready says whether CloudOperations may use it; Stalled is there while they may not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(with = "Vec<meta::Condition>")]
    pub conditions: Vec<Condition>,
}
