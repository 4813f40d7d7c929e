//! The state of a NumSpot Kubernetes cluster, which is all that later versions of the API tell of what is done to it
//! (terraform-provider-numspot, v1.7.3, `public-oas.yaml`).

use std::time::Duration;

use super::*;

/// How long "ready" may be what the cluster was before.
const SETTLING: Duration = Duration::from_secs(120);

/// What is done to a NumSpot managed Kubernetes cluster, as its own state tells it: for versions of the API that have no
/// operations. The operationId is the cluster's ID. Create the CloudOperation after the cloud has accepted the change: until
/// the cluster has been seen at work, what it says is taken for its state from before, for two minutes at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumspotCluster {
    /// Region of the space, such as eu-west-2 or cloudgouv-eu-west-1. It gives the host api.{region}.numspot.com, unless
    /// the Secret has the key endpoint.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"), length(max = 63))]
    pub region: String,
    /// ID of the space the cluster was created in.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub space_id: String,
}

impl CloudApi for NumspotCluster {
    fn cloud(&self) -> &str {
        "NumSpot"
    }

    fn domains(&self) -> &[&str] {
        numspot::DOMAINS
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::Bearer
    }

    fn endpoint(&self) -> Option<String> {
        Some(numspot::endpoint(&self.region))
    }

    fn sign_in(&self) -> SignIn {
        numspot::sign_in()
    }

    fn request(&self, operation_id: &str) -> Request {
        Request::get(&["kubernetes", "spaces", &self.space_id, "clusters", operation_id])
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        check_id(operation_id, reply, "id")?;
        let word = read_state_word(reply.get("status.state"), "status.state")?;
        let state = read_state(word);
        let mut observation = Observation::new(state, word);
        observation.target = Target { id: reply.text_at("id"), name: reply.text_at("name"), url: None };
        observation.settle = Some(SETTLING);
        let message = reply.text_at("status.message");
        match state {
            State::Failed => {
                observation.error =
                    message.map(|message| OperationError { message: Some(message), ..OperationError::default() });
            }
            _ => observation.message = message,
        }
        let error = ["error", "status.error"].iter().find_map(|path| reply.get(path).and_then(read_error));
        add_error(&mut observation, error);
        Ok(Reading::Found(Box::new(observation)))
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        numspot::whose(refusal)
    }
}

/// RUNNING is said of a cluster that is ready, unlike that of an operation.
fn read_state(word: &str) -> State {
    match word.to_ascii_uppercase().as_str() {
        "PENDING" => State::Pending,
        "CREATING" | "DELETING" => State::Running,
        "RUNNING" => State::Succeeded,
        "FAILED" => State::Failed,
        _ => State::Unrecognized,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{observe, refuse};

    #[rstest::rstest]
    #[case("creating", State::Running, "CREATING", Some("the control plane is being set up"))]
    #[case("running", State::Succeeded, "RUNNING", None)]
    fn the_state_of_the_cluster_stands_for_what_is_done_to_it(
        #[case] case: &str,
        #[case] state: State,
        #[case] word: &str,
        #[case] message: Option<&str>,
    ) {
        let observation = observe(&format!("numspot_cluster/{case}"));
        assert_eq!((observation.state, observation.upstream_state.as_str()), (state, word));
        assert_eq!(observation.message.as_deref(), message);
        assert_eq!(observation.target.name.as_deref(), Some("prod"));
        assert_eq!(observation.settle, Some(SETTLING));
    }

    #[test]
    fn a_failure_says_why() {
        let error = observe("numspot_cluster/failed").error.unwrap();
        assert_eq!(error.message.as_deref(), Some("no capacity left for the control plane"));
    }

    #[test]
    fn another_cluster_is_not_read() {
        assert!(refuse("numspot_cluster/another-cluster").contains("about another operation"));
    }

    #[rstest::rstest]
    #[case(State::Unrecognized, &["DONE", "ACTIVE", "SUCCEEDED", "DELETED", "UPDATING"])]
    #[case(State::Running, &["creating", "DELETING"])]
    fn a_word_of_an_operation_is_none_of_a_cluster(#[case] state: State, #[case] words: &[&str]) {
        for word in words {
            assert_eq!(read_state(word), state, "{word}");
        }
    }
}
