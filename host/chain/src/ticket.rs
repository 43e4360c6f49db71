//! What a `requestState` of ours says. It is sealed for its principal: a client can neither read, alter nor lend it.
//!
//! It names one round of one request to one upstream, until a time, and is good once. A modern server's own state travels
//! inside, so that it comes back with the request it was given for and no other (threats T27).

use crate::seal::SealKey;
use bytes::Bytes;
use sluice_wire::method;
use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells our states from servers' own.
const PREFIX: &str = "sluice1.";

/// Which request a state goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The upstream's place in the configuration.
    pub(crate) upstream: usize,
    /// Of the method and of everything that names the request, as its client sent it.
    pub(crate) digest: [u8; 32],
}

/// How far an exchange has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// Its id, the same in all rounds.
    pub(crate) exchange: u64,
    /// The round that has ended.
    pub(crate) round: u32,
    /// The chain it ran through last.
    pub(crate) generation: u64,
    /// How many filters of that chain the request has been to, in whatever round.
    pub(crate) entered: u32,
}

/// What a state leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To an exchange that waits here.
    Parked,
    /// Back to a server that keeps nothing.
    Server(ServerRound),
}

/// A round of a server that keeps nothing between two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServerRound {
    /// Its own state, a JSON string as it spelled it, if it gave one.
    pub(crate) own: Option<Bytes>,
    /// What it wants to know.
    pub(crate) inputs: Vec<Input>,
}

/// One thing a server wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The server's own.
    pub(crate) key: String,
    /// One of [`ASKING`].
    pub(crate) method: &'static str,
    /// A filter kept it from the client, so nobody answers.
    pub(crate) is_dropped: bool,
}

/// The methods a server can ask by.
pub(crate) const ASKING: [&str; 3] = [method::ELICITATION_CREATE, method::SAMPLING_CREATE_MESSAGE, method::ROOTS_LIST];

impl ServerRound {
    fn write(&self, text: &mut Vec<u8>) -> Option<()> {
        text.push(u8::from(self.own.is_some()));
        text.push(u8::try_from(self.inputs.len()).ok()?);
        for input in &self.inputs {
            let method = ASKING.iter().position(|method| *method == input.method)?;
            text.push(u8::try_from(method).ok()? | u8::from(input.is_dropped) << 7);
            text.extend_from_slice(&u16::try_from(input.key.len()).ok()?.to_le_bytes());
            text.extend_from_slice(input.key.as_bytes());
        }
        text.extend_from_slice(self.own.as_deref().unwrap_or_default());
        Some(())
    }

    fn read(text: &[u8]) -> Option<Self> {
        let ([has_own, count], mut text) = text.split_first_chunk()?;
        let mut inputs = Vec::with_capacity(usize::from(*count));
        for _ in 0..*count {
            let (kind, rest) = text.split_first()?;
            let (len, rest) = rest.split_first_chunk()?;
            let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            let method = ASKING.get(usize::from(kind & 0x7f))?;
            inputs.push(Input { key: String::from_utf8(key.to_vec()).ok()?, method, is_dropped: kind >> 7 == 1 });
            text = rest;
        }
        Some(Self { own: (*has_own == 1).then(|| Bytes::copy_from_slice(text)), inputs })
    }
}

/// One round of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: u128,
    pub(crate) bound: Bound,
    pub(crate) trail: Trail,
    /// Milliseconds after the epoch.
    expires: u64,
    pub(crate) leads: Leads,
}

/// Why a state leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostRound {
    /// None of ours, altered, or another's: they look alike.
    Unknown,
    /// For another request.
    Other,
    /// Too old.
    Expired,
    /// Used before, or its call has ended.
    Used,
}

impl LostRound {
    /// The machine-readable `data.reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "round_unknown",
            Self::Other => "round_other",
            Self::Expired => "round_expired",
            Self::Used => "round_used",
        }
    }

    /// What happened, as a sentence goes on.
    pub fn what(self) -> &'static str {
        match self {
            Self::Unknown => "is not known here: it was altered, is another caller's, or Sluice was restarted",
            Self::Other => "was given for another target or other arguments; send it with the request it came for",
            Self::Expired => "has expired",
            Self::Used => "was used before, or its call has ended",
        }
    }
}

impl Ticket {
    /// A new one. None when the machine has no randomness.
    pub(crate) fn new(bound: Bound, trail: Trail, ttl: Duration, leads: Leads) -> Option<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        Some(Self { id: u128::from_le_bytes(id), bound, trail, expires: now().saturating_add(millis(ttl)), leads })
    }

    /// The state for the client that `owner` names.
    pub(crate) fn seal(&self, key: &SealKey, owner: &[u8]) -> Option<String> {
        let mut text = Vec::with_capacity(96);
        text.extend_from_slice(&self.id.to_le_bytes());
        text.extend_from_slice(&self.bound.digest);
        text.extend_from_slice(&u32::try_from(self.bound.upstream).ok()?.to_le_bytes());
        text.extend_from_slice(&self.trail.exchange.to_le_bytes());
        text.extend_from_slice(&self.trail.round.to_le_bytes());
        text.extend_from_slice(&self.trail.generation.to_le_bytes());
        text.extend_from_slice(&self.trail.entered.to_le_bytes());
        text.extend_from_slice(&self.expires.to_le_bytes());
        match &self.leads {
            Leads::Parked => text.push(0),
            Leads::Server(round) => {
                text.push(1);
                round.write(&mut text)?;
            }
        }
        Some(format!("{PREFIX}{}", key.seal(owner, &text)?))
    }

    /// What a state says, if it is one of ours for this owner and request and still good.
    pub(crate) fn open(key: &SealKey, owner: &[u8], state: &str, bound: &Bound) -> Result<Self, LostRound> {
        let sealed = state.strip_prefix(PREFIX).ok_or(LostRound::Unknown)?;
        let text = key.open(owner, sealed).ok_or(LostRound::Unknown)?;
        let ticket = Self::read(&text).ok_or(LostRound::Unknown)?;
        if ticket.bound != *bound {
            return Err(LostRound::Other);
        }
        if ticket.expires <= now() {
            return Err(LostRound::Expired);
        }
        Ok(ticket)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (id, text) = text.split_first_chunk()?;
        let (digest, text) = text.split_first_chunk()?;
        let (upstream, text) = text.split_first_chunk()?;
        let (exchange, text) = text.split_first_chunk()?;
        let (round, text) = text.split_first_chunk()?;
        let (generation, text) = text.split_first_chunk()?;
        let (entered, text) = text.split_first_chunk()?;
        let (expires, text) = text.split_first_chunk()?;
        let leads = match text.split_first()? {
            (0, []) => Leads::Parked,
            (1, round) => Leads::Server(ServerRound::read(round)?),
            _ => return None,
        };
        Some(Self {
            id: u128::from_le_bytes(*id),
            bound: Bound { upstream: usize::try_from(u32::from_le_bytes(*upstream)).ok()?, digest: *digest },
            trail: Trail {
                exchange: u64::from_le_bytes(*exchange),
                round: u32::from_le_bytes(*round),
                generation: u64::from_le_bytes(*generation),
                entered: u32::from_le_bytes(*entered),
            },
            expires: u64::from_le_bytes(*expires),
            leads,
        })
    }
}

/// Tickets to servers that were used and have not expired. A replay of one so old that it was forgotten for want of room is
/// the server's to judge.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    ids: HashSet<u128>,
    /// In the order they were used.
    order: VecDeque<(u64, u128)>,
}

const SPENT_MAX: usize = 65_536;

impl Spent {
    /// Uses a ticket; false when it was used before.
    pub(crate) fn spend(&mut self, ticket: &Ticket) -> bool {
        let now = now();
        while self.order.front().is_some_and(|(expires, _)| *expires <= now || self.order.len() >= SPENT_MAX) {
            if let Some((_, id)) = self.order.pop_front() {
                self.ids.remove(&id);
            }
        }
        let is_new = self.ids.insert(ticket.id);
        if is_new {
            self.order.push_back((ticket.expires, ticket.id));
        }
        is_new
    }
}

fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound { upstream: 3, digest: [7; 32] };
    const TTL: Duration = Duration::from_secs(60);

    fn key() -> SealKey {
        SealKey::random().expect("randomness")
    }

    #[test]
    fn a_ticket_comes_back_as_it_was_given_and_to_nobody_else() {
        let key = key();
        let input = |key: &str, method, is_dropped| Input { key: key.to_owned(), method, is_dropped };
        let inputs = vec![input("", ASKING[0], false), input("k\u{e9}", ASKING[2], true)];
        let own = Some(Bytes::from_static(br#""s\u0041""#));
        let rounds = [ServerRound::default(), ServerRound { own, inputs }, ServerRound { own: Some(Bytes::new()), inputs: Vec::new() }];
        for leads in rounds.map(Leads::Server).into_iter().chain([Leads::Parked]) {
            let ticket = Ticket::new(BOUND, Trail { exchange: 9, round: 4, generation: 2, entered: 3 }, TTL, leads).unwrap();
            let state = ticket.seal(&key, b"a").unwrap();
            assert_eq!(Ticket::open(&key, b"a", &state, &BOUND), Ok(ticket));
            assert_eq!(Ticket::open(&key, b"b", &state, &BOUND), Err(LostRound::Unknown));
            assert_eq!(Ticket::open(&self::key(), b"a", &state, &BOUND), Err(LostRound::Unknown), "after a restart");
            for other in [Bound { upstream: 4, ..BOUND }, Bound { digest: [8; 32], ..BOUND }] {
                assert_eq!(Ticket::open(&key, b"a", &state, &other), Err(LostRound::Other));
            }
        }
        let old = Ticket::new(BOUND, Trail::default(), Duration::ZERO, Leads::Parked).unwrap();
        assert_eq!(Ticket::open(&key, b"a", &old.seal(&key, b"a").unwrap(), &BOUND), Err(LostRound::Expired));
    }

    #[test]
    fn no_byte_of_a_state_can_be_altered() {
        let key = key();
        let state = Ticket::new(BOUND, Trail::default(), TTL, Leads::Server(ServerRound::default())).unwrap().seal(&key, b"a").unwrap();
        for at in 0..state.len() {
            for bit in 0..7 {
                let mut altered = state.clone().into_bytes();
                altered[at] ^= 1 << bit;
                let Ok(altered) = String::from_utf8(altered) else { continue };
                assert_eq!(Ticket::open(&key, b"a", &altered, &BOUND), Err(LostRound::Unknown), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_ticket_is_spent_once_and_forgotten_in_time() {
        let mut spent = Spent::default();
        let ticket = Ticket::new(BOUND, Trail::default(), TTL, Leads::Server(ServerRound::default())).unwrap();
        assert!(spent.spend(&ticket) && !spent.spend(&ticket));
        let old = Ticket::new(BOUND, Trail::default(), Duration::ZERO, Leads::Server(ServerRound::default())).unwrap();
        let mut expired = Spent::default();
        assert!(expired.spend(&old) && expired.spend(&ticket));
        assert_eq!(expired.ids.len(), 1, "what has expired cannot be opened, so it need not be remembered");
        for _ in 0..SPENT_MAX + 10 {
            spent.spend(&Ticket::new(BOUND, Trail::default(), TTL, Leads::Server(ServerRound::default())).unwrap());
        }
        assert!(spent.ids.len() <= SPENT_MAX && spent.order.len() <= SPENT_MAX);
    }
}
