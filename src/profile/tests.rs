//! Profiles as they are written, from the text to what is asked and read.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::api::OperationProfile;
use crate::document::Document;

fn shipped() -> Vec<(String, OperationProfile)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let profile = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), profile)
    })
    .collect()
}

/// A profile that is right.
fn right() -> Value {
    json!({
        "cloud": "Example Cloud",
        "hosts": ["api.example.com", "*.regions.example.com", "login.example.com"],
        "endpoint": "https://api.example.com",
        "auth": {"bearer": {}},
        "parameters": {"project": {"pattern": "[a-z/]+", "description": "the project"}},
        "operationId": {"pattern": "op-.+"},
        "request": {
            "path": "/v1/{project}/operations/{operationId}", "query": {"api-version": "1", "of": "{project}"},
            "headers": {"Accept": "application/vnd.example+json"}, "item": "operation",
        },
        "list": {
            "path": "/v1/{project}/operations", "query": {"limit": "50"}, "items": "operations",
            "next": {"path": "next", "query": "cursor"},
        },
        "read": {
            "identity": {"path": "id"},
            "state": [{"path": "status", "words": {"Running": ["busy"], "Succeeded": ["done"], "Failed": ["bad"]}}],
            "notFound": {"codes": ["no_such_*"]},
        },
        "examples": [
            {"name": "ok", "operationId": "op-1", "reply": {"operation": {"id": "op-1", "status": "done"}}, "expect": {"phase": "Succeeded"}},
            {"name": "bad", "operationId": "op-1", "reply": {"operation": {"id": "op-1", "status": "bad"}}, "expect": {"phase": "Failed"}},
        ],
    })
}

fn profile(spec: Value) -> OperationProfile {
    serde_json::from_value(json!({
        "apiVersion": "cloudop.dev/v1alpha1", "kind": "OperationProfile",
        "metadata": {"name": "example", "generation": 3}, "spec": spec,
    }))
    .unwrap()
}

/// The right profile with `change` made to it.
fn changed(change: impl FnOnce(&mut Value)) -> OperationProfile {
    let mut spec = right();
    change(&mut spec);
    profile(spec)
}

fn declared(parameters: &[(&str, &str)]) -> Declared {
    let parameters: BTreeMap<Box<str>, Box<str>> =
        parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Declared { profile: "example".into(), parameters }
}

fn document(reply: &Value) -> Document {
    Document::parse(reply.to_string().as_bytes()).unwrap()
}

#[test]
fn every_shipped_profile_reads_its_examples_as_expected() {
    for (file, profile) in shipped() {
        assert_eq!(profile.metadata.name.as_deref(), Some(&*file));
        if let Err(refusal) = judge(&profile) {
            panic!("profiles/{file}.yaml: {}: {}", refusal.reason, refusal.message);
        }
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/profiles/{file}.md"));
        assert!(page.exists(), "{} is missing", page.display());
    }
}

#[test]
fn a_profile_asks_for_one_operation_and_for_a_list() {
    let profile = judge(&profile(right())).unwrap();
    let declared = declared(&[("project", "a/b")]);
    let bound = profile.bind(&declared, "op-1/2").unwrap();
    let query = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(
        bound.request("op-1/2"),
        Request { path: "/v1/a%2Fb/operations/op-1%2F2".into(), query: query(&[("api-version", "1"), ("of", "a/b")]) }
    );
    let list = Request { path: "/v1/a%2Fb/operations".into(), query: query(&[("limit", "50")]) };
    assert_eq!(bound.list(), Some(list.clone()));
    assert_eq!(bound.headers(), [("accept".into(), "application/vnd.example+json".into())]);
    assert_eq!(
        (bound.cloud(), &*bound.name(), bound.endpoint().as_deref()),
        ("Example Cloud", "example", Some("https://api.example.com"))
    );

    let page = json!({"operations": [{"id": "op-9", "status": "done"}, {"status": "done"}, 7], "next": 2});
    let next = list.with_query("cursor", "2");
    assert_eq!(bound.find("op-1/2", document(&page).root()), Ok(Reading::NextPage(next)));
    let last = json!({"operations": [], "next": ""});
    assert_eq!(bound.find("op-1/2", document(&last).root()), Ok(Reading::Absent));
    let there = json!({"operations": [{"id": "op-1/2", "status": "busy"}]});
    assert!(matches!(bound.find("op-1/2", document(&there).root()), Ok(Reading::Found(_))));
    let odd = json!({"operations": [{"id": "op-1/2"}]});
    assert!(matches!(bound.find("op-1/2", document(&odd).root()), Ok(Reading::Unreadable(_))));
    assert!(bound.find("op-1/2", document(&json!({"items": []})).root()).is_err());
}

#[rstest::rstest]
#[case::as_it_is("{operationId}", "op-1", Some("op-1"))]
#[case::as_a_whole_that_fits("{operationId}", "op-1/2", Some("op-1/2"))]
#[case::its_last_part("{operationId}", "projects/p/operations/op-1", Some("op-1"))]
#[case::in_a_name("{operationId}/status", "op-1/status", Some("op-1"))]
#[case::behind_a_parameter("ops/{project}/{operationId}", "https://x/ops/p/op-1", Some("op-1"))]
#[case::of_another_project("ops/{project}/{operationId}", "ops/q/op-1", None)]
#[case::no_operation("{operationId}", "job-1", None)]
fn a_list_gives_the_ids_by_which_its_operations_are_followed(
    #[case] is: &str,
    #[case] name: &str,
    #[case] id: Option<&str>,
) {
    let spec = changed(|spec| spec["read"]["identity"]["is"] = json!(is)).spec;
    let profile = Arc::new(compile("example", &spec).unwrap());
    let declared = declared(&[("project", "p")]);
    let bound = profile.bind_to_all(&declared).unwrap();
    let page = json!({"operations": [{"id": name, "status": "done"}, {}], "next": "c"});
    let listing = bound.read_page(document(&page).root()).unwrap();
    assert_eq!(listing.members[0].id.as_deref(), id);
    assert!(listing.members[0].reading.is_ok());
    assert_eq!(listing.members[1].id, None);
    assert!(listing.members[1].reading.is_err());
    let next = vec![("limit".into(), "50".into()), ("cursor".into(), "c".into())];
    assert_eq!(listing.next, Some(Request { path: "/v1/p/operations".into(), query: next }));
}

#[test]
fn a_link_to_the_next_page_gives_its_query_and_no_more() {
    let profile = judge(&changed(|spec| spec["list"]["next"] = json!({"linkHeader": true}))).unwrap();
    let declared = declared(&[("project", "p")]);
    let bound = profile.bind(&declared, "op-1").unwrap();
    let next = Some(Request { path: "/v1/p/operations".into(), query: vec![("page".into(), "2 &".into())] });
    for link in
        ["https://api.example.com/v1/p/operations?page=2%20%26", "https://evil.example/x?page=2+%26", "?page=2%20%26"]
    {
        assert_eq!(bound.next_page(link), next, "{link}");
    }
    let by_token = judge(&self::profile(right())).unwrap();
    assert_eq!(by_token.for_reading(&declared).next_page("?page=2"), None);
}

#[rstest::rstest]
#[case(json!({"id": "op-1"}), "op-1", true)]
#[case(json!({"id": "OP-1"}), "op-1", true)]
#[case::last_segment(json!({"id": "projects/p/operations/op-1"}), "op-1", true)]
#[case::of_both(json!({"id": "op-1"}), "projects/p/operations/op-1", true)]
#[case::number(json!({"id": 7}), "7", true)]
#[case::another(json!({"id": "op-2"}), "op-1", false)]
#[case::part(json!({"id": "op-11"}), "op-1", false)]
#[case::end(json!({"id": "shop-1"}), "op-1", false)]
#[case::none(json!({"id": null}), "op-1", false)]
#[case::empty(json!({"id": ""}), "op-1", false)]
#[case::slash(json!({"id": "/"}), "/", true)]
#[case::only_slashes(json!({"id": "x/"}), "y/", false)]
#[case::another_with_the_same_end(json!({"id": "projects/q/operations/op-1"}), "projects/p/operations/op-1", false)]
#[case::shorter(json!({"id": "operations/op-1"}), "projects/p/operations/op-1", true)]
#[case::umlaut(json!({"id": "ö"}), "aö", false)]
fn a_reply_is_about_the_operation_or_is_not_read(#[case] mut item: Value, #[case] id: &str, #[case] is: bool) {
    let profile = judge(&profile(right())).unwrap();
    let declared = declared(&[("project", "p")]);
    let bound = profile.for_reading(&declared);
    item["status"] = json!("done");
    let reply = json!({"operation": item});
    assert_eq!(bound.interpret(id, document(&reply).root()).is_ok(), is);
}

#[rstest::rstest]
#[case::as_it_is(json!(null), json!("quota"), "Failed", None, Some("quota"))]
#[case::none(json!(null), json!(null), "Succeeded", None, None)]
#[case::zero(json!(null), json!({"code": 0}), "Succeeded", None, None)]
#[case::only_a_message_is_said(json!({"message": "why"}), json!({"code": 7}), "Failed", Some("7"), Some("all is well"))]
#[case::elsewhere(json!({"path": "fault"}), json!("what this is"), "Succeeded", None, None)]
fn success_beside_an_error_is_a_failure_whatever_the_profile_says(
    #[case] said: Value,
    #[case] error: Value,
    #[case] state: &str,
    #[case] code: Option<&str>,
    #[case] message: Option<&str>,
) {
    let profile = judge(&changed(|spec| spec["read"]["error"] = said)).unwrap();
    let declared = declared(&[]);
    let reply = json!({"operation": {"id": "op-1", "status": "done", "why": "all is well", "error": error}});
    let bound = profile.for_reading(&declared);
    let Ok(Reading::Found(observation)) = bound.interpret("op-1", document(&reply).root()) else { panic!() };
    assert_eq!(format!("{:?}", observation.state), state);
    let error = observation.error.unwrap_or_default();
    assert_eq!((error.code.as_deref(), error.message.as_deref()), (code, message));
}

#[test]
fn a_404_is_the_services_where_the_profile_says_so() {
    let profile = judge(&profile(right())).unwrap();
    let declared = declared(&[]);
    let bound = profile.for_reading(&declared);
    let whose = |code: Option<&str>, message: Option<&str>| {
        bound.whose(&ApiError {
            status: 404,
            code: code.map(Into::into),
            message: message.map(Into::into),
            request_id: None,
        })
    };
    assert_eq!(whose(Some("no_such_operation"), None), Whose::Service);
    assert_eq!(whose(Some("other"), Some("x")), Whose::Unclear);
    assert_eq!(whose(None, Some("Not Found")), Whose::Gateway);
    assert_eq!(whose(None, None), Whose::Gateway);
}

#[rstest::rstest]
#[case::missing(&[], "op-1", "spec.provider.declared.parameters.project: is missing; profile example wants it (the project)")]
#[case::unknown(&[("project", "p"), ("zone", "z")], "op-1", "parameters.zone: profile example has no such parameter (project)")]
#[case::pattern(&[("project", "P1")], "op-1", "parameters.project: \"P1\" does not match [a-z/]+, which profile example wants (the project)")]
#[case::pattern_of_a_part(&[("project", "ok 1")], "op-1", "does not match")]
#[case::empty(&[("project", "")], "op-1", "must be one line of 1 to 253 bytes")]
#[case::id(&[("project", "p")], "no", "spec.operationId: \"no\" does not match op-.+")]
#[case::line_break(&[("project", "p")], "op-1\n", "spec.operationId: must be one line")]
fn what_does_not_fit_the_profile_says_why(#[case] parameters: &[(&str, &str)], #[case] id: &str, #[case] why: &str) {
    let profile = judge(&profile(right())).unwrap();
    let declared = declared(parameters);
    let error = profile.bind(&declared, id).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_parameter_of_a_host_is_one_label_of_it() {
    let change = |spec: &mut Value| spec["endpoint"] = json!("https://{project}.regions.example.com/x");
    let profile = judge(&changed(|spec| {
        change(spec);
        spec["parameters"]["project"] = json!({});
    }))
    .unwrap();
    for value in ["evil.example/", "a.b", "a/../b", "a:1", "a@b", "-a", "a-", "a b", "ä"] {
        let declared = declared(&[("project", value)]);
        assert!(profile.bind(&declared, "op-1").unwrap_err().contains("cannot be a part of a host's name"), "{value}");
    }
    let declared = declared(&[("project", "eu-1")]);
    assert_eq!(
        profile.bind(&declared, "op-1").unwrap().endpoint().as_deref(),
        Some("https://eu-1.regions.example.com/x")
    );
}

/// Wrong profiles, as a change of the right one, and what is said of them.
#[rstest::rstest]
#[case("/hosts", json!(["https://x"]), "spec.hosts[0]: \"https://x\" is neither a host nor *.example.com")]
#[case("/endpoint", json!("https://evil.example"), "spec.endpoint: its host is none of spec.hosts")]
#[case("/endpoint", json!("http://api.example.com"), "spec.endpoint: \"http://api.example.com\" must begin with https://")]
#[case("/endpoint", json!("https://{zone}.regions.example.com"), "spec.endpoint: \"https://{zone}.regions.example.com\" names {zone}")]
#[case("/endpoint", json!("https://{project}"), "spec.endpoint: its host is none of spec.hosts")]
#[case("/endpoint", json!("https://api.example.com:8443"), "spec.endpoint: its host is none of spec.hosts")]
#[case("/request/path", json!("/v1/operations/{project}"), "spec.request: neither path nor query names {operationId}")]
#[case("/request/path", json!("/v1/../{project}/{operationId}"), "spec.request.path: \"/v1/../{project}/{operationId}\" has an empty segment, or one that leads upwards")]
#[case("/request/headers", json!({"Authorization": "Bearer x"}), "spec.request.headers.Authorization: this header may not be set")]
#[case("/request/headers", json!({"cookie": "x"}), "spec.request.headers.cookie: this header may not be set")]
#[case("/request/headers", json!({"HOST": "x"}), "spec.request.headers.HOST: this header may not be set")]
#[case("/request/headers", json!({"A": "x\ny"}), "spec.request.headers.A: its value is not one line")]
#[case("/request/headers", json!({"A": "x", "a": "y"}), "stands there twice")]
#[case("/request/headers", json!({"A b": "x"}), "a header's name is letters")]
#[case("/request/query", json!({"a": "{b}"}), "spec.request.query.a: \"{b}\" names {b}")]
#[case("/request/item", json!("a["), "spec.request.item: \"a[\" is no path: a bracket is not closed")]
#[case("/auth", json!({"oauth2": {"tokenUrl": "https://evil.example/token"}}), "spec.auth.oauth2.tokenUrl: its host is none of spec.hosts")]
#[case("/auth", json!({"keystone": {"url": "https://evil.example"}}), "spec.auth.keystone.url: its host is none of spec.hosts")]
#[case("/auth", json!({"header": {"name": "Cookie"}}), "spec.auth.header.name: Cookie is no header for a token")]
#[case("/auth", json!({}), "spec.auth: set at least one of")]
#[case("/parameters/zone", json!({}), "spec.parameters.zone: is used nowhere")]
#[case("/parameters/a.b", json!({}), "spec.parameters.a.b: a parameter's name is letters and digits")]
#[case("/parameters/operationId", json!({}), "a parameter's name is letters and digits, and not operationId")]
#[case("/parameters/project", json!({"pattern": "("}), "spec.parameters.project.pattern: \"(\" is no regular expression: unclosed group")]
#[case("/parameters/project", json!({"pattern": "(a{1000}){1000}"}), "spec.parameters.project.pattern")]
#[case("/parameters/project", json!({"pattern": "a", "default": "b"}), "spec.parameters.project.default: \"b\" does not match its pattern")]
#[case("/list/items", json!(".."), "spec.list.items: \"..\" is no path")]
#[case("/list/next", json!({"path": "next"}), "spec.list.next: set path and query, or linkHeader")]
#[case("/list/next", json!({"linkHeader": false}), "spec.list.next: set path and query, or linkHeader")]
#[case("/read/state", json!([{"path": "status"}]), "spec.read.state[0]: has neither words nor absent")]
#[case("/read/identity", json!({"path": "id", "is": "x"}), "spec.read.identity.is: must name {operationId}")]
#[case("/read/total", json!("n"), "spec.read: completed and total belong together")]
#[case("/read/error", json!({"ends": true, "code": "x"}), "spec.read.error.ends: needs path")]
#[case("/read/error", json!({}), "spec.read.error: has neither path nor code nor message")]
#[case("/read/subJobs", json!({"items": "a..b"}), "spec.read.subJobs.items: \"a..b\" is no path")]
#[case("/read/percent", json!("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"), "spec.read.percent: \"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q\" is no path: more than 16 steps")]
fn a_wrong_profile_is_refused_and_the_field_named(#[case] path: &str, #[case] value: Value, #[case] why: &str) {
    let wrong = changed(|spec| {
        let (parent, key) = path.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[key] = value;
    });
    let refusal = judge(&wrong).map(|_| ()).unwrap_err();
    assert_eq!(refusal.reason, "SpecInvalid", "{}", refusal.message);
    assert!(refusal.message.contains(why), "{}", refusal.message);
}

#[rstest::rstest]
#[case(json!({"phase": "Failed"}), "example \"ok\": phase should be Failed and was read as Succeeded (\"done\")")]
#[case(json!({"phase": "Succeeded", "upstreamState": "finished"}), "upstreamState should be \"finished\" and was read as \"done\"")]
#[case(json!({"phase": "Succeeded", "percent": 3}), "percent should be 3 and was read as absent")]
#[case(json!({"phase": "Succeeded", "message": "m"}), "message should be \"m\" and was read as absent")]
#[case(json!({"phase": "Succeeded", "error": {"code": "1"}}), "error.code should be \"1\" and was read as absent")]
#[case(json!({"phase": "Succeeded", "startTime": "2026-01-01T00:00:00Z"}), "startTime should be 2026-01-01T00:00:00Z and was read as absent")]
#[case(json!({"phase": "Succeeded", "subJobs": [{"name": "a", "phase": "Running"}]}), "subJobs should be [a Running] and was read as []")]
#[case(json!({"reason": "OperationCancelled"}), "reason should be OperationCancelled and was read as OperationSucceeded (\"done\")")]
#[case(json!({"reason": "InvalidResponse"}), "reason should be InvalidResponse and was read as OperationSucceeded")]
fn an_example_that_is_read_otherwise_is_named_with_what_differs(#[case] expect: Value, #[case] why: &str) {
    let refusal = judge(&changed(|spec| spec["examples"][0]["expect"] = expect)).map(|_| ()).unwrap_err();
    assert_eq!(refusal.reason, "ExampleFailed");
    assert!(refusal.message.contains(why), "{}", refusal.message);
}

#[test]
fn an_example_that_cannot_be_read_says_why() {
    let refusal = judge(&changed(|spec| spec["examples"][0]["reply"] = json!({"operation": {"id": "op-2"}})));
    let message = refusal.map(|_| ()).unwrap_err().message;
    assert_eq!(
        message,
        "example \"ok\": phase should be Succeeded and was read as InvalidResponse (the reply is about another operation, \
         op-2)"
    );
}

#[test]
fn the_status_says_whether_a_profile_serves_and_warns() {
    let now: jiff::Timestamp = "2026-11-27T00:00:00Z".parse().unwrap();
    let show = |profile: &OperationProfile| -> Vec<String> {
        let status = status(profile, &judge(profile), now);
        assert_eq!(status.observed_generation, Some(3));
        let conditions = status.conditions.iter();
        conditions.map(|c| format!("{} {} {}: {}", c.type_, c.status, c.reason, c.message)).collect()
    };
    assert_eq!(show(&profile(right())), ["Ready True Accepted: all 2 examples are read as expected"]);
    let of_a_resource = changed(|spec| spec["read"]["identity"]["of"] = json!("Resource"));
    let [warned] = show(&of_a_resource).try_into().unwrap();
    assert!(warned.starts_with("Ready True AcceptedWithWarnings: spec.read.identity.of is Resource"), "{warned}");
    let refused = changed(|spec| spec["examples"][0]["expect"] = json!({"phase": "Failed"}));
    let [ready, stalled] = show(&refused).try_into().unwrap();
    assert!(ready.starts_with("Ready False ExampleFailed: example \"ok\""), "{ready}");
    assert!(stalled.starts_with("Stalled True ExampleFailed: example \"ok\""), "{stalled}");
}

#[test]
fn a_thousand_words_and_deep_replies_are_read_in_bounded_time_and_depth() {
    let words: Vec<String> = (0..1000).map(|n| format!("*a*b*c*{n}")).collect();
    let profile = judge(&changed(|spec| {
        spec["read"]["state"][0]["words"]["Running"] = json!(words);
        spec["read"]["subJobs"] = json!({"items": "$", "children": "$"});
    }))
    .unwrap();
    let declared = declared(&[]);
    let bound = profile.for_reading(&declared);
    let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    let word = "abc".repeat(10_000);
    let reply = format!(r#"{{"operation":{{"id":"op-1","status":"{word}","deep":{deep}}}}}"#);
    let document = Document::parse(reply.as_bytes()).unwrap();
    let Ok(Reading::Found(observation)) = bound.interpret("op-1", document.root()) else { panic!() };
    assert_eq!(observation.state, crate::observation::State::Unrecognized);
    assert_eq!(observation.sub_jobs.len(), 20_000);
}
