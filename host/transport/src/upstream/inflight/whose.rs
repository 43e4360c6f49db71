//! Whom a question is for that does not say about which call it is (ADR 11).

use super::{Inflight, State};
use crate::upstream::call::Call;
use sluice_chain::{
    exchange::{Client, Interim},
    principal::PrincipalKey,
    queue::Sender,
    upstream::{Outbound, UpstreamError},
};
use sluice_era::{capability::Askable, tasks};
use sluice_wire::{message::Message, method};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// A question that comes before any call waits this long for one.
const FIRST_CALL_MAX: Duration = Duration::from_secs(1);

/// A question that could be about several calls waits this long for all but one of them to be answered.
const CLEAR_MAX: Duration = Duration::from_secs(30);

/// A question of a task waits this long for somebody who asks for the task's result; a person may be on the way.
const TASK_MAX: Duration = Duration::from_secs(600);

/// A call that has ended here without an answer may still be the one that asks for so long. A server that was told of the end
/// has stopped by then, as it should.
const SEVERED_MAX: Duration = Duration::from_secs(1);

/// Calls that ended so, of one channel.
const SEVERED_KEPT: usize = 1024;

/// The client of a call, for questions.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    client: Arc<Client>,
    principal: PrincipalKey,
    /// The server's id of the task whose result is waited for.
    task: Option<Box<str>>,
    pub(crate) interim: Sender<Interim>,
}

impl Asked {
    /// None for requests during which a server has nothing to ask (2026-07-28 basic/patterns/mrtr, Supported Requests; 2025-11-25
    /// tasks, Input Required Status).
    pub(crate) fn of(outbound: &Outbound) -> Option<Self> {
        let may_ask =
            matches!(outbound.message.method(), method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ | method::TASKS_RESULT);
        let (client, principal) = (outbound.client.clone(), outbound.principal.key.clone());
        let of_task = || match (&outbound.original_name, outbound.message.target()) {
            (Some(own), _) => Some(own.as_ref().into()),
            (None, named) => Some(named?.as_str()?.as_ref().into()),
        };
        let task = (outbound.message.method() == method::TASKS_RESULT).then(of_task).flatten();
        may_ask.then(|| Self { client, principal, task, interim: outbound.interim.clone() })
    }

    /// The same legacy client, whose session hears a question wherever it is put.
    fn is_same(&self, client: &Client, principal: &PrincipalKey) -> bool {
        self.client.session.is_some() && self.client.session == client.session && self.principal == *principal
    }
}

/// Whom a question is put to.
pub(crate) struct Addressee {
    /// The calls that it may be about.
    pub(crate) calls: Vec<Arc<Call>>,
    /// Their client.
    pub(crate) client: Asked,
    /// It is about the one call and can be about no other, not even one that has ended here.
    pub(crate) is_sure: bool,
}

/// A call that has ended here without an answer.
#[derive(Debug)]
pub(super) struct Severed {
    client: Arc<Client>,
    principal: PrincipalKey,
    at: Instant,
}

impl Severed {
    fn may_ask(&self) -> bool {
        self.at.elapsed() < SEVERED_MAX
    }
}

impl State {
    /// Notes a call that has ended here, and maybe not at the server.
    pub(super) fn sever(&mut self, id: u64, asked: Asked) {
        if self.severed.len() >= SEVERED_KEPT {
            self.severed.retain(|_, severed| severed.may_ask());
        }
        let Asked { client, principal, task: None, interim: _ } = asked else { return };
        self.severed.insert(id, Severed { client, principal, at: Instant::now() });
    }

    /// Calls in flight that may be asked without a name. What belongs to a task says so, so nothing else is for those who wait for
    /// one.
    fn live(&self) -> impl Iterator<Item = (&Arc<Call>, &Asked)> {
        let of_call = |asked: &&Asked| asked.task.is_none();
        self.waiting.values().filter_map(move |waiting| Some((&waiting.call, waiting.client.as_ref().filter(of_call)?)))
    }

    /// Who waits for the result of a task: the last to come, since those before may have lost their connection.
    fn of_task(&self, task: &str) -> Option<Addressee> {
        let is_of = |asked: &&Asked| asked.task.as_deref() == Some(task);
        let waiting = self.waiting.values().filter_map(|waiting| Some((&waiting.call, waiting.client.as_ref().filter(is_of)?)));
        let (call, asked) = waiting.max_by_key(|(call, _)| call.id)?;
        Some(Addressee { calls: vec![call.clone()], client: asked.clone(), is_sure: true })
    }

    /// The calls a question that comes now can be about. One that begins later is none of them.
    fn candidates(&self) -> Vec<u64> {
        let severed = self.severed.iter().filter(|(_, severed)| severed.may_ask()).map(|(id, _)| *id);
        self.live().map(|(call, _)| call.id).chain(severed).collect()
    }

    /// Which of the candidates it is, by now. Those that were answered are not: an asking call waits for its own answer.
    fn whose(&self, candidates: &[u64]) -> Whose {
        let live: Vec<_> = self.live().filter(|(call, _)| candidates.contains(&call.id)).collect();
        let severed: Vec<_> = candidates.iter().filter_map(|id| self.severed.get(id)).collect();
        let Some((_, first)) = live.first() else { return Whose::Nobody };
        // A call that waits for an answer is not taken to ask before it has it, as long as a mistake would stay with one principal.
        let is_one_principal = live
            .iter()
            .map(|(_, asked)| &asked.principal)
            .chain(severed.iter().map(|severed| &severed.principal))
            .all(|p| *p == first.principal);
        let at_work = live.iter().filter(|(call, _)| is_one_principal && !call.waits_for_client()).copied().collect();
        match [live, at_work].iter().find_map(|calls| one_clients(calls, &severed)) {
            Some(whose) => whose,
            // What did not show by now will not show any more.
            None if severed.iter().any(|severed| !severed.may_ask()) => Whose::Nobody,
            None => Whose::Several,
        }
    }

    /// Whether every call of another client waits for that client's answer, and none has ended just now without one.
    fn others_rest(&self, client: &Asked) -> bool {
        let mut severed = self.severed.values();
        self.live().all(|(call, other)| call.waits_for_client() || client.is_same(&other.client, &other.principal))
            && severed.all(|severed| !severed.may_ask() || client.is_same(&severed.client, &severed.principal))
    }
}

/// Whose question it is.
enum Whose {
    /// One client's.
    Of(Addressee),
    /// No client's that still waits, or it will never be known.
    Nobody,
    /// It may be several clients', or several calls' of a client that is asked by the call.
    Several,
}

/// The calls, if one client's ear hears for all of them and for those that were severed.
fn one_clients(calls: &[(&Arc<Call>, &Asked)], severed: &[&Severed]) -> Option<Whose> {
    let (_, newest) = calls.iter().max_by_key(|(call, _)| call.id)?;
    let is_only = calls.len() == 1 && severed.is_empty();
    let is_same =
        || calls.iter().map(|(_, asked)| (&asked.client, &asked.principal)).chain(severed.iter().map(|s| (&s.client, &s.principal)));
    let is_one = is_only || is_same().all(|(client, principal)| newest.is_same(client, principal));
    let calls = || calls.iter().map(|(call, _)| (*call).clone()).collect();
    is_one.then(|| Whose::Of(Addressee { calls: calls(), client: (*newest).clone(), is_sure: is_only }))
}

/// While it lives, no other call that may be asked begins.
pub(crate) type Turn<'a> = tokio::sync::MutexGuard<'a, ()>;

/// Counts one question of which it is not clear for which call it is.
struct Unclear<'a>(&'a watch::Sender<usize>);

impl<'a> Unclear<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Unclear<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Inflight {
    /// Waits until another call adds no doubt: it is clear of all questions for whom they are, and where the server does not
    /// say so no other client's call is at work. The call has to be taken in before the turn is dropped.
    ///
    /// After half a minute it may begin all the same; whoever asks then waits until it is clear.
    ///
    /// # Errors
    /// When the call is cancelled meanwhile.
    pub(crate) async fn turn(&self, outbound: &Outbound, askable: Askable) -> Result<Option<Turn<'_>>, UpstreamError> {
        // Questions of a task say so, and who waits for one waits long.
        let Some(client) = Asked::of(outbound).filter(|client| askable.is_any() && client.task.is_none()) else { return Ok(None) };
        outbound.cancel.run_until_cancelled(self.clear(&client)).await.ok_or(UpstreamError::Cancelled)
    }

    /// Waits until a call that waited for its client adds no doubt when it goes on: no other client's call is at work then. It has
    /// to be told before the turn is dropped.
    pub(super) async fn turn_again(&self, client: &Asked) -> Option<Turn<'_>> {
        if client.task.is_some() { None } else { self.clear(client).await }
    }

    async fn clear(&self, client: &Asked) -> Option<Turn<'_>> {
        let alone = async {
            // It ends with its sender, which is ours.
            let _ = self.unclear.subscribe().wait_for(|unclear| *unclear == 0).await;
            if !self.asks.load(Relaxed) {
                return None;
            }
            let turn = self.turns.lock().await;
            loop {
                let left = self.left.notified();
                if self.lock().others_rest(client) {
                    return Some(turn);
                }
                let _ = timeout(SEVERED_MAX, left).await;
            }
        };
        timeout(CLEAR_MAX, alone).await.ok().flatten()
    }

    /// Whom a question is for that names no call. Waits a little for a first call, since many servers ask as soon as a session is open, and a session is opened for a call. Of several
    /// it waits for all to be answered but one, which cannot be as long as it is not.
    pub(crate) async fn questioned(&self, question: &Message) -> Option<Addressee> {
        if let Some(task) = tasks::related_to(question) {
            return timeout(TASK_MAX, self.asked_of_task(&task)).await.ok();
        }
        if question.method() != method::ROOTS_LIST {
            // For roots many servers ask once, at the beginning, and never again.
            self.asks.store(true, Relaxed);
        }
        let first = async {
            loop {
                let entered = self.entered.notified();
                let (candidates, has_served) = {
                    let state = self.lock();
                    (state.candidates(), state.has_served)
                };
                // A call that begins later is none it can be about, but for the first of all.
                if !candidates.is_empty() || has_served {
                    return candidates;
                }
                entered.await;
            }
        };
        let candidates = timeout(FIRST_CALL_MAX, first).await.ok()?;
        let clear = async {
            let mut unclear = None;
            loop {
                let left = self.left.notified();
                let whose = self.lock().whose(&candidates);
                match whose {
                    Whose::Of(addressee) => return Some(addressee),
                    Whose::Nobody => return None,
                    Whose::Several => {
                        self.asks.store(true, Relaxed);
                        unclear.get_or_insert_with(|| Unclear::new(&self.unclear));
                        let _ = timeout(SEVERED_MAX, left).await;
                    }
                }
            }
        };
        timeout(CLEAR_MAX, clear).await.ok().flatten()
    }

    async fn asked_of_task(&self, task: &str) -> Addressee {
        loop {
            let entered = self.entered.notified();
            let found = self.lock().of_task(task);
            match found {
                Some(found) => return found,
                None => entered.await,
            }
        }
    }
}
