//! The binary `sluice`.

#![forbid(unsafe_code)]

/// A call makes dozens of small allocations, and the threads that free them are not always those that made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sluice::cli::run()
}
