//! An upstream that answers what a test says.

use super::decode;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_chain::{
    exchange::{Client, Delivery},
    principal::Principal,
    upstream::{Health, Inbound, Outbound, ServerFacts, Upstream, UpstreamError},
};
use sluice_transport::upstream::{Carrier, Counters, Watched};
use sluice_wire::revision::{Era, Revision};
use std::sync::{Arc, Mutex};

type Script = dyn Fn(&Outbound) -> Result<String, UpstreamError> + Send + Sync;

/// Speaks one era; offers everything.
pub struct Scripted {
    name: Arc<str>,
    revision: Revision,
    script: Box<Script>,
    capabilities: Bytes,
    /// Requests as they left, under their method and what the upstream calls their target.
    pub seen: Mutex<Vec<(String, String, String)>>,
}

impl Scripted {
    /// The script gives `"result":…` or `"error":…`, or the world breaks.
    pub fn new(name: &str, era: Era, script: impl Fn(&Outbound) -> Result<String, UpstreamError> + Send + Sync + 'static) -> Arc<Scripted> {
        let revision = if era == Era::Modern { Revision::V2026_07_28 } else { Revision::V2025_11_25 };
        let capabilities = Bytes::from_static(br#"{"tools":{},"resources":{},"prompts":{},"completions":{}}"#);
        Arc::new(Scripted { name: name.into(), revision, script: Box::new(script), capabilities, seen: Mutex::default() })
    }

    /// The same with these capabilities.
    pub fn offering(self: Arc<Self>, capabilities: &str) -> Arc<Scripted> {
        let mut own = Arc::into_inner(self).expect("nobody else has it yet");
        own.capabilities = Bytes::from(capabilities.to_owned());
        Arc::new(own)
    }

    /// Targets of the requests with this method.
    pub fn targets(&self, method: &str) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|(seen, ..)| seen == method).map(|(_, target, _)| target.clone()).collect()
    }

    /// Everything that reached it, as text.
    pub fn texts(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(.., text)| text.clone()).collect()
    }
}

/// A modern list of these tools, whole definitions, with these members behind.
pub fn tools(definitions: &[String], more: &str) -> String {
    format!(r#""result":{{"tools":[{}],"resultType":"complete"{more}}}"#, definitions.join(","))
}

impl Upstream for Scripted {
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
        let capabilities = self.capabilities.clone();
        let facts = ServerFacts { era: self.revision.era(), revision: self.revision, capabilities, info: None, instructions: None };
        Box::pin(async move { Ok(Arc::new(facts)) })
    }

    fn send<'a>(&'a self, outbound: Outbound) -> BoxFuture<'a, Result<Inbound, UpstreamError>> {
        Box::pin(async move {
            let message = &outbound.message;
            let named = message.target().and_then(|target| target.as_str()).unwrap_or_default().into_owned();
            let target = outbound.original_name.as_deref().map_or(named, str::to_owned);
            let text = String::from_utf8_lossy(message.bytes()).into_owned();
            self.seen.lock().unwrap().push((message.method().to_owned(), target, text));
            let answer = (self.script)(&outbound)?;
            let response = Arc::new(decode(format!(r#"{{"jsonrpc":"2.0","id":77,{answer}}}"#)));
            Ok(Inbound::whole(Delivery { message: response, spoken: self.revision }))
        })
    }

    fn forget_session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// The same as a server on the far side of a transport, which sees to what eras do not share.
pub struct Far {
    server: Arc<Scripted>,
    counters: Arc<Counters>,
}

impl Far {
    pub fn upstream(server: Arc<Scripted>) -> Arc<dyn Upstream> {
        Arc::new(Watched::new(Far { server, counters: Arc::default() }))
    }
}

impl Carrier for Far {
    const TRANSPORT: &'static str = "scripted";

    fn name(&self) -> &Arc<str> {
        self.server.name()
    }

    fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    async fn facts(&self, era: Era, client: &Arc<Client>, principal: &Arc<Principal>) -> Result<Arc<ServerFacts>, UpstreamError> {
        self.server.facts(era, client, principal).await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        Upstream::send(&*self.server, outbound.clone()).await
    }

    async fn forget_session(&self, _: &str) {}

    async fn close(&self) {}
}
