//! Task ids as clients know them: sealed, so that a task is its principal's and leads to the upstream that runs it.
//!
//! The id says everything, so a task costs this host nothing. What is remembered besides serves lists and notifications, which
//! name a task and not the tool it runs; the oldest are forgotten, and those ids go on working.

use crate::{
    parked::Owner,
    principal::{Principal, PrincipalKey},
    seal::SealKey,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells our ids from servers' own.
const PREFIX: &str = "task1.";
/// Most bytes of a server's own id: a client sends it back in a header.
const OWN_MAX: usize = 1_024;
/// An id is good for so long. A server that counts its tasks begins anew after a restart, and an id for ever would lead to another's
/// task one day.
const GOOD_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most tasks remembered in all; the oldest go first.
const HANDED_MAX: usize = 20_000;

/// What a task id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// The upstream's configured name: a place in the configuration may change.
    pub(crate) upstream: Arc<str>,
    /// The tool it runs, under its upstream's own name.
    pub(crate) tool: Arc<str>,
    /// The server's id for it.
    pub(crate) own: Arc<str>,
}

/// Seals task ids, and remembers the newest.
pub(crate) struct Tasks {
    key: SealKey,
    handed: Mutex<Handed>,
}

type Place = (PrincipalKey, Arc<str>, Arc<str>);

#[derive(Default)]
struct Handed {
    ids: HashMap<Place, Arc<str>>,
    order: VecDeque<Place>,
}

impl Tasks {
    /// With the key that a secret gives, so that ids outlive the process; a random one without. Fails only if the machine has no
    /// randomness.
    pub(crate) fn new(secret: Option<&str>) -> Result<Self, getrandom::Error> {
        let key = secret.map_or_else(SealKey::random, |secret| Ok(SealKey::of(secret, "task ids")))?;
        Ok(Self { key, handed: Mutex::default() })
    }

    /// The id for this principal: the same one as long as it is remembered. None when the server's own id is beyond reason.
    pub(crate) fn hand(&self, principal: &Principal, task: &Task) -> Option<Arc<str>> {
        // A server that counts its ids may give one again, to another tool.
        let known = self.known(principal, &task.upstream, &task.own);
        if let Some(id) = known.filter(|id| self.open(principal, id).is_some_and(|told| told.tool == task.tool)) {
            return Some(id);
        }
        if task.own.is_empty() || task.own.len() > OWN_MAX {
            return None;
        }
        let id = self.seal(principal, task, now() + GOOD_FOR)?;
        self.lock().remember(place(principal, &task.upstream, &task.own), id.clone());
        Some(id)
    }

    fn seal(&self, principal: &Principal, task: &Task, until: Duration) -> Option<Arc<str>> {
        let mut text = Vec::with_capacity(128);
        text.extend_from_slice(&until.as_secs().to_le_bytes());
        for part in [&task.upstream, &task.tool] {
            text.extend_from_slice(&u16::try_from(part.len()).ok()?.to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        text.extend_from_slice(task.own.as_bytes());
        Some(format!("{PREFIX}{}", self.key.seal(Owner::of(principal).bound(), &text)?).into())
    }

    /// The id this principal has for a server's task, if it is remembered.
    pub(crate) fn known(&self, principal: &Principal, upstream: &Arc<str>, own: &str) -> Option<Arc<str>> {
        self.lock().ids.get(&place(principal, upstream, own)).cloned()
    }

    /// What an id says, if it was given to this principal and is still good.
    pub(crate) fn open(&self, principal: &Principal, id: &str) -> Option<Task> {
        let text = self.key.open(Owner::of(principal).bound(), id.strip_prefix(PREFIX)?)?;
        let (until, text) = text.split_first_chunk()?;
        if now() >= Duration::from_secs(u64::from_le_bytes(*until)) {
            return None;
        }
        let (upstream, text) = part(text)?;
        let (tool, own) = part(text)?;
        Some(Task { upstream, tool, own: std::str::from_utf8(own).ok()?.into() })
    }

    /// A place in the lists of several servers, for this principal: whose list, and its cursor there.
    pub(crate) fn seal_cursor(&self, principal: &Principal, upstream: usize, cursor: &str) -> Option<String> {
        let text = [&u32::try_from(upstream).ok()?.to_le_bytes(), cursor.as_bytes()].concat();
        self.key.seal(&of_lists(principal), &text)
    }

    /// The place that a cursor of ours names.
    pub(crate) fn open_cursor(&self, principal: &Principal, cursor: &str) -> Option<(usize, String)> {
        let text = self.key.open(&of_lists(principal), cursor)?;
        let (upstream, cursor) = text.split_first_chunk()?;
        Some((usize::try_from(u32::from_le_bytes(*upstream)).ok()?, String::from_utf8(cursor.to_vec()).ok()?))
    }

    fn lock(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handed {
    fn remember(&mut self, place: Place, id: Arc<str>) {
        if self.ids.insert(place.clone(), id).is_none() {
            self.order.push_back(place);
        }
        while self.order.len() > HANDED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
    }
}

/// Since the epoch: ids outlive the process.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn place(principal: &Principal, upstream: &Arc<str>, own: &str) -> Place {
    (principal.key.clone(), upstream.clone(), own.into())
}

fn of_lists(principal: &Principal) -> Vec<u8> {
    [Owner::of(principal).bound(), b"\0tasks/list"].concat()
}

fn part(text: &[u8]) -> Option<(Arc<str>, &[u8])> {
    let (len, text) = text.split_first_chunk()?;
    let (part, text) = text.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some((std::str::from_utf8(part).ok()?.into(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(own: &str) -> Task {
        Task { upstream: "u".into(), tool: "t\u{e9}".into(), own: own.into() }
    }

    fn of(subject: &str) -> Principal {
        Principal::new("auth", subject, None)
    }

    #[test]
    fn an_id_is_its_principals_and_says_where_the_task_is() {
        let tasks = Tasks::new(None).unwrap();
        let id = tasks.hand(&of("a"), &task("7")).unwrap();
        assert_eq!(tasks.open(&of("a"), &id), Some(task("7")));
        assert_eq!(tasks.open(&of("b"), &id), None);
        assert_eq!(tasks.open(&of("a"), "7"), None, "the server's own id is no way to it");
        assert_eq!(Tasks::new(None).unwrap().open(&of("a"), &id), None, "after a restart without a secret");
        assert_eq!(tasks.hand(&of("a"), &task("7")), Some(id.clone()), "one task has one id");
        assert_ne!(tasks.hand(&of("b"), &task("7")), Some(id));
        assert_eq!((tasks.hand(&of("a"), &task("")), tasks.hand(&of("a"), &task(&"7".repeat(OWN_MAX + 1)))), (None, None));
    }

    #[test]
    fn an_id_says_the_tool_that_runs_under_it_now() {
        let tasks = Tasks::new(None).unwrap();
        let first = tasks.hand(&of("a"), &task("7")).unwrap();
        let other = Task { tool: "other".into(), ..task("7") };
        let second = tasks.hand(&of("a"), &other).unwrap();
        assert_eq!((tasks.open(&of("a"), &first), tasks.open(&of("a"), &second)), (Some(task("7")), Some(other)));
    }

    #[test]
    fn an_id_outlives_the_process_where_its_secret_does() {
        let id = Tasks::new(Some("s")).unwrap().hand(&of("a"), &task("7")).unwrap();
        let restarted = Tasks::new(Some("s")).unwrap();
        assert_eq!((restarted.open(&of("a"), &id), restarted.open(&of("b"), &id)), (Some(task("7")), None));
        assert_eq!(Tasks::new(Some("t")).unwrap().open(&of("a"), &id), None);
    }

    #[test]
    fn an_id_is_not_good_for_ever() {
        let (tasks, alice) = (Tasks::new(None).unwrap(), of("a"));
        let until = |until| tasks.open(&alice, &tasks.seal(&alice, &task("7"), until).unwrap());
        assert_eq!((until(now()), until(now() + Duration::from_secs(5))), (None, Some(task("7"))));
        let first = tasks.seal(&alice, &task("7"), now()).unwrap();
        tasks.lock().remember(place(&alice, &"u".into(), "7"), first.clone());
        assert_ne!(tasks.hand(&alice, &task("7")), Some(first), "a new one for a task that begins now");
    }

    #[test]
    fn no_byte_of_an_id_can_be_altered() {
        let tasks = Tasks::new(None).unwrap();
        let id = tasks.hand(&of("a"), &task("7")).unwrap();
        for at in 0..id.len() {
            let mut altered = id.as_bytes().to_vec();
            altered[at] ^= 1;
            let altered = String::from_utf8(altered).unwrap();
            assert!(tasks.open(&of("a"), &altered).is_none(), "byte {at}");
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_the_ids_work_without() {
        let tasks = Tasks::new(None).unwrap();
        let first = tasks.hand(&of("a"), &task("first")).unwrap();
        for n in 0..HANDED_MAX {
            tasks.hand(&of("a"), &task(&n.to_string())).unwrap();
        }
        assert_eq!(tasks.lock().ids.len(), HANDED_MAX);
        assert_eq!(tasks.known(&of("a"), &"u".into(), "first"), None);
        assert_eq!(tasks.open(&of("a"), &first), Some(task("first")));
    }

    #[test]
    fn a_cursor_is_its_principals_and_no_id() {
        let tasks = Tasks::new(None).unwrap();
        let cursor = tasks.seal_cursor(&of("a"), 3, "c").unwrap();
        assert_eq!(tasks.open_cursor(&of("a"), &cursor), Some((3, "c".to_owned())));
        assert_eq!(tasks.open_cursor(&of("b"), &cursor), None);
        assert_eq!(tasks.open(&of("a"), &format!("{PREFIX}{cursor}")), None);
    }
}
