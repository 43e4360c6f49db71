//! What one client says on a connection that carries both ways, and to whom it goes: stdio, and HTTP+SSE.

use bytes::Bytes;
use sluice_chain::{
    changes::Subscription,
    exchange::{Answer, AnswerBody, Arrival, Client, Delivery, Outgoing},
    gate::anonymous_name,
    host::{Host, Push},
    principal::PrincipalKey,
};
use sluice_era::{
    answer::{self, Addressed, Asked, made},
    handshake_down::{self, Introduction, Opening},
};
use sluice_wire::{
    code,
    id::RequestId,
    json::{Document, Kind as JsonKind, Value, quote},
    message::{self, Kind, Message},
    method,
    revision::{Era, Revision},
};
use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Caller, LastSeen, is_same},
    methods,
    outgoing::{Left, Waiting, join},
    questions::Questions,
    refusal::{Refusal, own_code},
    settings::Settings,
    streaming::{CutOff, Streaming},
};

/// The state of one connection.
pub(super) struct Front {
    host: Arc<Host>,
    settings: Arc<Settings>,
    caller: Mutex<Caller>,
    lines: mpsc::Sender<Line>,
    session: Mutex<Option<Session>>,
    in_flight: Mutex<HashMap<RequestId, CancellationToken>>,
    questions: Arc<Questions>,
    last_seen: LastSeen,
}

/// What is said to the client, one behind the other.
pub(super) enum Line {
    /// A message, with its line end.
    Whole(Bytes),
    /// An answer as it comes.
    Long(Box<LongLine>),
}

/// An answer that is put on its line as it comes. Nothing else is said meanwhile.
pub(super) struct LongLine {
    streaming: Streaming,
    /// Said behind the line, if that broke off.
    error: Option<Bytes>,
    has_ended: bool,
    /// Tells when it is over.
    _done: oneshot::Sender<()>,
}

impl LongLine {
    /// The next piece, at last the line end; none when all is said.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.has_ended {
            return Poll::Ready(self.error.take());
        }
        Poll::Ready(Some(match ready!(self.streaming.poll_next(context)) {
            Some(Ok(piece)) => piece,
            ended => {
                self.has_ended = true;
                // The line is no message, so its reader waits on for one of this id.
                let told = ended.and_then(Result::err).and_then(|CutOff(told)| told);
                self.error = told.map(|told| line(&told));
                Bytes::from_static(b"\n")
            }
        }))
    }
}

/// What `initialize` agreed on.
#[derive(Clone)]
struct Session {
    revision: Revision,
    client: Arc<Client>,
    /// What it hears of.
    changes: Arc<Subscription>,
}

/// What became of one request.
#[allow(clippy::large_enum_variant, reason = "nearly all are the large one, and it is moved once")]
enum Begun {
    Running(Waiting),
    Answered(Bytes),
    /// The opening words of an era, which take the upstreams' word.
    Greeting(Greeting),
}

struct Greeting {
    asked: Asked,
    client: Arc<Client>,
    /// What a legacy client hears of from then on.
    changes: Option<Arc<Subscription>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Front {
    /// A connection on which nothing was said yet. What is said to the client goes to `lines`, a message each with a line end.
    pub fn new(host: Arc<Host>, caller: Caller, settings: Arc<Settings>, lines: mpsc::Sender<Line>) -> Front {
        Front {
            host,
            settings,
            caller: Mutex::new(caller),
            lines,
            session: Mutex::default(),
            in_flight: Mutex::default(),
            questions: Arc::default(),
            last_seen: LastSeen::default(),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who speaks, as the chain sees it.
    fn caller(&self) -> Caller {
        lock(&self.caller).clone()
    }

    /// What is said from now on is said by this caller: the same principal, whose claims may have changed.
    pub fn vouch_again(&self, caller: Caller) {
        let mut known = lock(&self.caller);
        if is_same(&known.principal, &caller.principal) && known.transport == caller.transport {
            return;
        }
        if let Some(session) = lock(&self.session).as_mut() {
            session.client = caller.vouch_again(&session.client);
            session.changes.vouch_again(session.client.clone(), caller.principal.clone());
        }
        *known = caller;
    }

    /// Reads one text.
    ///
    /// # Errors
    /// What is wrong with it; the sender is to be told.
    pub fn parse(&self, text: Bytes) -> Result<Document, Refusal> {
        Document::parse(text, &self.settings.limits.json, self.host.generation_of(&self.caller().principal).index_depth())
            .map_err(|error| Refusal::new(400, error.code(), "json", error.to_string()))
    }

    /// One message, or a batch. Nothing in it may take long: what does goes into a task of its own.
    pub async fn take(self: &Arc<Self>, document: Document, exchanges: &Exchanges) {
        if document.root().kind() == JsonKind::Array {
            return self.take_batch(&document, exchanges).await;
        }
        match decode(document).and_then(|message| self.begin(message, true)) {
            Ok(Some(begun)) => self.start(begun, exchanges).await,
            Ok(None) => {}
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn start(self: &Arc<Self>, begun: Begun, exchanges: &Exchanges) {
        let front = self.clone();
        match begun {
            Begun::Answered(text) => self.send(Addressed::whole(text)).await,
            Begun::Greeting(greeting) => {
                exchanges.spawn(async move {
                    let changes = greeting.changes.clone();
                    let text = front.greet(greeting).await;
                    front.send(text).await;
                    if let Some(changes) = changes {
                        changes.begin();
                        tokio::spawn(tell(changes, front.lines.clone()));
                    }
                });
            }
            Begun::Running(waiting) => {
                exchanges.spawn(async move {
                    if let Some(text) = front.follow(waiting).await {
                        front.send(text).await;
                    }
                });
            }
        }
    }

    /// Writes an exchange's notifications as they come; its answer, unless it was cancelled.
    async fn follow(&self, mut waiting: Waiting) -> Option<Addressed> {
        let id = waiting.asked.id.clone();
        let answer = loop {
            match waiting.next().await {
                Some(Outgoing::Notification(delivery)) => {
                    if let Some(text) = waiting.shape(&delivery) {
                        self.send(Addressed::whole(text)).await;
                    }
                }
                Some(Outgoing::Question(question)) => {
                    if let Some(text) = waiting.ask(question) {
                        self.send(Addressed::whole(text)).await;
                    }
                }
                Some(Outgoing::Final(Answer { body: AnswerBody::Streamed(flow), .. })) => {
                    self.send_long(Streaming::new(waiting, flow, true)).await;
                    break None;
                }
                Some(Outgoing::Final(answer)) => break Some(waiting.address(&answer)),
                None if waiting.is_cancelled() => break None,
                None => break Some(waiting.address(&waiting.lost())),
            }
        };
        lock(&self.in_flight).remove(&id);
        answer
    }

    async fn send(&self, text: Addressed) {
        // A client that no longer reads has left, and the reader is told so.
        let _ = self.lines.send(Line::Whole(line(&text))).await;
    }

    /// Until it is over.
    async fn send_long(&self, streaming: Streaming) {
        let (done, over) = oneshot::channel();
        let long = LongLine { streaming, error: None, has_ended: false, _done: done };
        if self.lines.send(Line::Long(Box::new(long))).await.is_ok() {
            let _ = over.await;
        }
    }

    pub async fn refuse(&self, refusal: Refusal) {
        let text = self.refused(&refusal);
        self.send(Addressed::whole(text)).await;
    }

    fn refused(&self, refusal: &Refusal) -> Bytes {
        self.host.turned_away(refusal.reason);
        refusal.body(self.host.next_exchange_id())
    }

    /// Starts what a message asks for; `None` when it asks for nothing.
    fn begin(&self, message: Message, takes_pieces: bool) -> Result<Option<Begun>, Refusal> {
        match message.kind() {
            Kind::Request => {
                let id = message.id().cloned();
                self.request(message, takes_pieces).map(Some).map_err(|refusal| refusal.to(id.as_ref()))
            }
            Kind::Notification => {
                self.note(&message);
                Ok(None)
            }
            Kind::Response | Kind::Error => {
                let spoken = lock(&self.session).as_ref().map_or(Revision::LEGACY[0], |session| session.revision);
                // One that nothing waits for is late, and there is nothing to say about that.
                self.questions.answer(message, spoken);
                Ok(None)
            }
        }
    }

    fn note(&self, message: &Message) {
        if message.method() != method::NOTIFY_CANCELLED {
            return;
        }
        let id = message.param("requestId").and_then(|id| RequestId::from_value(id).ok());
        if let Some(cancel) = id.and_then(|id| lock(&self.in_flight).get(&id).cloned()) {
            cancel.cancel();
        }
    }

    fn request(&self, message: Message, takes_pieces: bool) -> Result<Begun, Refusal> {
        let eras = self.settings.eras;
        if handshake_down::declares_version(&message) && eras.modern {
            return self.modern(message, takes_pieces);
        }
        if !eras.legacy {
            return Err(not_served(&self.settings));
        }
        match message.method() {
            method::INITIALIZE => self.initialize(&message),
            // Allowed before the handshake, too.
            method::PING => message.id().map(|id| Begun::Answered(message::result(id, b"{}"))).ok_or_else(no_such_method),
            _ => self.legacy(message, takes_pieces),
        }
    }

    fn modern(&self, message: Message, takes_pieces: bool) -> Result<Begun, Refusal> {
        let malformed = |bad| Refusal::new(400, code::INVALID_PARAMS, "meta", format!("params._meta: {bad}"));
        let declared = handshake_down::declared(&message).map_err(malformed)?;
        let served = self.settings.eras.modern();
        let revision = served.iter().copied().find(|revision| revision.as_str() == declared.version);
        let revision = revision.ok_or_else(|| not_served(&self.settings).with("requested", &quote(&declared.version)))?;
        let info = declared.info.as_ref().map(Value::raw_bytes);
        let client = self.last_seen.client(&self.caller(), info, declared.capabilities.raw_bytes());
        let asked = methods::asked(&self.host, &message, revision).ok_or_else(no_such_method)?;
        if asked.method == method::DISCOVER {
            return Ok(Begun::Greeting(Greeting { asked, client, changes: None }));
        }
        self.run(message, asked, client, takes_pieces)
    }

    fn initialize(&self, message: &Message) -> Result<Begun, Refusal> {
        let malformed = |bad| Refusal::new(400, code::INVALID_PARAMS, "initialize", format!("params: {bad}"));
        let Opening { revision, capabilities, info } =
            handshake_down::opening(message, self.settings.eras.legacy_over_stdio()).map_err(malformed)?;
        let asked = Asked::of(message, revision).ok_or_else(no_such_method)?;
        let name: Arc<str> = anonymous_name().into();
        let client = self.caller().introduce(info.as_deref(), &capabilities, Some(name));
        let changes = self.host.attend(&client, &self.caller().principal, revision);
        // In force at once: a client may send on before it has our answer.
        let before = lock(&self.session).replace(Session { revision, client: client.clone(), changes: changes.clone() });
        self.forget(before);
        Ok(Begun::Greeting(Greeting { asked, client, changes: Some(changes) }))
    }

    fn forget(&self, session: Option<Session>) {
        if let Some(name) = session.and_then(|session| session.client.session.clone()) {
            self.host.session_ended(&name);
        }
    }

    fn legacy(&self, message: Message, takes_pieces: bool) -> Result<Begun, Refusal> {
        let session = lock(&self.session).clone();
        let text = "neither a modern request (params._meta names no protocol version) nor one of a session (initialize first)";
        let session = session.ok_or_else(|| Refusal::new(400, code::INVALID_PARAMS, "meta", text))?;
        let asked = methods::asked(&self.host, &message, session.revision).ok_or_else(no_such_method)?;
        self.run(message, asked, session.client, takes_pieces)
    }

    fn run(&self, message: Message, asked: Asked, client: Arc<Client>, takes_pieces: bool) -> Result<Begun, Refusal> {
        let mut in_flight = lock(&self.in_flight);
        if in_flight.len() >= self.settings.limits.stdio_in_flight_max {
            return Err(Refusal::new(503, own_code(503), "in_flight", "too many requests are in flight; wait for answers"));
        }
        let Entry::Vacant(slot) = in_flight.entry(asked.id.clone()) else {
            return Err(Refusal::new(400, code::INVALID_REQUEST, "id_in_use", "a request with this id is still in flight"));
        };
        let running = self.host.begin(Arrival {
            message: Arc::new(message),
            revision: asked.revision,
            client,
            principal: self.caller().principal,
            generation: self.host.generation_of(&self.caller().principal),
            param_headers: None,
            takes_pieces,
        });
        slot.insert(running.cancel.clone());
        Ok(Begun::Running(Waiting::new(running, asked, Left::Stop).asking(self.questions.clone())))
    }

    /// What all upstreams together can, in the words of the client's era.
    async fn greet(&self, Greeting { asked, client, .. }: Greeting) -> Addressed {
        let era = asked.revision.era();
        let facts = self.host.facts(era, &client, &self.caller().principal).await;
        let introduction = Introduction {
            capabilities: &facts.capabilities,
            info: facts.info.as_ref().unwrap_or(&self.settings.info),
            instructions: facts.instructions.as_deref(),
        };
        let result = match era {
            Era::Legacy => handshake_down::initialize_result(asked.revision, &introduction),
            Era::Modern => handshake_down::discover_result(self.settings.eras.modern(), &introduction),
        };
        made(&result, &asked)
    }

    /// Batches, which 2025-03-26 alone has. All messages are checked before the first is started.
    async fn take_batch(self: &Arc<Self>, document: &Document, exchanges: &Exchanges) {
        match self.begin_batch(document) {
            Err(refusal) => self.refuse(refusal).await,
            Ok(begun) if begun.is_empty() => {}
            Ok(begun) => {
                let front = self.clone();
                let begun: Vec<_> = begun.into_iter().map(run_on).collect();
                exchanges.spawn(async move {
                    let mut answers = Vec::with_capacity(begun.len());
                    for one in begun {
                        answers.extend(front.settle(one).await);
                    }
                    if !answers.is_empty() {
                        front.send(Addressed::whole(join(&answers))).await;
                    }
                });
            }
        }
    }

    async fn settle(&self, begun: Result<Begun, Refusal>) -> Option<Bytes> {
        match begun {
            Ok(Begun::Answered(text)) => Some(text),
            Ok(Begun::Greeting(greeting)) => Some(self.greet(greeting).await.into_bytes()),
            Ok(Begun::Running(waiting)) => self.follow(waiting).await.map(Addressed::into_bytes),
            Err(refusal) => Some(self.refused(&refusal)),
        }
    }

    fn begin_batch(&self, document: &Document) -> Result<Vec<Result<Begun, Refusal>>, Refusal> {
        let has_batches = lock(&self.session).as_ref().is_some_and(|session| session.revision == Revision::V2025_03_26);
        let most = self.settings.limits.batch_messages_max;
        let items: Vec<Value<'_>> = document.root().items().take(most + 1).collect();
        if !has_batches || items.is_empty() || items.len() > most {
            let text = format!("batches are accepted in 2025-03-26 sessions only, with one to {most} messages");
            return Err(Refusal::new(400, code::INVALID_REQUEST, "batch", text));
        }
        let depth = self.host.generation_of(&self.caller().principal).index_depth();
        let messages: Vec<Message> = items.into_iter().map(|item| batched(item, &self.settings, depth)).collect::<Result<_, _>>()?;
        Ok(messages.into_iter().filter_map(|message| self.begin(message, false).transpose()).collect())
    }

    /// Cancels what is still in flight and ends the session.
    pub fn end(&self) {
        lock(&self.in_flight).values().for_each(CancellationToken::cancel);
        self.questions.close();
        let session = lock(&self.session).take();
        self.forget(session);
    }
}

/// The exchanges of one connection, each in a task. Dropping it ends them all.
#[derive(Default)]
pub(super) struct Exchanges(Mutex<JoinSet<()>>);

impl Exchanges {
    fn spawn(&self, exchange: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(exchange);
    }

    /// Ready when none is left.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut tasks = lock(&self.0);
        while ready!(tasks.poll_join_next(context)).is_some() {}
        Poll::Ready(())
    }

    /// Those that have not ended.
    pub fn into_tasks(self) -> JoinSet<()> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes changes as they come, one when the one before has been taken, until the session has ended.
async fn tell(changes: Arc<Subscription>, lines: mpsc::Sender<Line>) {
    while let Some(delivery) = changes.told().await {
        let text = answer::notification(&delivery.message, delivery.spoken, changes.revision());
        let Some(text) = text else { continue };
        if lines.send(Line::Whole(line(&Addressed::whole(text)))).await.is_err() {
            return;
        }
    }
}

/// Of a batch, all run while the answers are waited for in turn.
fn run_on(mut begun: Result<Begun, Refusal>) -> Result<Begun, Refusal> {
    if let Ok(Begun::Running(waiting)) = &mut begun {
        waiting.run_on();
    }
    begun
}

fn decode(document: Document) -> Result<Message, Refusal> {
    Message::decode(document).map_err(|error| Refusal::new(400, error.code(), "envelope", error.to_string()).to(error.id()))
}

fn batched(item: Value<'_>, settings: &Settings, depth: sluice_wire::json::IndexDepth) -> Result<Message, Refusal> {
    let document = Document::parse(item.to_bytes(), &settings.limits.json, depth);
    let message = decode(document.map_err(|error| Refusal::new(400, error.code(), "json", error.to_string()))?)?;
    if message.method() == method::INITIALIZE {
        return Err(Refusal::new(400, code::INVALID_REQUEST, "batch", "initialize must not be part of a batch").to(message.id()));
    }
    Ok(message)
}

fn no_such_method() -> Refusal {
    Refusal::new(404, code::METHOD_NOT_FOUND, "method", "method not found")
}

fn not_served(settings: &Settings) -> Refusal {
    let eras = settings.eras;
    let served: Vec<Revision> = if eras.modern { eras.modern().to_vec() } else { eras.legacy_over_stdio().to_vec() };
    Refusal::new(400, code::UNSUPPORTED_VERSION, "version", "this protocol version is not served")
        .with("supported", &handshake_down::versions(&served))
}

/// The text on one line. Line ends between tokens become spaces; inside strings there are none.
fn line(text: &Addressed) -> Bytes {
    let mut line = Vec::with_capacity(text.len() + 1);
    text.parts().iter().for_each(|part| line.extend_from_slice(part));
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', &line[from..]) {
        from += at;
        line[from] = b' ';
    }
    line.push(b'\n');
    line.into()
}

impl Front {
    /// A notification that no request asked for, if it is meant for this client.
    pub fn push(&self, principal: &PrincipalKey, session: Option<&str>, delivery: &Delivery) {
        let Some(own) = lock(&self.session).clone() else { return };
        let is_meant = self.is_of(principal) && session.is_none_or(|name| own.client.session.as_deref() == Some(name));
        let text = is_meant.then(|| answer::notification(&delivery.message, delivery.spoken, own.revision)).flatten();
        if let Some(text) = text {
            // A client that does not read loses these first.
            let _ = self.lines.try_send(Line::Whole(line(&Addressed::whole(text))));
        }
    }

    /// Whether it is this principal's.
    pub fn is_of(&self, principal: &PrincipalKey) -> bool {
        lock(&self.caller).principal.key == *principal
    }
}

/// Notifications that no request asked for, on their way to the only client.
pub(super) struct Pipe(pub Weak<Front>);

impl Push for Pipe {
    fn push(&self, principal: &PrincipalKey, session: Option<&str>, delivery: Delivery) {
        if let Some(front) = self.0.upgrade() {
            front.push(principal, session, &delivery);
        }
    }
}
