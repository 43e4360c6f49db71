//! Who meets which instance.

use crate::support::{Call, call, engine, labels, load, load_with, settings};
use serde_json::json;
use sluice_chain::{fault::Fault, principal::Principal};
use sluice_plugin::{Limits, Scope, Settings, WasmFilter};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// What the guest remembered of the call before, and how many it counted.
async fn visit(filter: &WasmFilter, mut call: Call) -> (String, u32) {
    call.request(filter).await.unwrap();
    let label = |key: &str| {
        let labels = labels(&call);
        let found = labels.iter().find_map(|l| l.strip_prefix(&format!("remembers.{key}=")));
        found.unwrap_or_else(|| panic!("no {key} in {labels:?}")).to_owned()
    };
    (label("last"), label("calls").parse().unwrap())
}

async fn remembers(scope: Scope, limits: Limits) -> Arc<WasmFilter> {
    load_with(&engine(), Settings { scope, limits, ..settings("remembers", json!({})) }).await
}

#[tokio::test]
async fn principals_never_meet() {
    let filter = remembers(Scope::Principal, Limits::default()).await;
    for round in 0..4 {
        for who in ["ada", "bob", "eve"] {
            let (last, calls) = visit(&filter, call("ls", json!({})).by(who)).await;
            assert_eq!((last.as_str(), calls), (if round == 0 { "nobody" } else { who }, round + 1));
        }
    }
    assert_eq!(filter.figures().reused.load(Relaxed), 9);
}

#[tokio::test]
async fn a_canary_stays_where_it_was_put_whatever_happens() {
    let filter = remembers(Scope::Principal, Limits { warm_max: 3, calls_max: 5, ..Limits::default() }).await;
    let mut tasks = Vec::new();
    for task in 0..8_u32 {
        let filter = filter.clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..200_u32 {
                let who = format!("user{}", (task * 7 + round * 13) % 6);
                let (last, calls) = visit(&filter, call("ls", json!({})).by(&who)).await;
                assert!(last == who || last == "nobody", "{who} was told of {last}");
                assert!(calls <= 5);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(filter.figures().reused.load(Relaxed) > 0 && filter.figures().retired.load(Relaxed) > 0);
}

#[tokio::test]
async fn each_scope_shares_as_it_says() {
    let tenant = |subject: &str, tenant: &str| {
        let mut call = call("ls", json!({})).by(subject);
        call.pass.principal = Arc::new(Principal::new("test", subject, Some(tenant)));
        call
    };
    let filter = remembers(Scope::Call, Limits::default()).await;
    for _ in 0..3 {
        assert_eq!(visit(&filter, call("ls", json!({}))).await, ("nobody".into(), 1));
    }
    assert_eq!(filter.figures().live.load(Relaxed), 0);
    let filter = remembers(Scope::Tenant, Limits::default()).await;
    assert_eq!(visit(&filter, tenant("ada", "a")).await.0, "nobody");
    assert_eq!(visit(&filter, tenant("bob", "a")).await.0, "ada");
    assert_eq!(visit(&filter, tenant("ada", "b")).await.0, "nobody");
    assert_eq!(visit(&filter, call("ls", json!({})).by("ada")).await.0, "nobody", "no tenant is a tenant of one");
    let filter = remembers(Scope::Exchange, Limits::default()).await;
    let exchange = |id: u64| {
        let mut call = call("ls", json!({}));
        call.pass.head.exchange = id;
        call
    };
    assert_eq!(visit(&filter, exchange(1)).await.1, 1);
    assert_eq!(visit(&filter, exchange(1)).await.1, 2);
    assert_eq!(visit(&filter, exchange(2)).await.1, 1);
}

#[tokio::test]
async fn instances_retire_by_count() {
    let filter = remembers(Scope::Principal, Limits { calls_max: 3, ..Limits::default() }).await;
    let mut counts = Vec::new();
    for _ in 0..7 {
        counts.push(visit(&filter, call("ls", json!({}))).await.1);
    }
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(filter.figures().retired.load(Relaxed), 2);
}

#[tokio::test]
async fn instances_retire_by_age() {
    let filter = remembers(Scope::Principal, Limits { idle: Duration::from_millis(50), ..Limits::default() }).await;
    visit(&filter, call("ls", json!({}))).await;
    assert_eq!(filter.figures().live.load(Relaxed), 1);
    for _ in 0..100 {
        if filter.figures().live.load(Relaxed) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was never swept");
}

#[tokio::test]
async fn when_all_are_busy_some_more_come_and_then_none() {
    let limits = Limits { instances_max: 2, overflow_max: 2, wall: Duration::from_millis(500), ..Limits::default() };
    let filter = load_with(&engine(), Settings { limits, ..settings("wait-in-host", json!({})) }).await;
    let tasks: Vec<_> = (0..6)
        .map(|i| {
            let filter = filter.clone();
            tokio::spawn(async move { call("ls", json!({})).by(&format!("user{i}")).request(&filter).await })
        })
        .collect();
    let mut saturated = 0;
    for task in tasks {
        match task.await.unwrap() {
            Err(Fault::Saturated) => saturated += 1,
            Err(Fault::Deadline { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(saturated, 2);
    assert_eq!(filter.figures().live.load(Relaxed), 0, "nothing is left behind");
}

/// Verdicts of so many calls at once, each of another principal of the tenant.
async fn crowd(filter: &Arc<WasmFilter>, tenant: &'static str, calls: usize) -> Vec<Fault> {
    let tasks: Vec<_> = (0..calls).map(|i| tokio::spawn(of_tenant(filter.clone(), format!("user{i}"), tenant))).collect();
    let mut faults = Vec::new();
    for task in tasks {
        faults.extend(task.await.unwrap());
    }
    faults
}

async fn of_tenant(filter: Arc<WasmFilter>, who: String, tenant: &'static str) -> Option<Fault> {
    let mut call = call("ls", json!({})).by(&who);
    call.pass.principal = Arc::new(Principal::new("test", &who, Some(tenant)));
    call.request(&filter).await.err()
}

#[tokio::test]
async fn a_tenant_that_takes_all_it_may_takes_nothing_of_others() {
    for (tenant_instances_max, control) in [(3, false), (100, true)] {
        let wall = Duration::from_millis(600);
        let limits = Limits { instances_max: 4, overflow_max: 0, tenant_instances_max, wall, ..Limits::default() };
        let filter = load_with(&engine(), Settings { limits, ..settings("wait-in-host", json!({})) }).await;
        let busy = filter.clone();
        let crowd = tokio::spawn(async move { crowd(&busy, "many", 8).await });
        while filter.figures().live.load(Relaxed) < tenant_instances_max.min(4) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let other = of_tenant(filter.clone(), "ada".into(), "few").await.unwrap();
        assert_eq!(matches!(other, Fault::Deadline { .. }), !control, "it was entered, and slept like all: {other:?}");
        let faults = crowd.await.unwrap();
        let refused = faults.iter().filter(|fault| matches!(fault, Fault::Share(_))).count();
        assert_eq!((faults.len(), refused), (8, if control { 0 } else { 5 }), "{faults:?}");
    }
}

#[tokio::test]
async fn a_tenant_whose_time_is_used_up_waits_alone() {
    let cpu = Duration::from_millis(20);
    for (tenant_cpu_percent_max, control) in [(10, false), (0, true)] {
        let limits = Limits { tenant_cpu_percent_max, cpu, ..Limits::default() };
        let filter = load_with(&engine(), Settings { limits, ..settings("spin-forever", json!({})) }).await;
        let mut refused = 0;
        for _ in 0..20 {
            refused += usize::from(matches!(of_tenant(filter.clone(), "eve".into(), "many").await, Some(Fault::Share(_))));
        }
        // A second's worth is five of its calls.
        assert!(if control { refused == 0 } else { (10..=16).contains(&refused) }, "{refused} of 20 refused");
        let other = of_tenant(filter.clone(), "ada".into(), "few").await;
        assert!(matches!(other, Some(Fault::Deadline { .. })), "{other:?}");
    }
}

#[tokio::test]
async fn a_tenant_that_floods_the_log_leaves_others_their_lines() {
    let dropped_of_other = async |tenant_log_lines_per_second| {
        let limits = Limits {
            log_lines_per_second: 40,
            tenant_log_lines_per_second,
            host_calls_max: 500,
            cpu: Duration::from_secs(2),
            wall: Duration::from_secs(5),
            ..Limits::default()
        };
        let filter = load_with(&engine(), Settings { limits, ..settings("flood-log", json!({})) }).await;
        of_tenant(filter.clone(), "eve".into(), "many").await;
        let before = filter.figures().log_dropped.load(Relaxed);
        of_tenant(filter.clone(), "ada".into(), "few").await;
        filter.figures().log_dropped.load(Relaxed) - before
    };
    let (bounded, unbounded) = (dropped_of_other(20).await, dropped_of_other(u32::MAX).await);
    // Each writes 500. What is left for the second is 20 of 40, or hardly any.
    assert!(bounded <= 480 && unbounded > 490, "{bounded} and {unbounded} of 500");
}

#[tokio::test]
async fn a_plugin_that_fills_its_pool_leaves_room_for_others() {
    let engine = engine();
    let limits = Limits { warm_max: 100, instances_max: 100, ..Limits::default() };
    let greedy = load_with(&engine, Settings { limits, ..settings("facts-only", json!({})) }).await;
    // More than the engine's 64 places.
    for i in 0..100 {
        call("ls", json!({})).by(&format!("user{i}")).request(&greedy).await.unwrap();
    }
    let other = load(&engine, "remembers", json!({})).await;
    assert_eq!(visit(&other, call("ls", json!({}))).await.1, 1);
    assert!(greedy.figures().live.load(Relaxed) <= 64);
}

#[tokio::test]
async fn a_dropped_task_leaves_no_instance() {
    let filter = load_with(&engine(), settings("wait-in-host", json!({}))).await;
    for _ in 0..20 {
        let task = tokio::spawn({
            let filter = filter.clone();
            async move { call("ls", json!({})).request(&filter).await.map(|_| ()) }
        });
        tokio::time::sleep(Duration::from_millis(3)).await;
        // Nobody should; if somebody does, the instance is gone with its task.
        task.abort();
        let _ = task.await;
    }
    assert_eq!(filter.figures().live.load(Relaxed), 0);
}

/// Sleepers of one plugin, and how many calls of its neighbour were answered meanwhile.
async fn beside_sleepers(limits: Limits) -> (usize, usize) {
    let engine = engine();
    let sleepy = load_with(&engine, Settings { limits, ..settings("wait-in-host", json!({})) }).await;
    let other = load(&engine, "facts-only", json!({})).await;
    let sleepers: Vec<_> = (0..90)
        .map(|i| {
            let sleepy = sleepy.clone();
            tokio::spawn(async move { call("ls", json!({})).by(&format!("user{i}")).request(&sleepy).await.map(|_| ()) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let busy = sleepy.figures().live.load(Relaxed);
    let mut answered = 0;
    for i in 0..20 {
        answered += usize::from(call("ls", json!({})).by(&format!("user{i}")).request(&other).await.is_ok());
    }
    for sleeper in sleepers {
        let _ = sleeper.await.expect("no panic");
    }
    (busy, answered)
}

#[tokio::test]
async fn a_plugin_whose_calls_all_sleep_takes_no_place_of_others() {
    let slow = |instances_max, overflow_max| Limits { instances_max, overflow_max, wall: Duration::from_secs(2), ..Limits::default() };
    assert_eq!(beside_sleepers(slow(24, 8)).await, (32, 20));
    // The control: without a bound of its own it takes all 64 places.
    let (busy, answered) = beside_sleepers(slow(1_000, 1_000)).await;
    assert!(busy >= 64 && answered < 20, "{busy} busy, {answered} answered");
}

/// A call runs to its end when whoever asked has gone; a call that is dropped instead ends nowhere.
#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_ends_all_the_same() {
    let limits = || Limits { wall: Duration::from_millis(60), ..Limits::default() };
    for (drops, faults) in [(false, 20), (true, 0)] {
        let filter = load_with(&engine(), Settings { limits: limits(), ..settings("wait-in-host", json!({})) }).await;
        let mut asked = Vec::new();
        for at in 0..20_u64 {
            let filter = filter.clone();
            let task = tokio::spawn(async move { call("ls", json!({})).by(&format!("user{at}")).request(&filter).await.map(|_| ()) });
            tokio::time::sleep(Duration::from_millis(at % 7)).await;
            // The control is the second round.
            if drops {
                task.abort();
            }
            asked.push(task);
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let counted: u64 = filter.figures().faults().iter().map(|(_, count)| count).sum();
        assert_eq!(counted, faults, "every call has one outcome, unless it is dropped: {drops}");
        assert_eq!(filter.figures().live.load(Relaxed), 0);
    }
}

#[tokio::test]
async fn instances_retire_by_age_however_busy() {
    let filter = remembers(Scope::Principal, Limits { age: Duration::from_millis(80), ..Limits::default() }).await;
    let began = std::time::Instant::now();
    let mut youngest = 0;
    while began.elapsed() < Duration::from_millis(400) {
        let (_, calls) = visit(&filter, call("ls", json!({}))).await;
        youngest += u32::from(calls == 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((2..=6).contains(&youngest), "{youngest} instances in 400 ms");
    let filter = remembers(Scope::Principal, Limits::default()).await;
    for round in 1..=20 {
        assert_eq!(visit(&filter, call("ls", json!({}))).await.1, round, "without that limit it is one");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
