//! That it would be seen: the oracle is shown what it must find, and isolation is taken away in each way that an operator can.

use anyhow::{Result, ensure};

use crate::{
    canary::Kind,
    gateway::{Broken, Record},
    ledger::Wrong::{self, Disturbed, Leak, Taken},
    run::{self, Plan},
    stage::Stage,
};

/// A kind of try, and what has to be wrong with it.
type Seen = (&'static str, Wrong);

/// What is taken away, and where that has to be seen.
const CONTROLS: [(Broken, &str, &[Seen]); 4] = [
    (Broken::Cache, "remembered answers are given to everybody", &[("an answer that is remembered", Leak)]),
    (
        Broken::Keys,
        "all keys are one caller's",
        &[
            ("another's session", Taken),
            ("another's session, ended", Taken),
            ("another's session, heard", Taken),
            ("another's events", Taken),
            ("another's cursor", Taken),
            ("another's task", Leak),
            ("another's task, legacy", Leak),
            ("another's round", Taken),
            ("another's token", Leak),
            ("another's HTTP+SSE session", Taken),
            ("what servers are told", Leak),
        ],
    ),
    (Broken::Limits, "limits count everybody together", &[("a rate", Disturbed), ("a quota", Disturbed)]),
    (Broken::Sessions, "callers share sessions with the servers", &[("what a session remembers", Leak), ("what servers are told", Leak)]),
];

/// Runs each of them.
pub async fn all_are_found(plan: Plan) -> Result<bool> {
    let mut missed = 0;
    for (broken, what, expected) in CONTROLS {
        let plan = Plan { broken: Some(broken), sluice: plan.sluice.clone(), cache: plan.cache.clone(), ..plan };
        let outcome = run::run(&plan).await?;
        let ledger = &outcome.stage.ledger;
        println!("{what}: {} findings in {} tries", ledger.total(), plan.tries);
        for (at, wrong) in expected {
            let is_found = ledger.was_found(at, *wrong);
            println!("  {} {wrong:?}: {at}", if is_found { "found " } else { "MISSED" });
            missed += usize::from(!is_found);
        }
        if missed > 0 {
            print!("{}", ledger.table());
        }
    }
    Ok(missed == 0)
}

/// Before anything runs: what is another's is found wherever it may stand, and one's own is not.
pub fn the_oracle_sees(seed: u64) -> Result<()> {
    fastrand::seed(seed);
    let run = fastrand::u32(..);
    let (stage, reader, other) = (Stage::new(run), 4, 5);
    let own = stage.canaries.make(Kind::Value, reader);
    let foreign = stage.canaries.make(Kind::Value, other);
    let neighbour = stage.canaries.make(Kind::Tenant, stage.people.tenant(reader) + 1);
    let coded = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("a ticket of {text}, sealed badly"))
    };
    let places = |text: &str| {
        [
            format!("200\nx-request-id: {text}\n\n{{}}"),
            format!("200\n\n{{\"result\":{{\"content\":[{{\"text\":\"for {text}\"}}]}}}}"),
            format!("200\n\ndata: {{\"method\":\"notifications/progress\",\"params\":{{\"message\":\"{text}\"}}}}\n\n"),
            format!("404\n\n{{\"error\":{{\"message\":\"no {text}\"}}}}"),
            format!("200\n\n{{\"result\":{{\"nextCursor\":\"{}\"}}}}", coded(text)),
        ]
    };
    for (text, is_found) in [(&own, false), (&foreign, true), (&neighbour, true), (&stage.people.keys[reader], true)] {
        for told in places(text) {
            let found = stage.canaries.foreign(&stage.people, reader, own.as_bytes(), told.as_bytes()).is_some();
            ensure!(found == is_found, "the oracle does not see what it must: {told}");
            let echoed = stage.canaries.foreign(&stage.people, reader, text.as_bytes(), told.as_bytes()).is_some();
            ensure!(echoed == (text == &stage.people.keys[reader]), "what one has sent is no leak: {told}");
        }
    }
    let (record, line) = (Record::default(), |text: &str| format!("{{\"message\":\"exchange\",\"cause\":\"{text}\"}}"));
    for (kind, count) in [(Kind::Name, 0), (Kind::Tenant, 0), (Kind::Value, 1), (Kind::Client, 2), (Kind::Key, 3)] {
        record.line(&stage.canaries, line(&stage.canaries.make(kind, other)).as_bytes());
        let found = record.wrong.load(std::sync::atomic::Ordering::Relaxed);
        ensure!(found == count, "{found} lines are wrong, not {count}");
    }
    ensure!(stage.canaries.any(format!("calls{{tenant=\"{neighbour}\"}} 1").as_bytes()).is_some(), "a tenant in a metric is not seen");
    Ok(())
}
