//! What one does with another's.

use super::*;

impl Tries {
    pub(super) fn anothers_session(&self, who: Who) -> Option<Try> {
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

    pub(super) fn anothers_session_ended(&self, who: Who) -> Option<Try> {
        let session = self.stage.steal(Thing::Session, who)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("DELETE", &session.value, "");
        Some(made("another's session, ended", who, sent, Expects::Refused(404, r#""reason":"session""#)))
    }

    pub(super) fn anothers_session_heard(&self, who: Who) -> Option<Try> {
        let session = self.stage.steal(Thing::Session, who)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("GET", &session.value, "");
        Some(made("another's session, heard", who, sent, Expects::Refused(404, r#""reason":"session""#)).stream())
    }

    pub(super) fn anothers_events(&self, who: Who) -> Option<Try> {
        let event = self.stage.steal(Thing::Event, who)?;
        let sent = self.speaking(who, Voice::Modern, "0".into()).bare("GET", &event.with, &format!("last-event-id: {}\r\n", event.value));
        Some(made("another's events", who, sent, Expects::Refused(404, r#""reason":"session""#)).stream())
    }

    pub(super) fn anothers_cursor(&self, who: Who) -> Option<Try> {
        let cursor = self.stage.steal(Thing::Cursor, who)?;
        let (request, lent) = self.request_as(who, cursor.with == "modern")?;
        let list = ["prompts/list", "tools/list", "resources/list"][fastrand::usize(..3)];
        let sent = request.method(list, json!({"cursor": cursor.value}));
        Some(made("another's cursor", who, sent, Expects::Refused(200, "bad_cursor")).lent(lent))
    }

    pub(super) fn anothers_modern_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.steal(Thing::ModernTask, who)?;
        let (request, lent) = self.request_as(who, true)?;
        let method = if fastrand::u8(..4) == 0 { "tasks/cancel" } else { "tasks/get" };
        let sent = request.method(method, json!({"taskId": task.value}));
        Some(made("another's task", who, sent, Expects::Refused(200, "unknown_name")).lent(lent))
    }

    pub(super) fn anothers_legacy_task(&self, who: Who) -> Option<Try> {
        let task = self.stage.steal(Thing::LegacyTask, who)?;
        let (request, lent) = self.request_as(who, false)?;
        let method = ["tasks/get", "tasks/result", "tasks/result", "tasks/cancel"][fastrand::usize(..4)];
        let sent = request.method(method, json!({"taskId": task.value}));
        Some(made("another's task, legacy", who, sent, Expects::Refused(200, "unknown_name")).lent(lent))
    }

    /// With the very arguments, which only its owner should know.
    pub(super) fn anothers_state(&self, who: Who) -> Option<Try> {
        let state = self.stage.steal(Thing::State, who)?;
        let (sent, lent) = self.answer_round(who, &state, &self.value(who))?;
        Some(made("another's round", who, sent, Expects::Refused(200, "round_unknown")).lent(lent))
    }

    pub(super) fn anothers_token(&self, who: Who) -> Option<Try> {
        let token = self.stage.steal(Thing::Token, who)?;
        self.token("another's token", who, &token)
    }

    pub(super) fn token(&self, at: &'static str, who: Who, token: &Handle) -> Option<Try> {
        let (name, _) = self.server(|server| server.url == token.with)?;
        let (request, lent) = self.request(who)?;
        let sent = request.call(&format!("{name}_note"), json!({"text": format!("about {} then", token.value)}));
        Some(made(at, who, sent, Expects::Holds(vec!["noted: about ".into()])).lent(lent))
    }

    /// Ids are everybody's; in a session of one's own they are one's own.
    pub(super) fn anothers_request_cancelled(&self, who: Who) -> Option<Try> {
        let den = self.stage.own(Thing::Den, who)?;
        let id = if fastrand::bool() { json!(fastrand::u8(..4)) } else { json!(fastrand::u8(..4).to_string()) };
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": self.value(who)}});
        let sent = self.speaking(who, Voice::Modern, "0".into()).message(&den.value, &note);
        Some(made("another's request, cancelled", who, sent, Expects::Anything))
    }

    pub(super) fn anothers_question_answered(&self, who: Who) -> Option<Try> {
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
    pub(super) fn anothers_note(&self, who: Who) -> Option<Try> {
        let owner = fastrand::usize(..CALLERS);
        let uri = self.notes.borrow().get(&owner).and_then(|all| all.get(fastrand::usize(..all.len().max(1))).cloned())?;
        let own = format!("{uri} for ");
        self.read("another's resource", who, &uri, own)
    }

    pub(super) fn anothers_door(&self, who: Who) -> Option<Try> {
        let doors = self.doors.borrow();
        let (_, path) = doors.iter().filter(|(owner, _)| *owner != who).nth(fastrand::usize(..doors.len().max(1)))?;
        let request = self.speaking(who, Voice::Modern, "0".into());
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "desk_echo", "arguments": {"text": self.value(who)}}});
        let sent = request.post_to(path, &self.stage.people.keys[who], "", body.to_string().as_bytes());
        Some(made("another's HTTP+SSE session", who, sent, Expects::Refused(404, r#""reason":"session""#)))
    }

    /// Modern clients have none, whatever they name.
    pub(super) fn anothers_session_named(&self, who: Who) -> Option<Try> {
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
    pub(super) fn anothers_session_beside(&self, who: Who) -> Option<Try> {
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
    pub(super) fn anothers_subscription(&self, who: Who) -> Option<Try> {
        let uri = {
            let listeners = self.listeners.borrow();
            let (owner, uri, _) = listeners.get(fastrand::usize(..listeners.len().max(1)))?;
            (*owner != who).then(|| uri.clone())?
        };
        let (request, lent) = self.request_as(who, false)?;
        let sent = request.method("resources/unsubscribe", json!({"uri": uri}));
        Some(made("another's subscription, ended", who, sent, Expects::Anything).lent(lent))
    }

    pub(super) fn wrong_key(&self, who: Who) -> Option<Try> {
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
    pub(super) fn hidden(&self, who: Who) -> Option<Try> {
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
    pub(super) fn malformed(&self, who: Who) -> Option<Try> {
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
}
