//! `corpus targets`, `corpus unpack TARGET FOLDER` (what is kept, what was found, and the seeds), `corpus keep TARGET FOLDER`,
//! `corpus dictionary FILE`.

use std::path::Path;

use cloudop_fuzz::{TARGETS, corpus, mutation};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["targets"] => TARGETS.iter().for_each(|target| println!("{}", target.name)),
        ["unpack", target, folder] => {
            let found = corpus::found(target).into_iter().map(|(_, input)| input);
            let inputs = corpus::kept(target).into_iter().chain(found).chain(corpus::seeds(target));
            std::fs::create_dir_all(folder).unwrap();
            for (number, input) in inputs.enumerate() {
                std::fs::write(Path::new(folder).join(format!("{number:06}")), input).unwrap();
            }
        }
        ["keep", target, folder] => corpus::keep(target, Path::new(folder)),
        ["dictionary", file] => {
            let words = mutation::KEYS.iter().map(|word| format!("\"{word}\"\n"));
            std::fs::write(file, words.collect::<String>()).unwrap();
        }
        _ => {
            eprintln!("usage: corpus targets | unpack TARGET FOLDER | keep TARGET FOLDER | dictionary FILE");
            std::process::exit(2);
        }
    }
}
