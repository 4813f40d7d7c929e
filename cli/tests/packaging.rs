//! What is packed and published: krew's manifest, the Dockerfile, the notes of a release. What takes minutes (`make cli`,
//! `make image`, `make release`) looks at its results itself.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn krew_accepts_the_manifest_and_installs_the_archives() {
    let folder = tempfile::tempdir().unwrap();
    for arch in ["amd64", "arm64"] {
        let name = format!("kubectl-cloudop-{VERSION}-linux-{arch}");
        let inside = folder.path().join(&name);
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("kubectl-cloudop"), arch).unwrap();
        std::fs::set_permissions(inside.join("kubectl-cloudop"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(repository().join("LICENSE"), inside.join("LICENSE")).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["czf", &format!("{name}.tar.gz"), &name]).current_dir(folder.path());
        assert!(tar.status().unwrap().success());
    }
    let mut krew = Command::new(repository().join("deploy/cli/krew"));
    let output = krew.arg(folder.path()).arg("https://example.com/v1").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let manifest = std::fs::read_to_string(folder.path().join("krew.yaml")).unwrap();
    assert!(!manifest.contains('@') && manifest.contains(&format!("version: v{VERSION}\n")), "{manifest}");
    assert!(
        manifest.contains(&format!("https://example.com/v1/kubectl-cloudop-{VERSION}-linux-arm64.tar.gz")),
        "{manifest}"
    );
}

/// Cargo reads the manifests of all members, also of those that are not built.
#[test]
fn the_dockerfile_copies_the_whole_workspace() {
    let dockerfile = read("Dockerfile");
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .flat_map(|line| line.split(' '))
        .filter(|word| !word.starts_with("--"))
        .collect();
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    let members: Vec<&str> = members.trim_end_matches(']').split(", ").map(|member| member.trim_matches('"')).collect();
    assert!(members.contains(&"cli"), "{members:?}");
    for path in members.iter().chain(&["src", "Cargo.lock", ".cargo", "docs"]) {
        assert!(copied.contains(path), "the Dockerfile does not copy {path}");
    }
}

#[test]
fn the_examples_name_the_image_of_this_version() {
    let mut found = 0;
    for file in ["tekton/task-cloudop.yaml", "gitlab-ci/gitlab-ci-cloudop.yml", "argo-workflows/workflow-cloudop.yaml"]
    {
        let text = read(format!("examples/gates/{file}"));
        for line in text.lines().filter_map(|line| line.split_once("image: ")) {
            assert_eq!(line.1, format!("registry.cloudop.dev/kubectl-cloudop:{VERSION}"), "{file}");
            found += 1;
        }
    }
    assert_eq!(found, 3);
}

#[test]
fn the_notes_of_a_release_are_its_part_of_the_changelog() {
    let notes = |version: &str, changelog: &Path| {
        let file = std::fs::File::open(changelog).unwrap();
        let mut command = Command::new(repository().join("deploy/release/notes"));
        command.arg(version).stdin(Stdio::from(file)).output().unwrap()
    };
    let ours = repository().join("CHANGELOG.md");
    let output = notes("Unreleased", &ours);
    let text = said(&output);
    assert!(output.status.success() && text.starts_with("### "), "{text}");
    let changelog = read(&ours);
    assert!(changelog.contains(&format!("## Unreleased\n\n{text}")), "{text}");
    let output = notes("99.0.0", &ours);
    assert!(!output.status.success() && said(&output).contains("says nothing of 99.0.0"), "{}", said(&output));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("CHANGELOG.md");
    let text = "# Changelog\n\n## Unreleased\n\n## [1.10.0] - 2027-01-02\n\n- b\n\n### Fixed\n\n- c\n\n## 1.1.0 - 2027-01-01\n\n- a\n";
    std::fs::write(&file, text).unwrap();
    assert_eq!(said(&notes("1.10.0", &file)), "- b\n\n### Fixed\n\n- c\n");
    assert_eq!(said(&notes("1.1.0", &file)), "- a\n");
    assert!(!notes("Unreleased", &file).status.success());
    assert!(!notes("1.1", &file).status.success());
}
