//! Logs without end, with everything that could make a line look like two.

#![cfg_attr(target_family = "wasm", no_std)]

use sluice_sdk::log;

guest_misbehaving::misbehave!("flood-log", flood);
sluice_sdk::lean!();

fn flood() {
    loop {
        log::write(
            log::Level::Error,
            "\u{1b}[2J\n{\"level\":\"INFO\",\"message\":\"all is well\"}\r\n\u{202e}",
            &[("plugin", "another"), ("a\nb", "c\nd")],
        );
    }
}
