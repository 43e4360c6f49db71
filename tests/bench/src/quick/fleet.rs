//! Everything that is called in one run, all of it up at once, so that rounds can be interleaved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::nginx;
use crate::process::{Pid, Process};
use crate::proxy;
use crate::quick::matrix::Target;
use crate::request::Endpoint;
use crate::sluice::{self, Behind, Running, Sluice};

/// One target, up and ready.
#[derive(Debug)]
pub struct Member {
    /// Where calls go.
    pub to: Endpoint,
    /// What callers present; empty when nothing is asked for.
    pub bearers: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The backend itself, which the fleet holds.
    Direct,
    Other(Process),
    Sluice(Box<Running>),
}

/// The backend and every target in front of it.
#[derive(Debug)]
pub struct Fleet {
    members: BTreeMap<Target, Member>,
    backend: Process,
    backend_url: String,
    scratch: Scratch,
}

impl Fleet {
    /// Starts the backend and the targets that are wanted. Those that are Sluice need `sluice`.
    pub async fn start(wanted: &BTreeSet<Target>, sluice: Option<&Sluice>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("backend");
        let (backend, backend_url) = Process::start_ready(command).await.context("backend")?;
        let mut fleet = Self { members: BTreeMap::new(), backend, backend_url, scratch };
        for target in wanted {
            let member = fleet.member(*target, sluice).await.with_context(|| format!("target {target}"))?;
            fleet.members.insert(*target, member);
        }
        Ok(fleet)
    }

    /// A target that was wanted.
    pub fn at(&self, target: Target) -> &Member {
        &self.members[&target]
    }

    /// The process whose CPU time and memory a target is judged by.
    pub fn process(&self, target: Target) -> &Process {
        match &self.at(target).kind {
            Kind::Direct => &self.backend,
            Kind::Other(process) => process,
            Kind::Sluice(running) => &running.process,
        }
    }

    /// A Sluice's own counters.
    pub async fn counters(&self, target: Target) -> Result<sluice::Counters> {
        match &self.at(target).kind {
            Kind::Direct | Kind::Other(_) => Ok(sluice::Counters::default()),
            Kind::Sluice(running) => running.counters().await,
        }
    }

    /// Empties what a target has logged.
    pub fn empty_files(&self, target: Target) -> Result<()> {
        match &self.at(target).kind {
            Kind::Direct | Kind::Other(_) => Ok(()),
            Kind::Sluice(running) => running.empty_files(),
        }
    }

    /// The backend's CPU time so far.
    pub fn backend_cpu(&self) -> Result<Duration> {
        self.backend.cpu()
    }

    /// Where the backend is.
    pub fn backend_url(&self) -> &str {
        &self.backend_url
    }

    /// A folder that ends with the fleet.
    pub fn scratch(&self) -> &Path {
        &self.scratch.0
    }

    /// Waits until every Sluice has made of its plugins what it makes beside its traffic.
    pub async fn rest(&self) -> Result<()> {
        for (target, member) in &self.members {
            if let Kind::Sluice(running) = &member.kind {
                running.process.rest().await.with_context(|| format!("target {target}"))?;
            }
        }
        Ok(())
    }

    /// Ends everything and waits for it.
    pub async fn end(self) -> Result<()> {
        for (_, member) in self.members {
            match member.kind {
                Kind::Direct => {}
                Kind::Other(process) => process.end().await?,
                Kind::Sluice(running) => running.process.end().await?,
            }
        }
        self.backend.end().await
    }

    async fn member(&self, target: Target, sluice: Option<&Sluice>) -> Result<Member> {
        let backend = Endpoint::parse(&self.backend_url)?;
        if let Some(chain) = target.chain() {
            let sluice = sluice.context("--sluice PATH is missing")?;
            let name = target.to_string();
            let behind = match target {
                Target::Bridge(server) => Behind::BackendIn(&self.backend_url, server),
                _ => Behind::Backend(&self.backend_url),
            };
            let running = sluice.start(chain, behind, self.scratch(), &name).await?;
            return Ok(Member { to: running.endpoint()?, bearers: running.bearers.clone(), kind: Kind::Sluice(Box::new(running)) });
        }
        let (to, kind) = match target {
            Target::Nginx => {
                let process = self.nginx(&backend).await?;
                (Endpoint { path: backend.path, ..process.0 }, Kind::Other(process.1))
            }
            Target::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["proxy", "--upstream", &backend.authority, "--workers", &proxy::WORKERS.to_string()]);
                let (process, url) = Process::start_ready(command).await?;
                (Endpoint::parse(&url)?, Kind::Other(process))
            }
            _ => (backend, Kind::Direct),
        };
        Ok(Member { to, bearers: Vec::new(), kind })
    }

    /// nginx says nothing when it is ready: it is once it takes a connection.
    async fn nginx(&self, backend: &Endpoint) -> Result<(Endpoint, Process)> {
        let binary = nginx::installed().context("nginx is not installed (Debian: nginx-light)")?;
        let listen = sluice::free_address()?;
        let dir = self.scratch().join("nginx");
        std::fs::create_dir(&dir)?;
        let process = Process::start(nginx::command(&binary, &listen, &backend.authority, &dir)?, true)?;
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(&listen).await.is_ok() {
                return Ok((Endpoint::parse(&format!("http://{listen}"))?, process));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("nginx did not listen within 5 s")
    }
}

/// CPU time of this process, which is the load's.
pub fn own_cpu() -> Result<Duration> {
    Pid::new(std::process::id() as i32).cpu()
}

/// A private folder, gone when dropped.
#[derive(Debug)]
pub struct Scratch(std::path::PathBuf);

impl Scratch {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("sluice-bench-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
