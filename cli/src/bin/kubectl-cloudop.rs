//! The program, under the name kubectl-cloudop.

fn main() -> std::process::ExitCode {
    cloudop_cli::run()
}
