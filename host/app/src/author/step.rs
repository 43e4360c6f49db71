//! One step of a fixture: a hook call, and what came of it as JSON.

use super::outcome;
use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sluice_chain::{
    attributes::Attributes,
    catalogue::{Entry, ListKind, Offer, Viewer},
    chunk::{Batch, Chunk, ChunkPass},
    departures::{Challenge, Departure, Header, Leaving},
    exchange::{Client, Direction, Head, Kind},
    filter::{Credential, Filter, Hook, Pass},
    generation::Generation,
    principal::Principal,
    record::{Ended, Outcome, Streamed},
    route::RouteRequest,
    subcall::Origin,
};
use sluice_plugin::WasmFilter;
use sluice_wire::{
    json::{Document, IndexDepth, Limits, canonical},
    message::Message,
    method,
    revision::Revision,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A hook call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// For whoever reads it.
    #[serde(default)]
    pub about: String,
    /// Which hook.
    pub hook: HookName,
    /// Who asks; absent: `local`, whom the host vouches for.
    #[serde(default)]
    principal: Who,
    /// Facts and labels, by their whole keys, beside those of the principal.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// The upstream's name, where it is known.
    upstream: Option<String>,
    /// As the client sees it; absent: what the request names.
    name: Option<String>,
    /// How often the client has come back.
    #[serde(default)]
    round: u32,
    /// Of a notification; absent: `to-client`.
    direction: Option<Way>,
    /// The JSON-RPC message, without `jsonrpc` and `id` if they say nothing.
    message: Option<Value>,
    /// Of a response or notification: the request it belongs to.
    asked: Option<Value>,
    /// Of `authenticate`.
    credential: Option<Shown>,
    /// Of `on-chunk`.
    #[serde(default)]
    chunks: Vec<Piece>,
    /// Of `on-chunk`: the answer ends with them.
    #[serde(default)]
    ends: bool,
    /// Of `on-http`.
    request: Option<Asked>,
    /// Of `on-outbound`: the HTTP request that is about to leave for `upstream`.
    departure: Option<Leaves>,
    /// Of `on-catalog`: `tools`, `prompts`, `resources`, `resourceTemplates`.
    list: Option<String>,
    /// Of `on-catalog`.
    #[serde(default)]
    entries: Vec<Listed>,
    /// Of `on-done`: how the exchange ended.
    ended: Option<End>,
    /// What must come of it. Absent: whatever comes is a difference, until it is blessed.
    pub expect: Option<Value>,
}

/// A hook by its name in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookName(pub Hook);

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for HookName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let found = Hook::ALL.into_iter().find(|hook| hook.as_str() == name);
        found.map(Self).ok_or_else(|| {
            let known = Hook::ALL.map(Hook::as_str).join(", ");
            serde::de::Error::custom(format!("there is no hook {name:?}; there are {known}"))
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Who {
    subject: String,
    tenant: Option<String>,
    scopes: Vec<String>,
    claims: Vec<(String, String)>,
    authority: String,
}

impl Default for Who {
    fn default() -> Self {
        Self { subject: "local".into(), tenant: None, scopes: Vec::new(), claims: Vec::new(), authority: "host".into() }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    ToServer,
    ToClient,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    scheme: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: String,
    path: String,
    query: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default = "base")]
    base: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    pointer: String,
    text: String,
    #[serde(default)]
    key: bool,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    held: usize,
    #[serde(default = "yes")]
    last: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaves {
    url: String,
    /// Names with values; null: a value that is not the plugin's to see.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    body: String,
    challenge: Option<Refused>,
    /// The secrets that filters had given it before the challenge, as they are.
    #[serde(default)]
    refused: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    status: u16,
    #[serde(default)]
    www_authenticate: Vec<String>,
}

fn base() -> String {
    "http://127.0.0.1:7411".into()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    upstream: String,
    definition: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    outcome: String,
    code: Option<i64>,
    #[serde(default)]
    micros: u64,
    #[serde(default)]
    upstream_micros: u64,
    #[serde(default)]
    request_bytes: usize,
    #[serde(default)]
    response_bytes: usize,
    #[serde(default)]
    streamed: bool,
    #[serde(default)]
    truncated: bool,
}

impl Step {
    /// A call with nothing to find, for measuring a hook of which there is no case.
    pub fn plain(hook: Hook) -> Option<Self> {
        let mut step = json!({"hook": hook.as_str(), "upstream": "files"});
        let call = json!({"method": "tools/call", "params": {"name": "read", "arguments": {"path": "notes.txt"}}});
        match hook {
            Hook::OnRequest => step["message"] = call,
            Hook::OnResponse => {
                step["message"] = json!({"result": {"content": [{"type": "text", "text": "good morning"}]}});
                step["asked"] = call;
            }
            Hook::OnChunk => {
                step["chunks"] = json!([{"pointer": "/result/content/0/text", "text": "good morning ".repeat(5_000)}]);
                step["asked"] = call;
            }
            Hook::OnNotification => {
                step["message"] = json!({"method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}});
                step["asked"] = call;
            }
            Hook::OnCatalog => {
                step["list"] = json!("tools");
                step["entries"] = json!([{"upstream": "files", "definition": {"name": "read", "inputSchema": {"type": "object"}}}]);
            }
            Hook::Authenticate => step["credential"] = json!({"scheme": "none"}),
            Hook::OnOutbound => step["departure"] = json!({"url": "https://files.example.com/mcp", "body": call.to_string()}),
            Hook::OnDone => {
                step["asked"] = call;
                step["ended"] = json!({"outcome": "answered"});
            }
            // What it answers at, its manifest says.
            Hook::OnHttp => return None,
        }
        serde_json::from_value(step).ok()
    }

    /// Calls the hook; what came of it. `exchange` numbers the step.
    ///
    /// # Errors
    /// The step lacks what its hook is given, or names what there is not.
    pub async fn run(&self, filter: &WasmFilter, exchange: u64) -> Result<Value> {
        let hook = self.hook.0;
        if !filter.interest().hooks.iter().any(|(exported, _)| *exported == hook) {
            bail!("the plugin has no {hook}", hook = hook.as_str());
        }
        let principal = Arc::new(self.principal());
        let mut attributes = self.attributes(&principal);
        let mut outcome = match hook {
            Hook::OnRequest | Hook::OnResponse | Hook::OnNotification => {
                self.on_message(filter, exchange, &principal, &mut attributes).await?
            }
            Hook::Authenticate => {
                let shown = self.credential.as_ref().context("`credential` is needed")?;
                let credential = Credential { scheme: shown.scheme.clone(), value: shown.value.clone() };
                outcome::faulted(filter.authenticate(&credential, &mut attributes).await.map(outcome::authentication))
            }
            Hook::OnChunk => self.on_chunk(filter, exchange, &principal, &mut attributes).await?,
            Hook::OnHttp => self.on_http(filter, exchange, attributes.clone()).await?,
            Hook::OnOutbound => self.on_outbound(filter, exchange, &principal, &attributes).await?,
            Hook::OnCatalog => self.on_catalog(filter, &attributes).await?,
            Hook::OnDone => self.on_done(filter, exchange, principal, &attributes).await?,
        };
        let labels: Map<String, Value> = attributes.labels().map(|(key, value)| (key.to_owned(), value.into())).collect();
        if !labels.is_empty() {
            outcome["labels"] = labels.into();
        }
        Ok(outcome)
    }

    fn principal(&self) -> Principal {
        let who = &self.principal;
        let mut principal = Principal::new(&who.authority, &who.subject, who.tenant.as_deref());
        principal.scopes = who.scopes.iter().map(|scope| scope.as_str().into()).collect();
        principal.claims = who.claims.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        principal
    }

    fn attributes(&self, principal: &Principal) -> Attributes {
        let mut facts = Vec::new();
        // Nobody has said who they are.
        if !matches!(self.hook.0, Hook::Authenticate | Hook::OnHttp) {
            principal.push_facts(&mut facts);
        }
        facts.retain(|(key, _)| !self.attributes.contains_key(&**key));
        facts.extend(self.attributes.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())));
        Attributes::new(Arc::new(facts))
    }

    async fn on_message(
        &self,
        filter: &WasmFilter,
        exchange: u64,
        principal: &Arc<Principal>,
        attributes: &mut Attributes,
    ) -> Result<Value> {
        let hook = self.hook.0;
        let said = self.message.as_ref().context("`message` is needed")?;
        let message = Arc::new(message(said)?);
        let asked = self.asked.as_ref().map(self::message).transpose()?.map(Arc::new);
        let request = if hook == Hook::OnRequest { &message } else { asked.as_ref().context("`asked` is needed: the request")? };
        let head = self.head(hook, exchange, &message, request);
        let (generation, principal, client, callers) = &within(principal);
        let mut pass = Pass {
            head: &head,
            principal,
            attributes,
            message: &message,
            asked: asked.clone().filter(|_| hook != Hook::OnRequest),
            again: self.round > 0,
            began: Instant::now(),
            origin: Some(Origin { generation, principal, client, callers }),
        };
        Ok(match hook {
            Hook::OnRequest => outcome::faulted(filter.on_request(&mut pass).await.map(|verdict| outcome::verdict(verdict, said))),
            Hook::OnResponse => outcome::faulted(filter.on_response(&mut pass).await.map(|verdict| outcome::verdict(verdict, said))),
            _ => outcome::faulted(filter.on_notification(&mut pass).await.map(|verdict| outcome::notification(verdict, said))),
        })
    }

    async fn on_chunk(&self, filter: &WasmFilter, exchange: u64, principal: &Principal, attributes: &mut Attributes) -> Result<Value> {
        let request = message(self.asked.as_ref().context("`asked` is needed: the request")?)?;
        let head = self.head(Hook::OnChunk, exchange, &request, &request);
        let batch = Arc::new(Batch { chunks: self.chunks.iter().map(chunk).collect::<Result<_>>()?, ends: self.ends });
        let mut pass = ChunkPass {
            head: &head,
            principal,
            attributes,
            batch: &batch,
            bytes: batch.chunks.iter().map(|chunk| chunk.text.len()).sum(),
            asked: Some(Arc::new(request)),
            began: Instant::now(),
            origin: None,
        };
        Ok(outcome::faulted(filter.on_chunk(&mut pass).await.map(|verdict| outcome::chunks(verdict, &batch))))
    }

    fn head(&self, hook: Hook, exchange: u64, message: &Message, request: &Message) -> Head {
        let (direction, kind) = match hook {
            Hook::OnRequest => (Direction::ToServer, Kind::Request),
            Hook::OnNotification => (Direction::ToClient, Kind::Notification),
            _ => (Direction::ToClient, Kind::Response),
        };
        let named = hook == Hook::OnNotification;
        Head {
            exchange,
            round: self.round,
            direction: match self.direction {
                Some(Way::ToServer) => Direction::ToServer,
                Some(Way::ToClient) => Direction::ToClient,
                None => direction,
            },
            kind,
            method: if named { message.method() } else { request.method() }.into(),
            name: self.name.as_deref().map(Into::into).or_else(|| named_by(request)),
            upstream: self.upstream.as_deref().map(Into::into),
            protocol: Revision::V2026_07_28,
        }
    }

    async fn on_http(&self, filter: &WasmFilter, exchange: u64, facts: Attributes) -> Result<Value> {
        let asked = self.request.as_ref().context("`request` is needed")?;
        let request = RouteRequest {
            id: exchange,
            method: asked.method.clone(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            headers: asked.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            body: asked.body.clone().into_bytes().into(),
            base: asked.base.clone(),
        };
        Ok(outcome::faulted(filter.on_http(&request, facts).await.map(|answer| {
            let headers: Map<String, Value> = answer.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            json!({"status": answer.status, "headers": headers, "body": String::from_utf8_lossy(&answer.body)})
        })))
    }

    async fn on_outbound(&self, filter: &WasmFilter, exchange: u64, principal: &Principal, attributes: &Attributes) -> Result<Value> {
        let leaves = self.departure.as_ref().context("`departure` is needed")?;
        let departure = Departure {
            upstream: self.upstream.as_deref().context("`upstream` is needed")?.into(),
            url: leaves.url.clone(),
            method: "POST",
            headers: leaves.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            fixed: Vec::new(),
            refused: leaves.refused.iter().map(|secret| sent(secret)).collect(),
            body: leaves.body.clone().into_bytes().into(),
            challenge: leaves
                .challenge
                .as_ref()
                .map(|refused| Challenge { status: refused.status, www_authenticate: refused.www_authenticate.clone() }),
        };
        let leaving = Leaving {
            departure: &departure,
            exchange,
            protocol: Some(Revision::V2026_07_28),
            principal,
            attributes,
            began: Instant::now(),
        };
        Ok(outcome::faulted(filter.on_outbound(&leaving).await.map(outcome::departure)))
    }

    async fn on_catalog(&self, filter: &WasmFilter, facts: &Attributes) -> Result<Value> {
        let list = self.list.as_deref().context("`list` is needed")?;
        let kind = ListKind::ALL.into_iter().find(|kind| kind.member() == list);
        let kind =
            kind.with_context(|| format!("there is no list {list:?}; there are {}", ListKind::ALL.map(ListKind::member).join(", ")))?;
        let entries = self.entries.iter().map(|listed| entry(listed, kind)).collect::<Result<Vec<_>>>()?;
        let upstreams = self.entries.iter().map(|listed| &listed.upstream).collect::<std::collections::HashSet<_>>().len().max(1);
        let mut offer = Offer {
            kind,
            entries: Arc::new(entries),
            upstreams: upstreams as u32,
            viewer: Viewer::new(facts.clone()),
            changes: Vec::new(),
            own: Vec::new(),
        };
        let done = filter.on_catalog(&mut offer).await;
        Ok(outcome::faulted(done.map(|()| {
            let added: Vec<Value> = offer.own.iter().map(outcome::json_of).collect();
            json!({"changes": offer.changes.iter().map(outcome::change).collect::<Vec<_>>(), "added": added})
        })))
    }

    async fn on_done(&self, filter: &WasmFilter, exchange: u64, principal: Arc<Principal>, attributes: &Attributes) -> Result<Value> {
        let end = self.ended.as_ref().context("`ended` is needed")?;
        let request = message(self.asked.as_ref().context("`asked` is needed: the request")?)?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == end.outcome);
        let ended = Ended {
            head: self.head(Hook::OnDone, exchange, &request, &request),
            principal,
            attributes: attributes.clone(),
            generation: 1,
            outcome: outcome.ok_or_else(|| anyhow!("no exchange ends as {:?}", end.outcome))?,
            code: end.code,
            tool_error: false,
            cause: None,
            request_bytes: end.request_bytes,
            response_bytes: end.response_bytes,
            stream: (end.streamed || end.truncated).then_some(Streamed { truncated: end.truncated, tool_error: false }),
            took: Duration::from_micros(end.micros),
            upstream_took: Duration::from_micros(end.upstream_micros),
            passed: Vec::new(),
            parent: None,
        };
        let done = filter.on_done(&ended).await;
        Ok(outcome::faulted(done.map(|()| {
            // Nothing can be changed any more, so what it counted so far is all there is to see.
            let counters = filter.series().counters().into_iter().map(|((name, labels), count)| {
                let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
                (format!("{name}{{{}}}", labels.join(",")), count.into())
            });
            json!({"done": true, "counted": counters.collect::<Map<String, Value>>()})
        })))
    }
}

/// A header that held this secret. Which one it was, no filter is told.
fn sent(secret: &str) -> Header {
    Header { name: "authorization".into(), value: Bytes::copy_from_slice(secret.as_bytes()), secret_at: Some(0) }
}

/// The exchange that a call of the filter's own would belong to: on an empty chain, since the calls are answered from a list.
fn within(principal: &Arc<Principal>) -> (Arc<Generation>, Arc<Principal>, Arc<Client>, Arc<[Arc<str>]>) {
    let client =
        Client { info: None, capabilities: Bytes::from_static(b"{}"), session: None, facts: Arc::default(), log_level: Mutex::default() };
    (Arc::new(Generation::new(1, Arc::default(), Vec::new())), principal.clone(), Arc::new(client), Arc::from(Vec::new()))
}

/// `jsonrpc` and `id` may be left out.
fn message(said: &Value) -> Result<Message> {
    let mut whole = said.as_object().context("a message is an object")?.clone();
    whole.entry("jsonrpc").or_insert("2.0".into());
    let is_notification = whole.get("method").and_then(Value::as_str).is_some_and(|method| method.starts_with("notifications/"));
    if !is_notification {
        whole.entry("id").or_insert(1.into());
    }
    let document = Document::parse(Bytes::from(Value::Object(whole).to_string()), &Limits::RESPONSE, IndexDepth::Full)?;
    Ok(Message::decode(document)?)
}

/// What a request is about, as the head has it.
fn named_by(request: &Message) -> Option<Arc<str>> {
    let target = method::target(request.method())?;
    let params = request.params()?;
    let value = params.get(target)?;
    let value = value.as_str().or_else(|| value.get("name")?.as_str())?;
    Some(value.as_ref().into())
}

fn entry(listed: &Listed, kind: ListKind) -> Result<Entry> {
    let name = listed.definition.get(kind.key()).and_then(Value::as_str).with_context(|| format!("an entry has no {:?}", kind.key()))?;
    let definition = Bytes::from(listed.definition.to_string());
    let read = Document::parse_value(definition.clone(), &Limits::RESPONSE, IndexDepth::Full).context("a definition")?;
    Ok(Entry {
        name: name.into(),
        upstream: Some(0),
        owner: listed.upstream.as_str().into(),
        original: name.into(),
        digest: sluice_plugin::artifact::digest(&canonical(read.root())).into(),
        definition,
        task: None,
    })
}

fn chunk(piece: &Piece) -> Result<Chunk> {
    if piece.held > piece.text.len() || !piece.text.is_char_boundary(piece.text.len() - piece.held) {
        bail!("`held` of the chunk at {} is more than its text, or does not begin with a character", piece.pointer);
    }
    Ok(Chunk {
        pointer: piece.pointer.as_str().into(),
        key: piece.key,
        offset: piece.offset,
        before: None,
        text: piece.text.clone(),
        held: if piece.last { 0 } else { piece.held },
        last: piece.last,
    })
}
