//! A server whose answer is long, a filter, and a client, as a test plays them.

use crate::{
    attributes::Attributes,
    canary::Worse,
    catalogue::Offer,
    chunk::{ChunkPass, ChunkVerdict},
    exchange::{AnswerBody, Arrival, Client, Delivery, Interim, Outgoing},
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Selector, Verdict},
    gate::Access,
    generation::{Link, Policy},
    host::{Host, Settings},
    principal::Principal,
    record::{Ended, Observer, RouteCall},
    running::Running,
    stream::{Arriving, Broken, Flow, Source},
    upstream::{Health, Inbound, Outbound, ServerFacts, Upstream, UpstreamError},
};
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    message::Message,
    method,
    revision::{Era, Revision},
};
use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How a server's answer goes on behind its last piece.
#[derive(Clone, Copy)]
pub(super) enum End {
    Whole,
    Dies,
    /// The server takes its time.
    Never,
}

/// Answers its one tool in these pieces, each there when it is asked for.
pub(super) struct Server {
    name: Arc<str>,
    pieces: Vec<Bytes>,
    end: End,
    /// Notifications before the answer.
    pub(super) notes: usize,
    /// Nobody takes the answer any more.
    is_told: CancellationToken,
}

impl Server {
    pub(super) fn new(pieces: Vec<Bytes>, end: End) -> Self {
        Self { name: "fake".into(), pieces, end, notes: 0, is_told: CancellationToken::new() }
    }
}

struct Rest {
    pieces: VecDeque<Bytes>,
    end: End,
    is_told: CancellationToken,
}

impl Source for Rest {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Bytes, UpstreamError>>> {
        Box::pin(async move {
            match (self.pieces.pop_front(), self.end) {
                (Some(piece), _) => Some(Ok(piece)),
                (None, End::Whole) => None,
                (None, End::Dies) => Some(Err(UpstreamError::ClosedEarly { reason: "it fell over".into() })),
                (None, End::Never) => pending().await,
            }
        })
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.is_told.cancel();
    }
}

const TOOLS: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"export","inputSchema":{"type":"object"}}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;

fn decode(text: &str) -> Arc<Message> {
    let document = Document::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::RESPONSE, IndexDepth::Full).unwrap();
    Arc::new(Message::decode(document).unwrap())
}

fn delivery(text: &str) -> Delivery {
    Delivery { message: decode(text), spoken: Revision::V2026_07_28 }
}

impl Upstream for Server {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn transport(&self) -> &'static str {
        "builtin"
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn facts<'a>(&'a self, _: Era, _: &'a Arc<Client>, _: &'a Arc<Principal>) -> BoxFuture<'a, Result<Arc<ServerFacts>, UpstreamError>> {
        let capabilities = Bytes::from_static(br#"{"tools":{}}"#);
        let facts = ServerFacts { era: Era::Modern, revision: Revision::V2026_07_28, capabilities, info: None, instructions: None };
        Box::pin(ready(Ok(Arc::new(facts))))
    }

    fn send<'a>(&'a self, outbound: Outbound) -> BoxFuture<'a, Result<Inbound, UpstreamError>> {
        Box::pin(async move {
            if outbound.message.method() == method::TOOLS_LIST {
                return Ok(Inbound::whole(delivery(TOOLS)));
            }
            if outbound.pieces_bytes_max == 0 {
                return Err(UpstreamError::TooLarge { limit_bytes: 0 });
            }
            for _ in 0..self.notes {
                let _ = outbound.interim.send(Interim::Notification(delivery(NOTE))).await;
            }
            let rest = Rest { pieces: self.pieces.clone().into(), end: self.end, is_told: self.is_told.clone() };
            Ok(Inbound { response: delivery(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#), rest: Some(Arriving::new(rest)) })
        })
    }

    fn forget_session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }
}

type OnChunk = Box<dyn Fn(&mut ChunkPass<'_>) + Send + Sync>;

/// Lets everything pass, and looks at it. Its `on-request` sets the label `found`.
struct Looker {
    identity: Arc<Identity>,
    interest: Interest,
    chunk: OnChunk,
}

/// A filter with these hooks, under this policy.
pub(super) fn looker(name: &str, hooks: &[Hook], policy: Policy, chunk: impl Fn(&mut ChunkPass<'_>) + Send + Sync + 'static) -> Link {
    let hooks = hooks.iter().map(|hook| (*hook, Selector::default())).collect();
    let interest = Interest { hooks, overlap: 16, ..Interest::default() };
    let identity = Arc::new(Identity::new(name.into(), "1.0.0", "0"));
    Link::new(Arc::new(Looker { identity, interest, chunk: Box::new(chunk) }), policy)
}

impl Filter for Looker {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn authenticate<'a>(&'a self, _: &'a Credential, _: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(ready(Ok(Authentication::Abstain)))
    }

    fn on_request<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        pass.attributes.set_label(&self.identity.name, "found", "yes");
        Box::pin(ready(Ok(Verdict::Next(None))))
    }

    fn on_response<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(ready(Ok(Verdict::Next(None))))
    }

    fn on_chunk<'a>(&'a self, pass: &'a mut ChunkPass<'_>) -> BoxFuture<'a, Result<ChunkVerdict, Fault>> {
        (self.chunk)(pass);
        Box::pin(ready(Ok(ChunkVerdict::Next)))
    }

    fn on_notification<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(ready(Ok(NotificationVerdict::Next(None))))
    }

    fn on_catalog<'a>(&'a self, _: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(ready(Ok(())))
    }

    fn on_done<'a>(&'a self, _: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(ready(Ok(())))
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<Ended>>);

impl Observer for Seen {
    fn ended(&self, ended: &Ended) {
        self.0.lock().unwrap().push(ended.clone());
    }
    fn faulted(&self, _: &Identity, _: Hook, _: &'static str, _: &str) {}
    fn taken_back(&self, _: &Identity, _: &Worse) {}
    fn route_called(&self, _: &RouteCall<'_>) {}
    fn turned_away(&self, _: &'static str) {}
    fn abandoned(&self, _: &Ended) {}
}

/// One call, as its client sees it.
pub(super) struct Stage {
    host: Arc<Host>,
    seen: Arc<Seen>,
    pub(super) running: Running,
    pub(super) is_told: CancellationToken,
}

impl Stage {
    pub(super) fn new(server: Server, links: Vec<Link>) -> Self {
        let (seen, is_told) = (Arc::<Seen>::default(), server.is_told.clone());
        let host = Host::new(vec![Arc::new(server) as Arc<dyn Upstream>], Settings::new(Access::Local), seen.clone()).unwrap();
        host.swap(links);
        let client = Client {
            info: None,
            capabilities: Bytes::from_static(b"{}"),
            session: None,
            facts: Arc::default(),
            log_level: Mutex::default(),
        };
        let running = host.begin(Arrival {
            message: decode(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"export"}}"#),
            revision: Revision::V2026_07_28,
            client: Arc::new(client),
            principal: Arc::new(Principal::local()),
            generation: host.generation(),
            param_headers: None,
            takes_pieces: true,
        });
        Self { host, seen, running, is_told }
    }

    /// The answer, when it begins.
    pub(super) async fn answer(&mut self) -> AnswerBody {
        match poll_fn(|context| self.running.poll_next(context)).await {
            Some(Outgoing::Final(answer)) => answer.body,
            other => panic!("{other:?}"),
        }
    }

    /// The same, of one that goes out in pieces.
    pub(super) async fn flow(&mut self) -> Flow {
        match self.answer().await {
            AnswerBody::Streamed(flow) => flow,
            other => panic!("{other:?}"),
        }
    }

    /// All that comes, and the error that ends it or stands in its place.
    pub(super) async fn heard(&mut self) -> (String, Option<String>) {
        match self.answer().await {
            AnswerBody::Streamed(mut flow) => rest(&mut flow).await,
            body => (String::new(), Some(told(body))),
        }
    }

    /// What is recorded, once it has ended.
    pub(super) async fn ended(&self) -> Ended {
        timeout(Duration::from_secs(3600), self.host.idle()).await.expect("it waits for ever");
        let mut ended = self.seen.0.lock().unwrap();
        assert_eq!(ended.len(), 1, "it ends once");
        ended.remove(0)
    }
}

/// What is left of it, and the error that ends it.
pub(super) async fn rest(flow: &mut Flow) -> (String, Option<String>) {
    let mut got = Vec::new();
    let error = loop {
        match flow.next().await {
            Some(Ok(piece)) => got.extend_from_slice(&piece),
            Some(Err(Broken(body))) => break Some(body.map(told).unwrap_or_default()),
            None => break None,
        }
    };
    (String::from_utf8(got).unwrap(), error)
}

fn told(body: AnswerBody) -> String {
    match body {
        AnswerBody::Error { message, .. } => message,
        other => panic!("{other:?}"),
    }
}
