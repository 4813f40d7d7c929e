//! Writes the CustomResourceDefinitions into a folder: `crds/`.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::expect_used, clippy::panic, clippy::todo, clippy::unwrap_used))]

use std::path::Path;

use cloudop::api::{crd, profile_crd};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// The files, by their names.
fn files() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    let file = |crd: CustomResourceDefinition| {
        let yaml = serde_saphyr::to_string(&crd)?;
        let names = crd.spec.names;
        let name = format!("{}_{}.yaml", crd.spec.group, names.plural);
        Ok((name, format!("# Made by `make generate` from src/api; do not edit.\n{yaml}")))
    };
    [crd(), profile_crd()].into_iter().map(file).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?;
    for (name, text) in files()? {
        std::fs::write(Path::new(&folder).join(name), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_generated_definitions_are_current() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        let files = super::files().unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), files.len());
        for (name, text) in files {
            let held = std::fs::read_to_string(folder.join(&name)).unwrap();
            assert!(held == text, "crds/{name} differs from src/api: run `make generate`");
        }
    }
}
