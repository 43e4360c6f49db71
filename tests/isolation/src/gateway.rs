//! Sluice as an operator starts it, with every standard plugin that keeps something, and all that it writes read as it writes it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader as Lines},
    process::{Child, Command},
    time::timeout,
};

use crate::{canary::Canaries, stage::Stage, wire::Connection};

/// Compiling plugins for the first time on a busy machine takes its time.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// Calls that a tenant has of `metered` and of `daily`: more than those that are careful make.
pub const ALLOWANCE: u64 = 12;
/// Found lines that are kept.
const SHOWN_MAX: usize = 5;

/// A way to take isolation away that an operator has, each to be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Remembered answers are given to everybody.
    Cache,
    /// All keys are one caller's.
    Keys,
    /// Limits count everybody together.
    Limits,
    /// Callers share sessions with the servers.
    Sessions,
}

/// What is started, and with what.
pub struct Start<'a> {
    pub sluice: &'a Path,
    pub cache: &'a Path,
    /// Names and URLs.
    pub servers: Vec<(&'static str, String)>,
    pub broken: Option<Broken>,
}

pub struct Gateway {
    child: Child,
    /// HOST:PORT.
    pub address: String,
    admin: String,
    admin_token: String,
    pub log: Arc<Record>,
    pub audit: Arc<Record>,
    readers: Vec<thread::JoinHandle<()>>,
    folder: tempfile::TempDir,
}

/// Lines that the gateway has written.
#[derive(Default)]
pub struct Record {
    pub lines: AtomicU64,
    /// How many of them hold what none may.
    pub wrong: AtomicU64,
    shown: Mutex<Vec<String>>,
    last: Mutex<Vec<String>>,
}

impl Record {
    /// Looks at every line until there is no more.
    fn read(&self, source: impl Read, run: u32) {
        let canaries = Canaries::new(run);
        for line in BufReader::with_capacity(256 * 1024, source).split(b'\n').map_while(Result::ok) {
            self.line(&canaries, &line);
        }
    }

    pub fn line(&self, canaries: &Canaries, line: &[u8]) {
        self.lines.fetch_add(1, Relaxed);
        let keep = |list: &Mutex<Vec<String>>, is_ring: bool| {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            if is_ring && list.len() == SHOWN_MAX {
                list.remove(0);
            }
            if list.len() < SHOWN_MAX {
                list.push(String::from_utf8_lossy(line).into_owned());
            }
        };
        if canaries.unrecorded(line).is_some() {
            self.wrong.fetch_add(1, Relaxed);
            keep(&self.shown, false);
        }
        if !line.windows(18).any(|part| part == b"\"message\":\"exchange") {
            keep(&self.last, true);
        }
    }

    pub fn shown(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The last lines that are about no exchange.
    fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

impl Gateway {
    pub async fn start(stage: &Stage, run: u32, start: Start<'_>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sluice-isolation-").tempdir()?;
        let file = folder.path().join("sluice.json");
        let pins = folder.path().join("pins.toml");
        // First without filters: what servers define is what is approved.
        std::fs::write(&pins, "")?;
        std::fs::write(&file, configuration(stage, &start, folder.path()).to_string())?;
        std::fs::write(&pins, approved(&start, folder.path(), &file).await?)?;

        // A line for each of a million calls would fill the disk; a pipe is read as it is written.
        let audit_file = folder.path().join("audit.jsonl");
        let made = Command::new("mkfifo").arg(&audit_file).status().await.context("mkfifo")?;
        ensure!(made.success(), "mkfifo: {made}");
        let (log, audit): (Arc<Record>, Arc<Record>) = Default::default();
        let (reads, path) = (audit.clone(), audit_file.clone());
        let mut readers = vec![thread::spawn(move || {
            if let Ok(file) = File::open(path) {
                reads.read(file, run);
            }
        })];
        let mut command = Command::new(start.sluice);
        clean(&mut command, folder.path());
        command.arg("serve").arg("--config").arg(&file).args(["--listen", "127.0.0.1:0"]);
        // A pipe of the standard library's: its reader is a thread, so that a busy run does not keep the gateway from writing.
        let (stderr, writes) = std::io::pipe()?;
        command.stdout(Stdio::piped()).stderr(writes).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {}", start.sluice.display()))?;
        drop(command);
        let reads = log.clone();
        readers.push(thread::spawn(move || reads.read(stderr, run)));
        let mut lines = Lines::new(child.stdout.take().context("no stdout")?).lines();
        let ready = timeout(READY_WITHIN, lines.next_line()).await.context("it did not get ready")??;
        let ready = ready.with_context(|| format!("it ended before it was ready\n{}", log.last()))?;
        let after = |mark: &str| ready.split_once(mark).map(|(_, rest)| rest.split(['/', ' ']).next().unwrap_or_default().to_owned());
        let address = after("ready http://").context("the ready line names no endpoint")?;
        let admin = after("admin=http://").context("the ready line names no admin listener")?;
        let admin_token = std::fs::read_to_string(folder.path().join("admin-token"))?.trim().to_owned();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, admin, admin_token, log, audit, readers, folder })
    }

    pub async fn metrics(&self) -> Result<Vec<u8>> {
        let mut connection = Connection::open(&self.admin).await?;
        let Self { admin, admin_token, .. } = self;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {admin_token}\r\n\r\n");
        connection.send(request.as_bytes()).await?;
        let answer = connection.answer().await?;
        ensure!(answer.status == 200, "/metrics answered {}", answer.status);
        Ok(answer.body)
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it said last, should it have ended.
    pub fn last_words(&self) -> String {
        self.log.last()
    }

    /// Ends it, and sees its records to their ends.
    pub async fn end(mut self) -> Result<()> {
        let pid = self.child.id().context("it has ended by itself")?;
        let asked = Command::new("kill").arg(pid.to_string()).status().await?;
        ensure!(asked.success(), "kill: {asked}");
        if timeout(Duration::from_secs(40), self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        for reader in self.readers.drain(..) {
            let _ = tokio::task::spawn_blocking(move || reader.join()).await?;
        }
        Ok(self.folder.close()?)
    }
}

fn clean(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env_clear().env("HOME", folder).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null());
}

/// What is to be approved, as `pin` reads it from a file of its own.
async fn approved(start: &Start<'_>, folder: &Path, file: &PathBuf) -> Result<String> {
    let mut command = Command::new(start.sluice);
    clean(&mut command, folder);
    let output = command.arg("ls").arg("--config").arg(file).arg("--pins=tools,prompts").output().await?;
    ensure!(output.status.success(), "sluice ls: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.replace("[config.pins.", "["))
}

fn configuration(stage: &Stage, start: &Start<'_>, folder: &Path) -> Value {
    let broken = |what: Broken| start.broken == Some(what);
    let servers: Value = start.servers.iter().map(|(name, url)| ((*name).to_owned(), json!({"type": "http", "url": url}))).collect();
    let sharing = if broken(Broken::Sessions) { "shared" } else { "principal" };
    let upstreams: Value = start.servers.iter().map(|(name, _)| ((*name).to_owned(), json!({"sharing": sharing}))).collect();
    let share = if broken(Broken::Cache) { "all" } else { "principal" };
    let key = if broken(Broken::Limits) { json!([]) } else { json!(["tenant"]) };
    let limit = json!([{"name": "metered", "key": key, "names": ["*_metered"], "per_hour": 1, "burst": ALLOWANCE}]);
    let quota = json!([{"name": "daily", "key": key, "names": ["*_daily"], "per_day": ALLOWANCE}]);
    let redact = json!({
        "detectors": ["email"],
        "actions": {"email": "token"},
        "salt": "not-a-secret-in-a-test",
        "tokens_per_principal": 2_000,
    });
    let cache = json!({
        "rules": [{"tools": ["*_lookup"], "ttl_s": 600, "share": share}, {"resources": ["*"], "ttl_s": 600, "without_hint_s": 600}],
        "entries_max": 1024,
    });
    // A busy machine is no plugin's fault.
    let limits = json!({"cpu_ms": 5_000, "wall_ms": 30_000, "wall_waiting_ms": 60_000, "init_cpu_ms": 5_000, "init_wall_ms": 60_000});
    let mut settings = json!({
        "auth-api-key": {"config": {"keys": stage.people.entries(broken(Broken::Keys)), "prefix": "slk_"}},
        "pin": {"config": {}, "config_files": {"pins": "pins.toml"}},
        "rate-limit": {"config": {"limits": limit}},
        "quota": {"config": {"limits": quota}},
        "anomaly": {"config": {"learn_s": 1, "learn_calls": 1_000, "alarm_at": 100}},
        "redact": {"config": redact},
        "cache": {"config": cache},
        "namespace": {"config": {}},
        "search": {"config": {"upstreams": ["vault"], "tools_min": 1}, "grants": ["upstream:vault *"]},
    });
    for plugin in settings.as_object_mut().into_iter().flatten() {
        plugin.1["limits"] = limits.clone();
    }
    let chain: Vec<String> = ["auth-api-key", "pin", "rate-limit", "quota", "anomaly", "redact", "cache", "namespace", "search"]
        .iter()
        .map(|name| format!("builtin:{name}"))
        .collect();
    json!({
        "mcpServers": servers,
        "sluice": {
            "chain": chain,
            "upstreams": upstreams,
            "auth": {"token_file": folder.join("token")},
            "admin": {"listen": "127.0.0.1:0"},
            "audit": {"path": folder.join("audit.jsonl")},
            "cache_dir": start.cache,
            "plugins": {"settings": settings},
            "limits": {"idle_stream_timeout_ms": 36_000_000, "parked_call_ttl_ms": 600_000},
        },
    })
}
