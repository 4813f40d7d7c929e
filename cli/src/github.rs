//! GitHub Actions: a failure as an annotation of the run and in its summary.
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;

/// Says in a run of GitHub Actions what went wrong; elsewhere nothing.
pub fn annotate(title: &str, message: &str, details: &[String]) {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return;
    }
    let lines = std::iter::once(message).chain(details.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
    println!("::error title={}::{}", property(title), data(&lines));
    let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY") else { return };
    let mut text = format!("### {}\n\n", plain(title));
    for line in lines.lines() {
        let _ = writeln!(text, "- {}", plain(line));
    }
    text.push('\n');
    // The summary is an extra: without it the run has the annotation.
    let _ =
        OpenOptions::new().append(true).create(true).open(file).and_then(|mut file| file.write_all(text.as_bytes()));
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Without what Markdown and HTML would make of it.
fn plain(text: &str) -> String {
    let escape = |c: char| if "\\`*_{}[]<>#|".contains(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clouds_text_ends_no_command_and_is_no_markup() {
        assert_eq!(data("100%\n::error::x"), "100%25%0A::error::x");
        assert_eq!(property("a: b, c"), "a%3A b%2C c");
        assert_eq!(plain("<img> [x](y)"), "\\<img\\> \\[x\\](y)");
    }
}
