//! Answers that a modern server gave at once, for legacy clients that asked for a task and get one: that has ended already.

use sluice_chain::{
    principal::{Principal, PrincipalKey},
    upstream::UpstreamError,
};
use sluice_era::tasks;
use sluice_wire::{code, id::RequestId, message as build, message::Message, method};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long an answer is kept where the client does not say, and at most.
const KEPT: Duration = Duration::from_secs(600);
/// Bounds on what is kept of one server. Whoever keeps most makes room, the oldest first: nobody's flood costs another an answer.
const COUNT_MAX: usize = 1_024;
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// The tasks of one server that never were any.
#[derive(Default)]
pub(crate) struct Finished(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    all: VecDeque<Ended>,
    bytes: usize,
}

struct Ended {
    holder: Option<PrincipalKey>,
    id: String,
    answer: Arc<Message>,
    at: SystemTime,
    ttl: Duration,
    until: Instant,
}

impl Finished {
    /// Keeps an answer; the answer to the call, which is the task.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub(super) fn keep(&self, principal: &Principal, call: &Message, answer: Arc<Message>) -> Result<Option<Message>, UpstreamError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| UpstreamError::Busy { setting: "the machine's randomness".into() })?;
        let ttl = tasks::wanted_ttl(call).unwrap_or(KEPT).min(KEPT);
        let id = format!("ended-{:032x}", u128::from_le_bytes(random));
        let ended = Ended { holder: principal.holder(), id, answer, at: SystemTime::now(), ttl, until: Instant::now() + ttl };
        // Every task begins as one that runs (2025-11-25 tasks, Task Status Lifecycle).
        let created = format!(r#"{{"task":{}}}"#, ended.state("working"));
        let mut kept = self.lock();
        kept.bytes += ended.answer.bytes().len();
        kept.all.push_back(ended);
        kept.forget();
        drop(kept);
        Ok(call.id().and_then(|id| message(build::result(id, created.as_bytes()))))
    }

    /// The answer to a request about one of them. None when the task is none of these.
    pub(super) fn answer(&self, principal: &Principal, request: &Message, own: &str) -> Option<Message> {
        let mut kept = self.lock();
        kept.forget();
        let ended = kept.all.iter().find(|ended| ended.id == own && ended.holder == principal.holder())?;
        let id = request.id()?;
        match request.method() {
            method::TASKS_RESULT => tasks::related(&ended.answer, own).or_else(|| Some(Message::clone(&ended.answer))),
            method::TASKS_GET => message(build::result(id, ended.state(ended.status()).as_bytes())),
            _ => message(over(id)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said to who would cancel a task that has ended (2025-11-25 tasks, Task Cancellation).
pub(super) fn over(id: &RequestId) -> bytes::Bytes {
    build::error(Some(id), code::INVALID_PARAMS, "the task has ended already", None)
}

impl Kept {
    fn forget(&mut self) {
        let now = Instant::now();
        self.all.retain(|ended| {
            let is_kept = ended.until > now;
            self.bytes -= if is_kept { 0 } else { ended.answer.bytes().len() };
            is_kept
        });
        while self.bytes > BYTES_MAX {
            self.make_room(|ended| ended.answer.bytes().len());
        }
        while self.all.len() > COUNT_MAX {
            self.make_room(|_| 1);
        }
    }

    /// Takes the oldest answer of the one who keeps most by this measure.
    fn make_room(&mut self, weight: impl Fn(&Ended) -> usize) {
        let mut shares: HashMap<&Option<PrincipalKey>, usize> = HashMap::new();
        self.all.iter().for_each(|ended| *shares.entry(&ended.holder).or_default() += weight(ended));
        let heaviest = shares.into_iter().max_by_key(|(_, share)| *share).map(|(holder, _)| holder.clone());
        let oldest = heaviest.and_then(|holder| self.all.iter().position(|ended| ended.holder == holder));
        if let Some(ended) = oldest.and_then(|at| self.all.remove(at)) {
            self.bytes -= ended.answer.bytes().len();
        }
    }
}

impl Ended {
    fn status(&self) -> &'static str {
        let has_failed = self.answer.result().is_none_or(|result| result.get("isError").and_then(|is| is.as_bool()) == Some(true));
        if has_failed { "failed" } else { "completed" }
    }

    fn state(&self, status: &str) -> String {
        let at = humantime::format_rfc3339_millis(self.at);
        let (id, ttl) = (&self.id, self.ttl.as_millis());
        format!(r#"{{"taskId":"{id}","status":"{status}","createdAt":"{at}","lastUpdatedAt":"{at}","ttl":{ttl},"pollInterval":100}}"#)
    }
}

fn message(text: bytes::Bytes) -> Option<Message> {
    sluice_era::rounds::message(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message {
        message(text.to_owned().into()).expect("a message")
    }

    fn keep(finished: &Finished, who: &Principal, ttl: u64, answer: &str) -> String {
        let call = read(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"task":{{"ttl":{ttl}}}}}}}"#));
        let created = finished.keep(who, &call, Arc::new(read(answer))).unwrap().expect("a task");
        tasks::created(&created).expect("a task").id
    }

    fn get(finished: &Finished, who: &Principal, own: &str) -> Option<String> {
        let request = read(r#"{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"x"}}"#);
        let answer = finished.answer(who, &request, own)?;
        Some(answer.result()?.get("status")?.as_str()?.into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_its_principal_and_for_a_while() {
        let (finished, alice, bob) = (Finished::default(), Principal::new("a", "alice", None), Principal::new("a", "bob", None));
        let good = keep(&finished, &alice, 5_000, r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
        let bad = keep(&finished, &alice, 9_999_999, r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#);
        assert_eq!(get(&finished, &alice, &good).as_deref(), Some("completed"));
        assert_eq!(get(&finished, &alice, &bad).as_deref(), Some("failed"));
        assert_eq!(get(&finished, &bob, &good), None);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(get(&finished, &alice, &good), None);
        assert!(get(&finished, &alice, &bad).is_some());
        tokio::time::sleep(KEPT).await;
        assert_eq!(get(&finished, &alice, &bad), None, "nobody's wish is without bound");
        let _long = keep(&finished, &alice, 60_000, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        let short = keep(&finished, &alice, 1_000, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(get(&finished, &alice, &short), None, "whatever was kept before it");
        assert_eq!(finished.lock().all.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobodys_flood_costs_another_an_answer() {
        let small = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        let large = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{}"}}}}"#, "x".repeat(BYTES_MAX / 8));
        for (answer, count) in [(small, COUNT_MAX + 1), (&large, 10)] {
            let (finished, alice, bob) = (Finished::default(), Principal::new("a", "alice", None), Principal::new("a", "bob", None));
            let hers = keep(&finished, &alice, 60_000, small);
            let his: Vec<_> = (0..count).map(|_| keep(&finished, &bob, 60_000, answer)).collect();
            assert!(get(&finished, &alice, &hers).is_some());
            assert_eq!((get(&finished, &bob, &his[0]), get(&finished, &bob, &his[count - 1]).is_some()), (None, true));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_has_a_bound() {
        let (finished, alice) = (Finished::default(), Principal::new("a", "alice", None));
        let large = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{}"}}}}"#, "x".repeat(BYTES_MAX / 4));
        let first = keep(&finished, &alice, 60_000, &large);
        for _ in 0..4 {
            keep(&finished, &alice, 60_000, &large);
        }
        assert_eq!(get(&finished, &alice, &first), None);
        assert!(finished.lock().bytes <= BYTES_MAX);
    }
}
