//! The inputs that are kept: a file for each target with an input a line, in Base64, and what was found, as it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::apis::{APIS, Ends, profiles};
use crate::mutation::WORDS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The file with a target's inputs.
pub fn pack(target: &str) -> PathBuf {
    folder("corpus").join(format!("{target}.base64"))
}

/// The minimised inputs of a target.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    let lines = std::fs::read_to_string(pack(target)).unwrap_or_default();
    lines.lines().map(|line| STANDARD.decode(line).unwrap()).collect()
}

/// Keeps what stands in `from`, the shortest first.
pub fn keep(target: &str, from: &Path) {
    let inputs: BTreeSet<Vec<u8>> = files(from).iter().map(|file| std::fs::read(file).unwrap()).collect();
    let mut inputs: Vec<Vec<u8>> = inputs.into_iter().collect();
    inputs.sort_by_key(Vec::len);
    let lines: String = inputs.iter().map(|input| STANDARD.encode(input) + "\n").collect();
    std::fs::write(pack(target), lines).unwrap();
}

/// Writes all that a search begins with into a folder, a file for each.
pub fn unpack(target: &str, folder: &Path) {
    let found = found(target).into_iter().map(|(_, input)| input);
    std::fs::create_dir_all(folder).unwrap();
    for (number, input) in kept(target).into_iter().chain(found).chain(seeds(target)).enumerate() {
        std::fs::write(folder.join(format!("{number:06}")), input).unwrap();
    }
}

/// Inputs that once broke something, by the names of their files.
pub fn found(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = files(&folder("found").join(target));
    files
        .iter()
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(file).unwrap()))
        .collect()
}

/// What a search begins with: what is known of the clouds, and what others wrote in such places.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    match target {
        "reply" => {
            replies().into_iter().chain(worded()).map(|(line, body)| format!("{line}\n{body}").into_bytes()).collect()
        }
        "large" => {
            replies().into_iter().chain(wordy()).map(|(line, body)| format!("{line}\n{body}").into_bytes()).collect()
        }
        "page" => pages(),
        "refusal" => refusals(),
        "retry-after" => lines(&[
            "Mon, 23 Nov 2026 12:00:00 GMT\n120",
            "Mon, 23 Nov 2026 12:00:00 GMT\nMon, 23 Nov 2026 12:01:00 GMT\n5",
            "\n0",
            "\n99999999999999999999\n-1",
            "Monday, 23-Nov-26 12:00:00 GMT\nMon Nov 23 12:00:09 2026",
        ]),
        "token" => lines(&[
            "\n{\"access_token\":\"t\",\"expires_in\":3600}",
            "t\n{\"token\":{\"issued_at\":\"2026-11-23T12:00:00Z\",\"expires_at\":\"2026-11-23T13:00:00.5Z\"}}",
            "\n{\"access_token\":\"t\",\"expires_in\":\"1e300\",\"expires_at\":\"2026-11-23 12:00:00 +0000 UTC\"}",
        ]),
        "secret" => secrets(),
        "endpoint" => lines(&[
            "otcCceJob\nhttps://cce.eu-de.otc.t-systems.com",
            "numspotKubernetes\nhttps://api.eu-west-2.numspot.com:443/x/",
            "huaweiCceUpgrade\nhttps://CCE.eu-west-0.myhuaweicloud.com.",
            "huaweiUcsFederation\nhttps://ucs.otc.t-systems.com",
            "sbercloudOpenshiftTask\nhttps://iam.api.cloud.ru",
            "otcJob\nhttps://obs.eu-de.otc.t-systems.com",
            "otcJob\nhttps://ecs.eu-de.otc.t-systems.com@10.0.0.1/",
            "otcJob\nhttps://[::ffff:10.0.0.1]:443/",
            "otcJob\nhttps://ecs\u{3002}eu-de.otc.t-systems.com",
        ]),
        "pem" => pems(),
        "redaction" => lines(&[
            "t0p/Secret+A=\nx 1 2 3",
            "p\"w\\d\n1\u{200b}",
            "aaaa\n111",
            "\u{3ff}?>~~\n3 x",
            "ab[redacted]\n1",
            "a b  c\n1 a\tb",
        ]),
        "text" => lines(&[
            "\u{8}plain words",
            "\u{4}\u{1b}]8;;http://x\u{1b}\\link",
            "\u{9}\u{9b}1mbold \u{202e}\0",
            "\u{40}a  b\t\u{e9}",
        ]),
        "time" => lines(&[
            "2024-06-12T16:04:14.267Z",
            "2018-11-13T20:20:39+0800",
            "2023-06-29 01:02:28.5 -0330 NST m=+0.01",
            "1718208254267",
            "1718208254.267",
            "2024-06-12",
            "2024-06-12T16:04:14[Europe/Berlin]",
        ]),
        "object" => objects(),
        "profile" => {
            let profiles = profiles().into_iter().map(|profile| serde_json::to_string(&profile).unwrap());
            profiles.map(|profile| format!("operation-1\n{profile}").into_bytes()).collect()
        }
        "kubeconfig" => kubeconfigs(),
        _ => Vec::new(),
    }
}

/// Replies about one operation: `<api> <operation ID>`, and the reply.
fn replies() -> Vec<(String, String)> {
    let mut replies = Vec::new();
    for case in cases() {
        let Ok(reply) = std::fs::read_to_string(case.with_extension("json")) else { continue };
        let asked: Value = serde_saphyr::from_str(&std::fs::read_to_string(&case).unwrap()).unwrap();
        let name = asked["provider"].as_object().unwrap().keys().next().unwrap();
        replies.push((format!("{name} {}", asked["operationId"].as_str().unwrap()), reply));
    }
    for profile in profiles() {
        let name = profile.metadata.name.unwrap_or_default();
        for example in profile.spec.examples.iter().filter(|example| example.from_list != Some(true)) {
            replies.push((format!("{name} {}", example.operation_id), example.reply.0.to_string()));
        }
    }
    replies
}

/// A reply of each API that is built in, once with each word that some API has.
fn worded() -> Vec<(String, String)> {
    let mut worded = Vec::new();
    for api in APIS.iter() {
        let Ends::BuiltIn { paths, .. } = &api.ends else { continue };
        let is_one = |line: &str| line.split(' ').next() == Some(&api.name);
        let place = |path: &str| format!("/{}", path.replace('.', "/"));
        let known = replies().into_iter().filter(|(line, _)| is_one(line)).find_map(|(line, body)| {
            let reply: Value = serde_json::from_str(&body).ok()?;
            let at = paths.iter().map(|path| place(path)).find(|at| reply.pointer(at).is_some())?;
            Some((line, reply, at))
        });
        let Some((line, mut reply, at)) = known else { continue };
        for word in WORDS {
            if let Some(place) = reply.pointer_mut(&at) {
                *place = json!(word);
            }
            worded.push((line.clone(), reply.to_string()));
        }
    }
    worded
}

/// A job whose parts have much to say, in letters that JSON writes as several.
fn wordy() -> Vec<(String, String)> {
    let text = "\u{1f600} \"quoted\" \\ and so on ";
    let part = json!({"kind": "Job", "metadata": {"uid": "p"}, "spec": {"type": text},
        "status": {"phase": "Failed", "reason": text, "message": text}});
    let job = json!({"kind": "Job", "metadata": {"uid": "j"}, "spec": {"type": text, "resourceName": text, "resourceID": text,
        "subJobs": [part]}, "status": {"phase": "Failed", "reason": text, "message": text}, "error": {"code": text, "message": text}});
    let operation = json!({"id": "j", "status": "FAILED", "operationType": text, "progress": text, "target": format!("https://x/{text}"),
        "targetName": text, "error": {"code": text, "detail": text, "instance": text}});
    vec![("otcCceJob j".to_owned(), job.to_string()), ("numspotKubernetes j".to_owned(), operation.to_string())]
}

fn cases() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(folder("../fixtures")).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| files(&folder));
    files
        .filter(|file| file.extension().is_some_and(|e| e == "yaml") && !file.to_string_lossy().contains(".expected."))
        .collect()
}

fn pages() -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    for (line, body) in replies() {
        let name = line.split(' ').next().unwrap_or_default();
        let Some(api) = APIS.iter().find(|api| api.name == name) else { continue };
        let list = api.list_around(&body).unwrap_or(body);
        pages.push(format!("{line}\n{list}").into_bytes());
    }
    for profile in profiles() {
        let name = profile.metadata.name.unwrap_or_default();
        for example in profile.spec.examples.iter().filter(|example| example.from_list == Some(true)) {
            pages.push(format!("{name} {}\n{}", example.operation_id, example.reply.0).into_bytes());
        }
    }
    pages
}

fn refusals() -> Vec<Vec<u8>> {
    let errors = [
        r#"{"errorMessage":"Resource not found","errorCode":"CCE.01404001"}"#,
        r#"{"error_msg":"The API does not exist","error_code":"APIGW.0101","request_id":"5b0fc"}"#,
        r#"{"error":{"code":401,"message":"The request needs authentication t0p/Secret+A=","title":"Unauthorized"}}"#,
        r#"{"error":"invalid_client","error_description":"p\"w\\d is wrong"}"#,
        r#"{"type":"urn:numspot:errors#conflict","title":"Conflict","detail":"d","violations":[{"field":"f","description":"d"}]}"#,
        r#"{"code":5,"message":"task not found","details":[]}"#,
        "<html><body>hunter2-lower</body></html>",
    ];
    let headers = [
        "401 x-request-id: hunter2-lower",
        "302 location: https://hunter2-lower.example/t0p",
        "429 retry-after: 7|date: Mon, 23 Nov 2026 12:00:00 GMT",
        "503 retry-after: Mon, 23 Nov 2026 12:10:00 GMT",
        "404 content-encoding: gzip",
        "200 link: <https://x.example/?page=2>; rel=\"next\"",
        "410 x",
    ];
    let names = APIS.iter().map(|api| api.name.as_str()).cycle();
    let pairs = errors.iter().flat_map(|error| headers.iter().map(move |line| (error, line)));
    pairs.zip(names).map(|((error, line), name)| format!("{name} {line}\n{error}").into_bytes()).collect()
}

fn secrets() -> Vec<Vec<u8>> {
    let sets = [
        "token=eyJhbGciOiJub25lIn0.e30.s1gnature0",
        "token=t0ken with spaces",
        "clientId=robot\nclientSecret=s3cret/+1 &0",
        "username=u\npassword=pass word 12\ndomainName=d",
        "accessKey=AK1\nsecretKey=sk-12345678\nsecurityToken=st-12345678",
        "keyId=k\nsecret=s3cret-12345\nendpoint=https://x.api.cloud.ru",
        "token=t0ken-with-newline\t\nca.crt=-----BEGIN CERTIFICATE-----\niamEndpoint=https://iam.example",
    ];
    let one = |api: &'static crate::apis::Api| {
        sets.iter().map(move |set| format!("{}\nprovider={}, other\n{set}", api.name, api.name).into_bytes())
    };
    APIS.iter().take(12).flat_map(one).collect()
}

fn pems() -> Vec<Vec<u8>> {
    // Of an authority that signs nothing.
    const CERTIFICATE: &str = include_str!("authority.pem");
    let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let texts = [
        CERTIFICATE.to_owned(),
        format!("{CERTIFICATE}{CERTIFICATE}"),
        format!("# one\r\n{key}{CERTIFICATE}"),
        CERTIFICATE.replace('\n', "\r\n"),
        CERTIFICATE.replace("-----END", "----END"),
    ];
    texts.map(String::into_bytes).into()
}

fn objects() -> Vec<Vec<u8>> {
    let mut objects = Vec::new();
    let lines = ["pending", "running", "succeeded", "failed", "absent", "secret", "down", ""];
    for (case, line) in cases().iter().zip(lines.iter().cycle()) {
        let mut spec: Value = serde_saphyr::from_str(&std::fs::read_to_string(case).unwrap()).unwrap();
        spec["credentialsRef"] = json!({"name": "cloud"});
        spec["notFoundGraceSeconds"] = json!(60);
        spec["activeDeadlineSeconds"] = json!(3600);
        spec["progressDeadlineSeconds"] = json!(600);
        spec["ttlSecondsAfterFinished"] = json!(60);
        spec["pollIntervalSeconds"] = json!(30);
        let text = std::fs::read_to_string(case.with_extension("expected.yaml")).unwrap_or_default();
        let status: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        let metadata = json!({"name": "a", "namespace": "n", "uid": "u", "generation": 1,
            "annotations": {"cloudop.dev/requested-at": "now"}});
        let object = json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": metadata, "spec": spec,
            "status": if status.get("nextPage").is_some() { Value::Null } else { status }});
        objects.push(format!("{line}\n{object}").into_bytes());
    }
    objects
}

fn kubeconfigs() -> Vec<Vec<u8>> {
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u, namespace: n}}]\n\
        clusters: [{name: k, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: QQ==}}]\n\
        users: [{name: u, user: {token: t, exec: {command: x, args: [a], apiVersion: client.authentication.k8s.io/v1}}}]\n";
    let profile = |api: &crate::apis::Api| match &api.ends {
        Ends::Described(spec) => {
            serde_saphyr::to_string(&json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": "OperationProfile",
            "metadata": {"name": api.name}, "spec": spec}))
            .ok()
        }
        Ends::BuiltIn { .. } => None,
    };
    let profiles = APIS.iter().filter_map(profile).take(6);
    profiles.chain([kubeconfig.to_owned(), "a: &a [x]\nb: *a\n".to_owned()]).map(String::into_bytes).collect()
}
