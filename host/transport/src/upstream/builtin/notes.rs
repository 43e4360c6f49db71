//! `builtin:notes`: notes and contacts, with just the data that filters are there to stop.

use super::{Asked, Refusal, Server, argument, mistake, structured, text, tool};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sluice_chain::principal::PrincipalKey;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Notes of each principal, kept in memory, and a few made-up contacts.
#[derive(Default)]
pub struct Notes {
    shelves: Mutex<HashMap<PrincipalKey, Vec<Note>>>,
}

#[derive(Clone)]
struct Note {
    title: String,
    text: String,
}

const NOTES_MAX: usize = 200;
const NOTE_BYTES_MAX: usize = 16 * 1024;
/// Principals with notes; whoever comes later has only the example to read.
const SHELVES_MAX: usize = 1000;

/// Nobody's data: reserved domains and test numbers of the card networks.
const CONTACTS: [(&str, &str, &str, &str); 2] = [
    ("Ada Lovelace", "ada@example.com", "+1 202 555 0143", "4111 1111 1111 1111"),
    ("Alan Turing", "alan@example.org", "+44 20 7946 0958", "5555 5555 5555 4444"),
];

impl Server for Notes {
    fn title(&self) -> &'static str {
        "notes"
    }

    fn capabilities(&self) -> Value {
        json!({"tools": {}, "resources": {}, "prompts": {}, "completions": {}})
    }

    fn instructions(&self) -> &'static str {
        "Keeps notes in memory until Sluice stops. Each caller sees only its own."
    }

    fn answer<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Value, Refusal>> {
        Box::pin(std::future::ready(self.answer_now(&asked)))
    }
}

impl Notes {
    fn answer_now(&self, asked: &Asked<'_>) -> Result<Value, Refusal> {
        let key = &asked.principal.key;
        let params = &asked.params;
        match asked.method {
            "tools/list" => Ok(tools()),
            "tools/call" => self.call(key, params),
            "resources/list" => Ok(self.resources(key)),
            "resources/templates/list" => Ok(templates()),
            "resources/read" => self.read(key, params),
            "prompts/list" => Ok(prompts()),
            "prompts/get" => self.prompt(key, params),
            "completion/complete" => Ok(self.complete(key, params)),
            "ping" => Ok(json!({})),
            _ => Err(Refusal::unknown_method()),
        }
    }

    fn call(&self, key: &PrincipalKey, params: &Value) -> Result<Value, Refusal> {
        Ok(match params["name"].as_str() {
            Some("add_note") => self.add(key, params),
            Some("list_notes") => structured(json!({"notes": titles(&self.shelf(key))})),
            Some("search_notes") => self.search(key, argument(params, "query").unwrap_or_default()),
            Some("lookup_contact") => contact(argument(params, "name").unwrap_or_default()),
            _ => return Err(Refusal::bad_params("unknown tool")),
        })
    }

    fn shelf(&self, key: &PrincipalKey) -> Vec<Note> {
        let shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.get(key).cloned().unwrap_or_else(|| vec![example()])
    }

    fn add(&self, key: &PrincipalKey, params: &Value) -> Value {
        let (Some(title), Some(body)) = (argument(params, "title"), argument(params, "text")) else {
            return mistake("a note needs a title and a text");
        };
        if title.len() + body.len() > NOTE_BYTES_MAX {
            return mistake(format!("a note holds at most {NOTE_BYTES_MAX} bytes"));
        }
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        if shelves.len() >= SHELVES_MAX && !shelves.contains_key(key) {
            return mistake("too many people keep notes here");
        }
        let shelf = shelves.entry(key.clone()).or_insert_with(|| vec![example()]);
        if shelf.len() >= NOTES_MAX {
            return mistake(format!("there is room for {NOTES_MAX} notes"));
        }
        shelf.push(Note { title: title.to_owned(), text: body.to_owned() });
        text(format!("kept as {}", uri(shelf.len() - 1)))
    }

    fn search(&self, key: &PrincipalKey, query: &str) -> Value {
        let query = query.to_lowercase();
        let is_hit = |note: &Note| note.title.to_lowercase().contains(&query) || note.text.to_lowercase().contains(&query);
        let hits: Vec<_> = self.shelf(key).into_iter().filter(is_hit).map(|note| json!({"title": note.title, "text": note.text})).collect();
        structured(json!({"notes": hits}))
    }

    fn resources(&self, key: &PrincipalKey) -> Value {
        let shelf = self.shelf(key);
        let each = |(at, note): (usize, &Note)| json!({"uri": uri(at), "name": note.title, "mimeType": "text/plain"});
        json!({"resources": shelf.iter().enumerate().map(each).collect::<Vec<_>>()})
    }

    fn read(&self, key: &PrincipalKey, params: &Value) -> Result<Value, Refusal> {
        let wanted = params["uri"].as_str().unwrap_or_default();
        let at = wanted.strip_prefix("note://").and_then(|at| at.parse::<usize>().ok());
        let note = at.and_then(|at| self.shelf(key).into_iter().nth(at)).ok_or_else(|| Refusal::bad_params("no such note"))?;
        Ok(json!({"contents": [{"uri": wanted, "mimeType": "text/plain", "text": note.text}]}))
    }

    fn prompt(&self, key: &PrincipalKey, params: &Value) -> Result<Value, Refusal> {
        if params["name"] != "summarize_notes" {
            return Err(Refusal::bad_params("unknown prompt"));
        }
        let style = argument(params, "style").unwrap_or("short");
        let notes: Vec<_> = self.shelf(key).iter().map(|note| format!("# {}\n{}", note.title, note.text)).collect();
        let asked = format!("Write a {style} summary of these notes.\n\n{}", notes.join("\n\n"));
        Ok(json!({"messages": [{"role": "user", "content": {"type": "text", "text": asked}}]}))
    }

    fn complete(&self, key: &PrincipalKey, params: &Value) -> Value {
        let begun = params["argument"]["value"].as_str().unwrap_or_default();
        let choices: Vec<String> = match params["ref"]["type"].as_str() {
            Some("ref/prompt") => ["short", "long", "rhyming"].map(str::to_owned).into(),
            _ => (0..self.shelf(key).len()).map(|at| at.to_string()).collect(),
        };
        let fitting: Vec<_> = choices.into_iter().filter(|choice| choice.starts_with(begun)).take(100).collect();
        json!({"completion": {"values": fitting, "hasMore": false}})
    }
}

fn example() -> Note {
    Note { title: "Welcome".to_owned(), text: "Questions go to ada@example.com. This is an example; add your own notes.".to_owned() }
}

fn uri(at: usize) -> String {
    format!("note://{at}")
}

fn titles(shelf: &[Note]) -> Vec<Value> {
    shelf.iter().enumerate().map(|(at, note)| json!({"uri": uri(at), "title": note.title})).collect()
}

fn contact(name: &str) -> Value {
    let name = name.to_lowercase();
    match CONTACTS.iter().find(|(known, ..)| !name.is_empty() && known.to_lowercase().contains(&name)) {
        Some((name, email, phone, card)) => structured(json!({"name": name, "email": email, "phone": phone, "card": card})),
        None => mistake("nobody of that name; there are Ada Lovelace and Alan Turing"),
    }
}

fn tools() -> Value {
    let string = |description: &str| json!({"type": "string", "description": description});
    json!({"tools": [
        tool("add_note", "Keeps a note", json!({"title": string("What it is about"), "text": string("The note")}), &["title", "text"]),
        tool("list_notes", "The titles of all notes", json!({}), &[]),
        tool("search_notes", "Notes that hold a text", json!({"query": string("The text")}), &["query"]),
        tool(
            "lookup_contact",
            "E-mail address, phone and card number of a made-up person: Ada Lovelace or Alan Turing",
            json!({"name": string("The name or a part of it")}),
            &["name"],
        ),
    ]})
}

fn templates() -> Value {
    json!({"resourceTemplates": [{"uriTemplate": "note://{number}", "name": "note", "description": "A note by its number"}]})
}

fn prompts() -> Value {
    json!({"prompts": [{
        "name": "summarize_notes",
        "description": "A summary of all notes",
        "arguments": [{"name": "style", "description": "short, long or rhyming", "required": false}],
    }]})
}
