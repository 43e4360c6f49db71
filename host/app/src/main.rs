//! The binary `sluice`.

#![forbid(unsafe_code)]

/// A call makes some sixty small allocations, and frees half of them on another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sluice::cli::run()
}
