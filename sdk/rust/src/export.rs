//! The macros that make a component of a plugin.

/// Makes this crate a component with the named hooks: `export!(Redact: on_request, on_response);`.
///
/// Hooks: `authenticate`, `on_http`, `on_request`, `on_outbound`, `on_response`, `on_chunk`, `on_notification`, `on_catalog`, `on_done`; each
/// needs its trait. A hook that is not named is not in the component and costs nothing. Natively this only checks the traits.
#[macro_export]
macro_rules! export {
    ($plugin:ident $(: $($hook:ident),+ $(,)?)?) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            static PLUGIN: $crate::slot::Slot<$plugin> = $crate::slot::Slot::empty();

            struct Component;

            impl $crate::bindings::base::exports::sluice::filter::describe::Guest for Component {
                fn describe() -> $crate::manifest::Manifest {
                    <$plugin as $crate::plugin::Plugin>::manifest()
                }
            }

            impl $crate::bindings::base::exports::sluice::filter::lifecycle::Guest for Component {
                fn init(config: $crate::json::Json) -> ::core::result::Result<(), $crate::json::Json> {
                    PLUGIN.fill($crate::plugin::start(&config)?)
                }
            }

            $crate::__export_base_impl!(Component with_types_in $crate::bindings::base);
            $($($crate::__export_hook!($hook, Component, PLUGIN);)+)?
        };

        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            const fn is_plugin<P: $crate::plugin::Plugin>() {}
            is_plugin::<$plugin>();
            $($($crate::__check_hook!($hook, $plugin);)+)?
        };
    };
}

/// For a plugin without `std`: allocator, and a panic handler that logs where it happened and traps.
///
/// The crate starts with `#![cfg_attr(target_family = "wasm", no_std)]`. Natively this is nothing.
#[macro_export]
macro_rules! lean {
    () => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[global_allocator]
            static ALLOCATOR: $crate::lean::Allocator = $crate::lean::Allocator;

            // With `std`, the C library has this one.
            #[unsafe(export_name = "cabi_realloc")]
            unsafe extern "C" fn realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
                // SAFETY: the caller is the host, which keeps to the canonical ABI.
                unsafe { $crate::lean::realloc(old, old_len, align, new_len) }
            }

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo) -> ! {
                $crate::lean::panic(info)
            }
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (authenticate, $component:ident, $slot:ident) => {
        impl $crate::bindings::authenticate::exports::sluice::filter::authenticate::Guest for $component {
            fn authenticate(
                c: $crate::identity::Credential,
                x: &$crate::exchange::Exchange,
            ) -> $crate::identity::Outcome {
                $crate::plugin::Authenticate::authenticate($slot.get(), &c, x)
            }
        }
        $crate::__export_authenticate_hook_impl!($component with_types_in $crate::bindings::authenticate);
    };
    (on_http, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_http::exports::sluice::filter::on_http::Guest for $component {
            fn on_http(r: $crate::http::HttpRequest, x: &$crate::exchange::Exchange) -> $crate::http::HttpResponse {
                $crate::plugin::OnHttp::on_http($slot.get(), &r, x)
            }
        }
        $crate::__export_on_http_hook_impl!($component with_types_in $crate::bindings::on_http);
    };
    (on_request, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_request::exports::sluice::filter::on_request::Guest for $component {
            fn on_request(h: $crate::exchange::Head, x: &$crate::exchange::Exchange) -> $crate::verdict::Verdict {
                $crate::plugin::OnRequest::on_request($slot.get(), &h, x)
            }
        }
        $crate::__export_on_request_hook_impl!($component with_types_in $crate::bindings::on_request);
    };
    (on_outbound, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_outbound::exports::sluice::filter::on_outbound::Guest for $component {
            fn on_outbound(
                d: &$crate::outbound::Departure,
                x: &$crate::exchange::Exchange,
            ) -> $crate::bindings::on_outbound::exports::sluice::filter::on_outbound::OutboundVerdict {
                $crate::plugin::OnOutbound::on_outbound($slot.get(), d, x).into()
            }
        }
        $crate::__export_on_outbound_hook_impl!($component with_types_in $crate::bindings::on_outbound);
    };
    (on_response, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_response::exports::sluice::filter::on_response::Guest for $component {
            fn on_response(h: $crate::exchange::Head, x: &$crate::exchange::Exchange) -> $crate::verdict::Verdict {
                $crate::plugin::OnResponse::on_response($slot.get(), &h, x)
            }
        }
        $crate::__export_on_response_hook_impl!($component with_types_in $crate::bindings::on_response);
    };
    (on_chunk, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_chunk::exports::sluice::filter::on_chunk::Guest for $component {
            fn on_chunk(
                h: $crate::exchange::Head,
                b: &$crate::chunk::Batch,
                x: &$crate::exchange::Exchange,
            ) -> $crate::chunk::ChunkVerdict {
                $crate::plugin::OnChunk::on_chunk($slot.get(), &h, b, x)
            }
        }
        $crate::__export_on_chunk_hook_impl!($component with_types_in $crate::bindings::on_chunk);
    };
    (on_notification, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_notification::exports::sluice::filter::on_notification::Guest for $component {
            fn on_notification(
                h: $crate::exchange::Head,
                x: &$crate::exchange::Exchange,
            ) -> $crate::verdict::NotificationVerdict {
                $crate::plugin::OnNotification::on_notification($slot.get(), &h, x)
            }
        }
        $crate::__export_on_notification_hook_impl!($component with_types_in $crate::bindings::on_notification);
    };
    (on_catalog, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_catalog::exports::sluice::filter::on_catalog::Guest for $component {
            fn on_catalog(
                v: &$crate::catalog::Viewer,
                kind: $crate::catalog::ListKind,
                entries: $crate::bindings::Vec<$crate::catalog::Entry>,
            ) -> $crate::catalog::Answer {
                $crate::plugin::OnCatalog::on_catalog($slot.get(), v, kind, &entries)
            }
        }
        $crate::__export_on_catalog_hook_impl!($component with_types_in $crate::bindings::on_catalog);
    };
    (on_done, $component:ident, $slot:ident) => {
        impl $crate::bindings::on_done::exports::sluice::filter::on_done::Guest for $component {
            fn on_done(h: $crate::exchange::Head, d: $crate::plugin::Done, x: &$crate::exchange::Exchange) {
                $crate::plugin::OnDone::on_done($slot.get(), &h, &d, x);
            }
        }
        $crate::__export_on_done_hook_impl!($component with_types_in $crate::bindings::on_done);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __check_hook {
    ($hook:ident, $plugin:ident) => {
        const _: () = {
            const fn hooks<P: $crate::export::checks::$hook>() {}
            hooks::<$plugin>();
        };
    };
}

/// The traits under the names that [`export!`] takes.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod checks {
    pub use crate::plugin::{
        Authenticate as authenticate, OnCatalog as on_catalog, OnChunk as on_chunk, OnDone as on_done, OnHttp as on_http,
        OnNotification as on_notification, OnOutbound as on_outbound, OnRequest as on_request, OnResponse as on_response,
    };
}
