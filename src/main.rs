//! The `mcpdeck` program: everything is in the library, so that tests reach it.

/// Memory that one worker takes and another gives back costs glibc's allocator a lock, and a call's bytes go that way.
/// Without huge pages (`no_thp`): 4 MB idle instead of 20.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mcpdeck::cli::main()
}
