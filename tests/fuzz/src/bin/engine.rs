//! libFuzzer on the target that FUZZ_TARGET names, or what FUZZ_DO says: `targets`, `unpack` and `keep` with FUZZ_FOLDER,
//! `dictionary`. Its arguments are libFuzzer's.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cloudop_fuzz::mutation::{self, Chance, mutate};
use cloudop_fuzz::{TARGETS, Target, corpus};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    cloudop_fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: there is no such target"))
});

fuzz_target!(
    init: {
        if let Ok(task) = std::env::var("FUZZ_DO") {
            run(&task);
            std::process::exit(0);
        }
    },
    |data: &[u8]| (TARGET.run)(data)
);

fn run(task: &str) {
    let folder = PathBuf::from(std::env::var("FUZZ_FOLDER").unwrap_or_default());
    match task {
        "targets" => TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.longest)),
        "dictionary" => mutation::KEYS.iter().for_each(|word| println!("\"{word}\"")),
        "unpack" => corpus::unpack(TARGET.name, &folder),
        "keep" => corpus::keep(TARGET.name, &folder),
        _ => panic!("FUZZ_DO={task}: there is no such task"),
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if TARGET.is_json && seed % 4 != 0 {
        let at = data[..size].iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if let Ok(mut value) = serde_json::from_slice::<Value>(&data[at..size]) {
            mutate(&mut value, &mut Chance::new(seed));
            let text = value.to_string();
            if at + text.len() <= max_size {
                data[at..at + text.len()].copy_from_slice(text.as_bytes());
                return at + text.len();
            }
        }
    }
    fuzzer_mutate(data, size, max_size)
});
