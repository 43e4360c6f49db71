//! One connection of the load: it opens its callers' sessions, calls in a closed loop and checks every reply.

use std::cell::RefCell;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, Connection};
use crate::load::{Plan, Span};
use crate::replies::{Era, Replies};
use crate::request::{self, Caller, Endpoint, Prepared};

/// A connection and the callers that take turns on it.
#[derive(Debug)]
pub struct Lane {
    connection: Connection,
    to: Endpoint,
    callers: Vec<Caller>,
    calls: Vec<Prepared>,
    turn: usize,
    ids: std::ops::Range<u64>,
    check: Check,
    /// What ended it, if something did: a lane stops at its first error.
    pub failure: Option<String>,
}

impl Lane {
    /// Connects, and in the legacy era opens a session for each caller.
    pub async fn open(plan: &Plan, replies: &Replies, lane: usize, mut callers: Vec<Caller>) -> Result<Self> {
        let mut connection = Connection::open(&plan.to.authority).await?;
        if plan.era == Era::Legacy {
            for caller in &mut callers {
                open_session(&mut connection, &plan.to, caller).await?;
            }
        }
        let prepare = |caller| Prepared::call(&plan.to, plan.era, &plan.name, request::ARGUMENTS, caller);
        Ok(Self {
            connection,
            to: plan.to.clone(),
            calls: callers.iter().map(prepare).collect(),
            callers,
            turn: 0,
            ids: request::ids(lane),
            check: Check { expected: replies.call(plan.server, plan.tool).to_owned(), known: None, verbatim: true },
            failure: None,
        })
    }

    /// Calls until the span is over, and returns how many replies were right.
    pub async fn run(&mut self, span: Span, latency: &RefCell<Histogram<u64>>) -> u64 {
        let started = Instant::now();
        let mut exchanges = 0;
        while self.failure.is_none() && span.goes_on(started, exchanges) {
            match self.call().await {
                Ok(nanoseconds) => latency.borrow_mut().saturating_record(nanoseconds),
                Err(problem) => {
                    self.failure = Some(format!("{problem:#}"));
                    break;
                }
            }
            exchanges += 1;
        }
        exchanges
    }

    /// Whether every result was the backend's, byte for byte.
    pub fn verbatim(&self) -> bool {
        self.check.verbatim
    }

    /// Ends the sessions, so that one measurement leaves nothing for the next to carry.
    pub async fn close(mut self) -> Result<()> {
        for caller in self.callers.iter().filter(|caller| caller.session.is_some()) {
            let answer = self.connection.exchange(&request::end_session(&self.to, caller)).await?;
            // A server may refuse to end a session: 405.
            ensure!(matches!(answer.status, 200 | 202 | 204 | 405), "DELETE was answered {}", answer.status);
        }
        Ok(())
    }

    async fn call(&mut self) -> Result<u64> {
        let id = self.ids.next().context("out of ids")?;
        let turn = self.turn;
        self.turn = (turn + 1) % self.calls.len();
        let request = self.calls[turn].with_id(id);
        let started = Instant::now();
        let answer = self.connection.exchange(request).await?;
        let nanoseconds = started.elapsed().as_nanos() as u64;
        self.check.reply(id, &answer)?;
        Ok(nanoseconds)
    }
}

/// Opens a legacy session.
pub async fn open_session(connection: &mut Connection, to: &Endpoint, caller: &mut Caller) -> Result<()> {
    let answer = connection.exchange(&request::initialize(to, caller)).await?;
    ensure!(answer.status == 200, "initialize was answered {}: {}", answer.status, excerpt(answer.body));
    caller.session = answer.session;
    let answer = connection.exchange(&request::initialized(to, caller)).await?;
    ensure!(answer.status == 202, "initialized was answered {}: {}", answer.status, excerpt(answer.body));
    Ok(())
}

/// What a right reply looks like. The first one is decoded; all after it must have its length, and their id where
/// it had its own: a check so cheap that it does not become the bottleneck.
#[derive(Debug)]
struct Check {
    expected: String,
    known: Option<Shape>,
    verbatim: bool,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    bytes: usize,
    id_at: usize,
}

#[derive(Deserialize)]
struct Reply<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct CallResult {
    content: Vec<serde_json::Value>,
    #[serde(rename = "isError", default)]
    is_error: bool,
}

impl Check {
    fn reply(&mut self, id: u64, answer: &Answer<'_>) -> Result<()> {
        let Answer { status, is_json, body, .. } = answer;
        ensure!(*status == 200 && *is_json, "status {status}, JSON: {is_json}: {}", excerpt(body));
        let Some(shape) = self.known else {
            return self.first(id, body);
        };
        ensure!(body.len() == shape.bytes, "{} bytes instead of {}: {}", body.len(), shape.bytes, excerpt(body));
        let mut digits = [0; 10];
        let mut rest = id;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        ensure!(body[shape.id_at..].starts_with(&digits), "not the answer to {id}: {}", excerpt(body));
        Ok(())
    }

    fn first(&mut self, id: u64, body: &[u8]) -> Result<()> {
        let reply: Reply<'_> = serde_json::from_slice(body).with_context(|| excerpt(body))?;
        ensure!(reply.jsonrpc == "2.0" && reply.id.get() == id.to_string(), "not the answer to {id}: {}", excerpt(body));
        self.verbatim = reply.result.get() == self.expected;
        if !self.verbatim {
            let (got, expected): (CallResult, CallResult) =
                (serde_json::from_str(reply.result.get())?, serde_json::from_str(&self.expected)?);
            if got.is_error || got.content != expected.content {
                bail!("not the tool's content: {}", excerpt(body));
            }
        }
        let id_at = reply.id.get().as_ptr() as usize - body.as_ptr() as usize;
        self.known = Some(Shape { bytes: body.len(), id_at });
        Ok(())
    }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        let expected = r#"{"content":[{"type":"text","text":"a"}]}"#.to_owned();
        Check { expected, known: None, verbatim: true }
    }

    fn reply(check: &mut Check, id: u64, body: &str) -> Result<()> {
        check.reply(id, &Answer { status: 200, is_json: true, session: None, body: body.as_bytes() })
    }

    #[test]
    fn every_reply_is_held_against_the_first() {
        let mut check = check();
        let body = r#"{"jsonrpc":"2.0","id":1000000001,"result":{"content":[{"type":"text","text":"a"}]}}"#;
        reply(&mut check, 1_000_000_001, body).unwrap();
        assert!(check.verbatim);
        reply(&mut check, 1_000_000_002, &body.replace("001", "002")).unwrap();
        assert!(reply(&mut check, 1_000_000_003, body).is_err());
        assert!(reply(&mut check, 1_000_000_001, &body.replace('a', "ab")).is_err());
    }

    #[test]
    fn a_first_reply_may_differ_in_form_only() {
        let other = r#"{"id":1000000001,"jsonrpc":"2.0","result":{"content":[{"text":"a","type":"text"}],"isError":false}}"#;
        let mut lenient = check();
        reply(&mut lenient, 1_000_000_001, other).unwrap();
        assert!(!lenient.verbatim);
        assert!(reply(&mut check(), 1_000_000_001, &other.replace(r#""a""#, r#""b""#)).is_err());
        assert!(reply(&mut check(), 1_000_000_001, &other.replace("false", "true")).is_err());
        assert!(reply(&mut check(), 1_000_000_002, other).is_err());
    }
}
