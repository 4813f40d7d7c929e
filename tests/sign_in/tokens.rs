//! How long a token is used, and how often one is asked for.

use std::time::{Duration, Instant};

use cloudop_simulator::{Account, Cloud, Fault, Matcher, Operation, Scope, Stage, Times};
use cloudop_testbed::{Bed, condition, eventually};
use serde_json::{Value, json};

use crate::credentials::{Case, cases};
use crate::{
    apply_all, await_polls, await_success_of_all, bed, operation, polls, replace_secret, sign_ins, wait_until,
};

/// The cases of these names, each with its account, its Secret, and an operation that runs without an end.
fn running(bed: &Bed, names: &[&str]) -> Vec<Case> {
    let cases: Vec<Case> = cases("s3cret").into_iter().filter(|case| names.contains(&case.name)).collect();
    assert_eq!(cases.len(), names.len());
    let mut objects = Vec::new();
    for case in &cases {
        bed.simulator.account(case.account());
        bed.simulator.put(case.operation(false));
        let keys = case.keys(&bed.simulator);
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        bed.secret(case.name, &keys);
        objects.push(operation(case.name, &case.provider(), case.name, case.name));
    }
    apply_all(bed, &objects);
    cases
}

fn finish(bed: &Bed, cases: &[Case]) {
    for case in cases {
        assert!(bed.simulator.advance(&case.operation(false).key()));
        bed.until_reason(case.name, "Succeeded", "OperationSucceeded");
    }
}

/// When the cloud was last found reachable or not.
fn reachable_since(bed: &Bed, name: &str) -> Value {
    let status = bed.until_reason(name, "UpstreamReachable", "PollSucceeded");
    condition(&status, "UpstreamReachable").unwrap()["lastTransitionTime"].clone()
}

fn sign_ins_of(bed: &Bed, case: &Case) -> usize {
    let is_own = |body: &[u8]| String::from_utf8_lossy(body).contains(&case.id());
    sign_ins(&bed.simulator).iter().filter(|request| is_own(&request.body)).count()
}

fn refused_polls(bed: &Bed, name: &str) -> usize {
    polls(&bed.simulator, name).iter().filter(|request| request.status != 200).count()
}

#[test]
fn fifty_objects_of_one_account_begin_with_one_sign_in_and_each_project_has_its_own() {
    let bed = bed();
    let account = Account::new("a").credential("robot", "s3cret-of-all", "domain");
    bed.simulator.account(account);
    bed.simulator.latency(Duration::from_millis(300));
    bed.secret("numspot", &[("clientId", "robot"), ("clientSecret", "s3cret-of-all")]);
    let iam = bed.simulator.url();
    let user = [("username", "robot"), ("password", "s3cret-of-all"), ("domainName", "domain"), ("iamEndpoint", &iam)];
    bed.secret("otc", &user);
    let mut objects = Vec::new();
    for n in 0..50 {
        let id = format!("numspot-{n}");
        let scope = Scope::numspot("space", "cluster");
        bed.simulator.put(Operation::new(Cloud::NumspotKubernetes, scope, &id).stage(Stage::state("DONE")));
        let provider = json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "space"}});
        objects.push(operation(&id, &provider, &id, "numspot"));
    }
    for project in ["p1", "p2"] {
        for n in 0..5 {
            let id = format!("otc-{project}-{n}");
            let job = Operation::new(Cloud::OtcCceJob, Scope::otc(project), &id).stage(Stage::state("Success"));
            bed.simulator.put(job);
            let provider = json!({"otcCceJob": {"region": "eu-de", "projectId": project}});
            objects.push(operation(&id, &provider, &id, "otc"));
        }
    }
    apply_all(&bed, &objects);
    let _controller = bed.controller(&["--requests-per-second", "200", "--burst", "200"]);
    await_success_of_all(&bed);
    assert_eq!(bed.simulator.count(Matcher::path("/iam/token")), 1);
    assert_eq!(bed.simulator.count(Matcher::path("/v3/auth/tokens")), 2);
    // Fifty operations, three sign-ins, and for each project the list of its jobs; its first job alone, where that came
    // sooner than the others.
    let lists = bed.simulator.requests().len() - 50 - 3;
    assert!((2..=4).contains(&lists), "{lists}");
}

#[test]
fn a_token_that_ends_in_mid_operation_is_renewed_before_it_does() {
    let bed = bed();
    let names = ["numspot-client", "otc-password", "sbercloud-key"];
    let lifetime = Duration::from_secs(8);
    let cases = running(&bed, &names);
    for case in &cases {
        bed.simulator.account(case.account().token_lifetime(lifetime));
    }
    let start = Instant::now();
    let _controller = bed.controller(&[]);
    for case in &cases {
        await_polls(&bed.simulator, case.name, 3);
    }
    eventually(Duration::from_secs(60), "three sign-ins of each", || {
        let counts: Vec<usize> = cases.iter().map(|case| sign_ins_of(&bed, case)).collect();
        if counts.iter().all(|count| *count >= 3) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    finish(&bed, &cases);
    for case in &cases {
        assert_eq!(refused_polls(&bed, case.name), 0, "{}", case.name);
        // Each is used for half of its life.
        let most = 1 + start.elapsed().as_secs() / (lifetime.as_secs() / 2);
        assert!(sign_ins_of(&bed, case) as u64 <= most, "{}", case.name);
    }
}

#[test]
fn a_token_revoked_in_mid_operation_is_replaced_at_once_by_one_more() {
    let bed = bed();
    let cases = running(&bed, &["numspot-client", "otc-password", "sbercloud-key"]);
    let _controller = bed.controller(&[]);
    let before: Vec<Value> = cases.iter().map(|case| reachable_since(&bed, case.name)).collect();
    // One younger than ten seconds would not be replaced at once, lest it be asked for again and again.
    wait_until(Instant::now(), Duration::from_secs(11));
    for case in &cases {
        let polls = polls(&bed.simulator, case.name);
        let last = polls.last().unwrap();
        let token = last.header("x-auth-token").or_else(|| last.header("authorization")?.strip_prefix("Bearer "));
        bed.simulator.revoke_token(token.unwrap());
    }
    for case in &cases {
        await_polls(&bed.simulator, case.name, 4);
    }
    finish(&bed, &cases);
    for (case, before) in cases.iter().zip(before) {
        assert_eq!((sign_ins_of(&bed, case), refused_polls(&bed, case.name)), (2, 1), "{}", case.name);
        assert_eq!(reachable_since(&bed, case.name), before, "{} was never out of sight", case.name);
    }
}

#[test]
fn a_secret_rotated_in_mid_operation_takes_over_without_a_break() {
    let bed = bed();
    let names = ["numspot-client", "cce-key", "ucs-password", "otc-token"];
    let old = running(&bed, &names);
    let _controller = bed.controller(&[]);
    let before: Vec<Value> = old.iter().map(|case| reachable_since(&bed, case.name)).collect();
    let new: Vec<Case> = cases("r0tated").into_iter().filter(|case| names.contains(&case.name)).collect();
    for case in &new {
        let url = bed.simulator.url();
        let keys = case.keys(&bed.simulator);
        let address = [("endpoint", url.as_str()), ("ca.crt", bed.simulator.ca_pem())];
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).chain(address).collect();
        replace_secret(&bed, case.name, &keys);
    }
    // The old credentials and their tokens are void from here on.
    bed.simulator.set_accounts(new.iter().map(|case| case.renamed_account("new")).collect());
    let mark = Instant::now();
    for case in &new {
        eventually(Duration::from_secs(60), &format!("{} goes on", case.name), || {
            let polls = polls(&bed.simulator, case.name);
            let good = polls.iter().filter(|request| request.at > mark && request.status == 200).count();
            if good >= 2 { Ok(()) } else { Err(format!("{good}")) }
        });
    }
    finish(&bed, &new);
    for (case, before) in new.iter().zip(before) {
        assert_eq!(refused_polls(&bed, case.name), 1, "{}", case.name);
        assert_eq!(reachable_since(&bed, case.name), before, "{} was never out of sight", case.name);
        let minted = if ["numspot-client", "ucs-password"].contains(&case.name) { 2 } else { 0 };
        let sign_ins = sign_ins(&bed.simulator);
        let own = |request: &&cloudop_simulator::RecordedRequest| {
            request.status < 300 && String::from_utf8_lossy(&request.body).contains(&case.id())
        };
        assert_eq!(sign_ins.iter().filter(own).count(), minted, "{}", case.name);
    }
}

#[test]
fn a_sign_in_that_fails_shows_on_every_object_of_the_account_and_is_not_hammered() {
    let bed = bed();
    let account = Account::new("a").credential("robot", "s3cret-of-all", "domain");
    bed.simulator.account(account);
    let iam = bed.simulator.url();
    bed.secret("refused", &[("clientId", "robot"), ("clientSecret", "wrong")]);
    let user = [("username", "robot"), ("password", "s3cret-of-all"), ("domainName", "domain"), ("iamEndpoint", &iam)];
    bed.secret("broken", &user);
    let endpoint = format!("{iam}/");
    bed.secret("futile", &[("keyId", "robot"), ("secret", "s3cret-of-all"), ("iamEndpoint", &endpoint)]);
    bed.simulator.fault(Fault::ServerError { status: 500 }, Matcher::path("/v3/auth/tokens"), Times::Forever);
    bed.simulator.fault(Fault::Unauthorized, Matcher::cloud(Cloud::SbercloudOpenshiftTask), Times::Forever);
    let groups = [
        ("refused", json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "s"}}), "Unauthorized"),
        ("broken", json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}), "ServerError"),
        ("futile", json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}}), "Unauthorized"),
    ];
    let objects: Vec<Value> = groups
        .iter()
        .flat_map(|(secret, provider, _)| {
            (0..10).map(move |n| {
                let name = format!("{secret}-{n}");
                operation(&name, provider, &name, secret)
            })
        })
        .collect();
    apply_all(&bed, &objects);
    let _controller = bed.controller(&["--requests-per-second", "200", "--burst", "200"]);
    for (secret, _, reason) in &groups {
        let messages: Vec<Value> = (0..10)
            .map(|n| {
                let status = bed.until_reason(&format!("{secret}-{n}"), "UpstreamReachable", reason);
                condition(&status, "UpstreamReachable").unwrap()["message"].clone()
            })
            .collect();
        assert!(messages.iter().all(|message| *message == messages[0]), "{messages:#?}");
    }
    // One who comes later shares the failure, too.
    for (secret, provider, reason) in &groups[..2] {
        let name = format!("{secret}-late");
        apply_all(&bed, &[operation(&name, provider, &name, secret)]);
        bed.until_reason(&name, "UpstreamReachable", reason);
    }
    let first = sign_ins(&bed.simulator)[0].at;
    let window = Duration::from_secs(20);
    wait_until(first, window);
    let within = |path: &str| {
        let sign_ins = sign_ins(&bed.simulator);
        sign_ins.iter().filter(|request| request.path_and_query.contains(path) && request.at < first + window).count()
    };
    // What only the user can fix is not tried again within 30 s, whatever the number of objects.
    assert_eq!(within("/iam/token"), 1);
    // Tokens that are refused as soon as they were minted are not replaced object by object.
    let futile = within("/api/v1/auth/token");
    assert!((1..=2).contains(&futile), "{futile}");
    // Trouble of the cloud's own: at most once in 5 s, all objects together.
    let broken = within("/v3/auth/tokens");
    assert!((2..=5).contains(&broken), "{broken}");
}
