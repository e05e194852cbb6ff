//! The `mcpdeck` program: everything is in the library, so that tests reach it.

use mcpdeck::backend::reaper;

fn main() -> std::process::ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == reaper::WORD) {
        return reaper::main();
    }
    mcpdeck::cli::main()
}
