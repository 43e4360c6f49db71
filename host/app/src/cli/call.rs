//! `sluice call`

use super::Exit;
use crate::{
    config::{Builtin, Config, Source, Surroundings},
    embedded,
};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Uri};
use sluice_chain::{
    exchange::Client,
    host::Ear,
    principal::Principal,
    queue::queue,
    upstream::{Outbound, Upstream, UpstreamError},
};
use sluice_transport::{
    tls::ClientTls,
    upstream::http::{Http, HttpSettings},
};
use sluice_wire::{
    header::{Annotation, annotations},
    id::RequestId,
    json::{Document, IndexDepth, Limits, quote},
    message::{self, Message},
    meta, method,
    revision::{Era, Revision},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio_util::sync::CancellationToken;

#[derive(Args)]
pub struct Call {
    /// Name of the tool as `--list` shows it.
    #[arg(required_unless_present = "list")]
    tool: Option<String>,
    /// Its arguments, a JSON object.
    #[arg(default_value = "{}")]
    arguments: String,
    /// Show the tools instead.
    #[arg(long)]
    list: bool,
    /// Where Sluice, or any MCP server, listens.
    #[arg(long, default_value = "http://127.0.0.1:7411/mcp")]
    url: Uri,
    /// API key or token [default: the loopback token of this user].
    #[arg(long, env = "SLUICE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// CAs to trust for an https:// URL, PEM [default: those that this machine trusts].
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Configuration whose `auth.token_file` holds the token.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Call {
    pub fn run(self) -> Result<Exit> {
        super::serve::runtime()?.block_on(self.talk())
    }

    async fn talk(self) -> Result<Exit> {
        let server = self.server()?;
        let speaker = Speaker::new(server);
        let list = speaker.send(method::TOOLS_LIST, "{}", Arc::default()).await;
        let list = match list {
            Ok(list) => list.deepen(),
            Err(error) => return Ok(explain(&error)),
        };
        if let Some(error) = list.error() {
            eprintln!("{}", error.raw());
            return Ok(Exit::Refused);
        }
        let tools = || list.result().and_then(|r| r.get("tools")).into_iter().flat_map(|t| t.items());
        let Some(tool) = self.tool.as_deref().filter(|_| !self.list) else {
            for tool in tools() {
                let text = |key: &str| tool.get(key).and_then(|v| v.as_str()).unwrap_or_default();
                say!("{}  {}", text("name"), text("description"));
            }
            return Ok(Exit::Good);
        };
        let definition = tools().find(|t| t.get("name").is_some_and(|n| n.is_str(tool)));
        let mirrored: Arc<[Annotation]> = match definition.and_then(|d| d.get("inputSchema")) {
            Some(schema) => annotations(schema).unwrap_or_default().into(),
            None => Arc::default(),
        };
        sluice_wire::json::validate(self.arguments.as_bytes(), &Limits::REQUEST).context("the arguments are not a JSON object")?;
        let params = format!(r#"{{"name":{},"arguments":{}}}"#, quote(tool), self.arguments);
        match speaker.send(method::TOOLS_CALL, &params, mirrored).await {
            Ok(answer) => Ok(show(&answer)),
            Err(error) => Ok(explain(&error)),
        }
    }

    fn server(&self) -> Result<Arc<dyn Upstream>> {
        let mut settings = HttpSettings::new("server", self.url.clone());
        let key = match &self.key {
            Some(key) => Some(key.clone()),
            None => loopback_token(self.config.clone())?,
        };
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}")).context("the key has characters that no header can carry")?;
            value.set_sensitive(true);
            settings.headers.push((HeaderName::from_static("authorization"), value));
        }
        if self.url.scheme_str() == Some("https") {
            settings.tls = Some(ClientTls::new(self.ca.as_deref(), None)?);
        }
        Ok(Arc::new(Http::upstream(settings, Arc::new(Ear::default()))?))
    }
}

/// The token a server on this machine accepts; none if there is no such file.
fn loopback_token(file: Option<PathBuf>) -> Result<Option<String>> {
    let builtin = Builtin { servers: embedded::SERVERS, plugins: embedded::PLUGIN_NAMES };
    let is_named = file.is_some();
    let source = Source { file, surroundings: Surroundings::of_process(), builtin, ..Source::default() };
    let token_file = match Config::load(&source) {
        Ok(loaded) => loaded.config.places.token_file,
        Err(report) if is_named => bail!("{report}"),
        // A file that happens to lie here may have nothing to do with the server that is called.
        Err(report) => {
            eprintln!("warning: no loopback token, since the configuration here has problems: {report}");
            return Ok(None);
        }
    };
    Ok(std::fs::read_to_string(token_file).ok().map(|t| t.trim().to_owned()))
}

struct Speaker {
    server: Arc<dyn Upstream>,
    client: Arc<Client>,
    principal: Arc<Principal>,
}

impl Speaker {
    fn new(server: Arc<dyn Upstream>) -> Self {
        let client = Client {
            info: Some(Bytes::from_static(concat!(r#"{"name":"sluice call","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#).as_bytes())),
            capabilities: Bytes::from_static(b"{}"),
            session: None,
            facts: Arc::default(),
            log_level: Mutex::default(),
        };
        Self { server, client: Arc::new(client), principal: Arc::new(Principal::local()) }
    }

    async fn send(&self, method: &str, params: &str, mirrored: Arc<[Annotation]>) -> Result<Message, UpstreamError> {
        self.server.facts(Era::Modern, &self.client, &self.principal).await?;
        let (interim, _) = queue(1);
        let outbound = Outbound {
            exchange: 0,
            message: Arc::new(request(method, params).map_err(|reason| UpstreamError::BadReply { reason })?),
            spoken: Revision::V2026_07_28,
            original_name: None,
            mirrored,
            unknown_params: Vec::new(),
            client: self.client.clone(),
            principal: self.principal.clone(),
            idempotent: false,
            interim,
            latest: None,
            task: None,
            as_task: false,
            pieces_bytes_max: 0,
            departures: None,
            cancel: CancellationToken::new(),
        };
        let inbound = self.server.send(outbound).await?;
        Ok(Message::clone(&inbound.response.message))
    }
}

fn request(method: &str, params: &str) -> Result<Message, String> {
    let meta =
        format!(r#""_meta":{{"{}":"{}","{}":{{}}}}"#, meta::PROTOCOL_VERSION, Revision::V2026_07_28.as_str(), meta::CLIENT_CAPABILITIES);
    let open = params.trim_end().strip_suffix('}').ok_or("the arguments are not a JSON object")?;
    let comma = if open.trim_end().ends_with('{') { "" } else { "," };
    let bytes = message::request(&RequestId::from_u64(1), method, Some(format!("{open}{comma}{meta}}}").as_bytes()));
    let document = Document::parse(bytes, &Limits::REQUEST, IndexDepth::Full).map_err(|e| e.to_string())?;
    Message::decode(document).map_err(|e| e.to_string())
}

fn show(answer: &Message) -> Exit {
    let answer = answer.clone().deepen();
    if let Some(error) = answer.error() {
        eprintln!("{}", error.raw());
        return Exit::Refused;
    }
    let Some(result) = answer.result() else { return Exit::Broken };
    say!("{}", result.raw());
    let failed = result.get("isError").and_then(|v| v.as_bool()).unwrap_or(false);
    if failed { Exit::Refused } else { Exit::Good }
}

fn explain(error: &UpstreamError) -> Exit {
    match error {
        UpstreamError::Unauthorized { status } => {
            eprintln!("HTTP {status}: show a key with --key, or SLUICE_KEY");
            Exit::Refused
        }
        other => {
            eprintln!("the server {other}");
            Exit::Broken
        }
    }
}
