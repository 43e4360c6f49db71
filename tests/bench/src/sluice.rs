//! Sluice, as an operator starts it. Its command line, configuration keys and metric names stand here and nowhere
//! else in the bench.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::answer::Connection;
use crate::load;
use crate::process::Process;
use crate::request::Endpoint;

/// How many principals have a key at the standard chain.
pub const PRINCIPALS: usize = 1_000;

/// The four standard plugins, in the order a request meets them.
const STANDARD: [&str; 4] = [
    "builtin:auth-api-key",
    "builtin:rate-limit",
    "builtin:redact",
    "builtin:namespace",
];

/// The facts-only guest, which reads `head` and attributes and never a payload.
const FACTS_GUEST: &str = "facts.wasm";

/// Instances made, each a miss of the pool of warm ones.
const INSTANCES_CREATED: &str = "sluice_plugin_instances_created_total";
/// Hooks entered, whatever the plugin and the hook.
const HOOKS_ENTERED: &str = "sluice_plugin_hooks_entered_total";

/// What stands between client and upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Nothing.
    Empty,
    /// The four standard plugins, with a key for each of [`PRINCIPALS`].
    Standard,
    /// So many copies of the facts-only guest.
    Facts(usize),
}

/// What is called behind it.
#[derive(Debug, Clone, Copy)]
pub enum Behind<'a> {
    /// The static backend, by its URL.
    Backend(&'a str),
    /// A demo server inside the host, which costs no process and no socket to reach.
    Builtin,
}

/// A tool of the built-in demo upstream, and arguments it takes.
pub const BUILTIN_TOOL: (&str, &str) = ("echo", r#"{"text":"hello"}"#);

/// What is measured: a binary and the guests built for it.
#[derive(Debug, Clone)]
pub struct Sluice {
    /// The `sluice` binary.
    pub binary: PathBuf,
    /// A folder with the facts-only guest.
    pub guests: PathBuf,
}

/// A running Sluice.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub process: Process,
    /// Its MCP endpoint.
    pub url: String,
    /// What callers may present; empty when it asks for nothing.
    pub bearers: Vec<String>,
    admin: String,
}

/// Two of its own counters, at one moment. Absent when `/metrics` does not have them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// See [`INSTANCES_CREATED`].
    pub instances_created: Option<f64>,
    /// See [`HOOKS_ENTERED`].
    pub hooks_entered: Option<f64>,
}

impl Sluice {
    /// Starts it with its files under `dir`, and waits until it is ready.
    pub async fn start(&self, chain: Chain, behind: Behind<'_>, dir: &Path) -> Result<Running> {
        let plugins = dir.join("plugins");
        std::fs::create_dir_all(&plugins)?;
        let names = self.lay_out(chain, &plugins)?;
        let admin = free_address()?;
        let bearers = match chain {
            Chain::Standard => load::keys(load::KEYS, PRINCIPALS),
            Chain::Empty | Chain::Facts(_) => Vec::new(),
        };
        let file = dir.join("sluice.json");
        std::fs::write(&file, configuration(&names, behind, &admin, &bearers).to_string())?;
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .arg("--config")
            .arg(file)
            .arg("--plugins")
            .arg(plugins);
        command.args(["--listen", "127.0.0.1:0"]);
        let (process, url) = Process::start_ready(command)
            .await
            .with_context(|| format!("{chain:?}"))?;
        Ok(Running {
            process,
            url,
            bearers,
            admin,
        })
    }

    /// Copies the guests that the chain needs, and returns the chain's names in order.
    fn lay_out(&self, chain: Chain, plugins: &Path) -> Result<Vec<String>> {
        let copies = match chain {
            Chain::Empty => return Ok(Vec::new()),
            Chain::Standard => return Ok(STANDARD.map(str::to_owned).into()),
            Chain::Facts(copies) => copies,
        };
        let guest = self.guests.join(FACTS_GUEST);
        (0..copies)
            .map(|copy| {
                let name = format!("facts-{copy:02}");
                let file = plugins.join(format!("{name}.wasm"));
                std::fs::copy(&guest, &file).with_context(|| format!("copy {}", guest.display()))?;
                Ok(name)
            })
            .collect()
    }
}

impl Running {
    /// Reads its counters. This costs it CPU time, so not while that is counted.
    pub async fn counters(&self) -> Result<Counters> {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin);
        let mut connection = Connection::open(&self.admin).await?;
        let answer = connection.exchange(request.as_bytes()).await?;
        ensure!(answer.status == 200, "/metrics was answered {}", answer.status);
        let text = std::str::from_utf8(answer.body)?;
        Ok(Counters {
            instances_created: sum(text, INSTANCES_CREATED),
            hooks_entered: sum(text, HOOKS_ENTERED),
        })
    }

    /// Its MCP endpoint, taken apart.
    pub fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::parse(&self.url)
    }
}

fn configuration(chain: &[String], behind: Behind<'_>, admin: &str, keys: &[String]) -> Value {
    let upstream = match behind {
        Behind::Backend(url) => json!({"type": "http", "url": url}),
        Behind::Builtin => json!({"type": "builtin", "server": "echo"}),
    };
    let keys: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| {
            let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"subject": format!("bench-{number:04}"), "sha256": hash})
        })
        .collect();
    json!({
        "mcpServers": {"bench": upstream},
        "sluice": {
            "chain": chain,
            "admin": {"listen": admin},
            "plugins": {
                "auth-api-key": {"settings": {"keys": keys}},
                // Far above what any load here reaches: the limiter is to count, not to refuse.
                "rate-limit": {"settings": {"rate": 1_000_000_000, "burst": 1_000_000_000}},
            },
        },
    })
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
    fn a_metric_is_summed_over_its_labels() {
        let text =
            "# HELP a_total what\na_total{plugin=\"x y\"} 2\na_total{plugin=\"z\"} 3\na_total_other 9\nb_total 4\n";
        assert_eq!(sum(text, "a_total"), Some(5.0));
        assert_eq!(sum(text, "b_total"), Some(4.0));
        assert_eq!(sum(text, "c_total"), None);
    }
}
