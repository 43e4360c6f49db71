//! `outbound`: what a guest is shown of a request that is about to leave, and what it may give it.

use super::{
    bindings::{
        exports::sluice::filter::on_outbound::{OutboundVerdict as Said, Value},
        sluice::filter::outbound::{Challenge, Host, HostDeparture},
    },
    convert::{self, bad},
    secrets::OpenSecret,
};
use crate::{grant::Place, guest::Guest, instance::one_line};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sluice_chain::{
    departures::{Departure, Header, OutboundVerdict},
    exchange::Kind,
    fault::Fault,
    withheld,
};
use wasmtime::component::Resource;

/// The departure lent for a call; as with [`super::exchange::Exchange`], what it means lies in the store.
pub struct Departing;

/// The handle for the call that is about to begin.
pub(crate) fn lent() -> Resource<Departing> {
    Resource::new_borrow(1)
}

const HEADERS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 128;
/// Tokens that carry claims are long.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// What belongs to the body as it is, or to the exchange of messages: the host's own, beside what no plugin may set anywhere.
const OWNED: [&str; 10] = [
    "accept",
    "accept-encoding",
    "accept-transfer-encoding",
    "content-encoding",
    "content-range",
    "content-type",
    "http2-settings",
    "last-event-id",
    "max-forwards",
    "range",
];

impl Guest {
    fn departing(&self) -> wasmtime::Result<&Departure> {
        Ok(self.lent.departure.as_ref().ok_or_else(|| bad("nothing is about to leave"))?)
    }
}

impl Host for Guest {}

impl HostDeparture for Guest {
    fn upstream(&mut self, _: Resource<Departing>) -> wasmtime::Result<String> {
        self.entered(0)?;
        let upstream = self.departing()?.upstream.to_string();
        self.hand_over(upstream.len())?;
        Ok(upstream)
    }

    fn url(&mut self, _: Resource<Departing>) -> wasmtime::Result<String> {
        self.entered(0)?;
        let url = self.departing()?.url.clone();
        self.hand_over(url.len())?;
        Ok(url)
    }

    fn method(&mut self, _: Resource<Departing>) -> wasmtime::Result<String> {
        self.entered(0)?;
        Ok(self.departing()?.method.to_owned())
    }

    fn headers(&mut self, _: Resource<Departing>) -> wasmtime::Result<Vec<(String, String)>> {
        self.entered(0)?;
        // Arguments that a server wants in headers are arguments.
        let is_hidden = |name: &str| name.starts_with("mcp-param-") && !self.plugin.reads_payload;
        let shown =
            |(name, value): &(String, Option<String>)| (name.clone(), value.clone().filter(|_| !is_hidden(name)).unwrap_or_default());
        let headers: Vec<_> = self.departing()?.headers.iter().map(shown).collect();
        self.hand_over(headers.iter().map(|(name, value)| name.len() + value.len()).sum())?;
        Ok(headers)
    }

    fn body_sha256(&mut self, _: Resource<Departing>) -> wasmtime::Result<Vec<u8>> {
        self.entered(0)?;
        // A large body takes milliseconds, which are the guest's to pay for.
        self.budget.look()?;
        let digest = Sha256::digest(&self.departing()?.body).to_vec();
        self.budget.look()?;
        Ok(digest)
    }

    fn challenge(&mut self, _: Resource<Departing>) -> wasmtime::Result<Option<Challenge>> {
        self.entered(0)?;
        let challenge = self.departing()?.challenge.clone();
        self.hand_over(challenge.as_ref().map_or(0, |challenge| challenge.www_authenticate.iter().map(String::len).sum()))?;
        Ok(challenge.map(|challenge| Challenge { status: challenge.status, www_authenticate: challenge.www_authenticate }))
    }

    fn refused(&mut self, _: Resource<Departing>, secret: Resource<OpenSecret>) -> wasmtime::Result<bool> {
        self.entered(0)?;
        let secret = &self.secret(&secret)?.secret;
        Ok(self.departing()?.refused.iter().filter_map(Header::secret).any(|sent| secret.equals(&sent)))
    }

    fn drop(&mut self, _: Resource<Departing>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// A guest's answer, checked. The secrets in it are taken from the guest, whatever becomes of it.
pub(crate) fn verdict(said: Said, departure: &Departure, guest: &mut Guest) -> Result<OutboundVerdict, Fault> {
    match said {
        Said::Next(headers) => {
            if headers.len() > HEADERS_MAX {
                return Err(bad(format!("it sets more than {HEADERS_MAX} headers")));
            }
            headers
                .into_iter()
                .map(|(name, value)| header(&name, value, departure, guest))
                .collect::<Result<_, _>>()
                .map(OutboundVerdict::Next)
        }
        Said::Reject(no) => convert::rejection(no, guest.limits()).map(OutboundVerdict::Reject),
        Said::Suspend(asks) => convert::suspension(asks, Kind::Request).map(OutboundVerdict::Suspend),
        Said::Other((what, _)) => Err(convert::unknown(&what)),
    }
}

fn header(name: &str, value: Value, departure: &Departure, guest: &mut Guest) -> Result<Header, Fault> {
    let name = name.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(token) {
        return Err(bad("it sets a header that HTTP does not allow"));
    }
    if withheld::is_the_hosts(&name) || OWNED.contains(&name.as_str()) || name.starts_with("mcp-") {
        return Err(bad(format!("it sets the header {name:?}, which is the host's own")));
    }
    if departure.fixed.contains(&name) {
        return Err(bad(format!("it sets the header {name:?}, which the operator configured for {}", departure.upstream)));
    }
    let (text, secret) = match value {
        Value::Text(text) => (text, None),
        Value::Secret((text, handle)) => {
            let open = guest.secrets.delete(handle).map_err(|_| bad("it returns a secret that it does not hold"))?;
            if !open.may_go(&Place::Outbound(departure.upstream.to_string())) {
                return Err(bad(format!(
                    "it sends a secret to {}, which the grant for that secret does not name",
                    one_line(&departure.upstream)
                )));
            }
            (text, Some(open.secret))
        }
    };
    let secret_at = secret.is_some().then_some(text.len());
    let value = [text.as_bytes(), secret.as_ref().map_or(&[], |secret| secret.expose())].concat();
    if value.len() > VALUE_BYTES_MAX || !value.iter().all(|b| *b == b'\t' || (b' '..=b'~').contains(b)) {
        return Err(bad(format!("the value of its header {name:?} is none that HTTP allows, or longer than {VALUE_BYTES_MAX} bytes")));
    }
    Ok(Header { name: name.into(), value: Bytes::from(value), secret_at })
}
