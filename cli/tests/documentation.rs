//! docs/cli.md has the help of every command as it is. `UPDATE_EXPECTED=1` writes it.

use std::path::Path;
use std::process::Command;

const BEGIN: &str =
    "<!-- begin: written by UPDATE_EXPECTED=1 cargo test --package cloudop-cli --test documentation -->\n";
const END: &str = "<!-- end: written by UPDATE_EXPECTED=1 cargo test --package cloudop-cli --test documentation -->\n";
/// What all commands have in common, shown once.
const SHARED: &str = "\nCluster:\n";

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The names under `Commands:` of a help text.
fn commands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

fn section(command: &[&str], text: &mut String) {
    let help = help(command);
    let shown = match command.is_empty() {
        true => help.as_str(),
        false => help.split_once(SHARED).map_or(help.as_str(), |(own, _)| own),
    };
    let lines: Vec<&str> = shown.trim_end().lines().map(str::trim_end).collect();
    let title = ["kubectl cloudop"].iter().chain(command).copied().collect::<Vec<_>>().join(" ");
    *text += &format!("\n### {title}\n\n```text\n{}\n```\n", lines.join("\n"));
    for name in commands(&help) {
        section(&[command, &[&name]].concat(), text);
    }
}

#[test]
fn every_command_is_in_the_documentation_as_it_is() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut text = String::new();
    section(&[], &mut text);
    assert!(text.matches("\n### ").count() > 8, "{text}");
    let current = format!("{before}{BEGIN}{text}\n{END}{after}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, &current).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap() == current,
        "docs/cli.md is not current: UPDATE_EXPECTED=1 cargo test --package cloudop-cli --test documentation"
    );
}
