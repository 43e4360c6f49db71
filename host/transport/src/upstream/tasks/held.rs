//! A legacy task that waits for input asks on the stream of `tasks/result`. Its modern client polls, so that request is kept
//! open here, and what is asked is told with the task's state (mcp-protocol §3.2).

use super::request;
use crate::upstream::Carrier;
use bytes::Bytes;
use sluice_chain::{
    exchange::{Delivery, Interim, Question},
    principal::PrincipalKey,
    queue::queue,
    upstream::{Outbound, UpstreamError},
};
use sluice_era::{capability::Askable, tasks};
use sluice_wire::{form::is_answer_to, message::Message, method, revision::Revision};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long an answer may take; a person is asked.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// How long a client waits to hear what a task wants that is said to want something.
const FIRST_MAX: Duration = Duration::from_secs(1);
/// After the first question a task may have others.
const GATHER: Duration = Duration::from_millis(20);
/// Of one principal with one server, and of all with one; callers without a name may have as many.
const OWN_MAX: usize = 32;
const ALL_MAX: usize = 256;
/// Open questions of one task.
const QUESTIONS_MAX: usize = 32;

/// Whether a client waits for a question that has not come yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    ForOne,
    NotAtAll,
}

type Place = (Option<PrincipalKey>, String);

/// The tasks of one server that wait for input.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashMap<Place, Arc<Task>>>);

/// One of them. Dropped or stopped, its questions count as unanswered.
struct Task {
    open: Mutex<Open>,
    came: Notify,
    stop: CancellationToken,
}

struct Open {
    /// No key is used again in the life of a task, in which it may be held more than once.
    since: u128,
    asked: usize,
    questions: Vec<Asked>,
}

struct Asked {
    key: String,
    question: Arc<Message>,
    embedded: Bytes,
    reply: oneshot::Sender<Delivery>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Held {
    /// What a task wants to know, by key, as entries of `inputRequests`.
    pub(super) async fn questions<C: Carrier>(
        self: &Arc<Self>,
        carrier: &Arc<C>,
        outbound: &Outbound,
        own: &str,
        waiting: Waiting,
    ) -> Result<Vec<(String, Bytes)>, UpstreamError> {
        let task = match (self.find(outbound, own), waiting) {
            (Some(task), _) => task,
            (None, Waiting::NotAtAll) => return Ok(Vec::new()),
            (None, Waiting::ForOne) => match self.hold(carrier, outbound, own)? {
                Some(task) => task,
                None => {
                    tracing::warn!(upstream = %carrier.name(), "too many tasks wait for their clients; one is not asked for what it wants");
                    return Ok(Vec::new());
                }
            },
        };
        if waiting == Waiting::ForOne && task.now().is_empty() {
            let came = timeout(FIRST_MAX, task.came.notified());
            if outbound.cancel.run_until_cancelled(came).await.is_some_and(|came| came.is_ok()) {
                tokio::time::sleep(GATHER).await;
            }
        }
        Ok(task.now())
    }

    /// Hands answers on. What is none to its question leaves that open: its client finds it there when it looks again. False when
    /// nothing is held of the task.
    pub(super) fn answer(&self, outbound: &Outbound, own: &str, given: &[(String, Bytes)]) -> bool {
        let Some(task) = self.find(outbound, own) else { return false };
        for (key, raw) in given {
            let Some(answer) = tasks::response(raw) else { continue };
            let (Some(asked), Some(message)) = (task.take(key, &answer), tasks::related(&answer, own)) else { continue };
            // A server that no longer waits has been answered otherwise.
            let _ = asked.reply.send(Delivery { message: Arc::new(message), spoken: Revision::V2026_07_28 });
        }
        true
    }

    /// The task has ended for its client.
    pub(super) fn forget(&self, outbound: &Outbound, own: &str) {
        drop(self.lock().remove(&place(outbound, own)));
    }

    fn find(&self, outbound: &Outbound, own: &str) -> Option<Arc<Task>> {
        self.lock().get(&place(outbound, own)).cloned()
    }

    /// Asks for the result, and keeps what comes before it. None when there is no room.
    fn hold<C: Carrier>(self: &Arc<Self>, carrier: &Arc<C>, outbound: &Outbound, own: &str) -> Result<Option<Arc<Task>>, UpstreamError> {
        let place = place(outbound, own);
        let task = Arc::new(Task::new());
        let (interim, mut arriving) = queue(QUESTIONS_MAX);
        let sub = Outbound { interim, cancel: task.stop.clone(), ..request(outbound, method::TASKS_RESULT, own)? };
        {
            let mut all = self.lock();
            if let Some(there) = all.get(&place) {
                return Ok(Some(there.clone()));
            }
            let own = || all.keys().filter(|(holder, _)| *holder == place.0).count();
            if all.len() >= ALL_MAX || place.0.is_some() && own() >= OWN_MAX {
                return Ok(None);
            }
            all.insert(place.clone(), task.clone());
        }
        let (held, carrier, weak) = (self.clone(), carrier.clone(), Arc::downgrade(&task));
        let askable = Askable::of(&outbound.client.capabilities);
        tokio::spawn(async move {
            let listening = async {
                let sending = carrier.send(&sub);
                tokio::pin!(sending);
                loop {
                    tokio::select! {
                        biased;
                        interim = arriving.next() => match (interim, weak.upgrade()) {
                            (Interim::Question(question), Some(task)) => task.add(question, askable),
                            (_, None) => return,
                            (Interim::Notification(_), _) => {}
                        },
                        _ = &mut sending => return,
                    }
                }
            };
            // Nobody came back, or it has ended.
            let _ = timeout(ANSWER_MAX, listening).await;
            let mut all = held.lock();
            if all.get(&place).is_some_and(|there| std::ptr::eq(Arc::as_ptr(there), weak.as_ptr())) {
                all.remove(&place);
            }
        });
        Ok(Some(task))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Arc<Task>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let open = Open { since, asked: 0, questions: Vec::new() };
        Self { open: Mutex::new(open), came: Notify::new(), stop: CancellationToken::new() }
    }

    /// Dropped, a question counts as unanswered: one too many, or one that the client has not declared.
    fn add(&self, question: Question, askable: Askable) {
        let Question { delivery, reply } = question;
        let mut open = self.lock();
        open.questions.retain(|asked| !asked.reply.is_closed());
        if open.questions.len() >= QUESTIONS_MAX || askable.permits(&delivery.message).is_err() {
            return;
        }
        open.asked += 1;
        let key = format!("{:x}-{}", open.since, open.asked);
        let embedded = tasks::embedded(&delivery.message);
        open.questions.push(Asked { key, question: delivery.message, embedded, reply });
        drop(open);
        self.came.notify_waiters();
        self.came.notify_one();
    }

    /// What waits for an answer now; what the server has taken back does not.
    fn now(&self) -> Vec<(String, Bytes)> {
        let open = self.lock();
        let waits = open.questions.iter().filter(|asked| !asked.reply.is_closed());
        waits.map(|asked| (asked.key.clone(), asked.embedded.clone())).collect()
    }

    /// The question of this name, if that is what was answered.
    fn take(&self, key: &str, answer: &Message) -> Option<Asked> {
        let mut open = self.lock();
        let at = open.questions.iter().position(|asked| asked.key == *key && is_answer_to(&asked.question, answer))?;
        Some(open.questions.remove(at))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(outbound: &Outbound, own: &str) -> Place {
    (outbound.principal.holder(), own.to_owned())
}
