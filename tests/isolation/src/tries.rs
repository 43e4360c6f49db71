//! What is tried: what callers do when they are alone in the world, and what one does with another's. Each is one request and
//! what has to come of it.

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

    // What callers do.

    fn echo(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("a call", who, "echo", &text, Expects::Holds(vec![text.clone()]))
    }

    /// Answers are remembered for one caller; what differs between callers is not in the question.
    fn lookup(&self, who: Who) -> Option<Try> {
        let text = format!("question {:02}", fastrand::u8(..40));
        let own = format!("{text} for ");
        self.tool("an answer that is remembered", who, "lookup", &text, Expects::Holds(vec![own]))
    }

    /// What was said last in a session with a server was said by the same caller.
    fn last(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("what a session remembers", who, "last", &text, Expects::Holds(vec![format!("{text} after ")]))
    }

    fn slow(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        let sent = request.call(&self.named("slow"), json!({"text": text, "ms": fastrand::u8(1..20)}));
        Some(made("a slow call", who, sent, Expects::Holds(vec![text])).lent(lent))
    }

    fn steps(&self, who: Who) -> Option<Try> {
        self.with_progress("a call with progress", who, "steps")
    }

    fn spray(&self, who: Who) -> Option<Try> {
        self.with_progress("a server that speaks to others", who, "spray")
    }

    fn with_progress(&self, at: &'static str, who: Who, tool: &str) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        // Half of the tokens are everybody's.
        let token = if fastrand::bool() { json!(fastrand::u8(..3)) } else { json!(self.value(who)) };
        let params = json!({"name": self.named(tool), "arguments": {"text": text}, "_meta": {"progressToken": token}});
        let then = match &request.voice {
            Voice::Legacy(session) => Then::Events(session.clone()),
            Voice::Modern => Then::Nothing,
        };
        Some(made(at, who, request.method("tools/call", params), Expects::Holds(vec![text])).lent(lent).then(then))
    }

    fn fail(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("a call that fails", who, "fail", &text, Expects::Fails(text.clone()))
    }

    fn oops(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("a tool that errs", who, "oops", &text, Expects::Holds(vec![format!("no {text}")]))
    }

    /// What a server says becomes a token for the client.
    fn mail(&self, who: Who) -> Option<Try> {
        let text = self.note_of(who);
        let (request, lent) = self.request(who)?;
        let (name, server) = self.server(|_| true)?;
        let sent = request.call(&format!("{name}_mail"), json!({"text": text}));
        let expects = Expects::Holds(vec!["write to [email:".into()]);
        Some(made("data that becomes a token", who, sent, expects).lent(lent).then(Then::Token(server.url.clone())))
    }

    /// What a client says becomes a token for the server, and comes back.
    fn note(&self, who: Who) -> Option<Try> {
        let text = format!("{}@example.com", self.note_of(who));
        self.tool("data that a server never has", who, "note", &text, Expects::Holds(vec![text.clone()]))
    }

    fn own_token(&self, who: Who) -> Option<Try> {
        let token = self.stage.own(Thing::Token, who)?;
        self.token("one's own token", who, &token)
    }

    fn own_note(&self, who: Who) -> Option<Try> {
        let (_, server) = self.server(|_| true)?;
        let uri = format!("note:///{}/{}", server.word(), self.name(who));
        let mut notes = self.notes.borrow_mut();
        let known = notes.entry(who).or_default();
        // Asked for again, it is remembered.
        if known.len() < NOTES_MAX {
            known.push(uri.clone());
        } else {
            known[fastrand::usize(..NOTES_MAX)].clone_from(&uri);
        }
        drop(notes);
        let own = format!("{uri} for ");
        self.read("a resource", who, &uri, own)
    }

    /// Remembered for one caller, and everybody asks for it.
    fn shared_note(&self, who: Who) -> Option<Try> {
        let (_, server) = self.server(|_| true)?;
        let uri = format!("shared:///{}{}", server.word(), fastrand::u8(..4));
        let own = format!("{uri} for ");
        self.read("a resource that is remembered", who, &uri, own)
    }

    fn prompt(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        let params = json!({"name": format!("desk_p{:03}", fastrand::u16(..520)), "arguments": {"text": text}});
        Some(made("a prompt", who, request.method("prompts/get", params), Expects::Holds(vec![text])).lent(lent))
    }

    fn completion(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        let params = json!({"ref": {"type": "ref/prompt", "name": "desk_p000"}, "argument": {"name": "text", "value": text}});
        Some(made("a completion", who, request.method("completion/complete", params), Expects::Holds(vec![text])).lent(lent))
    }

    fn list_tools(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        Some(made("a list", who, request.method("tools/list", json!({})), Expects::Holds(vec!["desk_echo".into()])).lent(lent))
    }

    fn first_page(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        let is_modern = matches!(request.voice, Voice::Modern);
        let sent = request.method("prompts/list", json!({}));
        Some(made("a first page", who, sent, Expects::Holds(vec!["nextCursor".into()])).lent(lent).then(Then::Cursor(is_modern)))
    }

    fn next_page(&self, who: Who) -> Option<Try> {
        let cursor = self.stage.own(Thing::Cursor, who)?;
        let (request, lent) = self.request_as(who, cursor.with == "modern")?;
        let sent = request.method("prompts/list", json!({"cursor": cursor.value}));
        Some(made("a next page", who, sent, Expects::Holds(vec!["desk_p519".into()])).lent(lent))
    }

    fn open_session(&self, who: Who) -> Option<Try> {
        let request = self.speaking(who, Voice::Modern, "0".into());
        Some(made("a session is opened", who, request.initialize(), Expects::Status(200)).then(Then::Session))
    }

    /// Its owner has no other use for it.
    fn end_session(&self, who: Who) -> Option<Try> {
        let den = self.stage.spend(Thing::Den, who, 2)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("DELETE", &den.value, "");
        Some(made("a session is ended", who, sent, Expects::Status(204)))
    }

    fn modern_task(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request_as(who, true)?;
        let sent = request.call(&self.named("later"), json!({"text": text}));
        Some(made("a task is begun", who, sent, Expects::Holds(vec!["taskId".into()])).lent(lent).then(Then::Task(true, text)))
    }

    fn own_modern_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.own(Thing::ModernTask, who)?;
        let (request, lent) = self.request_as(who, true)?;
        let sent = request.method("tasks/get", json!({"taskId": task.value}));
        Some(made("one's own task", who, sent, Expects::Holds(vec![task.canary])).lent(lent))
    }

    fn legacy_task(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request_as(who, false)?;
        let params = json!({"name": self.named("later"), "arguments": {"text": text}, "task": {"ttl": 600_000}});
        let sent = request.method("tools/call", params);
        Some(made("a task is begun, legacy", who, sent, Expects::Holds(vec!["taskId".into()])).lent(lent).then(Then::Task(false, text)))
    }

    fn own_legacy_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.own(Thing::LegacyTask, who)?;
        let (request, lent) = self.request_as(who, false)?;
        let sent = request.method("tasks/result", json!({"taskId": task.value}));
        Some(made("one's own task, legacy", who, sent, Expects::Holds(vec![task.canary])).lent(lent))
    }

    fn list_tasks(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request_as(who, false)?;
        Some(made("a list of tasks", who, request.method("tasks/list", json!({})), Expects::Anything).lent(lent))
    }

    /// Asks for a question, or answers one: only so many may wait.
    fn ask(&self, who: Who) -> Option<Try> {
        if let Some(state) = self.stage.spend(Thing::State, who, 3) {
            let word = self.value(who);
            let (sent, lent) = self.answer_round(who, &state, &word)?;
            return Some(made("one's own round", who, sent, Expects::Holds(vec![state.canary, word])).lent(lent));
        }
        let text = self.value(who);
        let (request, lent) = self.request_as(who, true)?;
        let tool = self.named("ask");
        let sent = request.call(&tool, json!({"text": text}));
        let then = Then::State(json!({"tool": tool, "text": text}));
        Some(made("a question", who, sent, Expects::Holds(vec!["requestState".into(), text.clone()])).lent(lent).then(then))
    }

    fn answer_round(&self, who: Who, state: &Handle, word: &str) -> Option<(Vec<u8>, Lent)> {
        let with: Value = serde_json::from_str(&state.with).ok()?;
        let (request, lent) = self.request_as(who, true)?;
        let answer = json!({"action": "accept", "content": {"word": word}});
        let params = json!({
            "name": with["tool"],
            "arguments": {"text": with["text"]},
            "inputResponses": {with["key"].as_str()?: answer},
            "requestState": state.value,
        });
        Some((request.method("tools/call", params), lent))
    }

    /// Every other tenant spends what it has; the rest are careful, and must never be told that they were not.
    fn counted(&self, who: Who) -> Option<Try> {
        let tenant = self.stage.people.tenant(who);
        let at = fastrand::usize(..2);
        let used = &mut self.used.borrow_mut()[tenant][at];
        let is_careful = tenant.is_multiple_of(2);
        if is_careful && *used >= ALLOWANCE * 2 / 3 {
            return None;
        }
        *used += 1;
        let text = self.value(who);
        let expects = if is_careful { Expects::Holds(vec![text.clone()]) } else { Expects::Spending };
        let (what, tool) = [("a rate", "metered"), ("a quota", "daily")][at];
        self.tool(what, who, tool, &text, expects)
    }

    fn touch(&self, _: Who) -> Option<Try> {
        let (who, uri, server) = {
            let listeners = self.listeners.borrow();
            listeners.get(fastrand::usize(..listeners.len().max(1)))?.clone()
        };
        let (request, lent) = self.request(who)?;
        let sent = request.call(&format!("{server}_touch"), json!({"text": uri}));
        Some(made("a change of one's own", who, sent, Expects::Holds(vec![uri])).lent(lent))
    }

    fn search(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        let sent = request.call("search_tools", json!({"query": format!("echo lookup {}", self.value(who))}));
        Some(made("a search", who, sent, Expects::Holds(vec!["vault_".into()])).lent(lent))
    }

    /// A call within a call.
    fn call_found(&self, who: Who) -> Option<Try> {
        let (tool, text, own) = if fastrand::bool() {
            let text = self.value(who);
            ("vault_echo", text.clone(), text)
        } else {
            let text = format!("question {:02}", fastrand::u8(..40));
            ("vault_lookup", text.clone(), format!("{text} for "))
        };
        let (request, lent) = self.request(who)?;
        let sent = request.call("call_tool", json!({"name": tool, "arguments": {"text": text}}));
        Some(made("a call within a call", who, sent, Expects::Holds(vec![own])).lent(lent))
    }

    // What one does with another's.

    fn anothers_session(&self, who: Who) -> Option<Try> {
        let session = self.stage.steal(Thing::Session, who)?;
        let request = self.speaking(who, Voice::Legacy(session.value.clone()), fastrand::u8(..3).to_string());
        let sent = match fastrand::u8(..4) {
            0 => request.call("desk_echo", json!({"text": self.value(who)})),
            1 => request.call("desk_lookup", json!({"text": "question 00"})),
            2 => request.message(
                &session.value,
                &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": fastrand::u8(..3)}}),
            ),
            _ => request.method("resources/subscribe", json!({"uri": format!("note:///{}/{}", self.servers[0].1.word(), self.name(who))})),
        };
        Some(made("another's session", who, sent, Expects::Refused(404, r#""reason":"session""#)))
    }

    fn anothers_session_ended(&self, who: Who) -> Option<Try> {
        let session = self.stage.steal(Thing::Session, who)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("DELETE", &session.value, "");
        Some(made("another's session, ended", who, sent, Expects::Refused(404, r#""reason":"session""#)))
    }

    fn anothers_session_heard(&self, who: Who) -> Option<Try> {
        let session = self.stage.steal(Thing::Session, who)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("GET", &session.value, "");
        Some(made("another's session, heard", who, sent, Expects::Refused(404, r#""reason":"session""#)).stream())
    }

    fn anothers_events(&self, who: Who) -> Option<Try> {
        let event = self.stage.steal(Thing::Event, who)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("GET", &event.with, &format!("last-event-id: {}\r\n", event.value));
        Some(made("another's events", who, sent, Expects::Refused(404, r#""reason":"session""#)).stream())
    }

    fn anothers_cursor(&self, who: Who) -> Option<Try> {
        let cursor = self.stage.steal(Thing::Cursor, who)?;
        let (request, lent) = self.request_as(who, cursor.with == "modern")?;
        let list = ["prompts/list", "tools/list", "resources/list"][fastrand::usize(..3)];
        let sent = request.method(list, json!({"cursor": cursor.value}));
        Some(made("another's cursor", who, sent, Expects::Refused(200, "bad_cursor")).lent(lent))
    }

    fn anothers_modern_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.steal(Thing::ModernTask, who)?;
        let (request, lent) = self.request_as(who, true)?;
        let method = if fastrand::u8(..4) == 0 { "tasks/cancel" } else { "tasks/get" };
        let sent = request.method(method, json!({"taskId": task.value}));
        Some(made("another's task", who, sent, Expects::Refused(200, "unknown_name")).lent(lent))
    }

    fn anothers_legacy_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.steal(Thing::LegacyTask, who)?;
        let (request, lent) = self.request_as(who, false)?;
        let method = ["tasks/get", "tasks/result", "tasks/result", "tasks/cancel"][fastrand::usize(..4)];
        let sent = request.method(method, json!({"taskId": task.value}));
        Some(made("another's task, legacy", who, sent, Expects::Refused(200, "unknown_name")).lent(lent))
    }

    /// With the very arguments, which only its owner should know.
    fn anothers_state(&self, who: Who) -> Option<Try> {
        let state = self.stage.steal(Thing::State, who)?;
        let (sent, lent) = self.answer_round(who, &state, &self.value(who))?;
        Some(made("another's round", who, sent, Expects::Refused(200, "round_unknown")).lent(lent))
    }

    fn anothers_token(&self, who: Who) -> Option<Try> {
        let token = self.stage.steal(Thing::Token, who)?;
        self.token("another's token", who, &token)
    }

    fn token(&self, at: &'static str, who: Who, token: &Handle) -> Option<Try> {
        let (name, _) = self.server(|server| server.url == token.with)?;
        let (request, lent) = self.request(who)?;
        let sent = request.call(&format!("{name}_note"), json!({"text": format!("about {} then", token.value)}));
        Some(made(at, who, sent, Expects::Holds(vec!["noted: about ".into()])).lent(lent))
    }

    /// Ids are everybody's; in a session of one's own they are one's own.
    fn anothers_request_cancelled(&self, who: Who) -> Option<Try> {
        let den = self.stage.own(Thing::Den, who)?;
        let id = if fastrand::bool() { json!(fastrand::u8(..4)) } else { json!(fastrand::u8(..4).to_string()) };
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": self.value(who)}});
        let sent = self.speaking(who, Voice::Modern, "0".into()).message(&den.value, &note);
        Some(made("another's request, cancelled", who, sent, Expects::Anything))
    }

    fn anothers_question_answered(&self, who: Who) -> Option<Try> {
        let den = self.stage.own(Thing::Den, who)?;
        let id = {
            let questions = self.questions.borrow();
            questions.get(fastrand::usize(..questions.len().max(1)))?.clone()
        };
        let id: Value = serde_json::from_str(&id).ok()?;
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept", "content": {"word": self.value(who)}}});
        let sent = self.speaking(who, Voice::Modern, "0".into()).message(&den.value, &answer);
        Some(made("another's question, answered", who, sent, Expects::Anything))
    }

    /// Whoever knows a URI may ask for it, and is answered as who asks.
    fn anothers_note(&self, who: Who) -> Option<Try> {
        let owner = fastrand::usize(..CALLERS);
        let uri = self.notes.borrow().get(&owner).and_then(|all| all.get(fastrand::usize(..all.len().max(1))).cloned())?;
        let own = format!("{uri} for ");
        self.read("another's resource", who, &uri, own)
    }

    fn anothers_door(&self, who: Who) -> Option<Try> {
        let doors = self.doors.borrow();
        let (_, path) = doors.iter().filter(|(owner, _)| *owner != who).nth(fastrand::usize(..doors.len().max(1)))?;
        let request = self.speaking(who, Voice::Modern, "0".into());
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "desk_echo", "arguments": {"text": self.value(who)}}});
        let sent = request.post_to(path, &self.stage.people.keys[who], "", body.to_string().as_bytes());
        Some(made("another's HTTP+SSE session", who, sent, Expects::Refused(404, r#""reason":"session""#)))
    }

    /// Modern clients have none, whatever they name.
    fn anothers_session_named(&self, who: Who) -> Option<Try> {
        let session = self.stage.steal(Thing::Session, who)?;
        let text = format!("question {:02}", fastrand::u8(..40));
        let own = format!("{text} for ");
        let (request, lent) = self.request_as(who, true)?;
        let plain = request.call(&self.named("lookup"), json!({"text": text}));
        let named = format!("mcp-session-id: {}\r\ncontent-length:", session.value);
        let sent = String::from_utf8(plain).ok()?.replacen("content-length:", &named, 1).into_bytes();
        Some(made("another's session, named", who, sent, Expects::Holds(vec![own])).lent(lent))
    }

    /// Which of two counts is nobody's guess.
    fn anothers_session_beside(&self, who: Who) -> Option<Try> {
        let (session, den) = (self.stage.steal(Thing::Session, who)?, self.stage.own(Thing::Den, who)?);
        let mut both = [session.value, den.value];
        fastrand::shuffle(&mut both);
        let request = self.speaking(who, Voice::Modern, "0".into());
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "desk_echo", "arguments": {"text": self.value(who)}}});
        let headers = format!("mcp-session-id: {}\r\n{}", both[0], in_session(&both[1]));
        let sent = request.post(&headers, body.to_string().as_bytes());
        Some(made("another's session, beside one's own", who, sent, Expects::Refused(400, "session_missing")))
    }

    /// Whoever does not follow a URI has nothing to end; who does goes on.
    fn anothers_subscription(&self, who: Who) -> Option<Try> {
        let uri = {
            let listeners = self.listeners.borrow();
            let (owner, uri, _) = listeners.get(fastrand::usize(..listeners.len().max(1)))?;
            (*owner != who).then(|| uri.clone())?
        };
        let (request, lent) = self.request_as(who, false)?;
        let sent = request.method("resources/unsubscribe", json!({"uri": uri}));
        Some(made("another's subscription, ended", who, sent, Expects::Anything).lent(lent))
    }

    fn wrong_key(&self, who: Who) -> Option<Try> {
        let mut key = self.stage.people.keys[fastrand::usize(..CALLERS)].clone();
        match fastrand::u8(..3) {
            0 => key.push('0'),
            1 => drop(key.pop()),
            _ => key = format!("slk_{}", self.value(who)),
        }
        let request = self.speaking(who, Voice::Modern, "0".into());
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/list", "params": {}});
        let sent = request.post_to("/mcp", &key, "", body.to_string().as_bytes());
        Some(made("a key that is nobody's", who, sent, Expects::Refused(401, "unauthenticated")))
    }

    /// What is not approved, what is only found, and what there is not.
    fn hidden(&self, who: Who) -> Option<Try> {
        let tool = match fastrand::u8(..3) {
            0 => format!("desk_{SNEAKY}"),
            1 => "vault_echo".to_owned(),
            _ => format!("desk_{}", self.name(who)),
        };
        let (request, lent) = self.request(who)?;
        let sent = request.call(&tool, json!({"text": self.value(who)}));
        Some(made("a tool that is not shown", who, sent, Expects::Refused(200, "unknown_name")).lent(lent))
    }

    /// What provokes an error, and holds a word of one's own wherever there is room for one.
    fn malformed(&self, who: Who) -> Option<Try> {
        // A record names what was asked for, if there was no such thing.
        let (word, name) = (self.value(who), self.name(who));
        let key = &self.stage.people.keys[who];
        let session = self.stage.own(Thing::Den, who)?.value;
        let request = self.speaking(who, Voice::Legacy(session.clone()), format!("{word:?}"));
        let legacy = |body: String| request.post(&in_session(&session), body.as_bytes());
        let raw = |head: String, body: &str| format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        let whole = format!(r#"{{"jsonrpc":"2.0","id":"{word}","method":"tools/call","params":{{"name":"{word}","arguments":{{}}}}}}"#);
        let host = format!("host: {}\r\nauthorization: Bearer {key}\r\n", self.address);
        let json = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
        let sent = match fastrand::u8(..22) {
            0 => legacy(whole[..whole.len() - 2].to_owned()),
            1 => legacy(format!(r#"{{"jsonrpc":"2.0","id":"{word}","id":1,"method":"{word}"}}"#)),
            2 => legacy(format!(r#"["{word}"]"#)),
            3 => legacy(format!(r#"{{"jsonrpc":"2.0","id":"{word}","method":"{word}"}}"#)),
            4 => legacy(format!(r#"{{"jsonrpc":"2.0","id":{{"{word}":1}},"method":"tools/list"}}"#)),
            5 => legacy(format!(r#"{{"jsonrpc":"2.0","id":"{word}","method":"tools/list","params":{{"cursor":"{word}"}}}}"#)),
            6 => legacy(format!(r#"{{"jsonrpc":"2.0","id":"{word}","method":"tools/call","params":"{word}"}}"#)),
            7 => legacy(format!(r#"{{"jsonrpc":"2.0","id":"{word}","method":"resources/read","params":{{"uri":"{name}:///x"}}}}"#)),
            8 => legacy(format!(r#"{{"jsonrpc":"1.0","id":"{word}","method":"tools/list"}}"#)),
            9 => legacy("[".repeat(100) + &word + &"]".repeat(100)),
            10 => legacy(format!(r#"{{"jsonrpc":"2.0","id":"{word}","method":"tasks/get","params":{{"taskId":"{name}"}}}}"#)),
            11 => request.post(&in_session(&word), whole.as_bytes()),
            12 => request.post(&format!("mcp-session-id: {session}\r\nmcp-protocol-version: {word}\r\n"), whole.as_bytes()),
            13 => request.post(&format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {word}\r\n"), whole.as_bytes()),
            14 => request.post("mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\n", whole.as_bytes()),
            15 => raw(format!("POST /mcp/{word} HTTP/1.1\r\n{host}{json}"), &whole),
            16 => raw(format!("POST /mcp HTTP/1.1\r\nhost: {word}\r\nauthorization: Bearer {key}\r\n{json}"), &whole),
            17 => raw(format!("POST /mcp HTTP/1.1\r\n{host}{json}origin: https://{word}.example\r\n"), &whole),
            18 => raw(format!("POST /mcp HTTP/1.1\r\n{host}content-type: text/{word}\r\n"), &whole),
            19 => raw(format!("PUT /mcp HTTP/1.1\r\n{host}{json}"), &whole),
            20 => request.bare("GET", &session, &format!("last-event-id: {word}\r\n")),
            _ => {
                let mut sent = legacy(whole);
                let at = sent.len() - 20;
                sent[at] = 0xff;
                sent
            }
        };
        let mut made = made("a request that is wrong", who, sent, Expects::Anything);
        made.is_last = true;
        Some(made)
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
