//! Sluice, as an operator starts it. Its command line, configuration keys and metric names stand here and nowhere
//! else in the bench.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::answer::Connection;
use crate::load;
use crate::process::Process;
use crate::replies::Era;
use crate::request::Endpoint;

/// Its files, in the folder of one start.
const CONFIG: &str = "sluice.json";
const PLUGINS: &str = "plugins";
const TOKEN: &str = "token";
/// Made beside the token.
const ADMIN_TOKEN: &str = "admin-token";
const AUDIT: &str = "audit.jsonl";
const LOG: &str = "stderr.log";

/// How many principals have a key at the standard chain.
pub const PRINCIPALS: usize = 1_000;

/// The four standard plugins, in the order a request meets them.
const STANDARD: [&str; 4] = ["builtin:auth-api-key", "builtin:rate-limit", "builtin:redact", "builtin:namespace"];

/// Calls that found no warm instance, under the names that the plugin host's figures may have; the first counts.
const POOL_MISSES: [&str; 3] =
    ["sluice_plugin_pool_misses_total", "sluice_plugin_instances_missed_total", "sluice_plugin_instances_created_total"];
/// Hooks entered, whatever the plugin and the hook.
const HOOKS_ENTERED: &str = "sluice_plugin_entries_total";
/// Rises with every change of the chain.
const GENERATION: &str = "sluice_chain_generation";

/// A filter that is measured, several times over in one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// The facts-only guest, in Rust: reads `head` and never a payload.
    Facts,
    /// The two-reads guest, in Rust: reads two places of the request.
    Reads,
    /// The facts-only guest with a fresh instance for each hook call.
    Fresh,
    /// The same, with instances that each run their `init`.
    Init,
    /// What the facts-only guest does, in Python.
    Python,
    /// The same in TypeScript.
    TypeScript,
}

impl Filter {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Facts, Self::Reads, Self::Fresh, Self::Init, Self::Python, Self::TypeScript];

    /// What labels begin with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Facts => "f",
            Self::Reads => "reads",
            Self::Fresh => "fresh",
            Self::Init => "init",
            Self::Python => "py",
            Self::TypeScript => "ts",
        }
    }

    /// The component, as its build names it.
    fn file(self) -> &'static str {
        match self {
            Self::Facts | Self::Fresh | Self::Init => "guest_facts_only.wasm",
            Self::Reads => "guest_two_reads.wasm",
            Self::Python => "facts_python.wasm",
            Self::TypeScript => "facts_typescript.wasm",
        }
    }

    /// Settings other than the defaults.
    fn settings(self) -> Option<Value> {
        match self {
            Self::Facts | Self::Reads => None,
            Self::Fresh | Self::Init => Some(json!({"scope": "call"})),
            // There is an interpreter inside.
            Self::Python | Self::TypeScript => Some(json!({"limits": {"memory_mib": 128}})),
        }
    }
}

/// What stands between client and upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Nothing.
    Empty,
    /// The four standard plugins, with a key for each of [`PRINCIPALS`].
    Standard,
    /// The same, with instances that each run their `init`.
    StandardInit,
    /// So many copies of one filter.
    Filters(Filter, usize),
    /// So many different plugins, each the facts-only guest under a name of its own.
    Different(usize),
    /// The plugin that tells callers apart, with a key for each of [`PRINCIPALS`].
    Keys,
}

/// What is called behind it.
#[derive(Debug, Clone, Copy)]
pub enum Behind<'a> {
    /// The static backend, by its URL, called in the caller's own era.
    Backend(&'a str),
    /// The same, called in this era alone, whatever callers speak.
    BackendIn(&'a str, Era),
    /// The demo servers inside the host, which cost no process and no socket to reach.
    Builtin,
}

/// The built-in demo upstreams, as `cargo xtask run` has them.
const BUILTIN_SERVERS: [&str; 2] = ["notes", "clock"];
/// A tool of theirs, as a chain with `namespace` shows it, and arguments it takes.
pub const BUILTIN_TOOL: (&str, &str) = ("clock_echo", r#"{"text":"Ada"}"#);

/// What is measured: a binary and the guests built for it.
#[derive(Debug, Clone)]
pub struct Sluice {
    /// The `sluice` binary.
    pub binary: PathBuf,
    /// The folder with the facts-only guest.
    pub guests: PathBuf,
    /// Limits other than the defaults that an operator gets, by their key.
    pub limits: Value,
}

/// A running Sluice.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub process: Process,
    /// Its MCP endpoint.
    pub url: String,
    /// What callers present.
    pub bearers: Vec<String>,
    admin: String,
    dir: PathBuf,
}

/// Two of its own counters, at one moment. Absent when `/metrics` does not have them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// See [`POOL_MISSES`].
    pub pool_misses: Option<f64>,
    /// See [`HOOKS_ENTERED`].
    pub hooks_entered: Option<f64>,
}

impl Sluice {
    /// Starts it with its files in `scratch/name`, and waits until it is ready. Compiled plugins are kept in
    /// `scratch/cache`, which all that start there share.
    pub async fn start(&self, chain: Chain, behind: Behind<'_>, scratch: &Path, name: &str) -> Result<Running> {
        let dir = scratch.join(name);
        std::fs::create_dir_all(dir.join(PLUGINS))?;
        let names = self.lay_out(chain, &dir.join(PLUGINS))?;
        let admin = free_address()?;
        let keys = match chain {
            Chain::Standard | Chain::StandardInit | Chain::Keys => load::keys(load::KEYS, PRINCIPALS),
            Chain::Empty | Chain::Filters(..) | Chain::Different(_) => Vec::new(),
        };
        let mut configuration = configuration(&names, behind, &admin, &keys, &scratch.join("cache"));
        configuration["sluice"]["limits"] = self.limits.clone();
        if let Chain::Filters(filter, _) = chain {
            let own = filter.settings().into_iter().flat_map(|own| names.iter().map(move |name| (name.clone(), own.clone())));
            configuration["sluice"]["plugins"]["settings"] = own.collect();
        }
        if matches!(chain, Chain::Filters(Filter::Init, _) | Chain::StandardInit) {
            configuration["sluice"]["plugins"]["copies"] = json!(false);
        }
        if let Behind::BackendIn(_, era) = behind {
            configuration["sluice"]["upstreams"] = json!({"bench": {"era": era.name()}});
        }
        std::fs::write(dir.join(CONFIG), configuration.to_string())?;
        let log = OpenOptions::new().create(true).append(true).open(dir.join(LOG))?;
        let mut command = Command::new(std::path::absolute(&self.binary)?);
        command.args(["serve", "--config", CONFIG, "--plugins", PLUGINS, "--listen", "127.0.0.1:0"]);
        command.current_dir(&dir).stderr(log);
        let started = Process::start_ready(command).await;
        let (process, url) = started.with_context(|| format!("{name}, which said: {}", tail(&dir.join(LOG))))?;
        // A key that does nothing would let the run measure something else than it says.
        let log = std::fs::read_to_string(dir.join(LOG))?;
        ensure!(!log.contains("no effect"), "{name} does not take its configuration: {log}");
        // Without a plugin that knows callers, they show the token that the host made at its start.
        let bearers = if keys.is_empty() { vec![read_token(&dir.join(TOKEN))?] } else { keys };
        Ok(Running { process, url, bearers, admin, dir })
    }

    /// Copies the guests that the chain needs, and returns the chain's names in order.
    fn lay_out(&self, chain: Chain, plugins: &Path) -> Result<Vec<String>> {
        let (filter, copies) = match chain {
            Chain::Empty => return Ok(Vec::new()),
            Chain::Standard | Chain::StandardInit => return Ok(STANDARD.map(str::to_owned).into()),
            Chain::Keys => return Ok(vec![STANDARD[0].to_owned()]),
            Chain::Filters(filter, copies) => (filter, copies),
            Chain::Different(plugins) => (Filter::Facts, plugins),
        };
        let built = self.component(filter)?;
        (0..copies)
            .map(|copy| {
                let name = format!("{}-{copy:02}", filter.word());
                let component = if matches!(chain, Chain::Different(_)) { renamed(&built, copy)? } else { built.clone() };
                std::fs::write(plugins.join(format!("{name}.wasm")), component)?;
                Ok(name)
            })
            .collect()
    }

    /// The bytes of one filter.
    pub fn component(&self, filter: Filter) -> Result<Vec<u8>> {
        let file = self.guests.join(filter.file());
        std::fs::read(&file).with_context(|| format!("read {}", file.display()))
    }
}

/// The facts-only guest under another name of the same length: another plugin, to be compiled by itself.
fn renamed(facts_only: &[u8], number: usize) -> Result<Vec<u8>> {
    const NAME: &[u8] = b"facts-only";
    let name = format!("facts-{number:04}");
    let mut component = facts_only.to_vec();
    let places: Vec<_> = component.windows(NAME.len()).enumerate().filter(|(_, at)| *at == NAME).map(|(at, _)| at).collect();
    ensure!(!places.is_empty() && name.len() == NAME.len(), "the facts-only guest does not say its name");
    places.into_iter().for_each(|at| component[at..at + NAME.len()].copy_from_slice(name.as_bytes()));
    Ok(component)
}

/// The same component in another version: with a section that nobody reads.
pub fn marked(component: &[u8], version: usize) -> Vec<u8> {
    const NAME: &[u8] = b"version";
    let version = format!("{version:04}");
    // A custom section: its id, its length, its name behind the name's length, and whatever follows. Each length fits one byte of LEB128.
    let head = [0, (1 + NAME.len() + version.len()) as u8, NAME.len() as u8];
    [component, &head, NAME, version.as_bytes()].concat()
}

impl Running {
    /// Reads its counters. This costs it CPU time, so not while that is counted.
    pub async fn counters(&self) -> Result<Counters> {
        let text = self.metrics().await?;
        Ok(Counters { pool_misses: POOL_MISSES.into_iter().find_map(|name| sum(&text, name)), hooks_entered: sum(&text, HOOKS_ENTERED) })
    }

    async fn metrics(&self) -> Result<String> {
        let who = read_token(&self.dir.join(ADMIN_TOKEN)).map(|token| format!("authorization: Bearer {token}\r\n"));
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n{}\r\n", self.admin, who.unwrap_or_default());
        let mut connection = Connection::open(&self.admin).await?;
        let answer = connection.exchange(request.as_bytes()).await?;
        ensure!(answer.status == 200, "/metrics was answered {}", answer.status);
        Ok(std::str::from_utf8(answer.body)?.to_owned())
    }

    /// Puts this file in the place of the first plugin of its directory, whole and at once.
    pub fn replace_plugin(&self, filter: Filter, component: &[u8]) -> Result<()> {
        let file = self.dir.join(PLUGINS).join(format!("{}-00.wasm", filter.word()));
        let aside = file.with_extension("new");
        std::fs::write(&aside, component)?;
        Ok(std::fs::rename(aside, file)?)
    }

    /// The chain's generation.
    pub async fn generation(&self) -> Result<f64> {
        sum(&self.metrics().await?, GENERATION).context("/metrics has no generation of the chain")
    }

    /// Its MCP endpoint, taken apart.
    pub fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::parse(&self.url)
    }

    /// Empties its log and its audit file. Both are on, as an operator has them, and a line for each of millions of
    /// calls would fill the disk.
    pub fn empty_files(&self) -> Result<()> {
        for file in [LOG, AUDIT].map(|file| self.dir.join(file)).into_iter().filter(|file| file.is_file()) {
            OpenOptions::new().write(true).open(file)?.set_len(0)?;
        }
        Ok(())
    }
}

fn configuration(chain: &[String], behind: Behind<'_>, admin: &str, keys: &[String], cache: &Path) -> Value {
    let upstreams: Value = match behind {
        Behind::Backend(url) | Behind::BackendIn(url, _) => json!({"bench": {"type": "http", "url": url}}),
        Behind::Builtin => {
            let servers = BUILTIN_SERVERS.map(|name| (name.to_owned(), json!({"url": format!("builtin:{name}")})));
            Value::Object(servers.into_iter().collect())
        }
    };
    let mut settings = json!({});
    if !keys.is_empty() {
        settings = json!({"auth-api-key": {"config": {"keys": hashed(keys)}}});
    }
    if chain.iter().any(|plugin| plugin.ends_with("rate-limit")) {
        // Far above what any load here reaches: the limiter is to count, not to refuse.
        settings["rate-limit"] = json!({"config": {"limits": [{"name": "bench", "per_second": 1_000_000, "burst": 1_000_000}]}});
    }
    json!({
        "mcpServers": upstreams,
        "sluice": {
            "chain": chain,
            "auth": {"token_file": TOKEN},
            "admin": {"listen": admin},
            "audit": {"path": AUDIT},
            "cache_dir": cache,
            "plugins": {"settings": settings},
        },
    })
}

/// The keys as `auth-api-key` keeps them: digests, each with who it stands for.
fn hashed(keys: &[String]) -> Vec<Value> {
    let hex = |key: &String| -> String { Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect() };
    let numbered = keys.iter().enumerate();
    numbered.map(|(number, key)| json!({"id": format!("bench-{number:04}"), "hash": format!("sha256:{}", hex(key))})).collect()
}

fn read_token(file: &Path) -> Result<String> {
    let token = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(token.trim().to_owned())
}

/// The end of a log, for the message about a start that failed.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// An address that nothing listens on. Another process could take it before it is used; then the start fails loudly.
pub fn free_address() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The sum over all label sets of one metric in the Prometheus text format.
fn sum(text: &str, metric: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        (rest.starts_with('{') || rest.starts_with(' ')).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    samples.reduce(|one, other| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_made_different_without_being_changed_in_length_or_meaning() {
        let made = renamed(b"..facts-only..facts-only", 7).unwrap();
        assert_eq!(made, b"..facts-0007..facts-0007");
        assert!(renamed(b"nothing", 7).is_err());
        assert_eq!(marked(b"x", 12), b"x\0\x0c\x07version0012");
    }

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP a_total what\na_total{plugin=\"x y\"} 2\na_total{plugin=\"z\"} 3\na_total_other 9\nb_total 4\n";
        assert_eq!(sum(text, "a_total"), Some(5.0));
        assert_eq!(sum(text, "b_total"), Some(4.0));
        assert_eq!(sum(text, "c_total"), None);
    }
}
