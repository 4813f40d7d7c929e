//! The program, under the name cloudop.

fn main() -> std::process::ExitCode {
    cloudop_cli::run()
}
