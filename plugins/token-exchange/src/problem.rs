//! Why there is no token, who says so, and what the client hears of it.

use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};
use sluice_sdk::fetch;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

/// The person said no.
pub const DECLINED: i32 = 4013;
/// The caller has no name that a token could be asked for.
pub const NOBODY: i32 = 4014;
/// A server does not give this caller this token.
pub const REFUSED: i32 = 4015;
/// The operator has to change something.
pub const OPERATOR: i32 = 5010;
/// A server says what must not be followed.
pub const UNTRUSTED: i32 = 5020;
/// Somebody does not answer; it may be better later.
pub const UNAVAILABLE: i32 = 5030;

/// Whose matter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blame {
    /// A policy of a server's, about this caller or this upstream.
    Policy,
    /// Settings, grants, a registration.
    Operator,
    /// What a server says is wrong, or an attack.
    Server,
    /// Nothing answers.
    Network,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whose matter it is.
    pub blame: Blame,
    /// For the client and the page. Our own words, names of the operator's and codes of the RFCs: nothing else that a server said.
    pub said: String,
    /// For the log, with the particulars.
    pub detail: String,
}

impl Problem {
    /// A policy's.
    pub fn policy(said: impl ToString, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Policy, said: said.to_string(), detail: detail.to_string() }
    }

    /// The operator's.
    pub fn operator(said: impl ToString, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Operator, said: said.to_string(), detail: detail.to_string() }
    }

    /// A server's.
    pub fn server(said: impl ToString, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Server, said: said.to_string(), detail: detail.to_string() }
    }

    /// The network's.
    pub fn network(said: impl ToString, detail: impl ToString) -> Problem {
        Problem { blame: Blame::Network, said: said.to_string(), detail: detail.to_string() }
    }

    /// What became of a request to the server of this name.
    pub fn of_fetch(server: &str, url: &str, error: fetch::Error) -> Problem {
        match error {
            fetch::Error::Denied(why) => Problem::operator(format!("the host stopped the request to {server}"), format!("{url}: {why}")),
            fetch::Error::Unreachable(why) => Problem::network(format!("{server} cannot be reached"), format!("{url}: {why}")),
            fetch::Error::Timeout => Problem::network(format!("{server} did not answer in time"), url),
            fetch::Error::TooLarge => Problem::server(format!("{server} answers at too great length"), url),
        }
    }

    /// Writes it down for the operator.
    pub fn note(&self, upstream: &str) {
        let level = if self.blame == Blame::Operator { Level::Error } else { Level::Warn };
        log::write(level, &self.said, &[("upstream", upstream), ("detail", &self.detail)]);
    }

    /// As the client hears it. Never 401: the client's own credential is fine.
    pub fn reject(&self, upstream: &str) -> Rejection {
        self.note(upstream);
        let (code, advice) = match self.blame {
            Blame::Policy => (REFUSED, "who may use it is decided there, and the operator of this gateway finds more in its log"),
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
