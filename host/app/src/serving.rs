//! One gateway, from its configuration to its end: what `sluice serve` does, for it and for programs that have a gateway inside.

use crate::{
    admin::{self, Admin},
    assembly::{Assembly, Purpose, listener_settings},
    certificates,
    config::{Config, Listen, Settings},
    reloading::{Read, Reloader},
    token, watch,
};
use anyhow::{Context as _, Result};
use sluice_transport::{
    downstream::{self, Listener, UnixEndpoint},
    tls::ServerTls,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A gateway that lets clients in.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where MCP is served, in the form that an upstream's URL has.
    pub url: String,
    /// Where health, metrics and administration are, if they are.
    pub admin: Option<SocketAddr>,
    /// How many servers it has.
    pub upstreams: usize,
    /// Names of the filters, in order.
    pub chain: Vec<String>,
}

/// Serves until `stop`, then lets what runs finish.
///
/// `read` reads the configuration again, when its file changes, at SIGHUP and when the operator says so; without it the configuration stays.
/// `ready` is told once clients are let in. SIGHUP is heard from here on, as plugins and certificates are looked at again then.
///
/// # Errors
/// It cannot listen, or what is wrong with a plugin, a token, the audit file or what `ready` does.
pub async fn serve(
    config: Config,
    read: Option<Read>,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Ready) -> Result<()>,
) -> Result<()> {
    // Heard once the chain is in place; one that comes before must not end the start.
    let _hangup = watch::hangup();
    let began_with = config.file.as_deref().and_then(watch::seen);
    let listener_settings = listener_settings(&config)?;
    let listener = listener(&config.settings, &listener_settings).await?;
    let tls = listener_settings.tls.clone();
    let assembly = Arc::new(Assembly::closed(config, Purpose::Serve)?);
    if is_open_to_others(&assembly.config.settings, tls.as_deref()) {
        assembly.plugins.needs_an_authenticator();
    }

    let over = CancellationToken::new();
    let reloader = read.map(|read| Reloader::new(assembly.clone(), read, began_with));
    let served = until_over(&assembly, reloader, listener, listener_settings, stop, ready, &over).await;
    // However it ended: nothing of it goes on inside another program.
    over.cancel();
    assembly.close().await;
    served
}

async fn until_over(
    assembly: &Assembly,
    reloader: Option<Arc<Reloader>>,
    listener: Listener,
    listener_settings: downstream::Settings,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Ready) -> Result<()>,
    over: &CancellationToken,
) -> Result<()> {
    let tls = listener_settings.tls.clone();
    let is_ready = Arc::new(AtomicBool::new(false));
    let admin = serve_admin(assembly, reloader.clone(), &is_ready, over).await?;
    let url = url(&listener, tls.is_some())?;
    let drain = CancellationToken::new();
    let serving = downstream::serve(vec![listener], assembly.host.clone(), listener_settings, drain.clone());
    tokio::pin!(serving);
    tokio::pin!(stop);

    // A plugin may take long to be compiled. Whoever comes meanwhile is told so.
    let some_come_later = tokio::select! {
        ended = &mut serving => return ended.map_err(Into::into),
        opened = assembly.plugins.open(true) => opened?,
        () = &mut stop => return Ok(()),
    };
    let mut watching = vec![assembly.plugins.clone().watch(some_come_later, over.clone())];
    watching.extend(tls.clone().map(|tls| certificates::keep_fresh(tls, over.clone())));
    watching.extend(reloader.map(|reloader| reloader.watch(over.clone())));
    is_ready.store(true, Relaxed);
    ready(&Ready { url, admin, upstreams: assembly.host.upstreams().len(), chain: assembly.plugins.names() })?;

    tokio::select! {
        ended = &mut serving => ended?,
        () = &mut stop => {
            tracing::info!(running = assembly.host.running(), "told to stop: no new connection, what runs may finish");
            is_ready.store(false, Relaxed);
            drain.cancel();
            serving.await?;
        }
    }
    over.cancel();
    for task in watching {
        let _ = task.await;
    }
    Ok(())
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

async fn serve_admin(
    assembly: &Assembly,
    reloader: Option<Arc<Reloader>>,
    ready: &Arc<AtomicBool>,
    stop: &CancellationToken,
) -> Result<Option<SocketAddr>> {
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
    let (plugins, waiting, configured) = (assembly.plugins.clone(), assembly.plugins.clone(), assembly.plugins.clone());
    let optional = move || configured.config().upstreams.iter().filter(|u| u.settings.optional).map(|u| u.name.clone()).collect();
    let admin = Admin {
        host: assembly.host.clone(),
        recorder: assembly.recorder.clone(),
        token: token.into(),
        ready: ready.clone(),
        optional: Box::new(optional),
        reloader,
        waits_for: Box::new(move || waiting.waits_for()),
        more: Box::new(move || plugins.figures()),
    };
    tokio::spawn(admin::serve(listener, Arc::new(admin), stop.clone()));
    Ok(Some(address))
}
