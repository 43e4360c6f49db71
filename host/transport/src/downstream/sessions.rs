//! The legacy era's state: what `initialize` agreed on, kept under an id nobody can guess.
//!
//! An id is never authority: every request is authenticated anew, and a session answers only to the
//! principal that opened it. To everybody else it does not exist.

use bytes::Bytes;
use sluice_chain::{
    changes::Subscription,
    exchange::{Client, Delivery},
    host::Push,
    principal::{Principal, PrincipalKey},
    running::Running,
};
use sluice_era::answer;
use sluice_wire::{id::RequestId, message::Message, method, revision::Revision};
use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Caller, is_same},
    questions::Questions,
    records::Record,
    settings::Limits,
    streams::Streams,
};

/// One legacy session.
pub(super) struct Session {
    /// The id as it stands in the header.
    pub name: Arc<str>,
    /// What was agreed on.
    pub revision: Revision,
    /// What is on its way to the client.
    pub streams: Streams,
    /// What servers asked the client.
    pub questions: Arc<Questions>,
    /// What changed that the client hears of.
    pub changes: OnceLock<Arc<Subscription>>,
    key: u128,
    owner: PrincipalKey,
    speaker: Mutex<Speaker>,
    /// Milliseconds from the table's start to the last use.
    used: AtomicU64,
    /// The same to when it was last written down.
    written: AtomicU64,
    /// URIs that its client follows, for the record.
    follows: Mutex<BTreeSet<String>>,
    in_flight: Mutex<HashMap<RequestId, CancellationToken>>,
}

/// A session that was written down.
pub(super) struct Revived {
    /// In the table.
    pub session: Arc<Session>,
    /// Its client, if the session was not in the table before.
    pub fresh: Option<Arc<Client>>,
    /// The one that made room for it.
    pub evicted: Option<Arc<Session>>,
}

/// Who speaks in the session, as last authenticated.
struct Speaker {
    caller: Caller,
    client: Arc<Client>,
}

/// A request id that is still in flight was used again.
pub(super) struct IdInUse;

impl Session {
    /// The client as the chain sees it, with this caller's present claims; and the principal that
    /// exchanges of this session run as.
    pub fn speaker(&self, caller: Caller) -> (Arc<Client>, Arc<Principal>) {
        let mut speaker = lock(&self.speaker);
        let known = &speaker.caller;
        // Somebody unnamed is somebody else each time they are asked: the session stays the first one's.
        let same_person = caller.principal.is_anonymous() || is_same(&known.principal, &caller.principal);
        let same_way = Arc::ptr_eq(&known.transport, &caller.transport) || known.transport == caller.transport;
        if !(same_person && same_way) {
            let principal = if same_person { known.principal.clone() } else { caller.principal };
            let caller = Caller { principal, transport: caller.transport };
            speaker.client = caller.vouch_again(&speaker.client);
            if let Some(changes) = self.changes.get() {
                changes.vouch_again(speaker.client.clone(), caller.principal.clone());
            }
            speaker.caller = caller;
        }
        (speaker.client.clone(), speaker.caller.principal.clone())
    }

    /// As it would be written down now.
    pub fn record(&self) -> Record {
        let speaker = lock(&self.speaker);
        let client = &speaker.client;
        Record {
            revision: self.revision,
            info: client.info.clone(),
            capabilities: client.capabilities.clone(),
            owner: Record::owner_of(&speaker.caller.principal),
            level: lock(&client.log_level).as_deref().map(str::to_owned),
            follows: lock(&self.follows).clone(),
        }
    }

    /// Whether a request changes what is written down. What is asked for counts: whether it is granted is asked again with it.
    pub fn notes(&self, message: &Message) -> bool {
        let text = |key: &str| message.param(key).and_then(|value| value.as_str().map(std::borrow::Cow::into_owned));
        match (message.method(), text("uri"), text("level")) {
            (method::RESOURCES_SUBSCRIBE, Some(uri), _) => lock(&self.follows).len() < FOLLOWS_MAX && lock(&self.follows).insert(uri),
            (method::RESOURCES_UNSUBSCRIBE, Some(uri), _) => lock(&self.follows).remove(&uri),
            (method::LOGGING_SET_LEVEL, _, Some(_)) => true,
            _ => false,
        }
    }

    /// Starts an exchange under the client's id.
    ///
    /// # Errors
    /// [`IdInUse`]; nothing was started.
    pub fn begin(&self, id: &RequestId, begin: impl FnOnce() -> Running) -> Result<Running, IdInUse> {
        match lock(&self.in_flight).entry(id.clone()) {
            Entry::Occupied(_) => Err(IdInUse),
            Entry::Vacant(slot) => {
                let running = begin();
                slot.insert(running.cancel.clone());
                Ok(running)
            }
        }
    }

    /// The exchange under this id has ended.
    pub fn finish(&self, id: &RequestId) {
        lock(&self.in_flight).remove(id);
    }

    /// The client does not want that answer any more. Unknown ids are none of our business.
    pub fn cancel(&self, id: &RequestId) {
        if let Some(cancel) = lock(&self.in_flight).get(id) {
            cancel.cancel();
        }
    }

    fn is_busy(&self) -> bool {
        self.streams.is_read() || !lock(&self.in_flight).is_empty()
    }

    fn end(&self) {
        let lost = self.streams.close();
        self.questions.close();
        if lost > 0 {
            tracing::debug!(lost, "a session ended whose client did not read its notifications");
        }
        lock(&self.in_flight).values().for_each(CancellationToken::cancel);
    }
}

/// All sessions of an endpoint.
pub(super) struct Sessions {
    shards: [Mutex<HashMap<u128, Arc<Session>>>; SHARDS],
    by_owner: Mutex<HashMap<PrincipalKey, Vec<Arc<Session>>>>,
    count: AtomicUsize,
    /// Bytes of events that all sessions keep.
    kept_bytes: Arc<AtomicUsize>,
    start: Instant,
    limits: Limits,
    reviving: Mutex<()>,
}

/// Most URIs of one session that are written down.
const FOLLOWS_MAX: usize = 256;

/// Requests of different sessions rarely wait for each other.
const SHARDS: usize = 16;

/// There is no room for another session, and none of this principal's own can make way.
pub(super) struct Full;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 128 random bits, as 32 hex digits.
pub(super) fn random_key() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

/// Only the one spelling we gave out.
pub(super) fn parse_key(name: &[u8]) -> Option<u128> {
    let is_ours = name.len() == 32 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| name.iter().fold(0, |key, &digit| key << 4 | u128::from(hex_value(digit))))
}

fn hex_value(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}

impl Sessions {
    /// No session yet.
    pub fn new(limits: &Limits) -> Sessions {
        Sessions {
            shards: Default::default(),
            by_owner: Mutex::default(),
            count: AtomicUsize::new(0),
            kept_bytes: Arc::default(),
            start: Instant::now(),
            limits: limits.clone(),
            reviving: Mutex::default(),
        }
    }

    fn shard(&self, key: u128) -> MutexGuard<'_, HashMap<u128, Arc<Session>>> {
        lock(&self.shards[key as usize % SHARDS])
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A session that is not in the table yet, so that its client can be shown to the upstreams.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn prepare(
        &self,
        revision: Revision,
        caller: Caller,
        info: Option<&[u8]>,
        capabilities: &[u8],
    ) -> Result<(Arc<Session>, Arc<Client>), getrandom::Error> {
        Ok(self.prepare_as(random_key()?, revision, caller, info, capabilities))
    }

    fn prepare_as(
        &self,
        key: u128,
        revision: Revision,
        caller: Caller,
        info: Option<&[u8]>,
        capabilities: &[u8],
    ) -> (Arc<Session>, Arc<Client>) {
        let name: Arc<str> = format!("{key:032x}").into();
        let client = caller.introduce(info, capabilities, Some(name.clone()));
        let session = Session {
            name,
            revision,
            streams: Streams::new(&self.limits, self.kept_bytes.clone()),
            questions: Arc::default(),
            changes: OnceLock::new(),
            key,
            owner: caller.principal.key.clone(),
            speaker: Mutex::new(Speaker { caller, client: client.clone() }),
            used: AtomicU64::new(self.now()),
            written: AtomicU64::new(self.now()),
            follows: Mutex::default(),
            in_flight: Mutex::default(),
        };
        (Arc::new(session), client)
    }

    /// A session that another process has opened, as it was written down, in the table; or the one that is there since. What its client
    /// follows is still to be asked for.
    ///
    /// # Errors
    /// [`Full`].
    pub fn revive(&self, name: &str, record: &Record, caller: Caller) -> Result<Revived, Full> {
        let principal = caller.principal.clone();
        let Some(key) = parse_key(name.as_bytes()) else { return Err(Full) };
        let (session, client) = self.prepare_as(key, record.revision, caller, record.info.as_deref(), &record.capabilities);
        *lock(&client.log_level) = record.level.as_deref().map(Into::into);
        *lock(&session.follows) = record.follows.clone();
        // One at a time: whoever comes second finds what the first has made.
        let _one_at_a_time = lock(&self.reviving);
        if let Some(session) = self.find(name.as_bytes(), &principal) {
            return Ok(Revived { session, fresh: None, evicted: None });
        }
        let evicted = self.admit(&session)?;
        Ok(Revived { session, fresh: Some(client), evicted })
    }

    /// Puts a prepared session into the table. Gives back the one that made room for it, if any:
    /// its upstream sessions are to be ended.
    ///
    /// # Errors
    /// [`Full`].
    pub fn admit(&self, session: &Arc<Session>) -> Result<Option<Arc<Session>>, Full> {
        let mut by_owner = lock(&self.by_owner);
        let own = by_owner.entry(session.owner.clone()).or_default();
        let is_full = self.count.load(Relaxed) >= self.limits.sessions_max;
        let mut evicted = None;
        if is_full || own.len() >= self.limits.sessions_per_principal_max {
            let oldest = (0..own.len()).filter(|&at| !own[at].is_busy()).min_by_key(|&at| own[at].used.load(Relaxed));
            let Some(oldest) = oldest else {
                if own.is_empty() {
                    by_owner.remove(&session.owner);
                }
                return Err(Full);
            };
            let session = own.swap_remove(oldest);
            self.shard(session.key).remove(&session.key);
            self.count.fetch_sub(1, Relaxed);
            session.end();
            evicted = Some(session);
        }
        own.push(session.clone());
        self.shard(session.key).insert(session.key, session.clone());
        self.count.fetch_add(1, Relaxed);
        Ok(evicted)
    }

    /// The session of that name, if it is this principal's.
    pub fn find(&self, name: &[u8], principal: &Principal) -> Option<Arc<Session>> {
        let key = parse_key(name)?;
        let session = self.shard(key).get(&key).cloned()?;
        let is_own = session.owner == principal.key || (principal.is_anonymous() && lock(&session.speaker).caller.principal.is_anonymous());
        // One that ended by time is gone, though the sweep has not come by yet.
        if !is_own || self.is_stale(&session) {
            return None;
        }
        session.used.store(self.now(), Relaxed);
        Some(session)
    }

    /// Whether it is time to write a session down again.
    pub fn is_due(&self, session: &Session, after: Duration) -> bool {
        let (now, written) = (self.now(), session.written.load(Relaxed));
        let is_due = now.saturating_sub(written) >= duration_ms(after);
        is_due && session.written.compare_exchange(written, now, Relaxed, Relaxed).is_ok()
    }

    /// Ends a session, its stream and whatever runs in it. False if it had ended before.
    pub fn remove(&self, session: &Session) -> bool {
        if self.shard(session.key).remove(&session.key).is_none() {
            return false;
        }
        self.count.fetch_sub(1, Relaxed);
        let mut by_owner = lock(&self.by_owner);
        if let Some(own) = by_owner.get_mut(&session.owner) {
            own.retain(|other| other.key != session.key);
            if own.is_empty() {
                by_owner.remove(&session.owner);
            }
        }
        drop(by_owner);
        session.end();
        true
    }

    /// Ends those that nobody has used for too long; gives them back. Of the others, what they keep too long is forgotten.
    pub fn sweep(&self) -> Vec<Arc<Session>> {
        let mut stale: Vec<Arc<Session>> = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            shard.values().for_each(|session| session.streams.forget_old(self.limits.replay_age));
            stale.extend(shard.values().filter(|session| self.is_stale(session)).cloned());
        }
        stale.retain(|session| self.remove(session));
        stale
    }

    fn is_stale(&self, session: &Session) -> bool {
        let oldest = self.now().saturating_sub(duration_ms(self.limits.session_idle));
        session.used.load(Relaxed) < oldest && !session.is_busy()
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Push for Sessions {
    fn push(&self, principal: &PrincipalKey, session: Option<&str>, delivery: Delivery) {
        let mut cut: Option<(Revision, Option<Bytes>)> = None;
        let mut put = |session: &Session| {
            // All sessions of a principal mostly agreed on the same revision.
            let known = cut.as_ref().filter(|(revision, _)| *revision == session.revision);
            let shaped = match known {
                Some((_, shaped)) => shaped.clone(),
                None => answer::notification(&delivery.message, delivery.spoken, session.revision),
            };
            if let Some(text) = shaped.clone() {
                session.streams.push(text);
            }
            cut = Some((session.revision, shaped));
        };
        match session {
            Some(name) => {
                let key = parse_key(name.as_bytes());
                let found = key.and_then(|key| self.shard(key).get(&key).cloned());
                if let Some(session) = found.filter(|session| session.owner == *principal) {
                    put(&session);
                }
            }
            None => {
                if let Some(own) = lock(&self.by_owner).get(principal) {
                    own.iter().for_each(|session| put(session));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(subject: &str) -> Caller {
        Caller { transport: Arc::default(), principal: Arc::new(Principal::new("auth", subject, None)) }
    }

    fn open(sessions: &Sessions, subject: &str) -> Option<Arc<Session>> {
        let (session, _) = sessions.prepare(Revision::V2025_11_25, caller(subject), None, b"{}").expect("randomness");
        sessions.admit(&session).ok()?;
        Some(session)
    }

    #[tokio::test(start_paused = true)]
    async fn t03_a_session_answers_to_its_owner_alone() {
        let sessions = Sessions::new(&Limits::default());
        let session = open(&sessions, "a").expect("room");
        let name = session.name.as_bytes();
        assert!(sessions.find(name, &Principal::new("auth", "a", None)).is_some());
        assert!(sessions.find(name, &Principal::new("auth", "b", None)).is_none());
        assert!(sessions.find(name, &Principal::new("auth", "a", Some("t"))).is_none());
        assert!(sessions.find(name, &Principal::anonymous("a")).is_none());
        assert!(sessions.find(session.name.to_uppercase().as_bytes(), &Principal::new("auth", "a", None)).is_none());
        assert!(sessions.remove(&session) && !sessions.remove(&session));
        assert!(sessions.find(name, &Principal::new("auth", "a", None)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_unnamed_keep_the_session_they_opened() {
        let sessions = Sessions::new(&Limits::default());
        let first = Caller { transport: Arc::default(), principal: Arc::new(Principal::anonymous("1")) };
        let (session, _) = sessions.prepare(Revision::V2025_11_25, first, None, b"{}").expect("randomness");
        assert!(sessions.admit(&session).is_ok());
        let later = Caller { transport: Arc::default(), principal: Arc::new(Principal::anonymous("2")) };
        assert!(sessions.find(session.name.as_bytes(), &later.principal).is_some());
        assert_eq!(&*session.speaker(later).1.subject, "1");
    }

    #[tokio::test(start_paused = true)]
    async fn new_claims_count_at_once_and_the_log_level_stays() {
        let sessions = Sessions::new(&Limits::default());
        let session = open(&sessions, "a").expect("room");
        let (client, _) = session.speaker(caller("a"));
        *lock(&client.log_level) = Some("info".into());
        let mut principal = Principal::new("auth", "a", None);
        principal.claims = vec![("role".into(), "admin".into())];
        let (renewed, _) = session.speaker(Caller { transport: Arc::default(), principal: Arc::new(principal) });
        assert!(renewed.facts.iter().any(|(k, v)| **k == *"principal.claim.role" && **v == *"admin"));
        assert_eq!(lock(&renewed.log_level).as_deref(), Some("info"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_principal_over_its_share_loses_its_own_oldest_session() {
        let limits = Limits { sessions_per_principal_max: 2, sessions_max: 3, ..Limits::default() };
        let sessions = Sessions::new(&limits);
        let first = open(&sessions, "a").expect("room");
        tokio::time::advance(Duration::from_millis(5)).await;
        let second = open(&sessions, "a").expect("room");
        let other = open(&sessions, "b").expect("room");
        let third = open(&sessions, "a").expect("the first makes room");
        assert_eq!(sessions.len(), 3);
        for (session, lives) in [(&first, false), (&second, true), (&third, true)] {
            assert_eq!(sessions.find(session.name.as_bytes(), &Principal::new("auth", "a", None)).is_some(), lives);
        }
        assert!(sessions.find(other.name.as_bytes(), &Principal::new("auth", "b", None)).is_some());
        assert!(open(&sessions, "c").is_none(), "nobody else's session makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_sessions_end_and_read_ones_do_not() {
        let sessions = Sessions::new(&Limits::default());
        let idle = open(&sessions, "a").expect("room");
        let read = open(&sessions, "b").expect("room");
        read.streams.open(crate::downstream::streams::Kind::Own).expect("open");
        tokio::time::advance(Duration::from_secs(3601)).await;
        let ended: Vec<_> = sessions.sweep().iter().map(|session| session.name.clone()).collect();
        assert_eq!(ended, std::slice::from_ref(&idle.name));
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn ids_are_hex_without_bias() {
        let keys: Vec<u128> = (0..256).map(|_| random_key().expect("randomness")).collect();
        let ones: u32 = keys.iter().map(|key| key.count_ones()).sum();
        // 32,768 coin flips: 16,384 expected, deviation 90; ten deviations never happen by chance.
        assert!((15_484..17_284).contains(&ones), "{ones}");
        let name = format!("{:032x}", keys[0]);
        assert_eq!(parse_key(name.as_bytes()), Some(keys[0]));
        for bad in ["", "0", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33), "+0000000000000000000000000000000"] {
            assert_eq!(parse_key(bad.as_bytes()), None, "{bad}");
        }
    }
}
