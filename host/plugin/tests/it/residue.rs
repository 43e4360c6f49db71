//! What one principal's guest leaves behind is not there for the next one, in the pool's memories and tables, with the pages
//! that the pool keeps.

use crate::support::{call, engine, handmade::Handmade, settings};
use serde_json::json;
use sluice_chain::filter::Verdict;
use sluice_plugin::{Limits, Scope, Settings, WasmFilter, engine::Memory};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// More than the pool keeps of a freed memory.
const PAGES: u32 = 48;
const VISITS: u64 = 500;

/// Looks for what another exchange left in 3 MiB of memory, a table and a global, and leaves its own number everywhere. Finding
/// one it answers itself.
async fn canary(scope: Scope, limits: Limits) -> Arc<WasmFilter> {
    let fields =
        format!("(global $kept (mut i64) (i64.const 0)) (table $t 1000 funcref) (memory $more {PAGES}) (elem declare func $start)");
    let found = "(i32.store (i32.const 2096) (i32.const 1)) (i32.store (i32.const 2100) (i32.const 48)) (i32.store (i32.const 2104) (i32.const 2)) (return (i32.const 2096))";
    let request = format!(
        "(if (i32.or (i64.ne (global.get $kept) (i64.const 0)) (i32.eqz (ref.is_null (table.get $t (i32.const 500))))) (then {found}))
         (loop $page
            (if (i64.ne (i64.load $more (local.get $i)) (i64.const 0)) (then {found}))
            (i64.store $more (local.get $i) (local.get $exchange))
            (local.set $i (i32.add (local.get $i) (i32.const 4096)))
            (br_if $page (i32.lt_u (local.get $i) (i32.const {}))))
         (global.set $kept (local.get $exchange))
         (table.set $t (i32.const 500) (ref.func $start))",
        PAGES << 16
    );
    let component = Handmade { fields: &fields, request: &request, ..Handmade::default() }.component();
    let engine = engine();
    assert_eq!(engine.memory(), Memory::Pooled, "it is the pool's residue that is looked for");
    let settings = Settings { scope, limits, ..settings("handmade", json!({})) };
    engine.load(component, settings).await.unwrap_or_else(|error| panic!("{error}"))
}

/// How many visits found what another one left. Each is of a principal of its own.
async fn crossings(filter: &WasmFilter, visits: u64) -> u64 {
    let mut found = 0;
    for visit in 1..=visits {
        let mut call = call("ls", json!({})).by(&format!("user{visit}"));
        call.pass.head.exchange = visit;
        match call.request(filter).await {
            Ok(Verdict::Next(None)) => {}
            Ok(Verdict::Reply(_)) => found += 1,
            other => panic!("{other:?}"),
        }
    }
    found
}

/// `SLUICE_RESIDUE_VISITS` of each, or a few hundred.
#[tokio::test]
async fn what_one_principal_leaves_in_a_pooled_memory_no_other_finds() {
    let visits = std::env::var("SLUICE_RESIDUE_VISITS").ok().and_then(|text| text.parse().ok()).unwrap_or(VISITS);
    let patient = || Limits { wall: Duration::from_secs(9), cpu: Duration::from_secs(5), ..Limits::default() };
    for (scope, warm_max) in [(Scope::Call, 8), (Scope::Exchange, 8), (Scope::Principal, 8), (Scope::Principal, 0), (Scope::Tenant, 8)] {
        let filter = canary(scope, Limits { warm_max, ..patient() }).await;
        let began = Instant::now();
        let found = crossings(&filter, visits).await;
        println!("residue: scope {scope:?}, {warm_max} warm: {found} of N={visits} found another's canary, {:?}", began.elapsed());
        assert_eq!(found, 0, "{scope:?}");
        assert!(filter.figures().created.load(Relaxed) >= visits, "each had an instance in a place that others had before");
    }
    // The control: an instance for everybody, which is what the scopes prevent.
    let shared = canary(Scope::All, patient()).await;
    let found = crossings(&shared, 100).await;
    println!("residue: control, scope All: {found} of N=100");
    assert_eq!(found, 99, "the guest tells what it finds");
}
