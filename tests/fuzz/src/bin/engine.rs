//! libFuzzer on the target that FUZZ_TARGET names.
#![no_main]

use std::sync::LazyLock;

use cloudop_fuzz::Target;
use cloudop_fuzz::mutation::{Chance, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    cloudop_fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: there is no such target"))
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));

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
