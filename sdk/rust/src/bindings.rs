//! What wit-bindgen makes of the contract. One world for what every plugin has and may import, one per hook:
//! a component must export all of the worlds it was built from, so a hook nobody named must not be in any.
//!
//! Imports are different: the linker drops those that are never called, so [`base`] names them all.

#![allow(missing_docs, unsafe_code, reason = "generated; the contract's own comments are in wit/")]

pub use alloc::vec::Vec;

pub mod base {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package sluice:sdk;
            world base {
                import sluice:filter/log@0.1.0;
                import sluice:filter/metrics@0.1.0;
                import sluice:filter/payload@0.1.0;
                import sluice:filter/patterns@0.1.0;
                import sluice:filter/kv@0.1.0;
                import sluice:filter/secrets@0.1.0;
                import sluice:filter/fetch@0.1.0;
                import sluice:filter/upstream@0.1.0;
                import sluice:filter/catalog@0.1.0;
                import sluice:filter/outbound@0.1.0;
                import sluice:filter/chunks@0.1.0;
                export sluice:filter/describe@0.1.0;
                export sluice:filter/lifecycle@0.1.0;
            }
        ",
        world: "sluice:sdk/base",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::base",
        additional_derives: [PartialEq, Eq],
        // It holds a rate.
        additional_derives_ignore: ["op"],
        generate_all,
    });
}

pub mod authenticate {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world authenticate-hook { export sluice:filter/authenticate@0.1.0; }",
        world: "sluice:sdk/authenticate-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::authenticate",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
        },
    });
}

pub mod on_http {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-http-hook { export sluice:filter/on-http@0.1.0; }",
        world: "sluice:sdk/on-http-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_http",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
        },
    });
}

pub mod on_request {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-request-hook { export sluice:filter/on-request@0.1.0; }",
        world: "sluice:sdk/on-request-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_request",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
        },
    });
}

pub mod on_outbound {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-outbound-hook { export sluice:filter/on-outbound@0.1.0; }",
        world: "sluice:sdk/on-outbound-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_outbound",
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
            "sluice:filter/secrets@0.1.0": crate::bindings::base::sluice::filter::secrets,
            "sluice:filter/outbound@0.1.0": crate::bindings::base::sluice::filter::outbound,
        },
    });
}

pub mod on_response {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-response-hook { export sluice:filter/on-response@0.1.0; }",
        world: "sluice:sdk/on-response-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_response",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
        },
    });
}

pub mod on_chunk {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-chunk-hook { export sluice:filter/on-chunk@0.1.0; }",
        world: "sluice:sdk/on-chunk-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_chunk",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
            "sluice:filter/chunks@0.1.0": crate::bindings::base::sluice::filter::chunks,
        },
    });
}

pub mod on_notification {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-notification-hook { export sluice:filter/on-notification@0.1.0; }",
        world: "sluice:sdk/on-notification-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_notification",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
        },
    });
}

pub mod on_catalog {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-catalog-hook { export sluice:filter/on-catalog@0.1.0; }",
        world: "sluice:sdk/on-catalog-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_catalog",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
            "sluice:filter/catalog@0.1.0": crate::bindings::base::sluice::filter::catalog,
        },
    });
}

pub mod on_done {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package sluice:sdk; world on-done-hook { export sluice:filter/on-done@0.1.0; }",
        world: "sluice:sdk/on-done-hook",
        pub_export_macro: true,
        default_bindings_module: "sluice_sdk::bindings::on_done",
        additional_derives: [PartialEq, Eq],
        with: {
            "sluice:filter/types@0.1.0": crate::bindings::base::sluice::filter::types,
        },
    });
}

/// The WASI interfaces the SDK names itself; the oldest version, since any newer host links it. Each is whole, because the linker joins
/// it with the one that `std` brings.
#[cfg(target_family = "wasm")]
pub mod clock {
    wit_bindgen::generate!({
        inline: "
            package sluice:clock;
            world clock {
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:clocks/monotonic-clock@0.2.0;
            }
            package wasi:clocks@0.2.0 {
                interface wall-clock {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    now: func() -> datetime;
                    resolution: func() -> datetime;
                }
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    type instant = u64;
                    type duration = u64;
                    now: func() -> instant;
                    resolution: func() -> duration;
                    subscribe-instant: func(when: instant) -> pollable;
                    subscribe-duration: func(when: duration) -> pollable;
                }
            }
            package wasi:io@0.2.0 {
                interface poll {
                    resource pollable {
                        ready: func() -> bool;
                        block: func();
                    }
                    poll: func(in: list<borrow<pollable>>) -> list<u32>;
                }
            }
        ",
        world: "sluice:clock/clock",
        generate_all,
    });
}

/// See [`clock`].
#[cfg(target_family = "wasm")]
pub mod random {
    wit_bindgen::generate!({
        inline: "
            package sluice:random;
            world random { import wasi:random/random@0.2.0; }
            package wasi:random@0.2.0 {
                interface random {
                    get-random-bytes: func(len: u64) -> list<u8>;
                    get-random-u64: func() -> u64;
                }
            }
        ",
        world: "sluice:random/random",
        generate_all,
    });
}
