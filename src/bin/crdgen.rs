//! Prints the CustomResourceDefinition that `crds/` holds.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::expect_used, clippy::panic, clippy::todo, clippy::unwrap_used))]

fn yaml() -> Result<String, serde_saphyr::ser::Error> {
    let yaml = serde_saphyr::to_string(&cloudop::api::crd())?;
    Ok(format!("# Made by `make generate` from src/api; do not edit.\n{yaml}"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", yaml()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_generated_definition_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/cloudop.dev_cloudoperations.yaml");
        let held = std::fs::read_to_string(path).unwrap();
        assert!(held == super::yaml().unwrap(), "crds/ differs from src/api: run `make generate`");
    }
}
