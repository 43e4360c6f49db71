//! Everything of ours: what stands under the key `sluice`.

mod chain;
mod check;
mod endpoint;
mod group;
mod limits;
mod listen;
mod plugin;
mod publisher;
mod registry;
mod state;
mod tls;
mod upstream;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use chain::Link;
pub(super) use check::{check, exposed};
pub use endpoint::{HostName, Network, Origin, PublicUrl, TrustedProxy};
pub use group::GroupSettings;
pub use limits::Limits;
pub use listen::{Listen, UnixMode};
pub use plugin::{Breaker, Canary, FaultAction, Grant, Mode, OnFault, PluginLimits, PluginSettings, Power, Scope, When};
pub use publisher::{PublisherKey, Signatures};
pub use registry::RegistrySettings;
pub use state::{State, StateKind};
pub use tls::{ClientAuth, Tls};
pub use upstream::{Confine, EraChoice, Sharing, UpstreamSettings, UpstreamTls, UserAndGroup};

use http::HeaderName;

use super::choice::choice;
use super::secret::Secret;
use super::section::section;

section! {
    /// Everything of Sluice's own, under the one key `sluice`. Every key is optional.
    pub struct Settings {
        /// Where clients connect: an address and a port, or `unix:` and the path of a socket. Port 0 takes
        /// a free one and prints it. An address that is not loopback needs `tls` or `trusted_proxy`.
        pub listen: Listen = Listen::Tcp((Ipv4Addr::LOCALHOST, 7411).into());
        /// Who may connect to the socket of `listen`, if it is one.
        pub unix_mode: UnixMode = UnixMode::Owner;
        /// TLS of our own.
        pub tls: Option<Tls> = None;
        /// A proxy in front that terminates TLS.
        pub trusted_proxy: Option<TrustedProxy> = None;
        /// `Host` names that are accepted besides loopback and the host of `trusted_proxy.public_url`.
        pub allowed_hosts: Vec<HostName> = Vec::new();
        /// `Origin`s that are accepted besides loopback. A browser page anywhere else is refused.
        pub allowed_origins: Vec<Origin> = Vec::new();
        /// Whether HTTP+SSE, the transport of 2024-11-05, is served too: at `/sse` and `/messages`.
        pub http_sse: bool = true;
        /// Request headers that filters may see, as `http.header.<name>`. Headers that carry a
        /// credential cannot be among them.
        pub fact_headers: Vec<HeaderName> = Vec::new();
        /// How clients are known.
        pub auth: Auth = Auth::default();
        /// The listener for health, metrics and administration. `false` switches it off.
        pub admin: Admin = Admin::default();
        /// The plugin directory and each plugin's settings.
        pub plugins: Plugins = Plugins::default();
        /// Secrets that plugins use by name, each only with the grant `secret:<name>`. A plugin holds a handle; the bytes
        /// stay here.
        pub secrets: BTreeMap<String, Secret> = BTreeMap::new();
        /// The filters in order: a plugin of the directory by name, `builtin:<name>`, the path of a `.wasm` file,
        /// `oci://registry/repository:tag` or `…@sha256:<digest>`, or a URL with the digest of the file behind it,
        /// `https://host/x.wasm#sha256:<digest>`. Absent: the directory in file-name order, then `builtin:namespace`.
        /// `[]` is the empty chain.
        pub chain: Option<Vec<Link>> = None;
        /// Views over the servers, by name, each at `/mcp/<name>` and behind a chain of its own.
        pub groups: BTreeMap<String, GroupSettings> = BTreeMap::new();
        /// The servers at `/mcp`, by their names in `mcpServers` or `servers`; the others are in groups alone. Absent: all.
        pub default_group: Option<Vec<String>> = None;
        /// Whether each server is also served by itself at `/servers/<name>/mcp` and `/servers/<name>/sse`, behind the chain of `/mcp`, as
        /// users of mcp-proxy have it.
        pub server_paths: bool = false;
        /// More about an upstream, by its name in `mcpServers` or `servers`.
        pub upstreams: BTreeMap<String, UpstreamSettings> = BTreeMap::new();
        /// Where what plugins keep stands.
        pub state: State = State::default();
        /// Bounds on everything that a peer could make grow.
        pub limits: Limits = Limits::default();
        /// The append-only record of every call.
        pub audit: Audit = Audit::default();
        /// What is written to standard error.
        pub log: Log = Log::default();
        /// What follows drafts of the protocol, and may change or go with them.
        pub experimental: Experimental = Experimental::default();
        /// Where compiled plugins and copies of fetched ones are kept, at most `limits.cache_bytes_max` of them, readable for this user only. Absent: `sluice` in
        /// `$XDG_CACHE_HOME` or `~/.cache`.
        pub cache_dir: Option<PathBuf> = None;
    }
}

section! {
    /// How clients are known: by a filter that authenticates, and without one by the loopback token.
    pub struct Auth {
        /// Headers besides `Authorization` that may carry a credential.
        pub credential_headers: Vec<HeaderName> = vec![HeaderName::from_static("x-api-key")];
        /// The file with the loopback token, made at the first start with mode 0600. Absent:
        /// `sluice/token` in `$XDG_STATE_HOME` or `~/.local/state`. Beside it stands `task-key`, from
        /// which ids of tasks are made.
        pub token_file: Option<PathBuf> = None;
        /// Whether a client that shows no credential is let in, as `anonymous`.
        pub allow_anonymous: bool = false;
    }
}

section! {
    /// The listener for health, metrics and administration: loopback only.
    pub struct Admin or bool as Admin::switched {
        /// Whether it is there at all.
        pub enabled: bool = true;
        /// Its address.
        pub listen: SocketAddr = (Ipv4Addr::LOCALHOST, 7412).into();
        /// The token for everything but health. Absent: `sluice/admin-token` beside the loopback token.
        pub token: Option<Secret> = None;
    }
}

impl Admin {
    fn switched(enabled: bool) -> Admin {
        Admin { enabled, ..Admin::default() }
    }
}

section! {
    /// Plugins and what they may do.
    pub struct Plugins {
        /// The directory that is watched for `.wasm` files. Absent: `plugins` beside this file.
        pub dir: Option<PathBuf> = None;
        /// Settings by plugin name, for plugins without a sidecar (`builtin:redact` is `redact`).
        /// A plugin has its settings here or in its sidecar, never in both.
        pub settings: BTreeMap<String, PluginSettings> = BTreeMap::new();
        /// Publishers' public keys, each under a name of yours, as `sluice plugin keygen` prints them. A `.wasm.sig` file beside a
        /// plugin counts if one of these made it.
        pub keys: BTreeMap<String, PublisherKey> = BTreeMap::new();
        /// Whether a plugin needs a signature that counts. Those inside the binary need none.
        pub signatures: Signatures = Signatures::Optional;
        /// Plugins, as `name@version`, that may be in force although a newer one, or a signed one, was before.
        pub allow_downgrade: Vec<String> = Vec::new();
        /// Registries, and other servers that plugins are fetched from, by host (`ghcr.io`, `registry.example.com:5000`). One that is
        /// not here is reached with TLS, and with what `docker login` left.
        pub registries: BTreeMap<String, RegistrySettings> = BTreeMap::new();
        /// Whether new instances may be copies of one that has run its `init`, where that keeps nothing in the host. `false`: each runs it.
        pub copies: bool = true;
        /// Whether only the files that `plugins.lock` beside this file names may be in force; `--locked` says so, too.
        pub locked: bool = false;
    }
}

section! {
    /// What follows drafts of the protocol, and may change or go with them.
    pub struct Experimental {
        /// Plugins of the chain that are served as interceptors (SEP-2624), by name: `interceptors/list` and `interceptor/invoke`
        /// at the endpoint, for every client that is let in. `docs/interceptors.md` says what that is. Empty: none.
        pub interceptors: Vec<String> = Vec::new();
    }
}

section! {
    /// The append-only record of every call.
    pub struct Audit {
        /// The file. Absent: `sluice/audit.jsonl` in `$XDG_STATE_HOME` or `~/.local/state`.
        pub path: Option<PathBuf> = None;
        /// What a call has to do with it.
        pub mode: AuditMode = AuditMode::On;
    }
}

choice! {
    /// What a call has to do with the audit log.
    pub enum AuditMode {
        /// Written as calls end; a full disk is reported and calls go on.
        On = "on",
        /// Nothing is written.
        Off = "off",
    }
}

section! {
    /// What is written to standard error.
    pub struct Log {
        /// How a line looks.
        pub format: LogFormat = LogFormat::Json;
        /// The least level that is written.
        pub level: LogLevel = LogLevel::Info;
    }
}

choice! {
    /// How a log line looks.
    pub enum LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// For people.
        Text = "text",
    }
}

choice! {
    /// How much is logged.
    pub enum LogLevel {
        /// What needs somebody.
        Error = "error",
        /// And what may soon.
        Warn = "warn",
        /// And one line per exchange.
        Info = "info",
        /// And how it went inside.
        Debug = "debug",
        /// And everything.
        Trace = "trace",
    }
}
