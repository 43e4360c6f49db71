//! Asks upstreams for their lists and computes views from them.

use super::{
    Change, Entry, Exposed, ListKind, Offer, View, Viewer, merge_patch,
    raw::{Fetched, Place, Snapshot},
};
use crate::{
    attributes::Attributes,
    departures::{Departures, Held},
    exchange::Client,
    fault::Fault,
    filter::Hook,
    generation::{Generation, Link, Mode, OnFault},
    host::{Host, own_revision},
    principal::{Principal, PrincipalKey},
    queue::queue,
    rescue::Error,
    upstream::{Outbound, TaskSupport, Upstream, UpstreamError},
};
use bytes::Bytes;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use sluice_wire::{
    header::{Annotation, annotations},
    id::RequestId,
    json::{Document, IndexDepth, Kind, Limits, Value, canonical, quote},
    message::{self, Message},
    patch::Patch,
    revision::Era,
};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Most pages and entries read of one upstream's list: an endless cursor ends here.
const PAGES_MAX: usize = 1_000;
const ENTRIES_MAX: usize = 50_000;
/// A list that says `ttlMs: 0` is still not asked again more often than this.
const TTL_FLOOR: Duration = Duration::from_secs(5);

/// Who wants to see a list, and as what.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The generation pinned by the exchange.
    pub generation: &'a Arc<Generation>,
    /// Of the client.
    pub era: Era,
    /// Over what.
    pub client: &'a Arc<Client>,
    /// Who.
    pub principal: &'a Arc<Principal>,
    /// `principal.*` and client facts; labels are not visible to `on-catalog`.
    pub viewer: &'a Attributes,
    /// Filters that wait for who asks: they shape no list of their own calls.
    pub callers: &'a Arc<[Arc<str>]>,
}

/// How current a view must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    /// Known is enough: what a call needs. Only upstreams that were never asked are asked.
    Known,
    /// Fresh by the lists' own hints: what a list needs.
    Fresh,
}

/// The lists of all upstreams in one, before any filter.
#[derive(Default)]
pub struct Gathered {
    /// In the order of the configuration.
    pub entries: Vec<Entry>,
    /// Upstreams whose list is not known, or may be an old one.
    pub missing: Vec<Arc<str>>,
    /// The first that waits for a person.
    pub(crate) held: Option<(usize, Arc<Held>)>,
}

impl Host {
    /// One list as this principal sees it.
    ///
    /// # Errors
    /// A filter's fault in `on-catalog` whose policy is to refuse.
    pub(crate) async fn view(self: &Arc<Self>, kind: ListKind, asking: Asking<'_>, currency: Currency) -> Result<Arc<View>, Error> {
        let views = &asking.generation.views;
        if currency == Currency::Known {
            let owner = self.viewer_of(asking);
            let epoch = self.lists.epoch(owner.as_ref());
            if let Some(view) = views.find(&(kind, asking.era, owner, asking.callers.clone()), epoch, asking.viewer) {
                return Ok(view);
            }
        }
        self.refresh(kind, asking, currency).await;
        self.view_as_known(kind, asking).await
    }

    /// The same from what is known, whatever that is: no upstream is asked.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub(crate) async fn view_as_known(&self, kind: ListKind, asking: Asking<'_>) -> Result<Arc<View>, Error> {
        let views = &asking.generation.views;
        let owner = self.viewer_of(asking);
        let key = (kind, asking.era, owner, asking.callers.clone());
        let epoch = self.lists.epoch(key.2.as_ref());
        if let Some(view) = views.find(&key, epoch, asking.viewer) {
            return Ok(view);
        }
        let _one_at_a_time = views.flight.lock().await;
        let epoch = self.lists.epoch(key.2.as_ref());
        if let Some(view) = views.find(&key, epoch, asking.viewer) {
            return Ok(view);
        }
        let viewer = Viewer::new(asking.viewer.clone());
        let view = Arc::new(self.compute(kind, asking, &viewer).await?);
        views.store(key, epoch, asking.viewer, viewer.reads(), view.clone());
        Ok(view)
    }

    /// Where this list of this upstream is kept for who asks: where filters act for its requests, it is theirs alone. Two gateways that ask
    /// each other, each on behalf of its own clients, do not wait for one another: what they ask for has come another way.
    pub(crate) fn place(&self, upstream: usize, kind: ListKind, asking: Asking<'_>) -> Place {
        let owner = match asking.client.via() {
            // One owner for all of a view's lists, so that it has one epoch.
            Some(_) => self.viewer_of(asking),
            None => asking.client.whose(asking.principal, self.has_departures(asking.generation, upstream)),
        };
        Place { upstream, kind, era: asking.era, owner }
    }

    /// Who asks, if some upstream shows each principal its own, or they come through other gateways.
    fn viewer_of(&self, asking: Asking<'_>) -> Option<PrincipalKey> {
        let is_own = asking.generation.upstreams.places().any(|i| self.has_departures(asking.generation, i));
        asking.client.whose(asking.principal, is_own)
    }

    /// Ask every upstream whose list is not current enough; all at once, each in single flight.
    async fn refresh(self: &Arc<Self>, kind: ListKind, asking: Asking<'_>, currency: Currency) {
        let now = Instant::now();
        let due = |snapshot: Option<Snapshot>| match (snapshot, currency) {
            (None, _) => true,
            (Some(_), Currency::Known) => false,
            (Some(s), Currency::Fresh) => !s.is_fresh(now),
        };
        let places = asking.generation.upstreams.places();
        let stale: Vec<usize> = places.filter(|&i| due(self.lists.find(&self.place(i, kind, asking)))).collect();
        if stale.is_empty() {
            return;
        }
        join_all(stale.into_iter().map(|i| self.fetch_once(i, kind, asking, now))).await;
    }

    /// Asks one upstream for a list that was invalidated.
    pub(crate) async fn reread(&self, upstream: usize, kind: ListKind, asking: Asking<'_>) {
        self.fetch_once(upstream, kind, asking, Instant::now()).await;
    }

    async fn fetch_once(&self, i: usize, kind: ListKind, asking: Asking<'_>, since: Instant) {
        let place = self.place(i, kind, asking);
        let flight = self.lists.flight(&place);
        let _one_at_a_time = flight.lock().await;
        let already = self.lists.find(&place).is_some_and(|s| s.is_fresh(since));
        if already {
            return;
        }
        let (upstream, began) = (&asking.generation.upstreams[i], Instant::now());
        let cancel = CancellationToken::new();
        let read = || {
            let departures = self.departures(asking.generation, i, &asking.client.facts, asking.principal);
            read_list(&**upstream, i, kind, asking, departures, &cancel, self.settings.list_ttl)
        };
        let reading = async {
            match read().await {
                // Reading a list changes nothing, so a server that stumbles is asked once more.
                Err(UpstreamError::BadReply { .. } | UpstreamError::ClosedEarly { .. }) => read().await,
                outcome => outcome,
            }
        };
        let limit = self.settings.gather;
        let outcome = tokio::time::timeout(limit, reading).await.unwrap_or_else(|_| {
            cancel.cancel();
            Err(UpstreamError::Deadline { limit })
        });
        match outcome {
            Ok((entries, ttl, told)) => {
                if self.lists.store(&place, Fetched { entries, ttl, told, began }) {
                    self.announced.doubt();
                }
            }
            Err(error) => {
                tracing::warn!(upstream = %upstream.name(), list = kind.method(), %error, "a list could not be read; the others are served");
                self.lists.fail(&place, error);
            }
        }
    }

    /// What the upstreams offer as it is now, before any filter; an upstream that cannot be asked is among the missing.
    pub(crate) async fn gather_fresh(self: &Arc<Self>, kind: ListKind, asking: Asking<'_>) -> Gathered {
        self.refresh(kind, asking, Currency::Fresh).await;
        self.gather(kind, asking)
    }

    /// What is known of all upstreams.
    fn gather(&self, kind: ListKind, asking: Asking<'_>) -> Gathered {
        let mut gathered = Gathered::default();
        for (i, upstream) in asking.generation.upstreams.iter() {
            match self.lists.find(&self.place(i, kind, asking)) {
                Some(snapshot) => {
                    if let Some(error) = &snapshot.error {
                        gathered.missing.push(upstream.name().clone());
                        if let UpstreamError::Held(why) = error {
                            gathered.held.get_or_insert_with(|| (i, why.clone()));
                        }
                    }
                    gathered.entries.extend(snapshot.entries.iter().cloned());
                }
                None => gathered.missing.push(upstream.name().clone()),
            }
        }
        gathered
    }

    async fn compute(&self, kind: ListKind, asking: Asking<'_>, viewer: &Viewer) -> Result<View, Error> {
        let Gathered { entries, missing, held } = self.gather(kind, asking);
        let mut entries = Arc::new(entries);
        for link in &asking.generation.links {
            if !link.exports(Hook::OnCatalog) || asking.callers.contains(&link.filter.identity().name) {
                continue;
            }
            if link.policy.when.depend_on_tenant() {
                viewer.attr("principal.tenant");
            }
            if link.shapes(kind.method(), asking.viewer) {
                entries = self.shape(asking, link, kind, entries, viewer).await?;
            }
        }
        let mut view = View::new(kind, expose(kind, &entries), missing);
        view.held = held;
        Ok(view)
    }

    /// One filter's `on-catalog`, under its policy.
    async fn shape(
        &self,
        asking: Asking<'_>,
        link: &Link,
        kind: ListKind,
        entries: Arc<Vec<Entry>>,
        viewer: &Viewer,
    ) -> Result<Arc<Vec<Entry>>, Error> {
        let upstreams = u32::try_from(asking.generation.upstreams.len()).unwrap_or(u32::MAX);
        let is_for = |entry: &Entry| link.policy.when.hold_for_entry(entry.upstream.map(|_| &*entry.owner));
        let offered = if entries.iter().all(is_for) {
            entries.clone()
        } else {
            Arc::new(entries.iter().filter(|entry| is_for(entry)).cloned().collect())
        };
        let mut offer = Offer { kind, entries: offered, upstreams, viewer: viewer.clone(), changes: Vec::new(), own: Vec::new() };
        let started = Instant::now();
        let answered = match link.breaker.admit() {
            Ok(()) => link.filter.on_catalog(&mut offer).await,
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
        if !link.policy.when.hold_for_entry(None) {
            // Calls of its own tools would not enter it: they are no server's.
            offer.own.clear();
        }
        let identity = link.filter.identity();
        identity.calls.count(Hook::OnCatalog, started.elapsed());
        let shaped = answered.and_then(|()| apply(kind, &entries, is_for, &offer, &identity.name));
        match shaped {
            Ok(shaped) => {
                link.breaker.succeeded();
                Ok(if link.policy.mode == Mode::Audit { entries } else { Arc::new(shaped) })
            }
            Err(fault) => {
                if !matches!(fault, Fault::Open { .. }) {
                    link.breaker.failed();
                }
                self.observer.faulted(identity, Hook::OnCatalog, fault.kind(), &fault.to_string());
                match link.policy.on_fault(fault.kind()) {
                    OnFault::Skip => Ok(entries),
                    OnFault::Refuse => Err(Error::Plugin { plugin: identity.name.to_string(), fault }),
                }
            }
        }
    }
}

/// All pages of one upstream's list, with how long we take it for fresh, and how long the upstream says that it is.
async fn read_list(
    upstream: &dyn Upstream,
    index: usize,
    kind: ListKind,
    asking: Asking<'_>,
    departures: Option<Arc<Departures>>,
    cancel: &CancellationToken,
    ttl: Duration,
) -> Result<(Vec<Entry>, Duration, Option<Duration>), UpstreamError> {
    let facts = upstream.facts(asking.era, asking.client, asking.principal).await?;
    if !offers(&facts.capabilities, kind) {
        return Ok((Vec::new(), ttl, None));
    }
    let has_tasks = kind == ListKind::Tools && crate::facts::has_tasks(&facts);
    let mut reading = Reading { entries: Vec::new(), has_tasks, ttl, told: ttl, seen: HashSet::new() };
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let (interim, _) = queue(1);
        let outbound = Outbound {
            exchange: 0,
            message: Arc::new(request(kind, asking.era, cursor.as_deref())),
            spoken: own_revision(asking.era),
            original_name: None,
            mirrored: Arc::default(),
            unknown_params: Vec::new(),
            client: asking.client.clone(),
            principal: asking.principal.clone(),
            idempotent: true,
            interim,
            latest: None,
            task: None,
            as_task: false,
            pieces_bytes_max: 0,
            departures: departures.clone(),
            cancel: cancel.clone(),
        };
        let response = upstream.send(outbound).await?.response;
        let form = match (asking.era, response.spoken.era()) {
            (Era::Modern, Era::Legacy) => Form::Legacy,
            (Era::Legacy, Era::Modern) => Form::Modern,
            _ => Form::Own,
        };
        match reading.page(&response.message, index, upstream.name(), kind, form)? {
            Some(next) if reading.entries.len() < ENTRIES_MAX => cursor = Some(next),
            _ => break,
        }
    }
    Ok((reading.entries, reading.ttl.max(TTL_FLOOR), Some(reading.told)))
}

/// In whose form a definition is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The client's.
    Own,
    Legacy,
    Modern,
}

struct Reading {
    entries: Vec<Entry>,
    /// The server runs calls of tools as tasks.
    has_tasks: bool,
    ttl: Duration,
    told: Duration,
    seen: HashSet<String>,
}

impl Reading {
    /// Take one page in; the cursor of the next one.
    fn page(
        &mut self,
        message: &Message,
        index: usize,
        owner: &Arc<str>,
        kind: ListKind,
        form: Form,
    ) -> Result<Option<String>, UpstreamError> {
        let bad = |reason: String| UpstreamError::BadReply { reason };
        if let Some(error) = message.error_message() {
            return Err(bad(format!("{} was answered with an error: {error}", kind.method())));
        }
        // What the chain needs for a call is not indexed deep enough for definitions.
        let document = message.document().clone().deepen();
        let list = document.pointer("/result").and_then(|r| r.get(kind.member())).filter(|l| l.kind() == Kind::Array);
        let list = list.ok_or_else(|| bad(format!("the result of {} has no array {}", kind.method(), kind.member())))?;
        for item in list.items() {
            let Some(name) = item.get(kind.key()).and_then(|n| n.as_str()) else {
                tracing::warn!(upstream = %owner, list = kind.method(), "an entry without a {} is left out", kind.key());
                continue;
            };
            let task = task_support(item, form).filter(|_| self.has_tasks);
            let definition = match form {
                Form::Own => item.to_bytes(),
                Form::Legacy => without(&item.to_bytes(), "execution"),
                Form::Modern if task.is_some() => with(&item.to_bytes(), "execution", r#"{"taskSupport":"optional"}"#),
                Form::Modern => item.to_bytes(),
            };
            // A copy, so that one small definition does not keep a whole page alive.
            let definition = Bytes::copy_from_slice(&definition);
            let digest = digest(item);
            let name: Arc<str> = name.into();
            self.entries.push(Entry {
                name: name.clone(),
                upstream: Some(index),
                owner: owner.clone(),
                original: name,
                definition,
                digest: digest.into(),
                task,
            });
        }
        let told = document.pointer("/result/ttlMs").and_then(|t| t.as_u64()).map(Duration::from_millis);
        self.ttl = self.ttl.min(told.unwrap_or(self.ttl));
        self.told = self.told.min(told.unwrap_or_default());
        let next = document.pointer("/result/nextCursor").and_then(|c| c.as_str()).map(|c| c.into_owned());
        if let Some(cursor) = &next
            && !self.seen.insert(cursor.clone())
        {
            tracing::error!(upstream = %owner, list = kind.method(), "the upstream repeats a cursor; the walk stops here");
            return Ok(None);
        }
        Ok(next)
    }
}

fn offers(capabilities: &Bytes, kind: ListKind) -> bool {
    let member = match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources | ListKind::ResourceTemplates => "resources",
    };
    Document::parse_value(capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(1)).is_ok_and(|d| d.root().get(member).is_some())
}

/// A list request of the host's own, in the form of the asking client's era.
fn request(kind: ListKind, era: Era, cursor: Option<&str>) -> Message {
    let mut members = Vec::new();
    if let Some(cursor) = cursor {
        members.push(format!(r#""cursor":{}"#, quote(cursor)));
    }
    if era == Era::Modern {
        members.push(format!(
            r#""_meta":{{"{}":"{}","{}":{{}},"{}":{{"name":"sluice","version":"{}"}}}}"#,
            sluice_wire::meta::PROTOCOL_VERSION,
            own_revision(era).as_str(),
            sluice_wire::meta::CLIENT_CAPABILITIES,
            sluice_wire::meta::CLIENT_INFO,
            env!("CARGO_PKG_VERSION"),
        ));
    }
    let params = format!("{{{}}}", members.join(","));
    let bytes = message::request(&RequestId::from_u64(0), kind.method(), Some(params.as_bytes()));
    let document = Document::parse(bytes, &Limits::REQUEST, IndexDepth::Full);
    document.ok().and_then(|d| Message::decode(d).ok()).unwrap_or_else(|| unreachable!("built from quoted parts"))
}

/// What a tool of a server of the other era says of tasks: a modern one says it of no tool, and decides with each call.
fn task_support(tool: Value<'_>, form: Form) -> Option<TaskSupport> {
    if form == Form::Modern {
        return Some(TaskSupport::Optional);
    }
    let said = tool.get("execution").and_then(|execution| execution.get("taskSupport")).filter(|_| form == Form::Legacy)?;
    [("optional", TaskSupport::Optional), ("required", TaskSupport::Required)]
        .into_iter()
        .find_map(|(word, is)| said.is_str(word).then_some(is))
}

fn with(definition: &Bytes, member: &str, raw: &'static str) -> Bytes {
    let Ok(document) = Document::parse_value(definition.clone(), &Limits::RESPONSE, IndexDepth::Levels(1)) else {
        return definition.clone();
    };
    let mut patch = Patch::new(&document);
    patch.set(document.root(), member, raw);
    patch.apply().unwrap_or_else(|_| definition.clone())
}

fn without(definition: &Bytes, member: &str) -> Bytes {
    let Ok(document) = Document::parse_value(definition.clone(), &Limits::RESPONSE, IndexDepth::Levels(1)) else {
        return definition.clone();
    };
    let Some(value) = document.root().get(member) else { return definition.clone() };
    let mut patch = Patch::new(&document);
    patch.remove(value);
    patch.apply().unwrap_or_else(|_| definition.clone())
}

/// A filter's answer, applied to those that it is for.
fn apply(
    kind: ListKind,
    entries: &[Entry],
    is_for: impl Fn(&Entry) -> bool,
    offer: &Offer,
    plugin: &Arc<str>,
) -> Result<Vec<Entry>, Fault> {
    if !offer.changes.is_empty() && offer.changes.len() != offer.entries.len() {
        return Err(Fault::BadReply(format!("on-catalog gave {} changes for {} entries", offer.changes.len(), offer.entries.len())));
    }
    let mut changes = offer.changes.iter();
    let mut shaped = Vec::with_capacity(entries.len());
    for entry in entries {
        let change = if is_for(entry) { changes.next() } else { None };
        let changed = match change.unwrap_or(&Change::Keep) {
            Change::Keep => entry.clone(),
            Change::Hide => continue,
            Change::Rename(name) => renamed(kind, entry, name)?,
            Change::Patch(patch) => patched(kind, entry, patch)?,
            Change::RenameAndPatch(name, patch) => renamed(kind, &patched(kind, entry, patch)?, name)?,
        };
        shaped.push(changed);
    }
    for definition in &offer.own {
        shaped.push(own_entry(kind, definition, plugin)?);
    }
    Ok(shaped)
}

fn bad(reason: impl std::fmt::Display) -> Fault {
    Fault::BadReply(format!("on-catalog: {reason}"))
}

fn renamed(kind: ListKind, entry: &Entry, name: &str) -> Result<Entry, Fault> {
    let document = Document::parse_value(entry.definition.clone(), &Limits::RESPONSE, IndexDepth::Levels(1)).map_err(bad)?;
    let mut patch = Patch::new(&document);
    patch.set(document.root(), kind.key(), quote(name));
    let definition = patch.apply().map_err(bad)?;
    Ok(Entry { name: name.into(), definition, ..entry.clone() })
}

fn patched(kind: ListKind, entry: &Entry, patch: &str) -> Result<Entry, Fault> {
    let definition = merge_patch(&entry.definition, patch).map_err(bad)?;
    let kept = name_of(kind, &definition)?;
    if *kept != *entry.name {
        return Err(bad("a patch may not change the name; use rename"));
    }
    Ok(Entry { definition, ..entry.clone() })
}

fn own_entry(kind: ListKind, definition: &Bytes, plugin: &Arc<str>) -> Result<Entry, Fault> {
    let name: Arc<str> = name_of(kind, definition)?.into();
    let whole = Document::parse_value(definition.clone(), &Limits::RESPONSE, IndexDepth::Full).map_err(bad)?;
    let digest = digest(whole.root()).into();
    Ok(Entry {
        name: name.clone(),
        upstream: None,
        owner: plugin.clone(),
        original: name,
        definition: definition.clone(),
        digest,
        task: None,
    })
}

fn name_of(kind: ListKind, definition: &Bytes) -> Result<String, Fault> {
    let document = Document::parse_value(definition.clone(), &Limits::RESPONSE, IndexDepth::Levels(1)).map_err(bad)?;
    let name = document.root().get(kind.key()).and_then(|n| n.as_str()).map(|n| n.into_owned());
    name.ok_or_else(|| bad(format!("a definition has no {}", kind.key())))
}

/// Names become unique (the earlier keeps it) and tools with bad header annotations go, each with one log line.
fn expose(kind: ListKind, entries: &[Entry]) -> Vec<Exposed> {
    let mut taken = std::collections::HashMap::new();
    let mut exposed = Vec::with_capacity(entries.len());
    for entry in entries {
        let mirrored = match mirrored(kind, entry) {
            Ok(mirrored) => mirrored,
            Err(error) => {
                tracing::warn!(upstream = %entry.owner, tool = %entry.original, %error, "a tool is hidden: its x-mcp-header annotation breaks the rules");
                continue;
            }
        };
        if let Some(owner) = taken.insert(entry.name.clone(), entry.owner.clone()) {
            tracing::warn!(name = %entry.name, kept = %owner, hidden = %entry.owner, list = kind.method(), "two upstreams offer one name: the earlier in config order keeps it");
            taken.insert(entry.name.clone(), owner);
            continue;
        }
        exposed.push(Exposed { entry: entry.clone(), mirrored });
    }
    exposed
}

fn mirrored(kind: ListKind, entry: &Entry) -> Result<Arc<[Annotation]>, sluice_wire::header::AnnotationError> {
    // Escaped, the keyword is the same and looks otherwise.
    let may_have = |part: &[u8]| memchr::memmem::find(&entry.definition, part).is_some();
    if kind != ListKind::Tools || !(may_have(b"x-mcp-header") || may_have(br"\u")) {
        return Ok(Arc::default());
    }
    let Ok(document) = Document::parse_value(entry.definition.clone(), &Limits::RESPONSE, IndexDepth::Full) else {
        return Ok(Arc::default());
    };
    document.root().get("inputSchema").map_or(Ok(Arc::default()), |schema| annotations(schema).map(Into::into))
}

/// Of a definition, so that who pins it need not care how its server writes JSON today.
fn digest(definition: Value<'_>) -> String {
    hex(&Sha256::digest(canonical(definition)))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}
