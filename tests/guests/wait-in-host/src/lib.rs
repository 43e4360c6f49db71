//! Sleeps in the host: the processor is idle, the call is not over. With `std`, so with WASI.

guest_misbehaving::misbehave!("wait-in-host", wait);

fn wait() {
    std::thread::sleep(std::time::Duration::from_secs(3600));
}
