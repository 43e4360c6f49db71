//! Exposed name to (upstream, original name), in the table this principal sees.

use super::Exchange;
use crate::{
    catalogue::{Currency, Exposed, ListKind, View},
    rescue::Error,
    upstream::UpstreamError,
};
use sluice_wire::{
    header::{Annotation, matches_scalar},
    json::{Kind, Value},
    message::Message,
    method,
};
use std::sync::Arc;

/// Where a request goes.
pub(super) enum Route {
    /// Answered from the catalogue.
    List(ListKind),
    /// Answered here, told to every upstream that logs.
    SetLevel,
    /// The tasks of several upstreams.
    Tasks,
    /// Stays open and tells of changes.
    Listen,
    /// A legacy session follows a resource of one upstream.
    Subscribe {
        /// Its place in the estate.
        upstream: usize,
        /// What the upstream calls it, if that is not what the message says.
        original: Option<Arc<str>>,
    },
    /// And no longer.
    Unsubscribe,
    /// To one upstream.
    Forward {
        /// Its place in the estate.
        upstream: usize,
        /// What the upstream calls it, if that is not what the message says.
        original: Option<Arc<str>>,
        /// Arguments mirrored into headers.
        mirrored: Arc<[Annotation]>,
    },
    /// A filter listed it: the filter must answer in `on-request`.
    Plugin {
        /// Its name.
        owner: Arc<str>,
    },
}

/// Stands for none in what is sealed.
pub(super) const NO_UPSTREAM: usize = u32::MAX as usize;

impl Route {
    /// Place of the one it leads to.
    pub(super) fn upstream(&self) -> usize {
        match self {
            Self::Forward { upstream, .. } | Self::Subscribe { upstream, .. } => *upstream,
            Self::List(_) | Self::SetLevel | Self::Tasks | Self::Listen | Self::Unsubscribe | Self::Plugin { .. } => NO_UPSTREAM,
        }
    }
}

impl Exchange {
    /// Decide the route and fill in the head's name and upstream.
    pub(super) async fn resolve(&mut self) -> Result<Route, Error> {
        let message = self.request.clone();
        match message.method() {
            method::TOOLS_LIST => Ok(Route::List(ListKind::Tools)),
            method::PROMPTS_LIST => Ok(Route::List(ListKind::Prompts)),
            method::RESOURCES_LIST => Ok(Route::List(ListKind::Resources)),
            method::RESOURCES_TEMPLATES_LIST => Ok(Route::List(ListKind::ResourceTemplates)),
            method::LOGGING_SET_LEVEL => Ok(Route::SetLevel),
            method::TOOLS_CALL => {
                let name = text(message.param("name"), "params.name")?;
                let route = self.resolve_name(ListKind::Tools, "tool", &name).await?;
                self.check_mirrored(&route, message.param("arguments"))?;
                Ok(route)
            }
            method::PROMPTS_GET => {
                let name = text(message.param("name"), "params.name")?;
                self.resolve_name(ListKind::Prompts, "prompt", &name).await
            }
            method::RESOURCES_READ => {
                let uri = text(message.param("uri"), "params.uri")?;
                self.resolve_uri(&uri).await
            }
            method::RESOURCES_SUBSCRIBE => {
                let uri = text(message.param("uri"), "params.uri")?;
                Ok(match self.resolve_uri(&uri).await? {
                    Route::Forward { upstream, original, .. } => Route::Subscribe { upstream, original },
                    other => other,
                })
            }
            method::RESOURCES_UNSUBSCRIBE => {
                self.head.name = Some(text(message.param("uri"), "params.uri")?.as_ref().into());
                Ok(Route::Unsubscribe)
            }
            method::SUBSCRIPTIONS_LISTEN => Ok(Route::Listen),
            method::COMPLETION_COMPLETE => self.resolve_completion(message.param("ref")).await,
            method::TASKS_GET | method::TASKS_CANCEL | method::TASKS_RESULT | method::TASKS_UPDATE => self.resolve_task().await,
            method::TASKS_LIST => Ok(Route::Tasks),
            other => Err(Error::NoSuchMethod(other.to_owned())),
        }
    }

    async fn resolve_name(&mut self, kind: ListKind, what: &'static str, name: &str) -> Result<Route, Error> {
        self.head.name = Some(name.into());
        let host = self.host.clone();
        let view = host.view(kind, self.asking(), Currency::Known).await?;
        if let Some(exposed) = view.find(name) {
            return Ok(self.route_to(exposed));
        }
        // The name may be newer than what we know.
        let view = host.view(kind, self.asking(), Currency::Fresh).await?;
        match view.find(name) {
            Some(exposed) => Ok(self.route_to(exposed)),
            None => Err(self.unknown(what, name, &view)),
        }
    }

    pub(super) async fn resolve_uri(&mut self, uri: &str) -> Result<Route, Error> {
        self.head.name = Some(uri.into());
        let host = self.host.clone();
        for currency in [Currency::Known, Currency::Fresh] {
            let listed = host.view(ListKind::Resources, self.asking(), currency).await?;
            if let Some(exposed) = listed.find(uri) {
                return Ok(self.route_to(exposed));
            }
            let templates = host.view(ListKind::ResourceTemplates, self.asking(), currency).await?;
            let handed = self.handed(uri);
            let found = templates.find_template(uri).and_then(|e| e.entry.upstream).or(handed);
            // Listed by somebody and not in this view means hidden: a template or a link is no way around that.
            if let Some(upstream) = found.filter(|_| !self.is_hidden(uri)) {
                self.head.upstream = Some(self.generation.upstreams[upstream].name().clone());
                return Ok(Route::Forward { upstream, original: None, mirrored: Arc::default() });
            }
            if currency == Currency::Fresh {
                return Err(self.unknown("resource", uri, &listed));
            }
        }
        unreachable!("the second round returns")
    }

    /// Where a link leads that this principal was given.
    fn handed(&self, uri: &str) -> Option<usize> {
        self.host.links.find(&self.principal.key, uri).filter(|place| self.generation.upstreams.has(*place))
    }

    /// Whether this principal could still follow a resource that it followed: it is listed in its view, or behind a template or a
    /// link that is.
    pub(super) async fn still_shows(&self, name: &str, uri: &str) -> bool {
        let is_listed = |view: Arc<View>| view.find(name).is_some();
        if self.host.view_as_known(ListKind::Resources, self.asking()).await.is_ok_and(is_listed) {
            return true;
        }
        let has_way = |view: Arc<View>| view.find_template(name).is_some() || self.handed(name).is_some();
        let templates = self.host.view_as_known(ListKind::ResourceTemplates, self.asking()).await;
        !self.is_hidden(uri) && templates.is_ok_and(has_way)
    }

    /// Whether a resource below one that this principal followed is hidden from it.
    pub(super) async fn hides(&self, name: &str, uri: &str) -> bool {
        let listed = self.host.view_as_known(ListKind::Resources, self.asking()).await;
        // Without a view nobody knows.
        listed.map_or(true, |view| view.find(name).is_none()) && self.is_hidden(uri)
    }

    fn unknown(&self, what: &'static str, name: &str, view: &View) -> Error {
        if let Some((upstream, held)) = &view.held {
            return self.upstream_error(*upstream, UpstreamError::Held(held.clone()));
        }
        if view.missing.is_empty() {
            return Error::Unknown { what, name: name.to_owned() };
        }
        Error::MaybeMissing { what, name: name.to_owned(), missing: view.missing.join(", ") }
    }

    fn is_hidden(&self, uri: &str) -> bool {
        let lists = &self.host.lists;
        self.generation
            .upstreams
            .places()
            .filter_map(|i| lists.find(&self.host.place(i, ListKind::Resources, self.asking())))
            .any(|s| s.entries.iter().any(|e| *e.original == *uri))
    }

    async fn resolve_completion(&mut self, reference: Option<Value<'_>>) -> Result<Route, Error> {
        let reference = reference.ok_or_else(|| Error::BadParams("params.ref is missing".into()))?;
        match &*text(reference.get("type"), "params.ref.type")? {
            "ref/prompt" => {
                let name = text(reference.get("name"), "params.ref.name")?;
                self.resolve_name(ListKind::Prompts, "prompt", &name).await
            }
            "ref/resource" => {
                let uri = text(reference.get("uri"), "params.ref.uri")?;
                let host = self.host.clone();
                let templates = host.view(ListKind::ResourceTemplates, self.asking(), Currency::Known).await?;
                match templates.find(&uri) {
                    Some(exposed) => {
                        self.head.name = Some(uri.as_ref().into());
                        Ok(self.route_to(exposed))
                    }
                    None => self.resolve_uri(&uri).await,
                }
            }
            other => Err(Error::BadParams(format!("params.ref.type {other:?} is neither \"ref/prompt\" nor \"ref/resource\""))),
        }
    }

    fn route_to(&mut self, exposed: &Exposed) -> Route {
        let entry = &exposed.entry;
        let Some(upstream) = entry.upstream else { return Route::Plugin { owner: entry.owner.clone() } };
        self.head.upstream = Some(self.generation.upstreams[upstream].name().clone());
        let original = (entry.original != entry.name).then(|| entry.original.clone());
        self.original.clone_from(&original);
        self.task = entry.task;
        Route::Forward { upstream, original, mirrored: exposed.mirrored.clone() }
    }

    /// To where a task of this tool runs, under the id that it has there.
    pub(super) fn route_to_task(&mut self, tool: &Exposed, own: Arc<str>) -> Route {
        match self.route_to(tool) {
            Route::Forward { upstream, .. } => Route::Forward { upstream, original: Some(own), mirrored: Arc::default() },
            route => route,
        }
    }

    /// Modern HTTP: every annotated argument must stand in its header, and agree.
    fn check_mirrored(&self, route: &Route, arguments: Option<Value<'_>>) -> Result<(), Error> {
        let (Some(headers), Route::Forward { mirrored, .. }) = (&self.param_headers, route) else { return Ok(()) };
        if mirrored.is_empty() {
            return Ok(());
        }
        let whole = self.request.document().clone().deepen();
        let arguments = arguments.and_then(|_| whole.pointer("/params/arguments"));
        for annotation in mirrored.iter() {
            let value = arguments.and_then(|a| annotation.value_in(a)).filter(|v| v.kind() != Kind::Null);
            let wanted = annotation.header.to_ascii_lowercase();
            let header = headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
            let agree = match (value, header) {
                (None, None) => true,
                (Some(value), Some(header)) => matches_scalar(header, value),
                _ => false,
            };
            if !agree {
                return Err(Error::HeaderMismatch(format!(
                    "the header Mcp-Param-{} does not agree with the argument it mirrors",
                    annotation.header
                )));
            }
        }
        Ok(())
    }
}

/// What two requests are about is the same.
pub(super) fn same_targets(a: &Message, b: &Message) -> bool {
    match (a.target(), b.target()) {
        (Some(a), Some(b)) => same_target(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Two targets mean the same text, however it is escaped.
fn same_target(a: Value<'_>, b: Value<'_>) -> bool {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a == b,
        _ => a.raw() == b.raw(),
    }
}

fn text<'a>(value: Option<Value<'a>>, what: &str) -> Result<std::borrow::Cow<'a, str>, Error> {
    value.and_then(|v| v.as_str()).ok_or_else(|| Error::BadParams(format!("{what} must be a string")))
}
