//! From a server in this process to an upstream.

use super::{Asked, Progress, Refusal, Server};
use crate::upstream::{
    CallLimits, Carrier, Counters, Watched,
    call::{Admitted, Call},
};
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::{
    exchange::{Client, Delivery, Interim},
    principal::Principal,
    upstream::{Inbound, Outbound, ServerFacts, UpstreamError},
};
use sluice_wire::{
    id::RequestId,
    json::{Document, Limits},
    message::{self as build, Message},
    meta, method,
    revision::{Era, Revision},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A server in this process as an upstream.
pub type BuiltinUpstream = Watched<Builtin>;

/// A server in this process.
pub struct Builtin {
    name: Arc<str>,
    server: Box<dyn Server>,
    counters: Arc<Counters>,
    limits: CallLimits,
    next_id: AtomicU64,
}

impl Builtin {
    /// A server under an operator's name.
    pub fn new(name: &str, server: impl Server) -> Self {
        Self {
            name: name.into(),
            server: Box::new(server),
            counters: Arc::default(),
            limits: CallLimits::default(),
            next_id: AtomicU64::new(1),
        }
    }

    /// The same, watched.
    pub fn upstream(name: &str, server: impl Server) -> BuiltinUpstream {
        Watched::new(Self::new(name, server))
    }

    async fn converse(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        let call = Call::new(self.next_id.fetch_add(1, Relaxed), outbound, outbound.spoken, true);
        let answer = tokio::select! {
            biased;
            () = outbound.cancel.cancelled() => return Err(UpstreamError::Cancelled),
            answer = self.answer(outbound, &call) => answer,
            limit = call.overdue(&self.limits) => return Err(UpstreamError::Deadline { limit }),
        };
        let id = RequestId::from_u64(call.id);
        let body = match answer {
            Ok(result) => build::result(&id, self.dressed(result, outbound).to_string().as_bytes()),
            Err(refusal) => build::error(Some(&id), refusal.code, &refusal.message, None),
        };
        let message = read(body, &self.limits).ok_or(UpstreamError::TooLarge { limit_bytes: self.limits.response.bytes_max })?;
        Ok(Inbound::whole(Delivery { message: Arc::new(message), spoken: outbound.spoken }))
    }

    async fn answer(&self, outbound: &Outbound, call: &Call) -> Result<Value, Refusal> {
        let message = &outbound.message;
        let params = message.params().and_then(|params| serde_json::from_slice::<Value>(params.raw_bytes()).ok());
        let mut params = params.unwrap_or_default();
        if let (Some(name), Some(member)) = (&outbound.original_name, method::target(message.method())) {
            let target = &mut params[member];
            match target.as_object_mut() {
                Some(reference) if reference.contains_key("name") => reference["name"] = json!(**name),
                Some(reference) => _ = reference.insert("uri".to_owned(), json!(**name)),
                None => *target = json!(**name),
            }
        }
        let progress = Progress(Teller { outbound, call, limits: &self.limits });
        self.server.answer(Asked { principal: &outbound.principal, method: message.method(), params, progress }).await
    }

    /// Adds what a modern result carries.
    fn dressed(&self, mut result: Value, outbound: &Outbound) -> Value {
        if outbound.spoken.era() == Era::Legacy {
            return result;
        }
        result["resultType"] = json!("complete");
        let is_cacheable = matches!(
            outbound.message.method(),
            method::TOOLS_LIST | method::PROMPTS_LIST | method::RESOURCES_LIST | method::RESOURCES_TEMPLATES_LIST | method::RESOURCES_READ
        );
        if is_cacheable {
            result["ttlMs"] = json!(0);
            result["cacheScope"] = json!("private");
        }
        result["_meta"][meta::SERVER_INFO] = self.info();
        result
    }

    fn info(&self) -> Value {
        json!({"name": format!("sluice-{}", self.server.title()), "version": env!("CARGO_PKG_VERSION")})
    }
}

fn read(body: Bytes, limits: &CallLimits) -> Option<Message> {
    let bounds = Limits { nodes_max: u32::MAX, ..limits.response };
    Message::decode(Document::parse(body, &bounds, limits.index).ok()?).ok()
}

/// Reports the progress of one call.
pub struct Teller<'a> {
    outbound: &'a Outbound,
    call: &'a Call,
    limits: &'a CallLimits,
}

impl Teller<'_> {
    pub(super) async fn tell(&self, progress: u32, total: u32) {
        let params = json!({"progressToken": self.call.id, "progress": progress, "total": total}).to_string();
        let body = build::notification(method::NOTIFY_PROGRESS, Some(params.as_bytes()));
        let Some(message) = read(body, self.limits) else { return };
        if let Admitted::Deliver(message) = self.call.admit(message, self.limits) {
            let _ = self.outbound.interim.send(Interim::Notification(Delivery { message, spoken: self.outbound.spoken })).await;
        }
    }
}

impl Carrier for Builtin {
    const TRANSPORT: &'static str = "builtin";

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    async fn facts(&self, era: Era, _: &Arc<Client>, _: &Arc<Principal>) -> Result<Arc<ServerFacts>, UpstreamError> {
        let revision = if era == Era::Modern { Revision::MODERN[0] } else { Revision::LEGACY[0] };
        Ok(Arc::new(ServerFacts {
            era,
            revision,
            capabilities: self.server.capabilities().to_string().into(),
            info: Some(self.info().to_string().into()),
            instructions: Some(self.server.instructions().to_owned()),
        }))
    }

    async fn send(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        self.converse(outbound).await
    }

    async fn forget_session(&self, _: &str) {}

    async fn close(&self) {}
}
