//! The program as it is used: what it prints, and with which exit code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;

const EXAMPLE: &str = "
apiVersion: cloudop.dev/v1alpha1
kind: OperationProfile
metadata: {name: example}
spec:
  cloud: Example Cloud
  hosts: [api.example.com]
  endpoint: https://api.example.com
  auth: {bearer: {}}
  parameters: {project: {pattern: '[a-z]+'}}
  request: {path: '/v1/{project}/operations/{operationId}', item: operation}
  read:
    identity: {path: id}
    state:
      - {path: status, words: {Running: [busy], Succeeded: [done], Failed: [failed]}}
    error: {path: error}
    percent: progress
    notFound: {codes: [no_such_operation]}
  examples:
    - {name: good, operationId: op-7, reply: {operation: {id: op-7, status: done}}, expect: {phase: Succeeded}}
    - {name: bad, operationId: op-7, reply: {operation: {id: op-7, status: failed}}, expect: {phase: Failed}}
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn cloudop(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloudop")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn test(file: &Path) -> (Option<i32>, String, String) {
    let output = cloudop(&["profile", "test", &file.to_string_lossy()]);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_line_for_each_example_and_exit_code_0() {
    let folder = Folder::new();
    let file = folder.file("profile.yaml", EXAMPLE);
    assert_eq!(test(&file), (Some(0), "✔ example: good\n✔ example: bad\n".to_owned(), String::new()));
}

#[test]
fn several_files_and_several_profiles_in_one() {
    let folder = Folder::new();
    let two = format!("{EXAMPLE}---\n{}", EXAMPLE.replace("name: example}", "name: second}"));
    let (one, two) = (folder.file("one.yaml", EXAMPLE), folder.file("two.yaml", &two));
    let output = cloudop(&["profile", "test", &one.to_string_lossy(), &two.to_string_lossy()]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(0), 6));
    assert!(text(&output.stdout).ends_with("✔ second: good\n✔ second: bad\n"));
}

#[rstest]
#[case::example(
    "status: done",
    "status: busy",
    "✖ example: example \"good\": phase should be Succeeded and was read as Running (\"busy\")"
)]
#[case::spec(
    "identity: {path: id}",
    "identity: {path: id..x}",
    "✖ example: spec.read.identity.path: \"id..x\" is no path: a key is empty"
)]
#[case::one_end(
    "phase: Failed",
    "reason: OperationFailed",
    "✖ example: spec.examples must hold one that is expected to be Succeeded and one that is Failed"
)]
fn what_is_wrong_is_said_and_the_exit_code_is_1(#[case] right: &str, #[case] wrong: &str, #[case] line: &str) {
    let folder = Folder::new();
    let (code, stdout, _) = test(&folder.file("profile.yaml", &EXAMPLE.replacen(right, wrong, 1)));
    assert_eq!(code, Some(1));
    assert!(stdout.lines().any(|said| said == line), "{stdout}");
}

#[rstest]
#[case::unknown_field("percent: progress", "percents: progress", "there is no field spec.read.percents")]
#[case::nested(
    "{path: status, words",
    "{path: status, otherwise: x, words",
    "there is no field spec.read.state[0].otherwise"
)]
#[case::other_kind("kind: OperationProfile", "kind: Secret", "holds a \"Secret\", and OperationProfiles are wanted")]
#[case::not_yaml("metadata: {name", "metadata: {{name", "profile.yaml: ")]
#[case::missing_field("  cloud: Example Cloud\n", "", "missing field `cloud`")]
fn what_is_no_profile_is_refused(#[case] right: &str, #[case] wrong: &str, #[case] why: &str) {
    let folder = Folder::new();
    let (code, stdout, stderr) = test(&folder.file("profile.yaml", &EXAMPLE.replacen(right, wrong, 1)));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("error: ") && stderr.contains(why), "{stderr}");
}

#[test]
fn a_missing_file_is_named() {
    let (code, _, stderr) = test(Path::new("/nowhere/profile.yaml"));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: /nowhere/profile.yaml: "), "{stderr}");
}

#[test]
fn a_reply_becomes_the_status_that_it_would_give() {
    let folder = Folder::new();
    let profile = folder.file("profile.yaml", EXAMPLE);
    let reply = folder.file("reply.json", r#"{"operation":{"id":"op-9","status":"busy","progress":40}}"#);
    let tried = |more: &[&str]| {
        let (profile, reply) = (profile.to_string_lossy(), reply.to_string_lossy());
        cloudop(&[&["profile", "try", &profile, "--reply", &reply], more].concat())
    };
    let output = tried(&[]);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let status = text(&output.stdout);
    for line in ["phase: Running", "upstreamState: busy", "percent: 40", "provider: example"] {
        assert!(status.contains(line), "{status}");
    }
    let other = text(&tried(&["--operation-id", "op-1"]).stdout);
    assert!(other.contains("the reply is about another operation, op-9"), "{other}");
    let refused = tried(&["--parameter", "project"]);
    assert_eq!(text(&refused.stderr), "error: --parameter project: is not NAME=VALUE\n");
}

#[test]
fn every_shipped_profile_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path().to_string_lossy().into_owned());
    let files: Vec<String> = files.collect();
    assert!(files.len() > 20, "{files:?}");
    let arguments: Vec<&str> = ["profile", "test"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = cloudop(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn without_a_command_the_usage_is_shown() {
    let output = cloudop(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Usage: kubectl cloudop [OPTIONS] <COMMAND>"));
}
