//! The compiling program of this crate's tests; in production it is `tamiz compile-component`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [_subcommand, _, input, _, output] = arguments.as_slice() else {
        eprintln!("usage: compile_child compile-component --input FILE --output FILE");
        return ExitCode::FAILURE;
    };
    match tamiz_host::compile_child_main(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
