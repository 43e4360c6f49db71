//! Requests about tasks, and the ids of tasks in what servers say: a client knows a task by an id of ours, its server by its own.

use super::{Exchange, Stop, resolve::Route, rounds::without_round};
use crate::{
    catalogue::{Currency, Exposed, ListKind, View},
    exchange::{Answer, AnswerBody, Delivery},
    queue::queue,
    rescue::Error,
    task::Task,
    upstream::{ServerFacts, UpstreamError},
};
use futures_util::future::join_all;
use sluice_wire::{
    json::{Document, IndexDepth, Kind, Limits, Value, quote},
    message::Message,
    meta, method,
    patch::Patch,
    revision::Era,
};
use std::sync::Arc;

/// How many notifications of a list may wait for their filters.
const INTERIM_QUEUE: usize = 32;

/// The task a request is about.
pub(super) struct About {
    /// As the client has it.
    pub(super) id: Arc<str>,
    /// As its server has it.
    pub(super) own: Arc<str>,
}

impl Exchange {
    /// Where a task runs. Whoever may not see its tool any more has no such task.
    pub(super) async fn resolve_task(&mut self) -> Result<Route, Error> {
        self.check_declared()?;
        let request = self.request.clone();
        let id = request.param("taskId").and_then(|id| id.as_str());
        let id = id.ok_or_else(|| Error::BadParams("params.taskId must be a string".into()))?;
        let host = self.host.clone();
        let Some(task) = host.tasks.open(&self.principal, &id) else { return Err(self.no_such_task(&id).await) };
        let upstream = self.generation.upstreams.position(&task.upstream);
        for currency in [Currency::Known, Currency::Fresh] {
            let view = host.view(ListKind::Tools, self.asking(), currency).await?;
            if let Some(exposed) = upstream.and_then(|upstream| tool_of(&view, upstream, &task)) {
                self.head.name = Some(exposed.entry.name.clone());
                self.about = Some(About { id: id.as_ref().into(), own: task.own.clone() });
                if request.method() == method::TASKS_UPDATE {
                    self.take_responses()?;
                }
                return Ok(self.route_to_task(exposed, task.own));
            }
        }
        Err(self.no_such_task(&id).await)
    }

    /// An extension is declared with each request, or not used (2026-07-28 extension tasks, Protocol Errors).
    fn check_declared(&self) -> Result<(), Error> {
        let declared = Document::parse_value(self.client.capabilities.clone(), &Limits::REQUEST, IndexDepth::Levels(3));
        let declares = |d: &Document| d.root().get("extensions").and_then(|all| all.get(meta::EXTENSION_TASKS)).is_some();
        if self.era() == Era::Legacy || declared.is_ok_and(|declared| declares(&declared)) {
            return Ok(());
        }
        Err(Error::Undeclared { required: r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"# })
    }

    /// Where no server has tasks there is no such method either.
    async fn no_such_task(&self, id: &str) -> Error {
        let all = join_all(self.generation.upstreams.places().map(|i| self.facts_of(i))).await;
        if all.iter().flatten().any(|facts| crate::facts::has_tasks(facts)) {
            Error::Unknown { what: "task", name: id.to_owned() }
        } else {
            Error::NoSuchMethod(self.request.method().to_owned())
        }
    }

    async fn facts_of(&self, i: usize) -> Option<Arc<ServerFacts>> {
        let facts = self.generation.upstreams[i].facts(self.era(), &self.client, &self.principal);
        tokio::time::timeout(self.host.settings.gather, facts).await.ok()?.ok()
    }

    /// What the client answers to a task's questions is not part of what filters see as the request.
    fn take_responses(&mut self) -> Result<(), Error> {
        let whole = self.request.as_ref().clone().deepen();
        let given = whole.param("inputResponses").filter(|given| given.kind() == Kind::Object);
        let given = given.ok_or_else(|| Error::BadParams("params.inputResponses must be an object".into()))?;
        self.responses = given.members().map(|given| (given.key.decoded().into_owned(), given.value.to_bytes())).collect();
        self.request = Arc::new(without_round(&whole)?);
        Ok(())
    }

    /// A server's answer with ids of ours in it.
    pub(super) fn with_our_ids(&self, index: usize, response: Delivery) -> Result<Delivery, Error> {
        let Some(result) = response.message.result() else { return Ok(response) };
        if self.about.is_none() && (*self.head.method != *method::TOOLS_CALL || !self.is_created(result)) {
            return Ok(response);
        }
        let whole = response.message.as_ref().clone().deepen();
        let Some(result) = whole.result() else { return Ok(response) };
        let (own, id) = match &self.about {
            Some(about) => (about.own.clone(), about.id.clone()),
            None => {
                let own = created_id(result).ok_or_else(|| self.bad_task(index))?;
                let tool = self.original.clone().or_else(|| self.head.name.clone()).unwrap_or_default();
                let task = Task { upstream: self.generation.upstreams[index].name().clone(), tool, own: own.clone() };
                let id = self.host.tasks.hand(&self.principal, &task).ok_or_else(|| self.bad_task(index))?;
                (own, id)
            }
        };
        let mut patch = Patch::new(whole.document());
        places(result).filter(|place| place.is_str(&own)).for_each(|place| patch.replace(place, quote(&id)));
        Ok(Delivery { message: self.respelled(index, patch)?, spoken: response.spoken })
    }

    /// A `tools/call` that is answered with a task.
    fn is_created(&self, result: Value<'_>) -> bool {
        match self.era() {
            Era::Modern => result.get("resultType").is_some_and(|kind| kind.is_str("task")),
            Era::Legacy => self.request.param("task").is_some() && result.get("task").is_some(),
        }
    }

    fn respelled(&self, index: usize, patch: Patch<'_>) -> Result<Arc<Message>, Error> {
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok();
        document.and_then(|document| Message::decode(document).ok()).map(Arc::new).ok_or_else(|| self.bad_task(index))
    }

    fn bad_task(&self, index: usize) -> Error {
        self.upstream_error(index, UpstreamError::BadReply { reason: "it names a task in a form the protocol does not have".into() })
    }

    /// What belongs to a task says so (2025-11-25 tasks, Associating Task-Related Messages): under the client's id for it.
    pub(super) fn related(&self, delivery: Delivery) -> Delivery {
        let find = |own: &str| {
            let of_this = self.about.as_ref().filter(|about| *about.own == *own).map(|about| about.id.clone());
            of_this.or_else(|| self.host.tasks.known(&self.principal, self.head.upstream.as_ref()?, own))
        };
        renamed(delivery, find)
    }

    /// The client's answer to such a question, under the server's id.
    pub(super) fn unrelated(&self, delivery: Delivery) -> Delivery {
        renamed(delivery, |id| self.host.tasks.open(&self.principal, id).map(|task| task.own))
    }

    /// The tasks of this principal that the servers list and that came from here: which tool a task runs a list does not say, and
    /// what nobody can name no policy can judge.
    pub(super) async fn list_tasks(&mut self) -> Result<Answer, Stop> {
        let (from, cursor) = match self.request.param("cursor") {
            None => (None, None),
            Some(cursor) => {
                let cursor = cursor.as_str().ok_or(Error::BadCursor)?;
                let (upstream, cursor) = self.host.tasks.open_cursor(&self.principal, &cursor).ok_or(Error::BadCursor)?;
                (Some(upstream), (!cursor.is_empty()).then_some(cursor))
            }
        };
        let places: Vec<usize> = self.generation.upstreams.places().collect();
        let start = from.map_or(Some(0), |from| places.iter().position(|place| *place == from)).ok_or(Error::BadCursor)?;
        let all = join_all(places.iter().map(|place| self.facts_of(*place))).await;
        let lists = |at: &usize| all[*at].as_ref().is_some_and(|facts| crate::facts::lists_tasks(facts));
        let mut listing = (start..places.len()).filter(lists).map(|at| places[at]);
        let Some(index) = listing.next() else {
            return Err(if from.is_none() { Error::NoSuchMethod(method::TASKS_LIST.into()) } else { Error::BadCursor }.into());
        };
        let later = listing.next();
        let (interim, arriving) = queue(INTERIM_QUEUE);
        let request = self.with_cursor(cursor.filter(|_| Some(index) == from))?;
        let outbound = self.outbound(index, request, None, Arc::default(), interim)?;
        let answer = self.forward(index, outbound, arriving).await?;
        match &answer.body {
            AnswerBody::Relayed(response) if response.message.result().is_some() => {
                let view = self.host.view(ListKind::Tools, self.asking(), Currency::Known).await?;
                Ok(Answer::relayed(self.page(index, later, response, &view)?))
            }
            _ => Ok(answer),
        }
    }

    fn with_cursor(&self, cursor: Option<String>) -> Result<Arc<Message>, Error> {
        let whole = self.request.as_ref().clone().deepen();
        let mut patch = Patch::new(whole.document());
        match (cursor, whole.param("cursor"), whole.params()) {
            (Some(cursor), Some(old), _) => patch.replace(old, quote(&cursor)),
            (None, Some(old), _) => patch.remove(old),
            _ => {}
        }
        let document = patch.apply_document(&Limits::REQUEST, IndexDepth::Full).map_err(|_| Error::BadCursor)?;
        Ok(Arc::new(Message::decode(document).map_err(|_| Error::BadCursor)?))
    }

    /// The client's id for a server's task, if it came from here and its tool is in the client's view.
    fn id_in(&self, view: &View, index: usize, own: &str) -> Option<Arc<str>> {
        let id = self.host.tasks.known(&self.principal, self.generation.upstreams[index].name(), own)?;
        let task = self.host.tasks.open(&self.principal, &id)?;
        tool_of(view, index, &task).map(|_| id)
    }

    /// A status notification under the client's id for its task; none for a task that this client has not from here or may not
    /// see.
    pub(super) async fn status(&self, index: usize, delivery: &Delivery) -> Option<Delivery> {
        let whole = delivery.message.as_ref().clone().deepen();
        let own = whole.param("taskId")?.as_str()?.into_owned();
        // Most are of tasks that others have.
        self.host.tasks.known(&self.principal, self.generation.upstreams[index].name(), &own)?;
        let view = self.host.view(ListKind::Tools, self.asking(), Currency::Known).await.ok()?;
        let id = self.id_in(&view, index, &own)?;
        let mut patch = Patch::new(whole.document());
        patch.replace(whole.param("taskId")?, quote(&id));
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok()?;
        Some(Delivery { message: Arc::new(Message::decode(document).ok()?), spoken: delivery.spoken })
    }

    /// One server's page as a page of all of them.
    fn page(&self, index: usize, later: Option<usize>, response: &Delivery, view: &View) -> Result<Delivery, Error> {
        let whole = response.message.as_ref().clone().deepen();
        let result = whole.result().ok_or_else(|| self.bad_task(index))?;
        let mut patch = Patch::new(whole.document());
        for task in result.get("tasks").into_iter().flat_map(|tasks| tasks.items()) {
            let own = task.get("taskId").filter(|own| own.kind() == Kind::String);
            match own.and_then(|own| self.id_in(view, index, &own.as_str()?)) {
                Some(id) => own.into_iter().for_each(|own| patch.replace(own, quote(&id))),
                None => patch.remove(task),
            }
        }
        let next = match (result.get("nextCursor").and_then(|next| next.as_str()), later) {
            (Some(next), _) => self.host.tasks.seal_cursor(&self.principal, index, &next),
            (None, Some(later)) => self.host.tasks.seal_cursor(&self.principal, later, ""),
            (None, None) => None,
        };
        match next {
            Some(next) => patch.set(result, "nextCursor", quote(&next)),
            None => result.get("nextCursor").into_iter().for_each(|old| patch.remove(old)),
        }
        Ok(Delivery { message: self.respelled(index, patch)?, spoken: response.spoken })
    }
}

/// The tool that a task runs, as this view shows it.
fn tool_of<'v>(view: &'v View, upstream: usize, task: &Task) -> Option<&'v Exposed> {
    view.exposed.iter().find(|exposed| exposed.entry.upstream == Some(upstream) && exposed.entry.original == task.tool)
}

/// The server's id in an answer to `tools/call` that is a task, in either era's form.
fn created_id(result: Value<'_>) -> Option<Arc<str>> {
    let task = result.get("task").filter(|task| task.kind() == Kind::Object).unwrap_or(result);
    Some(task.get("taskId")?.as_str()?.into())
}

/// Where a result names the task it is about.
fn places(result: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let created = result.get("task").filter(|task| task.kind() == Kind::Object).and_then(|task| task.get("taskId"));
    let related = result.get("_meta").filter(|meta| meta.kind() == Kind::Object).and_then(related_id);
    [result.get("taskId"), created, related].into_iter().flatten().filter(|id| id.kind() == Kind::String)
}

fn related_id(meta: Value<'_>) -> Option<Value<'_>> {
    meta.get(meta::RELATED_TASK).filter(|related| related.kind() == Kind::Object)?.get("taskId")
}

/// A message that is related to a task, under another id for it. Where there is none, it is related to no task.
fn renamed(delivery: Delivery, find: impl Fn(&str) -> Option<Arc<str>>) -> Delivery {
    if !delivery.message.bytes().windows(12).any(|part| part == b"related-task") {
        return delivery;
    }
    let whole = delivery.message.as_ref().clone().deepen();
    let Some(meta) = whole.meta().filter(|meta| meta.kind() == Kind::Object) else { return delivery };
    let Some(related) = meta.get(meta::RELATED_TASK) else { return delivery };
    let id = related_id(meta).and_then(|own| Some((own, find(&own.as_str()?)?)));
    let mut patch = Patch::new(whole.document());
    match id {
        Some((own, id)) => patch.replace(own, quote(&id)),
        None => patch.remove(related),
    }
    let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok();
    match document.and_then(|document| Message::decode(document).ok()) {
        Some(message) => Delivery { message: Arc::new(message), spoken: delivery.spoken },
        None => delivery,
    }
}
