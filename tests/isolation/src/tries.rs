//! What is tried: what callers do when they are alone in the world, and what one does with another's. Each is one request and
//! what has to come of it.

mod others;
mod own;

use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use crate::{
    canary::Kind,
    gateway::ALLOWANCE,
    ledger::{Wrong, exchange},
    people::{CALLERS, TENANTS, Who},
    request::{Request, Voice, in_session},
    server::{SNEAKY, Server},
    stage::{Handle, Stage, Thing},
    wire::Answer,
};

/// A request, and what has to come of it.
pub struct Try {
    pub at: &'static str,
    pub who: Who,
    pub sent: Vec<u8>,
    expects: Expects,
    then: Then,
    /// A session and an id in it, free again once there is an answer.
    lent: Option<(String, u8)>,
    /// The connection may not outlive it.
    pub is_last: bool,
    /// An answer that goes on is answer enough.
    pub is_stream: bool,
}

/// What has to come of it.
enum Expects {
    /// All of these, and no error.
    Holds(Vec<String>),
    /// An error of a server, with this in it.
    Fails(String),
    /// A refusal: with this status, and this in its words.
    Refused(u16, &'static str),
    /// This status.
    Status(u16),
    /// Whatever it is, it is one's own.
    Anything,
    /// The same, of a tenant that spends all that it has.
    Spending,
}

/// What is kept of the answer.
enum Then {
    Nothing,
    Cursor(bool),
    Task(bool, String),
    State(Value),
    Events(String),
    Session,
    /// The token in it, of this server.
    Token(String),
}

/// Where tries come from.
pub struct Tries {
    pub stage: Rc<Stage>,
    pub address: String,
    pub servers: Vec<(&'static str, Rc<Server>)>,
    /// Who listens, for which URI, through which server.
    pub listeners: RefCell<Vec<(Who, String, &'static str)>>,
    /// What is posted to, to speak in a session of HTTP+SSE.
    pub doors: RefCell<Vec<(Who, String)>>,
    /// Ids of questions under way.
    pub questions: RefCell<Vec<String>>,
    /// Ids in use, as bits, by session.
    ids: RefCell<HashMap<String, u64>>,
    /// What each tenant has used of what is counted.
    used: RefCell<[[u64; 2]; TENANTS]>,
    notes: RefCell<HashMap<Who, Vec<String>>>,
    /// Calls of those who had spent all.
    refused: Cell<u64>,
    /// Streams may end now.
    pub is_over: Cell<bool>,
    serial: Cell<u64>,
}

/// What one does with another's. A run of any length has all of it.
const ANOTHERS: [&str; 21] = [
    "another's session, beside one's own",
    "another's subscription, ended",
    "a client that leaves",
    "another's session",
    "another's session, ended",
    "another's session, heard",
    "another's session, named",
    "another's events",
    "another's event id, in one's own session",
    "another's cursor",
    "another's task",
    "another's task, legacy",
    "another's round",
    "another's token",
    "another's request, cancelled",
    "another's question, answered",
    "another's resource",
    "another's HTTP+SSE session",
    "a key that is nobody's",
    "a tool that is not shown",
    "a question in the middle of a call",
];
/// Calls that may be under way when a limit is reached.
const LANES_MAX: u64 = 64;

/// URIs of each caller that others know of.
const NOTES_MAX: usize = 16;

type Make = fn(&Tries, Who) -> Option<Try>;

/// How often each is tried, of the sum of all.
const MENU: [(u32, Make); 49] = [
    (160, Tries::echo),
    (110, Tries::lookup),
    (40, Tries::last),
    (12, Tries::slow),
    (30, Tries::steps),
    (20, Tries::spray),
    (20, Tries::fail),
    (12, Tries::oops),
    (14, Tries::mail),
    (14, Tries::note),
    (8, Tries::own_token),
    (20, Tries::own_note),
    (24, Tries::shared_note),
    (12, Tries::prompt),
    (12, Tries::completion),
    (3, Tries::list_tools),
    (4, Tries::first_page),
    (3, Tries::next_page),
    (8, Tries::open_session),
    (8, Tries::end_session),
    (12, Tries::modern_task),
    (8, Tries::own_modern_task),
    (10, Tries::legacy_task),
    (8, Tries::own_legacy_task),
    (3, Tries::list_tasks),
    (24, Tries::ask),
    (16, Tries::counted),
    (2, Tries::touch),
    (8, Tries::search),
    (16, Tries::call_found),
    (40, Tries::anothers_session),
    (10, Tries::anothers_session_ended),
    (10, Tries::anothers_session_heard),
    (16, Tries::anothers_events),
    (30, Tries::anothers_cursor),
    (30, Tries::anothers_modern_task),
    (30, Tries::anothers_legacy_task),
    (40, Tries::anothers_state),
    (30, Tries::anothers_token),
    (20, Tries::anothers_request_cancelled),
    (20, Tries::anothers_question_answered),
    (20, Tries::anothers_note),
    (12, Tries::anothers_session_beside),
    (12, Tries::anothers_subscription),
    (10, Tries::anothers_door),
    (20, Tries::anothers_session_named),
    (16, Tries::wrong_key),
    (12, Tries::hidden),
    (60, Tries::malformed),
];

impl Tries {
    pub fn new(stage: Rc<Stage>, address: String, servers: Vec<(&'static str, Rc<Server>)>) -> Self {
        Self {
            stage,
            address,
            servers,
            listeners: RefCell::default(),
            doors: RefCell::default(),
            questions: RefCell::default(),
            ids: RefCell::default(),
            used: RefCell::default(),
            notes: RefCell::default(),
            refused: Cell::default(),
            is_over: Cell::default(),
            serial: Cell::default(),
        }
    }

    /// One that can be tried now.
    pub fn next(&self) -> Try {
        let sum: u32 = MENU.iter().map(|(weight, _)| weight).sum();
        loop {
            let mut at = fastrand::u32(..sum);
            let who = fastrand::usize(..CALLERS);
            for (weight, make) in MENU {
                match at.checked_sub(weight) {
                    Some(rest) => at = rest,
                    None => match make(self, who) {
                        Some(made) => return made,
                        None => break,
                    },
                }
            }
        }
    }

    /// What is needed before most can be tried.
    pub fn first_sessions(&self) -> Vec<Try> {
        (0..CALLERS).flat_map(|who| [self.open_session(who), self.open_session(who)]).flatten().collect()
    }

    /// What a run would show nothing without.
    pub fn missing(&self) -> Vec<String> {
        let mut missing: Vec<_> =
            ANOTHERS.iter().filter(|at| self.stage.ledger.count(at) == 0).map(|at| format!("{at} was never tried")).collect();
        let spent = self.used.borrow().iter().flatten().any(|used| *used > ALLOWANCE + LANES_MAX);
        if spent && self.refused.get() == 0 {
            missing.push("nobody was refused who had spent all".to_owned());
        }
        missing
    }

    // Parts of them.

    /// A tool of any server that callers see.
    fn tool(&self, at: &'static str, who: Who, tool: &str, text: &str, expects: Expects) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        Some(made(at, who, request.call(&self.named(tool), json!({"text": text})), expects).lent(lent))
    }

    fn read(&self, at: &'static str, who: Who, uri: &str, own: String) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        Some(made(at, who, request.method("resources/read", json!({"uri": uri})), Expects::Holds(vec![own])).lent(lent))
    }

    /// In any era.
    fn request(&self, who: Who) -> Option<(Request<'_>, Lent)> {
        self.request_as(who, fastrand::bool())
    }

    fn request_as(&self, who: Who, is_modern: bool) -> Option<(Request<'_>, Lent)> {
        if is_modern {
            let id = match fastrand::u8(..4) {
                0 => format!("\"{}\"", self.value(who)),
                1 => {
                    self.serial.set(self.serial.get() + 1);
                    self.serial.get().to_string()
                }
                _ => "0".to_owned(),
            };
            return Some((self.speaking(who, Voice::Modern, id), None));
        }
        let session = self.stage.own(Thing::Session, who)?.value;
        // The smallest that is free: all sessions have the same ones in flight.
        let mut ids = self.ids.borrow_mut();
        let busy = ids.entry(session.clone()).or_default();
        let id = (!*busy).trailing_zeros() as u8;
        if id >= 64 {
            return None;
        }
        *busy |= 1 << id;
        let lent = Some((session.clone(), id));
        let token = if id % 2 == 1 { format!("\"{id}\"") } else { id.to_string() };
        Some((self.speaking(who, Voice::Legacy(session), token), lent))
    }

    pub fn speaking(&self, who: Who, voice: Voice, id: String) -> Request<'_> {
        Request { people: &self.stage.people, address: &self.address, who, voice, id }
    }

    fn server(&self, is_so: impl Fn(&Server) -> bool) -> Option<(&'static str, Rc<Server>)> {
        // The last one is only found.
        let all: Vec<_> = self.servers[..self.servers.len() - 1].iter().filter(|(_, server)| is_so(server)).collect();
        (!all.is_empty()).then(|| all[fastrand::usize(..all.len())].clone())
    }

    fn named(&self, tool: &str) -> String {
        let (name, _) = &self.servers[fastrand::usize(..self.servers.len() - 1)];
        format!("{name}_{tool}")
    }

    fn value(&self, who: Who) -> String {
        self.stage.canaries.make(Kind::Value, who)
    }

    fn name(&self, who: Who) -> String {
        self.stage.canaries.make(Kind::Name, who)
    }

    /// One of a few: what becomes a token is kept for an hour.
    fn note_of(&self, who: Who) -> String {
        self.stage.people.addresses[who][fastrand::usize(..self.stage.people.addresses[who].len())].clone()
    }

    // What came of it.

    /// Holds an answer against what was expected, and keeps what is worth stealing.
    pub fn judge(&self, of: Try, answer: &Answer) {
        let (stage, told) = (&self.stage, answer.bytes());
        self.release(&of);
        stage.ledger.tried(of.at);
        stage.judge(of.at, of.who, &of.sent, &told);
        let has = |what: &str| memchr::memmem::find(&told, what.as_bytes()).is_some();
        let is_error = has(r#""error":{"#);
        let wrong = match &of.expects {
            Expects::Holds(all) => {
                let is_so = answer.status == 200 && !is_error && all.iter().all(|one| has(one));
                (!is_so).then(|| (Wrong::Disturbed, format!("expected a result with {all:?}")))
            }
            Expects::Fails(one) => (!is_error || !has(one)).then(|| (Wrong::Disturbed, format!("expected an error with {one}"))),
            Expects::Refused(status, words) => {
                (answer.status != *status || !has(words)).then(|| (Wrong::Taken, format!("expected {status} and {words}")))
            }
            Expects::Status(status) => (answer.status != *status).then(|| (Wrong::Disturbed, format!("expected {status}"))),
            Expects::Anything => None,
            Expects::Spending => {
                self.refused.set(self.refused.get() + u64::from(has("4290")));
                None
            }
        };
        match wrong {
            Some((wrong, why)) => stage.found(wrong, of.at, why, exchange(&format!("caller {}", of.who), &of.sent, &told)),
            None => self.keep(of, answer),
        }
    }

    /// Its client did not wait for the answer.
    pub fn left(&self, of: &Try) {
        self.release(of);
        self.stage.ledger.tried("a client that leaves");
    }

    /// There was no answer. Of what is right in itself there has to be one.
    pub fn unanswered(&self, of: Try, why: Option<&anyhow::Error>) {
        self.release(&of);
        self.stage.ledger.tried(of.at);
        if !matches!(of.expects, Expects::Anything | Expects::Spending) {
            let why = why.map_or_else(String::new, |why| format!("{why:#}"));
            self.stage.found(Wrong::Disturbed, of.at, why, exchange(&format!("caller {}", of.who), &of.sent, b""));
        }
    }

    fn release(&self, of: &Try) {
        if let Some((session, id)) = &of.lent
            && let Some(busy) = self.ids.borrow_mut().get_mut(session)
        {
            *busy &= !(1 << id);
        }
    }

    fn keep(&self, of: Try, answer: &Answer) {
        let owner = of.who;
        let keep = |thing, value: &str, with: &str, canary: &str| {
            self.stage.keep(thing, Handle { owner, value: value.to_owned(), with: with.to_owned(), canary: canary.to_owned() });
        };
        let result = || answer.messages().into_iter().find_map(|mut message| message.get_mut("result").map(Value::take));
        match of.then {
            Then::Nothing => {}
            Then::Cursor(is_modern) => {
                if let Some(cursor) = result().and_then(|result| result["nextCursor"].as_str().map(str::to_owned)) {
                    keep(Thing::Cursor, &cursor, if is_modern { "modern" } else { "legacy" }, "");
                }
            }
            Then::Task(is_modern, text) => {
                let Some(result) = result() else { return };
                let (thing, task) = if is_modern { (Thing::ModernTask, &result) } else { (Thing::LegacyTask, &result["task"]) };
                if let Some(id) = task["taskId"].as_str() {
                    keep(thing, id, "", &text);
                }
            }
            Then::State(mut with) => {
                let Some(result) = result() else { return };
                let key = result["inputRequests"].as_object().and_then(|all| all.keys().next().cloned());
                if let (Some(state), Some(key)) = (result["requestState"].as_str(), key) {
                    with["key"] = json!(key);
                    keep(Thing::State, state, &with.to_string(), with["text"].as_str().unwrap_or_default());
                }
            }
            Then::Events(session) => answer.events().iter().take(2).for_each(|event| keep(Thing::Event, event, &session, "")),
            Then::Session => {
                let Some(session) = &answer.session else { return };
                let thing =
                    if self.stage.own_count(Thing::Session, owner) == 0 || fastrand::u8(..8) == 0 { Thing::Session } else { Thing::Den };
                keep(thing, session, "", "");
            }
            Then::Token(server) => {
                let text = String::from_utf8_lossy(&answer.body);
                let token = text.find("[email:").and_then(|at| Some(&text[at..at + text[at..].find(']')? + 1]));
                token.into_iter().for_each(|token| keep(Thing::Token, token, &server, ""));
            }
        }
    }
}

type Lent = Option<(String, u8)>;

fn made(at: &'static str, who: Who, sent: Vec<u8>, expects: Expects) -> Try {
    Try { at, who, sent, expects, then: Then::Nothing, lent: None, is_last: false, is_stream: false }
}

impl Try {
    /// A legacy call goes on when its client leaves, and its id stays in use.
    pub fn may_be_left(&self) -> bool {
        self.lent.is_none() && matches!(self.then, Then::Nothing)
    }

    fn lent(self, lent: Lent) -> Self {
        Self { lent, ..self }
    }

    fn stream(self) -> Self {
        Self { is_stream: true, is_last: true, ..self }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}
