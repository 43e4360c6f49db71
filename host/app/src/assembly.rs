//! From a configuration to a host that can serve: the one place where the rooms meet.

use crate::{
    chain::Plugins,
    cli,
    config::{self, Config, EraChoice, LogLevel, Reach, Sharing},
    fetcher::Fetcher,
    record::{Recorder, Sink},
    token,
};
use anyhow::{Context as _, Result};
use http::HeaderValue;
use sluice_chain::{
    estate::Estate,
    gate::Access,
    groups::Groups,
    host::{Ear, Host, Listening, Parking, Settings},
    principal::Principal,
    stream::Streaming,
    upstream::{Listener, Upstream},
};
use sluice_transport::{
    downstream,
    hop::{self, Hop},
    tls::{ClientTls, ServerTls},
    upstream::{
        self,
        stdio::confine::{Confinement, Folders, Starter},
    },
};
use sluice_wire::json::{IndexDepth, Limits};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// Everything a command needs to serve or to look.
pub struct Assembly {
    /// What was configured at the start.
    pub config: Config,
    /// The heart.
    pub host: Arc<Host>,
    /// Log, audit, metrics.
    pub recorder: Arc<Recorder>,
    /// The chain and the directory it comes from.
    pub plugins: Arc<Plugins>,
    /// Who we are to other gateways, as a server and as their client.
    pub hop: Hop,
    factory: Factory,
    /// Servers that are gone and not closed yet.
    leaving: Mutex<JoinSet<()>>,
    over: CancellationToken,
}

/// Makes servers' ends.
struct Factory {
    hop: Hop,
    /// Of all child processes together.
    children: Arc<upstream::stdio::ChildBudget>,
    /// Those that are in force, or will be, each with what it hears the host through.
    made: Mutex<Vec<(Arc<dyn Upstream>, Arc<Ear>)>>,
}

/// Between two looks whether anybody still needs a server that is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// At least so long it is waited for: a task of a legacy server may run so long.
const PATIENCE_MIN: Duration = Duration::from_secs(30 * 60);

/// What the process is started for: it decides who gets in and what is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `sluice serve`.
    Serve,
    /// `sluice stdio`: whoever started us is `local`.
    Stdio,
    /// `sluice ls`, `sluice check`: nothing is recorded.
    Look,
}

impl Assembly {
    /// Build everything, the chain included; nothing listens and no upstream is started yet.
    ///
    /// # Errors
    /// What is wrong with a plugin, a token or the audit file.
    pub async fn new(config: Config, purpose: Purpose) -> Result<Self> {
        let assembly = Self::closed(config, purpose)?;
        assembly.plugins.open(false).await?;
        Ok(assembly)
    }

    /// Everything but the chain: whoever comes before [`Plugins::open`] is told to come back.
    ///
    /// # Errors
    /// What is wrong with a token or the audit file.
    pub fn closed(config: Config, purpose: Purpose) -> Result<Self> {
        let recorder = Arc::new(recorder(&config, purpose)?);
        let children = upstream::stdio::ChildBudget::new(count(config.settings.limits.children_max));
        let hop = Hop::behind(&std::env::var(hop::VARIABLE).unwrap_or_default());
        let factory = Factory { hop: hop.clone(), children, made: Mutex::default() };
        let upstreams = config.upstreams.iter().map(|u| factory.make(&config, u)).collect::<Result<_>>()?;
        let settings = Settings { task_secret: task_secret(&config, purpose), ..host_settings(&config, access(&config, purpose)?) };
        let host = Host::new(upstreams, settings, recorder.clone()).map_err(|e| anyhow::anyhow!("this machine has no randomness: {e}"))?;
        factory.attach(&host);
        let plugins = Plugins::closed(&config, host.clone(), Arc::new(Fetcher::new(recorder.clone())), purpose != Purpose::Look)?;
        Ok(Self { config, host, recorder, plugins, hop, factory, leaving: Mutex::default(), over: CancellationToken::new() })
    }

    /// A caller at a group's endpoint; none: at `/mcp`.
    ///
    /// # Errors
    /// There is no such group.
    pub fn caller(&self, principal: Principal, group: Option<&str>) -> Result<Arc<Principal>> {
        let Some(name) = group else { return Ok(Arc::new(principal)) };
        let groups = self.host.groups();
        let known: Vec<&str> = groups.iter().filter_map(|generation| generation.group.as_deref()).collect();
        let found = groups.named(name).with_context(|| match known[..] {
            [] => format!("there is no group {name:?}, nor any other"),
            _ => format!("there is no group {name:?}, but {}", known.join(", ")),
        })?;
        Ok(Arc::new(principal.within(found.group.as_ref())))
    }

    /// Put the chain and the servers of `next` in the place of those of `before`, in one step.
    ///
    /// # Errors
    /// A line for each problem; then nothing has changed.
    pub(crate) async fn replace(&self, before: &Config, next: Config) -> Result<(), Vec<String>> {
        let last = self.host.groups();
        let servers = self.servers(before, &next).map_err(|error| vec![format!("{error:#}")]);
        let going = self.factory.others(servers.as_deref().unwrap_or_default());
        // What those who go still send, answers to their questions say, is filtered as it was, whoever has their name then.
        going.iter().for_each(|ear| ear.leave(Some(&last)));
        let taken = match servers {
            Ok(servers) => self.plugins.reconfigure(next, servers).await,
            Err(problems) => Err(problems),
        };
        self.factory.keep(&self.host.upstreams());
        match taken {
            Ok(gone) => gone.into_iter().for_each(|(place, server)| self.close_later(place, server, last.clone())),
            Err(problems) => {
                going.iter().for_each(|ear| ear.leave(None));
                return Err(problems);
            }
        }
        Ok(())
    }

    /// The servers of another configuration: those that it keeps, and new ones, which nobody has asked anything yet.
    fn servers(&self, before: &Config, next: &Config) -> Result<Vec<Arc<dyn Upstream>>> {
        let here = self.host.upstreams();
        let server = |u: &config::Upstream| {
            let kept = before.keeps(next, u).then(|| here.iter().find(|(_, server)| **server.name() == *u.name)).flatten();
            kept.map_or_else(|| self.factory.make(next, u), |(_, server)| Ok(server.clone()))
        };
        let servers = next.upstreams.iter().map(server).collect();
        self.factory.attach(&self.host);
        servers
    }

    /// Close a server that is gone once no exchange holds it. `last`: what was in force with it, for what it still sends.
    pub(crate) fn close_later(&self, place: usize, server: Arc<dyn Upstream>, last: Arc<Groups>) {
        let limits = &self.config.settings.limits;
        let patience = ms(limits.call_total_timeout_ms).max(PATIENCE_MIN);
        let (host, over) = (self.host.clone(), self.over.clone());
        let closing = async move {
            let began = Instant::now();
            // One is ours, one that of `last`.
            while Arc::strong_count(&server) > 2 && began.elapsed() < patience && !over.is_cancelled() {
                tokio::select! {
                    () = over.cancelled() => {}
                    () = sleep(LOOK_AGAIN) => {}
                }
            }
            server.close().await;
            host.forget(place);
            tracing::info!(upstream = %server.name(), "closed, since it is not in the configuration any more");
            drop(last);
        };
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        while leaving.try_join_next().is_some() {}
        leaving.spawn(closing);
    }

    /// End what was started, in order: children and sessions first, records last.
    pub async fn close(&self) {
        self.over.cancel();
        let leaving = std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        leaving.join_all().await;
        self.host.close().await;
        self.plugins.close();
        self.recorder.flush();
    }
}

fn recorder(config: &Config, purpose: Purpose) -> Result<Recorder> {
    let settings = &config.settings;
    if purpose == Purpose::Look {
        return Ok(Recorder::new(None, settings.log.format, true, None));
    }
    let log = Sink::stderr().context("no thread for the log")?;
    let quiet = matches!(settings.log.level, LogLevel::Error | LogLevel::Warn);
    let path = &config.places.audit_file;
    let audit = match settings.audit.mode {
        config::AuditMode::Off => None,
        config::AuditMode::On => Some(Sink::append(path).with_context(|| format!("the audit file {} cannot be opened", path.display()))?),
    };
    Ok(Recorder::new(Some(log), settings.log.format, quiet, audit))
}

fn access(config: &Config, purpose: Purpose) -> Result<Access> {
    Ok(match purpose {
        Purpose::Stdio | Purpose::Look => Access::Local,
        Purpose::Serve if config.settings.auth.allow_anonymous => Access::Anonymous,
        Purpose::Serve => {
            let path = &config.places.token_file;
            let token = token::load_or_make(path).with_context(|| format!("the loopback token {}", path.display()))?;
            Access::Token(token.into())
        }
    })
}

/// Kept beside the loopback token, so that clients find their tasks again after a restart. Without a place for it they do not.
fn task_secret(config: &Config, purpose: Purpose) -> Option<Arc<str>> {
    if purpose == Purpose::Look {
        return None;
    }
    let path = &config.places.task_key_file;
    let loaded = token::load_or_make(path);
    let warned = loaded.inspect_err(|error| {
        tracing::warn!(path = %path.display(), %error, "the key of task ids cannot be kept: tasks that run now are lost to their clients with a restart");
    });
    Some(warned.ok()?.into())
}

fn host_settings(config: &Config, access: Access) -> Settings {
    let limits = &config.settings.limits;
    let parking = Parking {
        ttl: ms(limits.parked_call_ttl_ms),
        own_max: count(limits.parked_calls_per_principal_max),
        all_max: count(limits.parked_calls_max),
    };
    let listening = Listening { own_max: count(limits.listens_per_principal_max), all_max: count(limits.listens_max) };
    let route_calls_max = count(limits.route_calls_max);
    let (streaming, interceptors) = (streaming(config), config.settings.experimental.interceptors.clone());
    Settings {
        idempotent: config.idempotent_tools(),
        parking,
        listening,
        route_calls_max,
        streaming,
        interceptors,
        ..Settings::new(access)
    }
}

fn streaming(config: &Config) -> Streaming {
    let limits = &config.settings.limits;
    let json = json_limits(config, limits.response_bytes_max);
    Streaming {
        held_bytes_max: json.bytes_max,
        bytes_max: limits.response_stream_bytes_max,
        // As many for each byte as a message that is held.
        nodes_max: limits.json_nodes_max * limits.response_stream_bytes_max.div_ceil(limits.response_bytes_max),
        depth_max: json.depth_max,
        silent_max: ms(limits.call_timeout_ms),
        stalled_max: ms(limits.idle_stream_timeout_ms),
        total_max: ms(limits.call_total_timeout_ms),
    }
}

impl Factory {
    fn made(&self) -> MutexGuard<'_, Vec<(Arc<dyn Upstream>, Arc<Ear>)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the host hears them; those who are heard already are as they were.
    fn attach(&self, host: &Arc<Host>) {
        self.made().iter().for_each(|(_, ear)| ear.attach(host));
    }

    /// What others than these hear the host through.
    fn others(&self, servers: &[Arc<dyn Upstream>]) -> Vec<Arc<Ear>> {
        let is_other = |server: &Arc<dyn Upstream>| !servers.iter().any(|one| Arc::ptr_eq(one, server));
        self.made().iter().filter(|(server, _)| is_other(server)).map(|(_, ear)| ear.clone()).collect()
    }

    /// All others are gone, or did not come into force.
    fn keep(&self, estate: &Estate) {
        self.made().retain(|(server, _)| estate.iter().any(|(_, one)| Arc::ptr_eq(one, server)));
    }

    fn make(&self, config: &Config, u: &config::Upstream) -> Result<Arc<dyn Upstream>> {
        let ear = Arc::new(Ear::default());
        let listener: Arc<dyn Listener> = ear.clone();
        let made: Arc<dyn Upstream> = match &u.reach {
            Reach::Stdio(stdio) => {
                Arc::new(upstream::stdio::Stdio::upstream(stdio_settings(config, u, stdio, &self.hop), self.children.clone(), listener))
            }
            Reach::Http(http) => {
                let made = http_settings(config, u, http, &self.hop).and_then(|s| Ok(upstream::http::Http::upstream(s, listener)?));
                Arc::new(made.with_context(|| format!("upstream {}", u.name))?)
            }
            Reach::Builtin(name) => upstream::builtin::upstream(&u.name, name),
        };
        self.made().push((made.clone(), ear));
        Ok(made)
    }
}

fn stdio_settings(config: &Config, u: &config::Upstream, stdio: &config::Stdio, hop: &Hop) -> upstream::stdio::StdioSettings {
    let limits = &config.settings.limits;
    let configured = stdio.env.iter().map(|(name, value)| (name.into(), value.reveal().into()));
    upstream::stdio::StdioSettings {
        args: stdio.args.iter().map(|a| a.value().into()).collect(),
        env: configured.chain([(hop::VARIABLE.into(), hop.above_children().into())]).collect(),
        directory: stdio.cwd.clone(),
        has_own_directory: u.settings.confine.as_ref().is_some_and(|confine| confine.own_directory),
        confinement: u.settings.confine.as_ref().map(|confine| (confinement(confine), Starter::this_binary([cli::CHILD]))),
        era: era(u.settings.era),
        sharing: sharing(u.settings.sharing),
        call: call_limits(config, u),
        children_max: count(u.settings.children_max.unwrap_or(limits.children_per_upstream_max)),
        child_wait: ms(limits.child_wait_ms),
        child_idle: ms(u.settings.child_idle_ms.unwrap_or(limits.child_idle_ms)),
        ..upstream::stdio::StdioSettings::new(u.name.as_str(), stdio.command.value())
    }
}

fn confinement(confine: &config::Confine) -> Confinement {
    let bytes = |mib: Option<u64>| mib.map(|mib| mib << 20);
    let is_fenced = confine.read.is_some() || confine.write.is_some();
    let listed = |folders: &Option<Vec<std::path::PathBuf>>| folders.clone().unwrap_or_default();
    Confinement {
        memory_bytes: bytes(confine.memory_mib),
        cpu_seconds: confine.cpu_s,
        files_max: confine.files_max,
        processes_max: confine.processes_max,
        file_bytes: bytes(confine.file_mib),
        folders: is_fenced.then(|| Folders { read: listed(&confine.read), write: listed(&confine.write) }),
        is_offline: !confine.network,
        user: confine.user.map(|config::UserAndGroup(user, group)| (user, group)),
        cgroup: confine.cgroup.clone(),
    }
}

fn http_settings(config: &Config, u: &config::Upstream, http: &config::Http, hop: &Hop) -> Result<upstream::http::HttpSettings> {
    let limits = &config.settings.limits;
    let headers = http.headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value.reveal()).ok()?;
        value.set_sensitive(true);
        Some((name.clone(), value))
    });
    let tls = http.url.is_encrypted().then(|| client_tls(u.settings.tls.as_ref())).transpose()?;
    Ok(upstream::http::HttpSettings {
        socket: http.url.socket().map(Into::into),
        tls,
        headers: headers.collect(),
        hop: hop.clone(),
        sse: http.sse,
        era: era(u.settings.era),
        sharing: sharing(u.settings.sharing),
        call: call_limits(config, u),
        connect: ms(u.settings.connect_timeout_ms.unwrap_or(limits.connect_timeout_ms)),
        stream_idle: ms(limits.idle_stream_timeout_ms),
        header_bytes_max: count(limits.header_bytes_max),
        headers_max: count(limits.headers_max),
        ..upstream::http::HttpSettings::new(u.name.as_str(), http.url.uri().clone())
    })
}

fn client_tls(tls: Option<&config::UpstreamTls>) -> Result<ClientTls> {
    let file = |named: fn(&config::UpstreamTls) -> &Option<std::path::PathBuf>| tls.and_then(|tls| named(tls).as_deref());
    let identity = file(|tls| &tls.cert).zip(file(|tls| &tls.key));
    Ok(ClientTls::new(file(|tls| &tls.ca), identity)?)
}

fn call_limits(config: &Config, u: &config::Upstream) -> upstream::CallLimits {
    let limits = &config.settings.limits;
    upstream::CallLimits {
        silent_max: ms(u.settings.call_timeout_ms.unwrap_or(limits.call_timeout_ms)),
        total_max: ms(limits.call_total_timeout_ms.max(u.settings.call_timeout_ms.unwrap_or(0))),
        response: json_limits(config, limits.response_bytes_max),
        index: if config.is_read() { IndexDepth::Full } else { IndexDepth::Levels(3) },
    }
}

fn json_limits(config: &Config, bytes_max: u64) -> Limits {
    let limits = &config.settings.limits;
    Limits {
        bytes_max: count(bytes_max),
        depth_max: u16::try_from(limits.json_depth_max).unwrap_or(u16::MAX),
        nodes_max: u32::try_from(limits.json_nodes_max).unwrap_or(u32::MAX),
    }
}

/// The listener's settings, with TLS where it is configured.
///
/// # Errors
/// A name that is no host or origin, a file that TLS cannot use: the configuration has checked them, so a file that changed since.
pub fn listener_settings(config: &Config) -> Result<downstream::Settings> {
    let settings = &config.settings;
    let mut names = downstream::Names::loopback();
    for host in &settings.allowed_hosts {
        names = names.with_host(host.as_str())?;
    }
    for origin in &settings.allowed_origins {
        names = names.with_origin(origin.as_str())?;
    }
    let mut listener = downstream::Settings::new("sluice", env!("CARGO_PKG_VERSION"));
    if let Some(proxy) = &settings.trusted_proxy {
        let authority = proxy.public_url.uri().authority().map_or("", |a| a.as_str());
        names = names.with_host(authority)?.with_origin(&format!("https://{authority}"))?;
        listener.trusted_proxies = proxy.addresses.iter().map(|n| n.net()).collect();
    }
    listener.names = names;
    if let Some(tls) = settings.tls.as_ref().filter(|_| settings.listen.tcp().is_some()) {
        listener.tls = Some(Arc::new(ServerTls::open(tls.files())?));
    }
    listener.credential_headers = settings.auth.credential_headers.clone();
    listener.http_sse = settings.http_sse;
    listener.fact_headers = settings.fact_headers.clone();
    let limits = &settings.limits;
    let own = &mut listener.limits;
    own.connections_max = count(limits.connections_max);
    own.header_bytes_max = count(limits.header_bytes_max);
    own.route_body_bytes_max = count(limits.route_body_bytes_max);
    own.header_wait = ms(limits.header_timeout_ms);
    own.json = json_limits(config, limits.request_bytes_max);
    own.body_wait = ms(limits.body_timeout_ms);
    own.drain_grace = ms(limits.drain_timeout_ms);
    own.gateways_max = count(limits.gateways_max);
    own.sessions_max = count(limits.sessions_max);
    own.sessions_per_principal_max = count(limits.sessions_per_principal_max);
    own.session_idle = ms(limits.session_idle_ms);
    Ok(listener)
}

fn era(choice: EraChoice) -> upstream::EraChoice {
    match choice {
        EraChoice::Auto => upstream::EraChoice::Auto,
        EraChoice::Legacy => upstream::EraChoice::Legacy,
        EraChoice::Modern => upstream::EraChoice::Modern,
    }
}

fn sharing(sharing: Sharing) -> upstream::Sharing {
    match sharing {
        Sharing::Principal => upstream::Sharing::Principal,
        Sharing::Shared => upstream::Sharing::Shared,
        Sharing::Call => upstream::Sharing::Call,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
