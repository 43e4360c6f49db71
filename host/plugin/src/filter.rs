//! A loaded plugin as the chain sees it.

use crate::{
    figures::Figures,
    guest::{Lent, Phase},
    import::Imported,
    instance::{Instance, Template, contained},
    manifest::Manifest,
    plugin::Plugin,
    pool::{Key, Pool, Pools},
    series::Series,
    settings::{Scope, Settings},
    share::{Place, Share, Shares},
    snapshot::Snapshot,
    ticker::Ticker,
    v0_1::{
        bindings::exports::sluice::filter as hooks,
        bindings::sluice::filter::types,
        catalog::{self, Viewed},
        chunks, convert, exchange, http, outbound, payload,
    },
};
use futures_util::future::BoxFuture;
use sluice_chain::{
    attributes::Attributes,
    catalogue::{Offer, View},
    chunk::{ChunkPass, ChunkVerdict},
    departures::{Leaving, OutboundVerdict},
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Verdict},
    principal::Principal,
    record::Ended,
    route::{RouteRequest, RouteResponse},
};
use sluice_wire::{message::Message, method};
use std::sync::{Arc, OnceLock, atomic::Ordering::Relaxed};
use tokio::time::Instant;

/// A plugin with everything that was found out about it.
pub struct WasmFilter {
    pub(crate) identity: Arc<Identity>,
    pub(crate) interest: Interest,
    pub(crate) manifest: Manifest,
    pub(crate) settings: Settings,
    pub(crate) imports: Vec<Imported>,
    pub(crate) config: Arc<str>,
    pub(crate) template: Template,
    /// What new instances are copies of, once that is known; or why they are not.
    pub(crate) snapshot: OnceLock<Result<Snapshot, String>>,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) pools: Arc<Pools>,
    pub(crate) ticker: Arc<Ticker>,
}

/// An instance on loan. When it is not given back, it is dropped with its store.
struct Loan<'f> {
    filter: &'f WasmFilter,
    instance: Option<Box<Instance>>,
    /// Where it goes back to; none: nowhere.
    key: Option<Key>,
    /// Since when it is there for this call.
    since: Instant,
}

impl<'f> Loan<'f> {
    /// What its instance was made of.
    fn template(&self) -> &'f Template {
        let copy = self.filter.snapshot.get().and_then(|made| made.as_ref().ok());
        match (copy, &self.instance) {
            (Some(snapshot), Some(instance)) if instance.is_copy => &snapshot.template,
            _ => &self.filter.template,
        }
    }

    fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("an instance is given back by value")
    }

    /// The call ended well in every respect.
    fn give_back(mut self) {
        if let (Some(key), Some(instance)) = (self.key.take(), self.instance.take()) {
            self.filter.pool.put(key, instance);
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.instance.is_some() && self.key.is_some() {
            self.filter.plugin.figures.discarded.fetch_add(1, Relaxed);
        }
    }
}

impl WasmFilter {
    /// What the plugin said about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it was loaded with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the binary imports, and was linked with: its powers.
    pub fn imports(&self) -> &[Imported] {
        &self.imports
    }

    /// Its settings as `init` gets them, defaults filled in.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Do both run the same machine code, and not two copies of it? Copies push each other out of the processor's caches.
    pub fn shares_code_with(&self, other: &Self) -> bool {
        self.template.pre.component().image_range() == other.template.pre.component().image_range()
    }

    /// What its instances did.
    pub fn figures(&self) -> &Figures {
        &self.plugin.figures
    }

    /// What it counts itself.
    pub fn series(&self) -> &Series {
        &self.plugin.series
    }

    /// An instance for one call that begins now: a warm one of this key, or a new one. `who` asks, if anybody is known.
    async fn borrow(&self, key: Option<Key>, who: Option<&Principal>, now: Instant) -> Result<Loan<'_>, Fault> {
        self.ticker.entering();
        if let Some(warm) = key.as_ref().and_then(|key| self.pool.take(key)) {
            self.plugin.figures.reused.fetch_add(1, Relaxed);
            return Ok(Loan { filter: self, instance: Some(warm), key, since: now });
        }
        // Boxed, because it is seldom and large, and every call would carry room for it.
        Box::pin(self.fresh(key, who, now)).await
    }

    async fn fresh(&self, key: Option<Key>, who: Option<&Principal>, now: Instant) -> Result<Loan<'_>, Fault> {
        self.plugin.figures.missed.fetch_add(1, Relaxed);
        let place = who.and_then(|who| self.share(who, now)).map(|share| self.place(&share)).transpose()?;
        let may_stay = self.pools.room(&self.pool)?;
        let mut instance = match self.snapshot.get() {
            Some(Ok(snapshot)) => Instance::copied(snapshot, &self.plugin).await?,
            _ => Instance::start(&self.template, &self.plugin, &self.config).await?,
        };
        instance.store.data_mut().share = place;
        // To make it took time that is not the call's.
        let since = Instant::now();
        Ok(Loan { filter: self, instance: Some(Box::new(instance)), key: key.filter(|_| may_stay), since })
    }

    /// What is the tenant's of `who`; nothing is where all share the instances.
    fn share(&self, who: &Principal, now: Instant) -> Option<Arc<Share>> {
        (self.settings.scope != Scope::All).then(|| self.plugin.shares.of(who, &self.plugin.limits, now))
    }

    /// A place for one more instance in it.
    fn place(&self, share: &Arc<Share>) -> Result<Place, Fault> {
        Shares::place(share, &self.plugin.limits, || self.pool.evict_one_of(share))
    }

    /// May an exchange of `who` begin? What has begun is let through to its end, since its upstream may have acted.
    fn admit(&self, who: &Principal, now: Instant) -> Result<(), Fault> {
        if self.plugin.limits.tenant_cpu_percent_max == 0 {
            return Ok(());
        }
        self.share(who, now).map_or(Ok(()), |share| share.admit(now))
    }

    fn key(&self, pass: &Pass<'_>) -> Option<Key> {
        Key::new(self.settings.scope, pass.head.exchange, pass.principal)
    }

    /// Take the edits of a call that said `next`.
    fn edited(&self, pass: &Pass<'_>, staged: Vec<payload::Staged>) -> Result<Option<Arc<Message>>, Fault> {
        payload::edited(pass.message, staged, &self.plugin.limits.json())
    }

    fn verdict(&self, pass: &Pass<'_>, verdict: types::Verdict, staged: Vec<payload::Staged>) -> Result<Verdict, Fault> {
        let limits = &self.plugin.limits;
        match verdict {
            types::Verdict::Next => Ok(Verdict::Next(self.edited(pass, staged)?)),
            types::Verdict::Reply(json) => Ok(Verdict::Reply(convert::reply(json, limits)?)),
            types::Verdict::Reject(no) => Ok(Verdict::Reject(convert::rejection(no, limits)?)),
            types::Verdict::Suspend(asks) => Ok(Verdict::Suspend(convert::suspension(asks, pass.head.kind)?)),
            types::Verdict::Other((what, _)) => Err(convert::unknown(&what)),
        }
    }

    fn counted<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        outcome.inspect_err(|fault| self.plugin.figures.count_fault(fault))
    }
}

/// Run one hook that works on a message: lend it, call, take it back, judge the answer.
macro_rules! on_message {
    ($filter:ident, $pass:ident, $hook:expr, $export:ident, $call:ident, $judge:expr $(, listed: $listed:expr)?) => {{
        let mut loan = $filter.borrow($filter.key($pass), Some($pass.principal), $pass.began.into()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().$export(template)?;
        store.data_mut().lend($hook, $pass, since);
        $(store.data_mut().lent.listed = $listed;)?
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let head = convert::head($pass.head, $pass.message.bytes().len());
        let outcome = contained(export.$call(&mut *store, head, exchange::lent())).await;
        let (lent, outcome) = loan.instance().settle(outcome);
        let verdict = outcome.and_then(|answer| $judge(answer, std::mem::take(&mut lent.staged)));
        lent.give_back($pass.attributes, verdict.is_ok());
        if verdict.is_ok() {
            loan.give_back();
        }
        verdict
    }};
}

impl WasmFilter {
    async fn run_request(&self, pass: &mut Pass<'_>) -> Result<Verdict, Fault> {
        self.admit(pass.principal, pass.began.into())?;
        let listed = match self.answers_tools(pass) {
            true => self.listed(pass).await,
            false => None,
        };
        on_message!(
            self, pass, Hook::OnRequest, on_request, call_on_request,
            |answer, staged| self.verdict(pass, answer, staged), listed: listed
        )
    }

    /// A call of a tool that no upstream has, and that may be this plugin's, for a plugin that calls tools itself.
    fn answers_tools(&self, pass: &Pass<'_>) -> bool {
        self.plugin.calls.is_some()
            && pass.head.upstream.is_none()
            && *pass.head.method == *method::TOOLS_CALL
            && self.interest.hooks.iter().any(|(hook, _)| *hook == Hook::OnCatalog)
    }

    async fn listed(&self, pass: &Pass<'_>) -> Option<Arc<View>> {
        let within = pass.origin?.kept(pass.head.exchange);
        self.plugin.calls.as_ref()?.tools(&self.plugin.name, within).await
    }

    async fn run_response(&self, pass: &mut Pass<'_>) -> Result<Verdict, Fault> {
        on_message!(self, pass, Hook::OnResponse, on_response, call_on_response, |answer, staged| self.verdict(pass, answer, staged))
    }

    async fn run_chunk(&self, pass: &mut ChunkPass<'_>) -> Result<ChunkVerdict, Fault> {
        let key = Key::new(self.settings.scope, pass.head.exchange, pass.principal);
        let mut loan = self.borrow(key, Some(pass.principal), pass.began.into()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().on_chunk(template)?;
        store.data_mut().lend_batch(pass, since);
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let head = convert::head(pass.head, pass.bytes);
        let outcome = contained(export.call_on_chunk(&mut *store, head, chunks::lent(), exchange::lent())).await;
        let (_, outcome) = loan.instance().settle(outcome);
        let guest = loan.instance().store.data_mut();
        let verdict = outcome.and_then(|said| chunks::verdict(said, pass.batch, guest));
        guest.lent.give_back(pass.attributes, verdict.is_ok());
        if verdict.is_ok() {
            loan.give_back();
        }
        verdict
    }

    async fn run_notification(&self, pass: &mut Pass<'_>) -> Result<NotificationVerdict, Fault> {
        use convert::NotificationVerdict as Said;
        on_message!(self, pass, Hook::OnNotification, on_notification, call_on_notification, |answer, staged| match answer {
            Said::Next => Ok(NotificationVerdict::Next(self.edited(pass, staged)?)),
            Said::Drop => Ok(NotificationVerdict::Drop),
            Said::Reject(no) => Ok(NotificationVerdict::Reject(convert::rejection(no, &self.plugin.limits)?)),
            Said::Other((what, _)) => Err(convert::unknown(&what)),
        })
    }

    async fn run_http(&self, request: &RouteRequest, facts: Attributes) -> Result<RouteResponse, Fault> {
        // Nobody has said who they are, so a warm instance would meet anybody.
        let mut loan = self.borrow((self.settings.scope == Scope::All).then(Key::all), None, Instant::now()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().on_http(template)?;
        store.data_mut().begin(Phase::Hook(Hook::OnHttp), since);
        store.data_mut().lent.attributes = facts;
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let headers = http::headers(request, &self.identity.name);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let outcome = contained(export.call_on_http(&mut *store, http::request(request, &headers), exchange::lent())).await;
        let (lent, outcome) = loan.instance().settle(outcome);
        *lent = Lent::default();
        let answer = http::response(outcome?, &self.identity.name)?;
        loan.give_back();
        Ok(answer)
    }

    async fn run_outbound(&self, leaving: &Leaving<'_>) -> Result<OutboundVerdict, Fault> {
        let key = Key::new(self.settings.scope, leaving.exchange, leaving.principal);
        let mut loan = self.borrow(key, Some(leaving.principal), leaving.began.into()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().on_outbound(template)?;
        let guest = store.data_mut();
        guest.begin(Phase::Hook(Hook::OnOutbound), since);
        guest.lent_by(leaving.principal);
        guest.lent.upstream = Some(leaving.departure.upstream.clone());
        guest.lent.exchange = Some(leaving.exchange);
        guest.lent.protocol = leaving.protocol.map_or("", sluice_wire::revision::Revision::as_str);
        guest.lent.attributes = leaving.attributes.clone();
        guest.lent.departure = Some(leaving.departure.clone());
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let outcome = contained(export.call_on_outbound(&mut *store, outbound::lent(), exchange::lent())).await;
        let (_, outcome) = loan.instance().settle(outcome);
        let verdict = outcome.and_then(|said| outbound::verdict(said, leaving.departure, loan.instance().store.data_mut()));
        loan.instance().store.data_mut().lent = Lent::default();
        let verdict = verdict?;
        loan.give_back();
        Ok(verdict)
    }

    async fn run_authenticate(&self, credential: &Credential, facts: &mut Attributes) -> Result<Authentication, Fault> {
        // Never a warm instance: what one caller's secret left in memory is nobody else's.
        let mut loan = self.borrow(None, None, Instant::now()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().authenticate(template)?;
        store.data_mut().begin(Phase::Hook(Hook::Authenticate), since);
        store.data_mut().lent.attributes = std::mem::take(facts);
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let shown = hooks::authenticate::Credential { scheme: &credential.scheme, value: &credential.value };
        let outcome = contained(export.call_authenticate(&mut *store, shown, exchange::lent())).await;
        let (lent, outcome) = loan.instance().settle(outcome);
        lent.give_back(facts, outcome.is_ok());
        convert::authentication(outcome?, &self.identity, &self.plugin.limits)
    }

    async fn run_catalog(&self, offer: &mut Offer) -> Result<(), Fault> {
        // Views are made per kind of viewer, not per principal, so a warm instance would meet several.
        let mut loan = self.borrow((self.settings.scope == Scope::All).then(Key::all), None, Instant::now()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().on_catalog(template)?;
        let guest = store.data_mut();
        guest.begin(Phase::Hook(Hook::OnCatalog), since);
        guest.lent.viewed = Some(Viewed { viewer: offer.viewer.clone(), upstreams: offer.upstreams, entries: offer.entries.clone() });
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let entries: Vec<_> = offer
            .entries
            .iter()
            .map(|entry| hooks::on_catalog::Entry { name: &entry.name, upstream: &entry.owner, digest: &entry.digest })
            .collect();
        let kind = convert::list_kind(offer.kind);
        let outcome = contained(export.call_on_catalog(&mut *store, catalog::lent(), kind, &entries)).await;
        let (lent, outcome) = loan.instance().settle(outcome);
        *lent = Lent::default();
        let (changes, own) = convert::catalogue(outcome?, offer.entries.len(), &self.plugin.limits)?;
        (offer.changes, offer.own) = (changes, own);
        loan.give_back();
        Ok(())
    }

    async fn run_done(&self, ended: &Ended) -> Result<(), Fault> {
        let key = Key::new(self.settings.scope, ended.head.exchange, &ended.principal);
        // In nobody's share: what a tenant did is told, however much it did.
        let mut loan = self.borrow(key, None, Instant::now()).await?;
        let since = loan.since;
        let template = loan.template();
        let (store, export) = loan.instance().on_done(template)?;
        store.data_mut().begin(Phase::Hook(Hook::OnDone), since);
        store.data_mut().lent.place(&ended.head);
        store.data_mut().lent_by(&ended.principal);
        store.data_mut().lent.attributes = ended.attributes.clone();
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let (head, passed) = (convert::head(&ended.head, ended.request_bytes), convert::passed(ended));
        let outcome = contained(export.call_on_done(&mut *store, head, convert::done(ended, &passed), exchange::lent())).await;
        let (lent, outcome) = loan.instance().settle(outcome);
        *lent = Lent::default();
        outcome?;
        // The exchange is over, so nobody will ask for its instance again.
        if self.settings.scope != Scope::Exchange {
            loan.give_back();
        }
        Ok(())
    }
}

impl Filter for WasmFilter {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn on_http<'a>(&'a self, request: &'a RouteRequest, facts: Attributes) -> BoxFuture<'a, Result<RouteResponse, Fault>> {
        Box::pin(async move { self.counted(self.run_http(request, facts).await) })
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, facts: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(async move { self.counted(self.run_authenticate(credential, facts).await) })
    }

    fn on_request<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(async move { self.counted(self.run_request(pass).await) })
    }

    fn on_outbound<'a>(&'a self, leaving: &'a Leaving<'_>) -> BoxFuture<'a, Result<OutboundVerdict, Fault>> {
        Box::pin(async move { self.counted(self.run_outbound(leaving).await) })
    }

    fn on_response<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(async move { self.counted(self.run_response(pass).await) })
    }

    fn on_chunk<'a>(&'a self, pass: &'a mut ChunkPass<'_>) -> BoxFuture<'a, Result<ChunkVerdict, Fault>> {
        Box::pin(async move { self.counted(self.run_chunk(pass).await) })
    }

    fn on_notification<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(async move { self.counted(self.run_notification(pass).await) })
    }

    fn on_catalog<'a>(&'a self, offer: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.counted(self.run_catalog(offer).await) })
    }

    fn on_done<'a>(&'a self, ended: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.counted(self.run_done(ended).await) })
    }
}
