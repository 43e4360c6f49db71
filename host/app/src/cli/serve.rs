//! `sluice serve`

use super::{ConfigArgs, Exit};
use crate::{
    admin::{self, Admin},
    assembly::{Assembly, Purpose, listener_settings},
    certificates,
    config::{Config, Listen, Log, LogFormat, LogLevel, Settings},
    token, watch,
};
use anyhow::{Context as _, Result};
use clap::Args;
use sluice_transport::{
    downstream::{self, Listener, UnixEndpoint},
    tls::ServerTls,
};
use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
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
        let Some(config) = self.config.load(self.listen) else { return Ok(Exit::Config) };
        start_log(&config.settings.log);
        runtime()?.block_on(serve(config))
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

async fn serve(config: Config) -> Result<Exit> {
    // Heard once the chain is in place; one that comes before must not end the start.
    let _hangup = watch::hangup();
    let listener_settings = listener_settings(&config)?;
    let listener = listener(&config.settings, &listener_settings).await?;
    let tls = listener_settings.tls.clone();
    let assembly = Assembly::closed(config, Purpose::Serve)?;
    if is_open_to_others(&assembly.config.settings, tls.as_deref()) {
        assembly.plugins.needs_an_authenticator();
    }

    let stop = CancellationToken::new();
    let ready = Arc::new(AtomicBool::new(false));
    let admin_address = serve_admin(&assembly, &ready, &stop).await?;
    let url = url(&listener, tls.is_some())?;
    let drain = CancellationToken::new();
    let serving = downstream::serve(vec![listener], assembly.host.clone(), listener_settings, drain.clone());
    tokio::pin!(serving);
    let told = told_to_stop();
    tokio::pin!(told);

    // A plugin may take long to be compiled. Whoever comes meanwhile is told so.
    let some_come_later = tokio::select! {
        ended = &mut serving => return ended.map(|()| Exit::Good).map_err(Into::into),
        opened = assembly.plugins.open(true) => opened?,
        () = &mut told => return Ok(Exit::Good),
    };
    let mut watching = vec![assembly.plugins.clone().watch(some_come_later, stop.clone())];
    watching.extend(tls.clone().map(|tls| certificates::keep_fresh(tls, stop.clone())));
    ready.store(true, Relaxed);
    say_ready(&url, admin_address, &assembly)?;

    tokio::select! {
        ended = &mut serving => ended?,
        () = &mut told => {
            tracing::info!(running = assembly.host.running(), "told to stop: no new connection, what runs may finish");
            ready.store(false, Relaxed);
            drain.cancel();
            serving.await?;
        }
    }
    stop.cancel();
    for task in watching {
        let _ = task.await;
    }
    assembly.close().await;
    Ok(Exit::Good)
}

async fn listener(settings: &Settings, checked: &downstream::Settings) -> Result<Listener> {
    let cannot = || format!("cannot listen on {}", settings.listen);
    match &settings.listen {
        Listen::Tcp(address) => {
            checked.check(*address)?;
            Ok(TcpListener::bind(address).await.with_context(cannot)?.into())
        }
        Listen::Unix(path) => Ok(Listener::Unix(UnixEndpoint::bind(path, settings.unix_mode.bits()).with_context(cannot)?)),
    }
}

/// Whether others than this machine can reach the listener with nothing but a connection. Behind a proxy a client
/// certificate is the proxy's own, so it guards nothing.
fn is_open_to_others(settings: &Settings, tls: Option<&ServerTls>) -> bool {
    let is_remote = settings.listen.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback());
    settings.trusted_proxy.is_some() || (is_remote && !tls.is_some_and(ServerTls::requires_client_certificate))
}

/// Where MCP is served, in the form that an upstream's URL has.
fn url(listener: &Listener, is_encrypted: bool) -> Result<String> {
    let scheme = if is_encrypted { "https" } else { "http" };
    Ok(match listener {
        Listener::Tcp(tcp) => format!("{scheme}://{}/mcp", tcp.local_addr()?),
        Listener::Unix(unix) => format!("unix:{}:/mcp", unix.path().display()),
    })
}

async fn serve_admin(assembly: &Assembly, ready: &Arc<AtomicBool>, stop: &CancellationToken) -> Result<Option<std::net::SocketAddr>> {
    let settings = &assembly.config.settings.admin;
    if !settings.enabled {
        return Ok(None);
    }
    let listener = match TcpListener::bind(settings.listen).await {
        Ok(listener) => listener,
        // A second Sluice on one machine is common; health on another port is better than no Sluice.
        Err(error) if settings.listen.port() == crate::config::Admin::default().listen.port() => {
            tracing::warn!(address = %settings.listen, %error, "the admin address is taken: a free port is used");
            TcpListener::bind((settings.listen.ip(), 0)).await?
        }
        Err(error) => return Err(error).with_context(|| format!("cannot listen on {} for administration", settings.listen)),
    };
    let address = listener.local_addr()?;
    let token = match &settings.token {
        Some(secret) => secret.reveal().to_owned(),
        None => token::load_or_make(&assembly.config.places.admin_token_file).context("the admin token")?,
    };
    let (plugins, waiting) = (assembly.plugins.clone(), assembly.plugins.clone());
    let optional = assembly.config.upstreams.iter().filter(|u| u.settings.optional).map(|u| u.name.clone()).collect();
    let admin = Admin {
        host: assembly.host.clone(),
        recorder: assembly.recorder.clone(),
        token: token.into(),
        ready: ready.clone(),
        optional,
        waits_for: Box::new(move || waiting.waits_for()),
        more: Box::new(move || plugins.figures()),
    };
    tokio::spawn(admin::serve(listener, Arc::new(admin), stop.clone()));
    Ok(Some(address))
}

/// The one line on standard output that scripts wait for.
fn say_ready(url: &str, admin: Option<std::net::SocketAddr>, assembly: &Assembly) -> Result<()> {
    let admin = admin.map_or_else(|| "off".to_owned(), |a| format!("http://{a}"));
    let chain = assembly.plugins.names().join(",");
    let mut out = std::io::stdout().lock();
    writeln!(out, "sluice ready {url} admin={admin} upstreams={} chain=[{chain}]", assembly.host.upstreams().len())?;
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
