//! What one instance's store holds: its plugin, the call it is in, and what it has opened.

use crate::{
    budget::Budget,
    limits::Limits,
    patterns::PatternSet,
    plugin::{Opened, Plugin},
    secrets::Caller,
    settings::Power,
    share::Place,
    v0_1::{catalog::Viewed, payload::Staged},
    wasi::Stdio,
};
use sluice_chain::{
    attributes::Attributes,
    catalogue::View,
    chunk::{Batch, ChunkPass},
    departures::Departure,
    exchange::Head,
    filter::{Hook, Pass},
    principal::Principal,
    subcall::Within,
};
use sluice_wire::message::Message;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::time::Instant;
use wasmtime::{ResourceLimiter, component::ResourceTable};

/// Sets of patterns by name.
pub(crate) type Sets = Vec<(Box<str>, Arc<PatternSet>)>;

/// What an instance is doing; some powers are for some phases only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Describe,
    Init,
    Hook(Hook),
}

/// What the running hook was lent.
#[derive(Default)]
pub(crate) struct Lent {
    pub(crate) attributes: Attributes,
    /// As they were, kept from the first label on: a call that goes wrong leaves none.
    pub(crate) before: Option<Attributes>,
    pub(crate) message: Option<Arc<Message>>,
    pub(crate) asked: Option<Arc<Message>>,
    /// What it counts was counted in an earlier round.
    pub(crate) again: bool,
    pub(crate) upstream: Option<Arc<str>>,
    /// None outside of exchanges.
    pub(crate) exchange: Option<u64>,
    /// Empty where none is known yet.
    pub(crate) protocol: &'static str,
    pub(crate) staged: Vec<Staged>,
    pub(crate) viewed: Option<Viewed>,
    /// Texts of a long answer.
    pub(crate) batch: Option<Arc<Batch>>,
    /// What is about to leave.
    pub(crate) departure: Option<Departure>,
    /// Of what its own calls are a part; only for those that make any.
    pub(crate) within: Option<Within>,
    /// The tools that its own calls may be of; only where it answers a tool of its own.
    pub(crate) listed: Option<Arc<View>>,
    /// Whose secrets may be kept and found; only for those that keep any.
    pub(crate) caller: Option<Caller>,
}

impl Lent {
    /// What a guest may ask of the head, beyond what it is given.
    pub(crate) fn place(&mut self, head: &Head) {
        self.upstream.clone_from(&head.upstream);
        self.exchange = Some(head.exchange);
        self.protocol = head.protocol.as_str();
    }

    /// Give the attributes back, as the guest left them if all went well, else as they came, and forget the rest.
    pub(crate) fn give_back(&mut self, attributes: &mut Attributes, went_well: bool) {
        let lent = std::mem::take(self);
        *attributes = match lent.before {
            Some(before) if !went_well => before,
            _ => lent.attributes,
        };
    }
}

/// The data of a guest's store.
pub(crate) struct Guest {
    pub(crate) plugin: Arc<Plugin>,
    /// None: of no tenant's.
    pub(crate) share: Option<Place>,
    pub(crate) phase: Phase,
    pub(crate) lent: Lent,
    pub(crate) budget: Budget,
    pub(crate) caps: Caps,
    /// Opened buckets; a handle is an index, and opening a name again gives the same one.
    pub(crate) opened: Vec<(Box<str>, Opened)>,
    pub(crate) sets: Sets,
    /// Its `init` asked the host for something that a copy of it would lack.
    pub(crate) left_trace: bool,
    /// Open secrets.
    pub(crate) secrets: ResourceTable,
    pub(crate) stdio: Stdio,
}

impl Guest {
    pub(crate) fn new(plugin: Arc<Plugin>) -> Self {
        plugin.figures.live.fetch_add(1, Relaxed);
        plugin.total.fetch_add(1, Relaxed);
        let caps = Caps::new(&plugin.limits);
        Self {
            phase: Phase::Describe,
            lent: Lent::default(),
            budget: Budget::new(plugin.turns.clone()),
            caps,
            opened: Vec::new(),
            sets: Vec::new(),
            left_trace: false,
            secrets: ResourceTable::new(),
            stdio: Stdio::default(),
            share: None,
            plugin,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.plugin.limits
    }

    /// Every import begins here: counts the call and its incoming bytes.
    pub(crate) fn entered(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.left_trace |= self.phase == Phase::Init;
        self.entered_alike(bytes)
    }

    /// Or here, when it gives every instance the same answer and keeps nothing of it: a copy of an instance (see `snapshot`) has all that
    /// the call did.
    pub(crate) fn entered_alike(&mut self, bytes: usize) -> wasmtime::Result<()> {
        #[cfg(debug_assertions)]
        crate::failpoint::host_call();
        Ok(self.budget.charge(&self.plugin.limits, bytes)?)
    }

    /// Bytes on their way into the guest.
    pub(crate) fn hand_over(&mut self, bytes: usize) -> wasmtime::Result<()> {
        Ok(self.budget.charge_bytes(&self.plugin.limits, bytes)?)
    }

    /// May it use this power, in this phase? Lists are shaped from what the viewer shows alone, since the host
    /// keeps the answer by what was read.
    pub(crate) fn may(&self, power: Power) -> bool {
        let always = matches!(power, Power::Log | Power::Metrics);
        self.plugin.powers.has(power) && (always || self.phase != Phase::Hook(Hook::OnCatalog))
    }

    /// Lend a message for one hook call.
    pub(crate) fn lend(&mut self, hook: Hook, pass: &mut Pass<'_>, now: Instant) {
        self.begin(Phase::Hook(hook), now);
        self.lent.place(pass.head);
        self.lent.attributes = std::mem::take(pass.attributes);
        self.lent.again = pass.again;
        self.lent_by(pass.principal);
        if self.plugin.calls.is_some() {
            self.lent.within = pass.origin.map(|origin| origin.kept(pass.head.exchange));
        }
        // Most filters cannot read it, and need no more time for a longer one.
        if self.plugin.reads_payload {
            let (cpu, wall) = self.plugin.allowance(pass.message.bytes().len());
            self.budget.widen(cpu, wall);
            self.lent.message = Some(pass.message.clone());
            self.lent.asked = pass.asked.take();
        }
    }

    /// Lend a batch of texts for one hook call.
    pub(crate) fn lend_batch(&mut self, pass: &mut ChunkPass<'_>, now: Instant) {
        self.begin(Phase::Hook(Hook::OnChunk), now);
        self.lent.place(pass.head);
        self.lent.attributes = std::mem::take(pass.attributes);
        self.lent_by(pass.principal);
        let (cpu, wall) = self.plugin.allowance_of_batch();
        self.budget.widen(cpu, wall);
        self.lent.batch = Some(pass.batch.clone());
        if self.plugin.reads_payload {
            self.lent.asked = pass.asked.take();
        }
    }

    /// Who is asking, for a plugin that keeps secrets.
    pub(crate) fn lent_by(&mut self, principal: &Principal) {
        if self.plugin.keeps_secrets {
            self.lent.caller = Some(Caller::of(principal));
        }
    }

    /// A call of this phase begins.
    pub(crate) fn begin(&mut self, phase: Phase, now: Instant) {
        let plugin = &*self.plugin;
        let (cpu, wall) = match phase {
            Phase::Hook(_) => (plugin.limits.cpu, plugin.wall),
            Phase::Describe | Phase::Init => (plugin.limits.init_cpu, plugin.init_wall()),
        };
        self.budget.refill(&plugin.limits, cpu, wall, now);
        self.phase = phase;
    }

    /// A call has ended: nothing of it goes on, and what is left to write down is written down.
    pub(crate) fn finish(&mut self) {
        self.budget.rest();
        if let Some(share) = &self.share {
            share.spent(|| self.budget.spent());
        }
        self.stdio.flush(&self.plugin, self.share.as_ref());
        if self.caps.grown {
            self.caps.grown = false;
            self.plugin.figures.memory_peak.fetch_max(self.caps.memory_bytes, Relaxed);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.plugin.figures.live.fetch_sub(1, Relaxed);
        self.plugin.total.fetch_sub(1, Relaxed);
    }
}

/// Bounds on what an instance holds.
pub(crate) struct Caps {
    /// All linear memories together.
    pub(crate) memory_bytes: usize,
    /// A growth was refused.
    pub(crate) memory_refused: bool,
    /// The peak has not been told yet.
    grown: bool,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
}

impl Caps {
    fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: 0,
            memory_refused: false,
            grown: false,
            memory_bytes_max: limits.memory_bytes_max,
            table_elements: 0,
            table_elements_max: limits.table_elements_max,
        }
    }
}

impl ResourceLimiter for Caps {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes + desired.saturating_sub(current);
        let fits = total <= self.memory_bytes_max;
        if fits {
            self.memory_bytes = total;
            self.grown = true;
        }
        self.memory_refused |= !fits;
        Ok(fits)
    }

    /// The pool may refuse what we allowed.
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_refused = true;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements + desired.saturating_sub(current);
        let fits = total <= self.table_elements_max;
        if fits {
            self.table_elements = total;
        }
        Ok(fits)
    }

    /// Python links dozens of libraries, each an instance.
    fn instances(&self) -> usize {
        200
    }

    fn tables(&self) -> usize {
        32
    }

    fn memories(&self) -> usize {
        32
    }
}
