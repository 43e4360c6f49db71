//! Which headers go where, and what is refused before anything goes.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::glob;
use sluice_sdk::secrets::{Secret, why};

use crate::config::{Config, HeaderConfig};
use crate::reserved;

const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 16 << 10;
/// Of one request. The host takes no more.
const HEADERS_MAX: usize = 32;

/// All headers, checked.
#[derive(Debug)]
pub struct Policy(Vec<Header>);

/// One header.
#[derive(Debug)]
pub struct Header {
    upstreams: Vec<String>,
    /// In lower case.
    pub name: String,
    /// What it says.
    pub value: Value,
}

/// What a header says.
#[derive(Debug)]
pub enum Value {
    /// This.
    Text(String),
    /// The operator's secret of this name, behind this text.
    Secret {
        /// Before it.
        prefix: String,
        /// Its name.
        name: String,
    },
}

impl Policy {
    /// Checks what a schema cannot say, and that the secrets may be used.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.headers.is_empty() {
            return Err("headers is empty, so there is nothing to set; write an entry, or leave the plugin out".to_string());
        }
        let mut headers: Vec<Header> = Vec::with_capacity(config.headers.len());
        for (at, header) in (1..).zip(config.headers) {
            let header = Header::new(header).map_err(|why| format!("headers, entry {at}: {why}"))?;
            if let Some(before) = headers.iter().position(|before| before.covers(&header)) {
                let why = format!("entry {} sets {} for all its upstreams already, and the first one counts", before + 1, header.name);
                return Err(format!("headers, entry {at} is never used: {why}"));
            }
            headers.push(header);
        }
        let mut names: Vec<_> = headers.iter().map(|header| &header.name).collect();
        names.sort();
        names.dedup();
        if names.len() > HEADERS_MAX {
            return Err(format!("headers sets {} headers, and a request takes {HEADERS_MAX} from a plugin at most", names.len()));
        }
        Ok(Policy(headers))
    }

    /// What requests to an upstream leave with: of one name, the first.
    pub fn of(&self, upstream: &str) -> Vec<&Header> {
        let mut found: Vec<&Header> = Vec::new();
        for header in self.0.iter().filter(|header| glob::any(&header.upstreams, upstream)) {
            if found.iter().all(|before| before.name != header.name) {
                found.push(header);
            }
        }
        found
    }
}

impl Header {
    fn new(config: HeaderConfig) -> Result<Self, String> {
        if config.upstreams.is_empty() || config.upstreams.iter().any(String::is_empty) {
            return Err("upstreams names nobody; for all of them say [\"*\"]".to_string());
        }
        let name = config.name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(token) {
            return Err(format!("{:?} is no name of a header", config.name));
        }
        if reserved::is_reserved(&name) {
            return Err(format!("the header {name} belongs to the connection, to MCP or to the gateway, and cannot be set"));
        }
        let value = match (config.value, config.secret) {
            (Some(_), Some(_)) => Err("it has a value and a secret; a header is one of the two".to_string()),
            (None, None) => Err("it has neither a value nor a secret".to_string()),
            (Some(_), None) if config.prefix.is_some() => Err("a prefix stands before a secret; write it into the value".to_string()),
            (Some(_), None) if reserved::is_credential(&name) => {
                Err(format!("{name} is a credential: put it under sluice.secrets, and name it here as secret"))
            }
            (Some(text), None) => fits(&text).map(|()| Value::Text(text)),
            (None, Some(secret)) => secret_of(config.prefix.unwrap_or_default(), secret),
        }?;
        Ok(Header { upstreams: config.upstreams, name, value })
    }

    /// Whether the other is of the same name, and for no upstream that this one is not for. A `*` in a glob is a text like any other to the glob
    /// that covers it.
    fn covers(&self, other: &Header) -> bool {
        self.name == other.name && other.upstreams.iter().all(|glob| glob::any(&self.upstreams, glob))
    }
}

fn secret_of(prefix: String, name: String) -> Result<Value, String> {
    // With a space at its end, mostly.
    if !prefix.is_empty() {
        fits(prefix.trim_end())?;
    }
    match Secret::open(&name) {
        Ok(_) => Ok(Value::Secret { prefix, name }),
        Err(error) => Err(format!("the secret {name:?} cannot be used: {}", why(error))),
    }
}

fn fits(text: &str) -> Result<(), String> {
    let is_written = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
    if text.is_empty() || text.len() > VALUE_BYTES_MAX || text.trim() != text || !text.bytes().all(is_written) {
        return Err(format!("its value is none that a header has: printable ASCII, no spaces around it, 1 to {VALUE_BYTES_MAX} bytes"));
    }
    Ok(())
}
