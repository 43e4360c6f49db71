//! One call in flight: which notifications are its own, and how long it may still take.

use super::{limits::CallLimits, outline};
use bytes::Bytes;
use sluice_chain::upstream::{Latest, Outbound};
use sluice_era::{capability::Askable, request};
use sluice_wire::{
    id::RequestId,
    json::{Document, IndexDepth, Limits, Value},
    message::Message,
    method,
    patch::Patch,
    revision::{Era, Revision},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Which log notifications a call's client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logs {
    /// A legacy client that never set a level: what the server sees fit.
    All,
    /// A client that asked for this severity and worse.
    From(u8),
    /// A modern client that did not ask.
    None,
}

/// What becomes of a notification.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It goes to the call's client, in this form.
    Deliver(Arc<Message>),
    /// It is about the session, not about a call.
    Session(Message),
    /// Nobody gets it.
    Drop(&'static str),
}

/// The answer to one of our requests is awaited.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: u64,
    /// The revision the server speaks on this call.
    pub(crate) spoken: Revision,
    /// The client's progress token, as it spelled it.
    token: Option<Bytes>,
    /// The server was given our id as the token instead.
    owns_progress: bool,
    logs: Logs,
    /// Of a call with several rounds: for which request it goes on now.
    latest: Option<Arc<Latest>>,
    /// The last progress let through; it must rise.
    progress: Mutex<f64>,
    /// Its answer may come in pieces.
    pub(crate) takes_pieces: bool,
    /// It waits for the end of a task, for as long as that takes.
    is_patient: bool,
    began: Instant,
    /// When progress came last, in milliseconds after `began`.
    stirred: AtomicU64,
    /// Questions the client has not answered yet, and that may be about this call.
    questions: AtomicUsize,
    /// Those that can be about no other.
    own_questions: AtomicUsize,
}

/// While it lives, the call waits for its client and not for the server.
pub(crate) struct WaitsForClient {
    call: Arc<Call>,
    is_sure: bool,
}

impl Drop for WaitsForClient {
    fn drop(&mut self) {
        self.call.stir();
        self.call.questions.fetch_sub(1, Relaxed);
        self.call.own_questions.fetch_sub(usize::from(self.is_sure), Relaxed);
    }
}

impl Call {
    pub(crate) fn new(id: u64, outbound: &Outbound, spoken: Revision, owns_progress: bool) -> Self {
        let logs = match (outbound.spoken.era(), wanted_level(outbound)) {
            (_, Some(least)) => Logs::From(least),
            (Era::Legacy, None) => Logs::All,
            (Era::Modern, None) => Logs::None,
        };
        let latest = outbound.latest.clone();
        Self {
            id,
            spoken,
            token: request::progress_token(&outbound.message),
            owns_progress,
            logs,
            latest,
            takes_pieces: outline::may_pass(outbound, spoken),
            is_patient: outbound.message.method() == method::TASKS_RESULT,
            progress: Mutex::new(f64::NEG_INFINITY),
            began: Instant::now(),
            stirred: AtomicU64::new(0),
            questions: AtomicUsize::new(0),
            own_questions: AtomicUsize::new(0),
        }
    }

    /// A request of our own, whose notifications nobody wants.
    pub(crate) fn own(id: u64) -> Self {
        Self {
            id,
            spoken: Revision::LEGACY[0],
            token: None,
            owns_progress: true,
            logs: Logs::None,
            latest: None,
            takes_pieces: false,
            is_patient: false,
            progress: Mutex::new(f64::NEG_INFINITY),
            began: Instant::now(),
            stirred: AtomicU64::new(0),
            questions: AtomicUsize::new(0),
            own_questions: AtomicUsize::new(0),
        }
    }

    /// Decides about a notification that came for this call.
    pub(crate) fn admit(&self, message: Message, limits: &CallLimits) -> Admitted {
        match message.method() {
            method::NOTIFY_PROGRESS => self.admit_progress(message, limits),
            method::NOTIFY_MESSAGE if self.wants_log(&message) => deliver(message),
            method::NOTIFY_MESSAGE => Admitted::Drop("a log message its client did not ask for"),
            method::NOTIFY_TOOLS_LIST_CHANGED
            | method::NOTIFY_PROMPTS_LIST_CHANGED
            | method::NOTIFY_RESOURCES_LIST_CHANGED
            | method::NOTIFY_RESOURCES_UPDATED
            | method::NOTIFY_TASKS_STATUS => Admitted::Session(message),
            name if is_not_carried(name) => Admitted::Drop("a notification of a feature that was not declared"),
            _ => deliver(message),
        }
    }

    /// What the client of the last round wants to hear; the first one's wishes as long as that waits.
    fn wishes(&self) -> (Option<Bytes>, Logs) {
        match self.latest.as_ref().and_then(|latest| latest.get()) {
            None => (self.token.clone(), self.logs),
            Some((request, _)) => {
                let level = request::log_level(&request).and_then(|level| severity(&level));
                (request::progress_token(&request), level.map_or(Logs::None, Logs::From))
            }
        }
    }

    /// Whether the client that waits now may be asked this. The session was told what the first one declared.
    pub(crate) fn permits(&self, question: &Message) -> Result<(), (i64, &'static str)> {
        let latest = self.latest.as_ref().and_then(|latest| latest.get());
        latest.map_or(Ok(()), |(_, client)| Askable::of(&client.capabilities).permits(question))
    }

    /// Whether a log message is one its client asked for.
    pub(crate) fn wants_log(&self, message: &Message) -> bool {
        match self.wishes().1 {
            Logs::All => true,
            Logs::None => false,
            Logs::From(least) => message.param("level").and_then(|level| severity(&level.as_str()?)).is_some_and(|level| level >= least),
        }
    }

    fn admit_progress(&self, message: Message, limits: &CallLimits) -> Admitted {
        let (Some(token), Some(sent)) = (self.wishes().0, message.param("progressToken")) else {
            return Admitted::Drop("progress nobody asked for");
        };
        if !self.is_token(sent, &token) {
            return Admitted::Drop("progress under a foreign token");
        }
        let Some(progress) = message.param("progress").and_then(|progress| progress.as_f64()) else {
            return Admitted::Drop("progress without a number");
        };
        if !self.rises(progress) {
            return Admitted::Drop("progress that does not rise");
        }
        self.stir();
        if !self.owns_progress {
            return deliver(message);
        }
        let mut patch = Patch::new(message.document());
        patch.replace(sent, token);
        let restored = patch.apply_document(&limits.response, limits.index).ok().and_then(|document| Message::decode(document).ok());
        restored.map_or(Admitted::Drop("progress that cannot be rewritten"), deliver)
    }

    fn is_token(&self, sent: Value<'_>, token: &Bytes) -> bool {
        if self.owns_progress {
            return sent.as_u64() == Some(self.id);
        }
        // As ids: the type counts, the spelling does not. Other numbers only as spelled.
        sent.raw_bytes() == token || RequestId::from_value(sent).is_ok_and(|sent| token_as_id(token).is_some_and(|token| token == sent))
    }

    fn rises(&self, progress: f64) -> bool {
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let is_higher = progress > *last;
        if is_higher {
            *last = progress;
        }
        is_higher
    }

    fn stir(&self) {
        let after = self.began.elapsed().as_millis();
        self.stirred.store(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }

    /// The server asks the client something, about this call surely or maybe.
    pub(crate) fn wait_for_client(self: &Arc<Self>, is_sure: bool) -> WaitsForClient {
        self.questions.fetch_add(1, Relaxed);
        self.own_questions.fetch_add(usize::from(is_sure), Relaxed);
        WaitsForClient { call: self.clone(), is_sure }
    }

    /// Whether its client has a question that can be about no other call, and has not answered it yet.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.own_questions.load(Relaxed) > 0
    }

    /// When to give up, as things stand now.
    fn due(&self, limits: &CallLimits) -> Instant {
        if self.questions.load(Relaxed) > 0 {
            self.stir();
        }
        if self.is_patient {
            return self.began + limits.total_max;
        }
        let stirred = Duration::from_millis(self.stirred.load(Relaxed));
        self.began + (stirred + limits.silent_max).min(limits.total_max)
    }

    /// Returns once the call has taken too long, with the limit it broke. Cancel safe.
    pub(crate) async fn overdue(&self, limits: &CallLimits) -> Duration {
        loop {
            let due = self.due(limits);
            tokio::time::sleep_until(due).await;
            if self.due(limits) == due {
                let is_total = due >= self.began + limits.total_max;
                return if is_total { limits.total_max } else { limits.silent_max };
            }
        }
    }
}

fn deliver(message: Message) -> Admitted {
    Admitted::Deliver(Arc::new(message))
}

fn token_as_id(token: &Bytes) -> Option<RequestId> {
    let text = [br#"{"id":"#.as_slice(), token, b"}"].concat();
    let document = Document::parse_value(text.into(), &Limits::REQUEST, IndexDepth::Full).ok()?;
    RequestId::from_value(document.root().get("id")?).ok()
}

/// Features that come with a later version; nothing of them is declared, so nothing of them is due.
pub(crate) fn is_not_carried(name: &str) -> bool {
    matches!(
        name,
        method::NOTIFY_CANCELLED
            | method::NOTIFY_TASKS
            | method::NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED
            | method::NOTIFY_INITIALIZED
            | method::NOTIFY_ROOTS_LIST_CHANGED
    )
}

const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The rank of the log level a call's client wants, if it ever said.
pub(crate) fn wanted_level(outbound: &Outbound) -> Option<u8> {
    match outbound.spoken.era() {
        Era::Modern => severity(&request::log_level(&outbound.message)?),
        Era::Legacy => severity(outbound.client.log_level.lock().unwrap_or_else(PoisonError::into_inner).as_deref()?),
    }
}

/// The level to ask of a server that others may use too: none when it was asked for as much before.
pub(crate) fn level_to_ask(told: Option<u8>, wanted: u8) -> Option<&'static str> {
    let is_enough = told.is_some_and(|told| told <= wanted);
    if is_enough { None } else { LEVELS.get(usize::from(wanted)).copied() }
}

/// The rank of a syslog level, least severe first.
pub(crate) fn severity(level: &str) -> Option<u8> {
    LEVELS.iter().position(|&known| known == level).map(|rank| rank as u8)
}
