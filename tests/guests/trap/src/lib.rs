//! Runs into `unreachable`.

#![cfg_attr(target_family = "wasm", no_std)]

guest_misbehaving::misbehave!("trap", fall);
sluice_sdk::lean!();

fn fall() {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
}
