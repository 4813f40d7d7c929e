//! What to do next, from the tables of docs/providers: they stand in the program as they are on the pages.

use std::sync::LazyLock;

use cloudop::api::CloudOperation;
use regex::Regex;

use crate::verdict::condition;

/// The pages that have such a table, by their provider; `""` is for all.
const PAGES: &[(&str, &str)] = &[
    ("numspotKubernetes", include_str!("../../docs/providers/numspot-kubernetes.md")),
    ("huaweiCceUpgrade", include_str!("../../docs/providers/huawei-cce-upgrade.md")),
    ("huaweiUcsFederation", include_str!("../../docs/providers/huawei-ucs-federation.md")),
    ("otcCceJob", include_str!("../../docs/providers/otc-cce-job.md")),
    ("sbercloudOpenshiftTask", include_str!("../../docs/providers/sbercloud-openshift-task.md")),
    ("declared", include_str!("../../docs/profiles.md")),
    ("", include_str!("../../docs/providers/README.md")),
];

/// A row of such a table.
struct Row {
    provider: &'static str,
    message: Regex,
    step: String,
}

static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| PAGES.iter().flat_map(|(provider, page)| rows(provider, page)).collect());

/// The next step of the first row whose message is that of `operation`: of its provider's page, then of all.
pub fn advice(operation: &CloudOperation) -> Option<&'static str> {
    let status = operation.status.as_ref()?;
    let unseen = condition(status, "UpstreamReachable").filter(|reachable| *reachable.status == *"False");
    let message = &unseen.or_else(|| condition(status, "Succeeded"))?.message;
    look_up(operation.spec.provider.name(), message)
}

fn look_up(provider: &str, message: &str) -> Option<&'static str> {
    let is_its = |row: &&Row| row.provider == provider || row.provider.is_empty();
    let row = ROWS.iter().filter(is_its).find(|row| row.message.is_match(message))?;
    // The message itself says it, or there is nothing to do.
    (!row.step.starts_with("as it says")).then_some(row.step.as_str())
}

/// The rows of the tables that end in a next step.
fn rows(provider: &'static str, page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let cells = cells(line);
        match cells.as_slice() {
            [_, reason, step] if reason == "reason" && step == "next step" => is_inside = true,
            [message, _, step] if is_inside => {
                let patterns = message.split('`').skip(1).step_by(2).filter_map(pattern);
                rows.extend(patterns.map(|message| Row { provider, message, step: step.replace('`', "") }));
            }
            _ => is_inside = false,
        }
    }
    rows
}

/// The cells of a row: `\|` is no border.
fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|')) else { return Vec::new() };
    inner.replace("\\|", "\u{0}").split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// A message in which `<…>`, `…` and the keys in parentheses stand for any text, and `[…]` for text that may be missing.
fn pattern(message: &str) -> Option<Regex> {
    static PLACES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"<[^>]*>|…|\[[^\]]*\]|\(keys? [^)]*\)").ok());
    let mut text = String::from("(?s)^");
    let mut from = 0;
    for place in PLACES.as_ref()?.find_iter(message) {
        text += &regex::escape(&message[from..place.start()]);
        text += ".*";
        from = place.end();
    }
    text += &regex::escape(&message[from..]);
    // What follows in a condition, such as when it is asked again, does not matter.
    Regex::new(&text).ok().filter(|_| message.chars().filter(char::is_ascii_alphabetic).count() > 8)
}

#[cfg(test)]
mod tests {
    use cloudop::provider::Provider;

    use super::*;

    #[test]
    fn all_pages_with_such_a_table_are_there() {
        for (name, _) in PAGES {
            assert!(name.is_empty() || Provider::NAMES.contains(name), "{name}");
            assert!(ROWS.iter().any(|row| row.provider == *name), "{name}");
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/providers");
        let files =
            std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let with_table: Vec<String> = files.filter(|page| page.contains("| reason | next step |")).collect();
        for page in &with_table {
            assert!(PAGES.iter().any(|(_, known)| known == page), "{page}");
        }
        assert_eq!(with_table.len(), PAGES.len() - 1, "docs/profiles.md is elsewhere");
    }

    #[rstest::rstest]
    #[case(
        "otcCceJob",
        "Open Telekom Cloud CCE answered 403 (CCE.01403001 denied): the credential may not read this operation: give its owner the right to, or put another into the Secret (key token)",
        Some("grant cce:job:get; does projectId belong to the user?")
    )]
    #[case(
        "huaweiUcsFederation",
        "Huawei Cloud UCS answered 404 (UCS.00000013 no such cluster group): it does not know this operation",
        Some("is it the fleet's ID (not the federation's)? has the job begun?")
    )]
    #[case(
        "numspotKubernetes",
        "spec.credentialsRef: there is no Secret numspot in namespace default; create it",
        Some("create it, or correct spec.credentialsRef.name")
    )]
    #[case(
        "huaweiJob",
        "Huawei Cloud cannot be reached: ecs.eu-west-101.myhuaweicloud.eu refuses the connection",
        Some("port and host of endpoint")
    )]
    #[case("otcCceJob", "OTC says Running (1/3)", None)]
    #[case(
        "otcCceJob",
        "not finished within 60 s (spec.activeDeadlineSeconds); OTC says Running",
        Some("it may still go on at the cloud")
    )]
    fn the_next_step_is_that_of_the_page(#[case] provider: &str, #[case] message: &str, #[case] step: Option<&str>) {
        assert_eq!(look_up(provider, message), step);
    }

    #[test]
    fn a_border_within_a_cell_is_none() {
        assert_eq!(cells(r"| `a \| b` | c |"), ["`a | b`", "c"]);
    }
}
