//! One gateway, from its configuration to its end: what `sluice serve` does, for it and for programs that have a gateway inside.

use crate::{
    admin::{self, Admin},
    assembly::{Assembly, Purpose, listener_settings},
    certificates,
    config::{Config, Listen, Settings, StateKind},
    handoff::{self, Handoff, Inherited, Socket, Successor},
    reloading::{Read, Reloader},
    token, watch,
};
use anyhow::{Context as _, Result};
use sd_notify::NotifyState;
use sluice_state::file::FileError;
use sluice_transport::{
    downstream::{self, Listener, UnixEndpoint},
    tls::ServerTls,
};
use std::{
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, time::sleep};
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
    serve_as(OwnProcess::default(), config, read, stop, ready).await
}

/// What belongs to a process that is a gateway and nothing else.
#[derive(Default)]
pub struct OwnProcess {
    /// Sockets that others have bound.
    pub inherited: Inherited,
    /// How another process takes over; none: none does.
    pub handoff: Option<Handoff>,
}

/// The same as a process of its own, which takes over from another and hands over to the next.
///
/// # Errors
/// As [`serve`]; and nobody serves any more although it was handed over.
pub async fn serve_as(
    process: OwnProcess,
    config: Config,
    read: Option<Read>,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Ready) -> Result<()>,
) -> Result<()> {
    // Heard once the chain is in place; one that comes before must not end the start.
    let _hangup = watch::hangup();
    let began_with = config.file.as_deref().and_then(watch::seen);
    let listener_settings = listener_settings(&config)?;
    let OwnProcess { mut inherited, mut handoff } = process;
    let listener = listener(&config.settings, &listener_settings, inherited.mcp.take()).await?;
    let tls = listener_settings.tls.clone();
    let assembly = Arc::new(assembled(config, &inherited).await?);
    if is_open_to_others(&assembly.config.settings, tls.as_deref()) {
        assembly.plugins.needs_an_authenticator();
    }

    let over = CancellationToken::new();
    let reloader = read.map(|read| Reloader::new(assembly.clone(), read, began_with));
    let (hop, session_records) = (assembly.hop.clone(), assembly.plugins.session_records());
    let front = Front { listener, settings: downstream::Settings { hop, session_records, ..listener_settings }, reloader };
    let served = until_over(&assembly, front, &mut inherited, handoff.as_mut(), stop, ready, &over).await;
    // However it ended: nothing of it goes on inside another program.
    over.cancel();
    assembly.close().await;
    match served? {
        Some(successor) => successor.finish().await,
        None => Ok(()),
    }
}

/// What another process holds is waited for: it lets go once all else is as it should be here.
async fn assembled(config: Config, inherited: &Inherited) -> Result<Assembly> {
    if !(inherited.takes_over() && config.settings.state.kind == StateKind::File) {
        return Assembly::closed(config, Purpose::Serve);
    }
    // The whole of it but for the file; what is compiled now is there afterwards.
    Assembly::new(config.clone(), Purpose::Look).await?.close().await;
    inherited.prepared();
    let began = Instant::now();
    loop {
        match Assembly::closed(config.clone(), Purpose::Serve) {
            Err(error) if is_in_use(&error) && began.elapsed() < LETS_GO_WITHIN => sleep(LOOK_AGAIN).await,
            closed => return closed,
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(FileError::InUse(_)))
}

/// Between two looks whether the state file is free.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What runs in the other process may finish first.
const LETS_GO_WITHIN: Duration = Duration::from_secs(100);

/// What clients come to, before it is open.
struct Front {
    listener: Listener,
    settings: downstream::Settings,
    reloader: Option<Arc<Reloader>>,
}

/// Gives back who serves from now on, if it was handed over.
async fn until_over(
    assembly: &Assembly,
    front: Front,
    inherited: &mut Inherited,
    handoff: Option<&mut Handoff>,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Ready) -> Result<()>,
    over: &CancellationToken,
) -> Result<Option<Successor>> {
    let Front { listener, settings: listener_settings, reloader } = front;
    tokio::pin!(stop);
    // Whoever comes while another process serves goes there.
    let opened = match inherited.takes_over() {
        true => tokio::select! {
            opened = assembly.plugins.open(true) => Some(opened?),
            () = &mut stop => return Ok(None),
        },
        false => None,
    };
    let tls = listener_settings.tls.clone();
    let is_ready = Arc::new(AtomicBool::new(false));
    let lets_administer = over.child_token();
    let admin = serve_admin(assembly, reloader.clone(), inherited.admin.take(), &is_ready, &lets_administer).await?;
    let url = url(&listener, tls.is_some())?;
    let (keeps_file, own) = (listener.keeps_file(), listener.share()?);
    let drain = CancellationToken::new();
    let serving = downstream::serve(vec![listener], assembly.host.clone(), listener_settings, drain.clone());
    tokio::pin!(serving);

    // A plugin may take long to be compiled. Whoever comes meanwhile is told so.
    let some_come_later = match opened {
        Some(some_come_later) => some_come_later,
        None => tokio::select! {
            ended = &mut serving => return ended.map(|()| None).map_err(Into::into),
            opened = assembly.plugins.open(true) => opened?,
            () = &mut stop => return Ok(None),
        },
    };
    let mut watching = vec![assembly.plugins.clone().watch(some_come_later, over.clone())];
    watching.extend(tls.clone().map(|tls| certificates::keep_fresh(tls, over.clone())));
    watching.extend(reloader.map(|reloader| reloader.watch(over.clone())));
    is_ready.store(true, Relaxed);
    let address = admin.as_ref().map(|(address, _)| *address);
    ready(&Ready { url, admin: address, upstreams: assembly.host.upstreams().len(), chain: assembly.plugins.names() })?;
    inherited.ready();
    handoff::notify(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);

    let sockets = || {
        let mut sockets = vec![("mcp", own.try_clone()?)];
        if let Some((_, socket)) = &admin {
            sockets.push(("admin", socket.try_clone()?));
        }
        Ok(sockets)
    };
    let handed = async {
        match handoff {
            Some(handoff) => handoff.handed(sockets).await,
            None => std::future::pending().await,
        }
    };
    let successor = tokio::select! {
        ended = &mut serving => {
            ended?;
            None
        }
        () = &mut stop => {
            tracing::info!(running = assembly.host.running(), "told to stop: no new connection, what runs may finish");
            handoff::notify(&[NotifyState::Stopping]);
            is_ready.store(false, Relaxed);
            // Whoever connects now is to be refused, and not kept waiting for nobody.
            drop(own);
            drain.cancel();
            serving.await?;
            None
        }
        successor = handed => {
            tracing::info!(running = assembly.host.running(), to = successor.id(), "handed over: no new connection, what runs may finish");
            keeps_file.store(true, Relaxed);
            lets_administer.cancel();
            drain.cancel();
            serving.await?;
            Some(successor)
        }
    };
    over.cancel();
    for task in watching {
        let _ = task.await;
    }
    Ok(successor)
}

async fn listener(settings: &Settings, checked: &downstream::Settings, inherited: Option<Socket>) -> Result<Listener> {
    let cannot = || format!("cannot listen on {}", settings.listen);
    match (inherited, &settings.listen) {
        // Port 0 is whichever it is.
        (Some(Socket::Tcp(tcp)), Listen::Tcp(address)) if is_at(&tcp, *address)? => {
            checked.check(tcp.local_addr()?)?;
            return Listener::adopt_tcp(tcp).with_context(cannot);
        }
        (Some(Socket::Unix(unix)), Listen::Unix(path)) if path.exists() => return Listener::adopt_unix(unix, path).with_context(cannot),
        (Some(_), _) => tracing::warn!(listen = %settings.listen, "the socket that was handed over is another one: sluice.listen counts"),
        (None, _) => {}
    }
    match &settings.listen {
        Listen::Tcp(address) => {
            checked.check(*address)?;
            Ok(TcpListener::bind(address).await.with_context(cannot)?.into())
        }
        Listen::Unix(path) => Ok(Listener::Unix(UnixEndpoint::bind(path, settings.unix_mode.bits()).with_context(cannot)?)),
    }
}

fn is_at(tcp: &std::net::TcpListener, address: SocketAddr) -> Result<bool> {
    let own = tcp.local_addr()?;
    Ok(own.ip() == address.ip() && (address.port() == 0 || own.port() == address.port()))
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
    inherited: Option<Socket>,
    ready: &Arc<AtomicBool>,
    stop: &CancellationToken,
) -> Result<Option<(SocketAddr, OwnedFd)>> {
    let settings = &assembly.config.settings.admin;
    if !settings.enabled {
        return Ok(None);
    }
    let handed = match inherited {
        // It may be a free one in the place of the usual one.
        Some(Socket::Tcp(tcp)) if tcp.local_addr()?.ip() == settings.listen.ip() => {
            tcp.set_nonblocking(true)?;
            Some(TcpListener::from_std(tcp)?)
        }
        _ => None,
    };
    let bound = match handed {
        Some(listener) => Ok(listener),
        None => TcpListener::bind(settings.listen).await,
    };
    let listener = match bound {
        Ok(listener) => listener,
        // A second Sluice on one machine is common; health on another port is better than no Sluice.
        Err(error) if settings.listen.port() == crate::config::Admin::default().listen.port() => {
            tracing::warn!(address = %settings.listen, %error, "the admin address is taken: a free port is used");
            TcpListener::bind((settings.listen.ip(), 0)).await?
        }
        Err(error) => return Err(error).with_context(|| format!("cannot listen on {} for administration", settings.listen)),
    };
    let (address, socket) = (listener.local_addr()?, listener.as_fd().try_clone_to_owned()?);
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
    Ok(Some((address, socket)))
}
