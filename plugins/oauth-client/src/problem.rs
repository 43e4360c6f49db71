//! Why there is no token, whose matter that is, and what the client hears of it.

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::fetch;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

/// The person said no.
pub const DECLINED: i32 = 4013;
/// The caller has no name that a grant could be kept for.
pub const NOBODY: i32 = 4014;
/// The operator has to change something.
pub const OPERATOR: i32 = 5010;
/// The upstream or its authorization server says what must not be followed.
pub const UNTRUSTED: i32 = 5020;
/// Somebody does not answer; it may be better later.
pub const UNAVAILABLE: i32 = 5030;

/// Whose matter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Settings, grants, a registration.
    Operator,
    /// What a server says is wrong, or an attack.
    Server,
    /// Nothing answers.
    Network,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose matter it is.
    pub blame: Blame,
    /// For the client and the page. Our own words: nothing that a server said stands in it.
    pub said: &'static str,
    /// For the log, with the particulars.
    pub detail: String,
}

impl Problem {
    /// The operator's.
    pub fn operator(said: &'static str, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Operator, said, detail: detail.to_string() }
    }

    /// A server's.
    pub fn server(said: &'static str, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Server, said, detail: detail.to_string() }
    }

    /// The network's.
    pub fn network(said: &'static str, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Network, said, detail: detail.to_string() }
    }

    /// What became of a request to a URL.
    pub fn of_fetch(url: &str, error: fetch::Error) -> Problem {
        match error {
            fetch::Error::Denied(why) => Problem::operator("a request that the sign-in needs is not granted", format!("{url}: {why}")),
            fetch::Error::Unreachable(why) => {
                Problem::network("a server that the sign-in needs cannot be reached", format!("{url}: {why}"))
            }
            fetch::Error::Timeout => Problem::network("a server that the sign-in needs did not answer in time", url),
            fetch::Error::TooLarge => Problem::server("a server that the sign-in needs answers at too great length", url),
        }
    }

    /// Writes it down for the operator.
    pub fn note(&self, upstream: &str) {
        let level = if self.blame == Blame::Operator { Level::Error } else { Level::Warn };
        let fields = [("upstream", upstream), ("detail", self.detail.as_str())];
        log::write(level, self.said, &fields);
    }

    /// As the client hears it. Never 401: the client's own credential is fine.
    pub fn reject(&self, upstream: &str) -> Rejection {
        self.note(upstream);
        let (code, advice) = match self.blame {
            Blame::Operator => (OPERATOR, "the operator of this gateway finds the reason in its log"),
            Blame::Server => (UNTRUSTED, "the gateway has stopped there; its operator finds the reason in the log"),
            Blame::Network => (UNAVAILABLE, "try again later"),
        };
        Rejection::new(code, &format!("{upstream} cannot be used: {}; {advice}", self.said))
    }
}

/// What the store of this host says when it cannot.
pub fn store(error: sluice_sdk::kv::Error) -> Problem {
    use sluice_sdk::kv::Error;
    let why = match error {
        Error::Denied => "denied".to_string(),
        Error::Unavailable(why) => why,
        Error::Conflict => "conflict".to_string(),
        Error::TooLarge => "too large".to_string(),
    };
    Problem::network("the gateway cannot read what it keeps", why)
}

/// What the host says of secrets.
pub fn secret(error: sluice_sdk::secrets::Error) -> Problem {
    use sluice_sdk::secrets::Error;
    let why = match error {
        Error::Denied(why) | Error::Unsuited(why) | Error::Unavailable(why) => why,
        Error::Missing => "it is not kept any more".to_string(),
    };
    Problem::operator("a secret cannot be used", why)
}

/// What this plugin keeps can be written; if it cannot, that is a bug, and no reason to trap.
pub fn unwritable(error: &serde_json::Error) -> Problem {
    Problem::network("the gateway cannot write what it keeps", error)
}
