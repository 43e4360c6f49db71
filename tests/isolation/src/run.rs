//! One run: the servers, the gateway, callers on a few connections, and then what the records say.

use anyhow::{Context as _, Result, bail, ensure};
use std::{
    cell::Cell,
    path::PathBuf,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use crate::{
    gateway::{Broken, Gateway, Start},
    ledger::Wrong,
    people::CALLERS,
    server::Server,
    stage::Stage,
    streams,
    tries::{Tries, Try},
    wire::{Answer, Connection},
};

/// Connections; each belongs to nobody, and callers follow one another on it.
const LANES: usize = 16;
/// Requests that go out before the first answer is waited for.
const TOGETHER: usize = 4;
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// One in so many tries needs a connection of its own.
const ALONE: u64 = 300;
/// From so many on there is some of everything in a run.
const WHOLE: u64 = 8_000;
/// One batch in so many is left alone by its client, of those that may be.
const LEAVES: u8 = 10;
const SAY_EVERY: Duration = Duration::from_secs(20);
const METRICS_EVERY: Duration = Duration::from_secs(2);

pub struct Plan {
    pub sluice: PathBuf,
    pub cache: PathBuf,
    pub tries: u64,
    pub seed: u64,
    pub broken: Option<Broken>,
}

pub struct Outcome {
    pub stage: Rc<Stage>,
    pub took: Duration,
    pub log_lines: u64,
    pub audit_lines: u64,
    pub metric_looks: u64,
}

pub async fn run(plan: &Plan) -> Result<Outcome> {
    fastrand::seed(plan.seed);
    let run = fastrand::u32(..);
    let stage = Rc::new(Stage::new(run));
    let mut servers = Vec::new();
    for (name, legacy, modern) in [("desk", true, true), ("shelf", false, true), ("attic", true, false), ("vault", true, true)] {
        servers.push((name, Server::start(stage.clone(), legacy, modern).await?));
    }
    let urls = servers.iter().map(|(name, server)| (*name, server.url.clone())).collect();
    let start = Start { sluice: &plan.sluice, cache: &plan.cache, servers: urls, broken: plan.broken };
    let mut gateway = Gateway::start(&stage, run, start).await?;
    // Nobody has approved it.
    servers.iter().for_each(|(_, server)| server.has_changed.set(true));
    let tries = Rc::new(Tries::new(stage.clone(), gateway.address.clone(), servers));
    let listeners = streams::open_all(&tries).await?;

    let began = Instant::now();
    let mut first = Connection::open(&tries.address).await?;
    for one in tries.first_sessions() {
        first.send(&one.sent).await?;
        let answer = first.answer().await?;
        tries.judge(one, &answer);
    }
    let made = Rc::new(Cell::new(0));
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let (tries, made, wanted) = (tries.clone(), made.clone(), plan.tries);
            spawn_local(async move { lane(&tries, &made, wanted).await })
        })
        .collect();
    let looks = watch(&tries, &mut gateway, &made, plan.tries, began, &lanes).await?;
    for lane in lanes {
        lane.await?.context("a lane")?;
    }
    let took = began.elapsed();
    sleep(Duration::from_millis(100)).await;

    if plan.tries >= WHOLE {
        tries.missing().into_iter().for_each(|what| stage.found(Wrong::Disturbed, "the run itself", what, String::new()));
    }
    streams::still_hear(&tries, &listeners).await?;
    tries.is_over.set(true);
    let (log, audit) = (gateway.log.clone(), gateway.audit.clone());
    gateway.end().await?;
    for (name, record) in [("the log", &log), ("the audit file", &audit)] {
        if record.wrong.load(Relaxed) > 0 {
            let why = format!("{} lines hold what none may", record.wrong.load(Relaxed));
            stage.found(Wrong::Leak, name, why, record.shown());
        }
        ensure!(record.lines.load(Relaxed) > 0, "{name} is empty");
    }
    Ok(Outcome { stage, took, log_lines: log.lines.load(Relaxed), audit_lines: audit.lines.load(Relaxed), metric_looks: looks })
}

/// Looks at the metrics until all is tried; says now and then how far it is.
async fn watch(
    tries: &Tries,
    gateway: &mut Gateway,
    made: &Cell<u64>,
    wanted: u64,
    began: Instant,
    lanes: &[tokio::task::JoinHandle<Result<()>>],
) -> Result<u64> {
    let (mut looks, mut said) = (0, Instant::now());
    loop {
        let is_over = lanes.iter().all(tokio::task::JoinHandle::is_finished);
        if !gateway.is_running()? {
            bail!("the gateway has ended\n{}", gateway.last_words());
        }
        let metrics = gateway.metrics().await?;
        looks += 1;
        if let Some(canary) = tries.stage.canaries.any(&metrics) {
            let text = String::from_utf8_lossy(&metrics).into_owned();
            let lines: Vec<&str> = text.lines().filter(|line| line.contains(&canary.text)).collect();
            tries.stage.found(Wrong::Leak, "the metrics", format!("{canary:?}"), lines.join("\n"));
        }
        if is_over {
            return Ok(looks);
        }
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            let rate = made.get() as f64 / began.elapsed().as_secs_f64();
            println!("  {} of {wanted}, {rate:.0}/s, {} findings", made.get(), tries.stage.ledger.total());
        }
        let next = Instant::now() + METRICS_EVERY;
        while Instant::now() < next && !lanes.iter().all(tokio::task::JoinHandle::is_finished) {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn lane(tries: &Rc<Tries>, made: &Cell<u64>, wanted: u64) -> Result<()> {
    let mut connection = None;
    while made.get() < wanted {
        made.set(made.get() + 1);
        if fastrand::u64(..ALONE) == 0 {
            alone(tries).await;
            continue;
        }
        let mut batch = vec![tries.next()];
        while batch.len() < TOGETHER && made.get() < wanted && !batch.iter().any(|one| one.is_last) {
            made.set(made.get() + 1);
            batch.push(tries.next());
        }
        let with = match connection.take() {
            Some(open) => open,
            None => Connection::open(&tries.address).await?,
        };
        connection = together(tries, batch, with).await;
    }
    Ok(())
}

/// What needs connections of its own.
async fn alone(tries: &Rc<Tries>) {
    let who = fastrand::usize(..CALLERS);
    let is_dialogue = fastrand::bool();
    let what = async { if is_dialogue { streams::dialogue(tries, who).await } else { streams::resume(tries, who).await } };
    let ended = timeout(ANSWERED_WITHIN, what).await.context("no end").and_then(|ended| ended);
    if let Err(error) = ended {
        let at = if is_dialogue { "a question in the middle of a call" } else { "another's event id, in one's own session" };
        tries.stage.found(Wrong::Disturbed, at, format!("{error:#}"), String::new());
    }
}

/// Several on one connection, which is given back if it is still good.
async fn together(tries: &Tries, batch: Vec<Try>, mut connection: Connection) -> Option<Connection> {
    let bytes: Vec<u8> = batch.iter().flat_map(|one| &one.sent).copied().collect();
    let mut failure = connection.send(&bytes).await.err();
    if failure.is_none() && batch.iter().all(Try::may_be_left) && fastrand::u8(..LEAVES) == 0 {
        // Whatever is on its way to it meets a closed connection, and must not go to the next who comes.
        sleep(Duration::from_micros(fastrand::u64(..3_000))).await;
        batch.iter().for_each(|one| tries.left(one));
        return None;
    }
    for one in batch {
        let answer = match failure {
            Some(_) => None,
            None => match timeout(ANSWERED_WITHIN, read(&mut connection, one.is_stream))
                .await
                .context("no answer in time")
                .and_then(|answer| answer)
            {
                Ok(answer) => Some(answer),
                Err(error) => {
                    failure = Some(error);
                    None
                }
            },
        };
        match answer {
            Some(answer) => {
                let closes = answer.closes;
                let was_last = one.is_last;
                tries.judge(one, &answer);
                if closes {
                    // Nothing was to come after it.
                    if was_last {
                        return None;
                    }
                    failure = Some(anyhow::anyhow!("the connection was closed"));
                }
            }
            None => tries.unanswered(one, failure.as_ref()),
        }
    }
    failure.is_none().then_some(connection)
}

async fn read(connection: &mut Connection, is_stream: bool) -> Result<Answer> {
    if !is_stream {
        return connection.answer().await;
    }
    let (mut answer, length) = connection.head().await?;
    answer.closes = true;
    match length {
        Some(length) => connection.body(&mut answer, length).await?,
        None => answer.body = b"(a stream)".to_vec(),
    }
    Ok(answer)
}
