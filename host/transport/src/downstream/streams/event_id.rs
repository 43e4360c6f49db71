//! What stands behind `id:` of an event: which stream of the session, and where on it.

use std::fmt;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::downstream) enum Kind {
    /// What belongs to no request.
    Own,
    /// One call: its notifications, then its answer.
    Call,
}

/// A place on a stream. As text it means nothing outside its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::downstream) struct EventId {
    /// What the stream is for.
    pub kind: Kind,
    /// Which stream of the session.
    pub stream: u64,
    /// Which event; 0 before the first.
    pub event: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Own => 's',
            Kind::Call => 'c',
        };
        write!(f, "{kind}{}-{}", self.stream, self.event)
    }
}

impl EventId {
    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    pub fn parse(text: &str) -> Option<EventId> {
        let kind = match text.as_bytes().first()? {
            b's' => Kind::Own,
            b'c' => Kind::Call,
            _ => return None,
        };
        let (stream, event) = text.get(1..)?.split_once('-')?;
        let id = EventId { kind, stream: stream.parse().ok()?, event: event.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_spelling_only() {
        let id = EventId { kind: Kind::Call, stream: 3, event: 17 };
        assert_eq!((id.to_string().as_str(), EventId::parse("c3-17")), ("c3-17", Some(id)));
        for other in ["", "c", "c3", "x3-1", "c03-1", "c3-+1", "c3-1 ", "s-1", "c3-99999999999999999999", "é1-1"] {
            assert_eq!(EventId::parse(other), None, "{other}");
        }
    }
}
