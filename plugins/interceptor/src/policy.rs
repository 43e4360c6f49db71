//! What becomes of a message that several interceptors are asked about: the draft's execution model.
//!
//! Toward the server those that change go first, in their order, and those that decide see what leaves; on the way back those that decide
//! see what came before anything is changed. All that decide are asked, whatever the first of them says. What is changed is changed by all
//! or by none.

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::log::{self, Level};
use sluice_sdk::metrics;
use sluice_sdk::prelude::*;

use crate::ask::{self, Said, Words};
use crate::config::{Answer, Config, Interceptor, Kind, Mode, Phase, Tell};
use crate::payload::Shown;

/// An interceptor said no.
pub const REFUSED: i32 = 4060;
/// An interceptor that must be asked could not be.
pub const NOT_ASKED: i32 = 4061;

/// How a payload comes out.
struct Way {
    /// As those that change have left it.
    text: String,
    /// The first no.
    no: Option<Rejection>,
}

/// Asks all that are to be asked about this message.
pub fn judge(config: &Config, x: &Exchange, method: &str, phase: Phase) -> Verdict {
    let concerns = |one: &&Interceptor| one.covers(method, phase);
    if !config.interceptors.iter().any(|one| concerns(&one)) {
        return Verdict::Next;
    }
    let Ok(message) = x.text() else {
        return refusal(config, method, Rejection::new(NOT_ASKED, "this message cannot be examined"));
    };
    let Some(shown) = Shown::of(&message, config.payload) else { return Verdict::Next };
    let order = match phase {
        Phase::Request => [Kind::Mutation, Kind::Validation],
        Phase::Response => [Kind::Validation, Kind::Mutation],
    };
    let mut way = Way { text: shown.text.clone(), no: None };
    for kind in order {
        for one in config.interceptors.iter().filter(concerns).filter(|one| one.kind == kind) {
            way.pass(config, x, one, method, phase);
            if way.no.is_some() && kind == Kind::Mutation {
                break;
            }
        }
        if let Some(no) = way.no {
            return refusal(config, method, no);
        }
    }
    let staged = shown.edits(&way.text).and_then(|edits| x.stage(&edits).map_err(|_| "its changes are not its to make"));
    match staged {
        Ok(()) => Verdict::Next,
        Err(why) => {
            log::warn(why);
            refusal(config, method, Rejection::new(NOT_ASKED, "what an interceptor made of this message is no message"))
        }
    }
}

impl Way {
    fn pass(&mut self, config: &Config, x: &Exchange, one: &Interceptor, method: &str, phase: Phase) {
        let said = ask::invoke(x, config, one, method, phase, &self.text);
        let outcome = match &said {
            Ok(Said::Pass) => "pass",
            Ok(Said::Remark) => "remark",
            Ok(Said::Refuse(_)) => "refuse",
            Ok(Said::Change(_)) => "change",
            Err(_) => "failed",
        };
        metrics::add("asked", 1, &[("interceptor", &one.name), ("outcome", outcome)]);
        let label = if one.mode == Mode::Audit { format!("audit:{outcome}") } else { outcome.to_string() };
        // A label more or less decides nothing.
        let _ = x.set_attr(&format!("{}.{}", one.name, phase.as_str()), &label);
        if let Err(why) = &said {
            log::write(Level::Warn, "an interceptor could not be asked", &[("interceptor", &one.name), ("why", why)]);
        }
        if one.mode == Mode::Audit {
            return;
        }
        match said {
            Ok(Said::Pass | Said::Remark) => {}
            Ok(Said::Change(text)) => self.text = text,
            Ok(Said::Refuse(words)) => self.no = self.no.take().or_else(|| Some(no(config, one, words))),
            Err(_) if one.fail_open => {}
            Err(_) => {
                let unasked = || Rejection::new(NOT_ASKED, &format!("{} cannot be asked just now", one.name)).status(503);
                self.no = self.no.take().or_else(|| Some(unasked()));
            }
        }
    }
}

/// What the client hears. Words of an interceptor may hold what it found, so they are told only where the operator says so.
fn no(config: &Config, one: &Interceptor, words: Words) -> Rejection {
    let generic = || format!("{} does not let this pass", one.name);
    match config.tell {
        Tell::Nothing => Rejection::new(REFUSED, &generic()),
        Tell::Messages => {
            // The protocol's own codes are not a policy's.
            let code = words.code.filter(|code| !(-32768..=-32000).contains(code)).unwrap_or(REFUSED);
            Rejection::new(code, &words.message.unwrap_or_else(generic))
        }
    }
}

fn refusal(config: &Config, method: &str, no: Rejection) -> Verdict {
    match config.answer {
        Answer::ToolResult if method == "tools/call" => no.tool_result().into(),
        _ => no.into(),
    }
}
