//! The rules of ARCHITECTURE.md, "Who may import what", held against the text of `src/`. Tests in `src/` may import
//! what they like.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What of the crate each module may name beside itself; a submodule with rules of its own stands below its parent.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("api", &["provider"]),
    ("auth", &["observation", "provider"]),
    ("auth::methods", &["auth", "observation", "provider"]),
    ("auth::secret_keys", &["auth", "observation"]),
    ("auth::signature", &["auth"]),
    ("auth::token_cache", &["auth", "clock", "observation"]),
    ("auth::token_request", &["auth", "document", "time"]),
    ("clock", &["schedule"]),
    (
        "controller",
        &[
            "api",
            "auth::Account",
            "clock",
            "credentials",
            "decision",
            "events",
            "history",
            "metrics",
            "observation",
            "profile",
            "provider",
            "schedule",
            "upstream",
        ],
    ),
    ("controller::pace", &[]),
    ("credentials", &["auth", "clock", "observation", "provider"]),
    ("decision", &["api", "history", "observation", "schedule", "wording"]),
    ("document", &["observation", "time"]),
    ("events", &["api", "decision", "wording"]),
    ("history", &["api"]),
    ("hosts", &[]),
    ("metrics", &[]),
    ("observation", &[]),
    ("profile", &["api", "document", "hosts", "observation", "provider", "time"]),
    ("provider", &["document", "hosts", "observation", "time"]),
    ("schedule", &["api", "history"]),
    ("server", &["clock", "controller"]),
    ("time", &[]),
    ("traces", &["controller"]),
    ("upstream", &["auth", "clock", "document", "metrics", "observation", "provider"]),
    ("upstream::guard", &["auth", "hosts", "observation", "provider", "upstream::guard", "wording"]),
    (
        "upstream::reply",
        &["auth", "document", "observation", "provider", "upstream::guard", "upstream::reply", "wording"],
    ),
    ("upstream::send", &["auth", "clock", "hosts", "observation", "provider", "upstream"]),
    ("upstream::share", &["observation", "upstream::Inquiry", "upstream::share"]),
    ("wording", &[]),
];

/// The modules whose answer depends on their arguments alone.
const PURE: &[&str] = &[
    "api",
    "auth::methods",
    "auth::secret_keys",
    "auth::signature",
    "auth::token_request",
    "controller::pace",
    "decision",
    "document",
    "history",
    "hosts",
    "observation",
    "profile",
    "provider",
    "schedule",
    "time",
    "upstream::guard",
    "upstream::reply",
    "upstream::send::proxy",
    "upstream::send::room",
    "upstream::share",
    "wording",
];

/// Where I/O, waiting, logs and randomness come from; clocks are clippy's (clippy.toml).
const IMPURE: &[&str] = &[
    "clock::",
    "getrandom::",
    "hyper::client",
    "hyper::server",
    "kube::Api",
    "kube::Client",
    "kube::client",
    "println!",
    "rand::",
    "reqwest::Client",
    "reqwest::blocking",
    "reqwest::get",
    "std::env",
    "std::fs",
    "std::io::Read",
    "std::io::Write",
    "std::io::std",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "tokio::",
    "tracing::",
];

/// A file of `src/` without its comments and tests.
struct Source {
    /// Such as `provider::otc_cce_job`.
    module: String,
    path: PathBuf,
    code: String,
}

impl Source {
    /// Whether it is `module` or stands below it.
    fn is_in(&self, module: &str) -> bool {
        self.module.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    /// What the code names by `crate::`: modules, and below them whatever is named.
    fn imports(&self) -> BTreeSet<&str> {
        let names = self.code.split("crate::").skip(1);
        let end = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        names.map(|rest| rest[..end(rest)].trim_end_matches(':')).collect()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let parts: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
            let is_program = matches!(parts[0], "main" | "lib" | "bin");
            if !is_program && parts.last() != Some(&"tests") {
                let module = parts.join("::");
                let module = module.strip_suffix("::mod").unwrap_or(&module).to_owned();
                let code = without_tests(&std::fs::read_to_string(&path).unwrap());
                sources.push(Source { module, path, code });
            }
        }
    }
    assert!(sources.len() > 20, "only {} files found", sources.len());
    sources
}

/// The code up to the tests, which come last in a file, without comments.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines();
    lines.map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The rule for a module: its own, else that of the nearest module above it.
fn may_import(source: &Source) -> &'static [&'static str] {
    let rules = MAY_IMPORT.iter().filter(|(module, _)| source.is_in(module));
    let rule = rules.max_by_key(|(module, _)| module.len());
    rule.unwrap_or_else(|| panic!("{}: there is no rule for it here", source.path.display())).1
}

/// Whether `name` is `module` or stands below it.
fn is_below(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn every_module_imports_only_what_it_may() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own = source.module.split("::").next().unwrap();
        let allowed = may_import(&source);
        // A room with walls of its own says what it may have of its house, too.
        let has_walls = MAY_IMPORT.iter().any(|(module, _)| module.contains("::") && source.is_in(module));
        for import in source.imports() {
            let is_own = is_below(import, own) && !has_walls;
            if !is_own && !allowed.iter().any(|allowed| is_below(import, allowed)) {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A module's children stand on their own: what two of them share is a module beside them.
#[test]
fn no_arrow_runs_back_up_to_a_mod_rs() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.is_in("controller")) {
        let is_child = source.module.contains("::");
        let modules: Vec<String> = sources().iter().map(|source| source.module.clone()).collect();
        for named in source.code.split("super::").skip(1).filter(|_| is_child) {
            let name = named.trim_start_matches('{').split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            if !name.is_empty() && !modules.contains(&format!("controller::{name}")) {
                wrong.push(format!("{} names super::{name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_is_about_a_module_that_exists() {
    let sources = sources();
    for (module, imports) in MAY_IMPORT {
        for module in [module].into_iter().chain(*imports) {
            let is_item = module.rsplit("::").next().unwrap().starts_with(|c: char| c.is_uppercase());
            assert!(is_item || sources.iter().any(|source| source.module == *module), "there is no module {module}");
        }
    }
    assert!(PURE.iter().all(|module| sources.iter().any(|source| source.module == *module)));
}

#[test]
fn pure_modules_do_nothing_but_answer() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| PURE.iter().any(|module| source.is_in(module))) {
        for word in IMPURE.iter().filter(|word| source.code.contains(**word)) {
            wrong.push(format!("{} has {word}", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_provider_is_named_in_its_file_and_in_the_table_only() {
    let sources = sources();
    let is_provider = |source: &&Source| source.is_in("provider") && source.code.contains("impl CloudApi for");
    let providers: Vec<&Source> = sources.iter().filter(is_provider).collect();
    assert!(providers.len() >= 5, "only {} providers found", providers.len());
    for provider in providers {
        let name = provider.module.trim_start_matches("provider::");
        let camel: String = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        for other in sources.iter().filter(|other| other.module != provider.module && other.module != "provider") {
            for word in [name, &camel] {
                assert!(!other.code.contains(word), "{} names {word}", other.path.display());
            }
        }
    }
}

#[test]
fn a_sign_in_method_is_named_in_its_file_and_in_the_table_only() {
    let sources = sources();
    let table = sources.iter().find(|source| source.module == "auth::methods").unwrap();
    let types =
        table.code.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';')?.split_once("::"));
    let types: Vec<(&str, &str)> = types.collect();
    let files = sources.iter().filter(|source| source.module.starts_with("auth::methods::"));
    assert_eq!(types.len(), files.count(), "{types:?}");
    for (module, name) in types {
        let file = format!("auth::methods::{module}");
        for other in sources.iter().filter(|other| ![&file, &table.module].contains(&&other.module)) {
            let mut words = other.code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(!words.any(|word| word == name), "{} names {name}", other.path.display());
        }
    }
}

#[test]
fn each_side_keeps_its_errors_to_itself() {
    for source in sources() {
        let knows_kubernetes = ["controller", "credentials", "events"].iter().any(|module| source.is_in(module));
        assert!(knows_kubernetes || !source.code.contains("kube::Error"), "{} sees it", source.path.display());
        let is_above_upstream = ["controller", "credentials", "decision", "events", "schedule"];
        if is_above_upstream.iter().any(|module| source.is_in(module)) {
            for word in ["reqwest", "hyper", "StatusCode"] {
                assert!(!source.code.contains(word), "{} has {word}", source.path.display());
            }
        }
    }
}
