//! Generated from `wit/v0.1.0`. Records that go in are borrowed, so a hook call copies its head once,
//! into the guest's memory.

pub use super::{catalog::Viewer, chunks::LentBatch, exchange::Exchange, kv::OpenBucket, outbound::Departing, secrets::OpenSecret};

wasmtime::component::bindgen!({
    path: "../../wit/v0.1.0",
    world: "everything",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: {
        "sluice:filter/kv": async | trappable,
        "sluice:filter/fetch": async | trappable,
        "sluice:filter/upstream": async | trappable,
        "sluice:filter/patterns.scan": async | trappable,
        "sluice:filter/chunks.[method]batch.scan": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "sluice:filter/types.exchange": Exchange,
        "sluice:filter/catalog.viewer": Viewer,
        "sluice:filter/chunks.batch": LentBatch,
        "sluice:filter/kv.bucket": OpenBucket,
        "sluice:filter/outbound.departure": Departing,
        "sluice:filter/secrets.secret": OpenSecret,
    },
});
