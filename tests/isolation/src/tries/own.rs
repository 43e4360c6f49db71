//! What callers do when they are alone in the world.

use super::*;

impl Tries {
    pub(super) fn echo(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("a call", who, "echo", &text, Expects::Holds(vec![text.clone()]))
    }

    /// Answers are remembered for one caller; what differs between callers is not in the question.
    pub(super) fn lookup(&self, who: Who) -> Option<Try> {
        let text = format!("question {:02}", fastrand::u8(..40));
        let own = format!("{text} for ");
        self.tool("an answer that is remembered", who, "lookup", &text, Expects::Holds(vec![own]))
    }

    /// What was said last in a session with a server was said by the same caller.
    pub(super) fn last(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("what a session remembers", who, "last", &text, Expects::Holds(vec![format!("{text} after ")]))
    }

    pub(super) fn slow(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        let sent = request.call(&self.named("slow"), json!({"text": text, "ms": fastrand::u8(1..20)}));
        Some(made("a slow call", who, sent, Expects::Holds(vec![text])).lent(lent))
    }

    pub(super) fn steps(&self, who: Who) -> Option<Try> {
        self.with_progress("a call with progress", who, "steps")
    }

    pub(super) fn spray(&self, who: Who) -> Option<Try> {
        self.with_progress("a server that speaks to others", who, "spray")
    }

    pub(super) fn with_progress(&self, at: &'static str, who: Who, tool: &str) -> Option<Try> {
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

    pub(super) fn fail(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("a call that fails", who, "fail", &text, Expects::Fails(text.clone()))
    }

    pub(super) fn oops(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        self.tool("a tool that errs", who, "oops", &text, Expects::Holds(vec![format!("no {text}")]))
    }

    /// What a server says becomes a token for the client.
    pub(super) fn mail(&self, who: Who) -> Option<Try> {
        let text = self.note_of(who);
        let (request, lent) = self.request(who)?;
        let (name, server) = self.server(|_| true)?;
        let sent = request.call(&format!("{name}_mail"), json!({"text": text}));
        let expects = Expects::Holds(vec!["write to [email:".into()]);
        Some(made("data that becomes a token", who, sent, expects).lent(lent).then(Then::Token(server.url.clone())))
    }

    /// What a client says becomes a token for the server, and comes back.
    pub(super) fn note(&self, who: Who) -> Option<Try> {
        let text = format!("{}@example.com", self.note_of(who));
        self.tool("data that a server never has", who, "note", &text, Expects::Holds(vec![text.clone()]))
    }

    pub(super) fn own_token(&self, who: Who) -> Option<Try> {
        let token = self.stage.own(Thing::Token, who)?;
        self.token("one's own token", who, &token)
    }

    pub(super) fn own_note(&self, who: Who) -> Option<Try> {
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
    pub(super) fn shared_note(&self, who: Who) -> Option<Try> {
        let (_, server) = self.server(|_| true)?;
        let uri = format!("shared:///{}{}", server.word(), fastrand::u8(..4));
        let own = format!("{uri} for ");
        self.read("a resource that is remembered", who, &uri, own)
    }

    pub(super) fn prompt(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        let params = json!({"name": format!("desk_p{:03}", fastrand::u16(..520)), "arguments": {"text": text}});
        Some(made("a prompt", who, request.method("prompts/get", params), Expects::Holds(vec![text])).lent(lent))
    }

    pub(super) fn completion(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request(who)?;
        let params = json!({"ref": {"type": "ref/prompt", "name": "desk_p000"}, "argument": {"name": "text", "value": text}});
        Some(made("a completion", who, request.method("completion/complete", params), Expects::Holds(vec![text])).lent(lent))
    }

    pub(super) fn list_tools(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        Some(made("a list", who, request.method("tools/list", json!({})), Expects::Holds(vec!["desk_echo".into()])).lent(lent))
    }

    pub(super) fn first_page(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        let is_modern = matches!(request.voice, Voice::Modern);
        let sent = request.method("prompts/list", json!({}));
        Some(made("a first page", who, sent, Expects::Holds(vec!["nextCursor".into()])).lent(lent).then(Then::Cursor(is_modern)))
    }

    pub(super) fn next_page(&self, who: Who) -> Option<Try> {
        let cursor = self.stage.own(Thing::Cursor, who)?;
        let (request, lent) = self.request_as(who, cursor.with == "modern")?;
        let sent = request.method("prompts/list", json!({"cursor": cursor.value}));
        Some(made("a next page", who, sent, Expects::Holds(vec!["desk_p519".into()])).lent(lent))
    }

    pub(super) fn open_session(&self, who: Who) -> Option<Try> {
        let request = self.speaking(who, Voice::Modern, "0".into());
        Some(made("a session is opened", who, request.initialize(), Expects::Status(200)).then(Then::Session))
    }

    /// Its owner has no other use for it.
    pub(super) fn end_session(&self, who: Who) -> Option<Try> {
        let den = self.stage.spend(Thing::Den, who, 2)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("DELETE", &den.value, "");
        Some(made("a session is ended", who, sent, Expects::Status(204)))
    }

    pub(super) fn modern_task(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request_as(who, true)?;
        let sent = request.call(&self.named("later"), json!({"text": text}));
        Some(made("a task is begun", who, sent, Expects::Holds(vec!["taskId".into()])).lent(lent).then(Then::Task(true, text)))
    }

    pub(super) fn own_modern_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.own(Thing::ModernTask, who)?;
        let (request, lent) = self.request_as(who, true)?;
        let sent = request.method("tasks/get", json!({"taskId": task.value}));
        Some(made("one's own task", who, sent, Expects::Holds(vec![task.canary])).lent(lent))
    }

    pub(super) fn legacy_task(&self, who: Who) -> Option<Try> {
        let text = self.value(who);
        let (request, lent) = self.request_as(who, false)?;
        let params = json!({"name": self.named("later"), "arguments": {"text": text}, "task": {"ttl": 600_000}});
        let sent = request.method("tools/call", params);
        Some(made("a task is begun, legacy", who, sent, Expects::Holds(vec!["taskId".into()])).lent(lent).then(Then::Task(false, text)))
    }

    pub(super) fn own_legacy_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.own(Thing::LegacyTask, who)?;
        let (request, lent) = self.request_as(who, false)?;
        let sent = request.method("tasks/result", json!({"taskId": task.value}));
        Some(made("one's own task, legacy", who, sent, Expects::Holds(vec![task.canary])).lent(lent))
    }

    pub(super) fn list_tasks(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request_as(who, false)?;
        Some(made("a list of tasks", who, request.method("tasks/list", json!({})), Expects::Anything).lent(lent))
    }

    /// Asks for a question, or answers one: only so many may wait.
    pub(super) fn ask(&self, who: Who) -> Option<Try> {
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

    pub(super) fn answer_round(&self, who: Who, state: &Handle, word: &str) -> Option<(Vec<u8>, Lent)> {
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
    pub(super) fn counted(&self, who: Who) -> Option<Try> {
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

    pub(super) fn touch(&self, _: Who) -> Option<Try> {
        let (who, uri, server) = {
            let listeners = self.listeners.borrow();
            listeners.get(fastrand::usize(..listeners.len().max(1)))?.clone()
        };
        let (request, lent) = self.request(who)?;
        let sent = request.call(&format!("{server}_touch"), json!({"text": uri}));
        Some(made("a change of one's own", who, sent, Expects::Holds(vec![uri])).lent(lent))
    }

    pub(super) fn search(&self, who: Who) -> Option<Try> {
        let (request, lent) = self.request(who)?;
        let sent = request.call("search_tools", json!({"query": format!("echo lookup {}", self.value(who))}));
        Some(made("a search", who, sent, Expects::Holds(vec!["vault_".into()])).lent(lent))
    }

    /// A call within a call.
    pub(super) fn call_found(&self, who: Who) -> Option<Try> {
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
}
