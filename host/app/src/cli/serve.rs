//! `sluice serve`

use super::{ConfigArgs, Exit};
use crate::{
    config::{Log, LogFormat, LogLevel},
    handoff::{Handoff, Inherited},
    serving::{self, OwnProcess, Ready},
};
use anyhow::{Context as _, Result};
use clap::Args;
use std::io::{IsTerminal as _, Write as _};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, fmt};

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where clients connect; port 0 takes a free one and prints it [default: 127.0.0.1:7411].
    #[arg(long, value_name = "HOST:PORT|unix:PATH")]
    listen: Option<String>,
}

impl Serve {
    pub fn run(self) -> Result<Exit> {
        // Before there is a second thread.
        let inherited = Inherited::of_this_process()?;
        let Some(config) = self.config.load(self.listen.clone()) else { return Ok(Exit::Config) };
        start_log(&config.settings.log);
        let read = Box::new(move || self.config.read(self.listen.clone()));
        runtime()?.block_on(async {
            let process = OwnProcess { inherited, handoff: Some(Handoff::at_signal().context("SIGUSR2 cannot be heard")?) };
            serving::serve_as(process, config, Some(read), told_to_stop(), say_ready).await.map(|()| Exit::Good)
        })
    }
}

/// The process's tokio runtime.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads for the runtime")
}

/// Everything but exchange lines goes through tracing, to standard error.
pub fn start_log(log: &Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let subscriber = fmt().with_env_filter(EnvFilter::new(level)).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second start within one process (tests) keeps the first one's.
    let _ = match log.format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Text => subscriber.with_target(false).try_init(),
    };
}

/// The one line on standard output that scripts wait for.
fn say_ready(ready: &Ready) -> Result<()> {
    let Ready { url, admin, upstreams, chain } = ready;
    let admin = admin.map_or_else(|| "off".to_owned(), |a| format!("http://{a}"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "sluice ready {url} admin={admin} upstreams={upstreams} chain=[{}]", chain.join(","))?;
    out.flush()?;
    Ok(())
}

/// SIGTERM or Ctrl-C. A second one ends the process at once, as everywhere.
pub async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        std::process::exit(130);
    });
}
