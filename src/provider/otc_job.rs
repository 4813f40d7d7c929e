//! Jobs of Open Telekom Cloud's compute and storage services: <https://docs.otc.t-systems.com/elastic-cloud-server/api-ref/>.

use super::*;

/// A job of a compute or storage service of Open Telekom Cloud, such as the creation of a server (ecs, bms), a volume (evs) or an
/// image (ims). The operationId is `job_id` of the reply that started it. The cloud keeps an ended job for a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtcJob {
    /// The service that the job is of: bms, ecs, evs or ims.
    pub service: JobService,
    /// Region, such as eu-de or eu-nl. It gives the host {service}.{region}.otc.t-systems.com, unless the Secret has the key endpoint.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"), length(max = 63))]
    pub region: String,
    /// ID of the project that the resource belongs to. In the console: My Credentials, Projects.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub project_id: String,
}

impl CloudApi for OtcJob {
    fn cloud(&self) -> &str {
        "Open Telekom Cloud"
    }

    fn domains(&self) -> &[&str] {
        open_telekom_cloud::DOMAINS
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::XAuthToken
    }

    fn endpoint(&self) -> Option<String> {
        Some(open_telekom_cloud::endpoint(self.service.name(), &self.region))
    }

    fn sign_in(&self) -> SignIn {
        open_telekom_cloud::sign_in(&self.region, &self.project_id)
    }

    fn request(&self, operation_id: &str) -> Request {
        service_job::request(&self.project_id, operation_id)
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        service_job::interpret(operation_id, reply)
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        service_job::whose(refusal)
    }
}
