//! Thousands of clients that only listen: what they cost in memory, and what other traffic feels of them.
//!
//! Two Sluices with an empty chain, alike but for the streams that one of them holds. The same load goes to both in turn, in
//! an order that the seed decides anew in each round.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::answer::Connection;
use crate::flags::{Flags, Known};
use crate::lane::open_session;
use crate::load::{Load, Plan, Span};
use crate::process::Process;
use crate::quick::{Bar, Random, Scratch, Verdict, machine, median};
use crate::replies::{Era, Replies, Tool};
use crate::request::{self, Caller, Endpoint};
use crate::sluice::{Behind, Chain, Running, Sluice};

/// The command's flags.
pub const FLAGS: Known = &[
    ("sluice", "the sluice binary, built for release (required)"),
    ("guests", "the folder with the facts-only guest (required)"),
    ("streams", "quiet legacy sessions with a stream each, 5000 by default"),
    ("listens", "quiet modern subscriptions, 5000 by default"),
    ("rounds", "times that other traffic is measured beside them and without them, 9 by default"),
    ("seconds", "length of one measurement, 1 by default"),
    ("seed", "of the order within a round; the clock's by default"),
    ("built", "how host and bench were built: printed"),
];

/// Resident with all streams open.
const RSS_MIB_MAX: f64 = 400.0;
/// Other traffic's p99, in that of the Sluice without streams.
const P99_RATIO_MAX: f64 = 1.5;
/// Streams that are being opened at once.
const OPENING: usize = 64;
/// Connections for other traffic and whatever else, beside the streams.
const SPARE: usize = 256;
/// Other traffic: so many calls in flight.
const CONNECTIONS: usize = 16;

/// Runs it; `false` when a bar was missed.
pub async fn command(flags: &Flags) -> Result<bool> {
    let (binary, guests) = flags.path("sluice").zip(flags.path("guests")).context("--sluice and --guests are missing")?;
    let (streams, listens): (usize, usize) = (flags.or("streams", 5_000)?, flags.or("listens", 5_000)?);
    let (rounds, seconds): (usize, f64) = (flags.or("rounds", 9)?, flags.or("seconds", 1.0)?);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let seed = flags.or("seed", clock)?;
    let places = streams + listens + SPARE;
    raise_open_files(places as u64 + 1_000)?;
    // Defaults are for clients, of which one person has a few; here one has all of them.
    let mut limits = json!({"connections_max": places, "sessions_max": places, "sessions_per_principal_max": places});
    if listens > 0 {
        limits["listens_max"] = places.into();
        limits["listens_per_principal_max"] = places.into();
    }
    let sluice = Sluice { binary, guests, limits };
    let scratch = Scratch::new()?;
    let mut backend = Command::new(std::env::current_exe()?);
    backend.arg("backend");
    let (backend, url) = Process::start_ready(backend).await.context("backend")?;
    let crowded = sluice.start(Chain::Empty, Behind::Backend(&url), scratch.path(), "crowded").await?;
    let alone = sluice.start(Chain::Empty, Behind::Backend(&url), scratch.path(), "alone").await?;

    let before = crowded.process.memory()?.rss_mib();
    let legacy = open(&crowded, Era::Legacy, streams).await.context("legacy sessions")?;
    let between = crowded.process.memory()?.rss_mib();
    let modern = open(&crowded, Era::Modern, listens).await.context("subscriptions")?;
    let after = crowded.process.memory()?.rss_mib();
    let ratios = other_traffic(&crowded, &alone, rounds, Duration::from_secs_f64(seconds), seed).await?;
    let rss = crowded.process.memory()?.rss_mib();
    for stream in legacy.iter().chain(&modern) {
        ensure!(is_open(stream), "a quiet stream was closed");
    }
    println!("{streams} legacy sessions with a stream and {listens} subscriptions, {rounds} rounds of {seconds} s, seed {seed}");
    println!("machine: {}; built: {}", machine(), flags.text("built").unwrap_or("not said"));
    println!("RSS MiB: {before:.1} before, {between:.1} with the sessions, {after:.1} with the subscriptions, {rss:.1} after the load");
    println!("p99 beside the streams / without, each round: {ratios:.2?}");
    let bars = [
        Bar { name: "RSS with all quiet streams".to_owned(), figure: Some(rss.max(after)), limit: RSS_MIB_MAX, unit: "MiB" },
        Bar { name: "p99 of other traffic, median round".to_owned(), figure: median(ratios), limit: P99_RATIO_MAX, unit: "×" },
    ];
    bars.iter().for_each(|bar| println!("{bar}"));
    drop((legacy, modern));
    for process in [crowded.process, alone.process, backend] {
        process.end().await?;
    }
    Ok(bars.iter().all(|bar| bar.verdict() == Verdict::Pass))
}

/// Opens so many quiet streams of one era, each on a connection and, where there are any, in a session of its own.
async fn open(to: &Running, era: Era, count: usize) -> Result<Vec<TcpStream>> {
    let (endpoint, bearer) = (to.endpoint()?, to.bearers.first().cloned());
    let started = Instant::now();
    let opened: Vec<Result<TcpStream>> = stream::iter(0..count)
        .map(|_| open_one(&endpoint, era, Caller { bearer: bearer.clone(), session: None }))
        .buffer_unordered(OPENING)
        .collect()
        .await;
    eprintln!("{count} {era} streams in {:.1} s", started.elapsed().as_secs_f64());
    opened.into_iter().collect()
}

async fn open_one(to: &Endpoint, era: Era, mut caller: Caller) -> Result<TcpStream> {
    let mut connection = Connection::open(&to.authority).await?;
    match era {
        Era::Legacy => {
            open_session(&mut connection, to, &mut caller).await?;
            connection.listen(&request::session_stream(to, &caller), "").await
        }
        Era::Modern => connection.listen(&request::subscription(to, &caller), "notifications/subscriptions/acknowledged").await,
    }
}

/// Comments may have come meanwhile; the end must not.
fn is_open(stream: &TcpStream) -> bool {
    let mut bin = [0; 4096];
    loop {
        match stream.try_read(&mut bin) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// How many times the p99 of the Sluice without streams other traffic has beside them, round by round.
async fn other_traffic(crowded: &Running, alone: &Running, rounds: usize, length: Duration, seed: u64) -> Result<Vec<f64>> {
    let (replies, mut random) = (Replies::build(), Random(seed));
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let mut order = [(0, crowded), (1, alone)];
        random.shuffle(&mut order);
        let mut p99 = [0.0; 2];
        for (which, running) in order {
            let plan = Plan {
                to: running.endpoint()?,
                era: Era::Modern,
                server: Era::Modern,
                tool: Tool::Echo200,
                name: Tool::Echo200.name().to_owned(),
                connections: CONNECTIONS,
                bearers: running.bearers.clone(),
            };
            let mut load = Load::open(&plan, &replies).await?;
            load.run(Span::For(length / 5)).await?;
            let outcome = load.run(Span::For(length)).await?;
            if let Some(problem) = outcome.first_error {
                bail!("a call failed: {problem}");
            }
            load.close().await?;
            p99[which] = outcome.p99_us;
            running.empty_files()?;
        }
        ratios.push(p99[0] / p99[1]);
    }
    Ok(ratios)
}

/// Lets this process and those it starts hold so many files open.
fn raise_open_files(wanted: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(hard >= wanted, "{wanted} open files are needed, and {hard} allowed: raise `ulimit -Hn`");
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard)?)
}
