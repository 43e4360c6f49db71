//! Bytes on their way out: nothing large is copied to be framed.

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use sluice_era::answer::Addressed;
use sluice_wire::id::RequestId;
use std::{
    io::IoSlice,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    connection::Connection,
    events::{ExchangeEvents, SessionEvents},
    pace::Phase,
    sse::ChannelEvents,
    streamed::{Cut, Streamed},
};
use crate::downstream::streams::EventId;

/// A message with what its framing puts around it, in pieces.
pub(super) struct Piece {
    before: Bytes,
    head: Bytes,
    id: Option<RequestId>,
    tail: Bytes,
    after: &'static [u8],
    /// The part to be written next, and how much of it has been.
    part: usize,
    offset: usize,
    remaining: usize,
}

const PARTS: usize = 5;
const EVENT: &[u8] = b"data: ";
const EVENT_END: &[u8] = b"\n\n";

impl Piece {
    fn new(before: Bytes, text: Addressed, after: &'static [u8]) -> Piece {
        let remaining = before.len() + text.len() + after.len();
        let (head, id, tail) = text.into_parts();
        Piece { before, head, id, tail, after, part: 0, offset: 0, remaining }
    }

    /// The text as it is.
    pub fn text(text: Addressed) -> Piece {
        Piece::new(Bytes::new(), text, b"")
    }

    /// The text as one event.
    pub fn event(text: Addressed) -> Piece {
        Piece::framed(None, text)
    }

    /// The text as one event that the stream can be gone on with from.
    pub fn numbered(id: EventId, text: Addressed) -> Piece {
        Piece::framed(Some(id.to_string()), text)
    }

    /// A raw line end in the text would end the event: then it is copied without.
    fn framed(id: Option<String>, text: Addressed) -> Piece {
        let has_line_end = text.parts().iter().any(|part| memchr::memchr2(b'\n', b'\r', part).is_some());
        if has_line_end {
            return Piece::text(Addressed::whole(sluice_wire::sse::encode(&text.into_bytes(), id.as_deref(), None)));
        }
        let before = id.map_or(Bytes::from_static(EVENT), |id| format!("id: {id}\ndata: ").into());
        Piece::new(before, text, EVENT_END)
    }

    /// A text that ends its line, behind the fields of its event.
    pub fn line(before: &'static [u8], line: Bytes) -> Piece {
        Piece::new(Bytes::from_static(before), Addressed::whole(line), b"\n")
    }

    /// An event that says only where it is, and when to come back after an end.
    pub fn primer(id: EventId, retry_after: Duration) -> Piece {
        let retry_ms = retry_after.as_millis();
        Piece::text(Addressed::whole(format!("id: {id}\nretry: {retry_ms}\ndata: \n\n").into()))
    }

    /// A comment, which keeps a quiet connection open.
    pub fn comment() -> Piece {
        Piece::text(Addressed::whole(sluice_wire::sse::comment()))
    }

    fn part(&self, at: usize) -> &[u8] {
        match at {
            0 => &self.before,
            1 => &self.head,
            2 => self.id.as_ref().map_or(&[], RequestId::token_bytes),
            3 => &self.tail,
            _ => self.after,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        let mut offset = self.offset;
        for at in self.part..PARTS {
            let rest = &self.part(at)[offset..];
            if !rest.is_empty() {
                return rest;
            }
            offset = 0;
        }
        &[]
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut offset = self.offset;
        for at in self.part..PARTS {
            let rest = &self.part(at)[offset..];
            offset = 0;
            if rest.is_empty() {
                continue;
            }
            let Some(slot) = slices.get_mut(filled) else {
                break;
            };
            *slot = IoSlice::new(rest);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "cannot advance past the end");
        self.remaining -= count;
        while count > 0 {
            let rest = self.part(self.part).len() - self.offset;
            if count < rest {
                self.offset += count;
                return;
            }
            count -= rest;
            self.part += 1;
            self.offset = 0;
        }
    }
}

/// What a response holds.
pub(super) enum Content {
    /// Nothing.
    Empty,
    /// One text.
    Whole(Piece),
    /// One text, as it comes.
    Streamed(Box<Streamed>),
    /// The events of one modern exchange.
    Exchange(Box<ExchangeEvents>),
    /// One stream of a legacy session.
    Session(Box<SessionEvents>),
    /// The stream that is a session (HTTP+SSE).
    Channel(Box<ChannelEvents>),
}

impl Content {
    /// A text of ours.
    pub fn text(text: Bytes) -> Content {
        Content::Whole(Piece::text(Addressed::whole(text)))
    }
}

/// The body of every response. When it is done with, the next move is the client's.
pub(super) struct Reply {
    content: Content,
    connection: Arc<Connection>,
}

impl Reply {
    /// The body of one response on this connection.
    pub fn new(content: Content, connection: Arc<Connection>) -> Reply {
        Reply { content, connection }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.connection.pace.enter(Phase::Idle);
    }
}

impl Body for Reply {
    type Data = Piece;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Cut>>> {
        let next = match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Streamed(streamed) => streamed.poll_next(context),
            Content::Exchange(events) => events.poll_next(context),
            Content::Session(events) => events.poll_next(context),
            Content::Channel(events) => events.poll_next(context).map(|piece| piece.map(Ok)),
            Content::Whole(_) => match std::mem::replace(&mut self.content, Content::Empty) {
                Content::Whole(piece) => Poll::Ready(Some(Ok(piece))),
                _ => Poll::Ready(None),
            },
        };
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(piece) => SizeHint::with_exact(piece.remaining as u64),
            Content::Streamed(_) | Content::Exchange(_) | Content::Session(_) | Content::Channel(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_era::answer::{Asked, relayed};
    use sluice_wire::{
        json::{Document, IndexDepth, Limits},
        message::Message,
        revision::Revision,
    };

    fn answer(text: &str) -> Addressed {
        let decode = |text: &str| {
            Message::decode(Document::parse(text.to_owned().into(), &Limits::RESPONSE, IndexDepth::Levels(4)).expect("JSON"))
                .expect("a message")
        };
        let asked = Asked::of(&decode(r#"{"jsonrpc":"2.0","id":"me","method":"tools/call"}"#), Revision::V2026_07_28).expect("known");
        relayed(&decode(text), Revision::V2026_07_28, &asked)
    }

    /// Reads a piece in steps of `step` bytes, checking what it says of itself on the way.
    fn read(mut piece: Piece, step: usize) -> String {
        let mut out = Vec::new();
        while piece.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = piece.chunks_vectored(&mut slices);
            assert_eq!(slices[..filled].iter().map(|slice| slice.len()).sum::<usize>(), piece.remaining());
            let take = piece.chunk().len().min(step);
            out.extend_from_slice(&piece.chunk()[..take]);
            piece.advance(take);
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_piece_reads_the_same_in_steps_of_any_size() {
        let expected = "data: {\"id\":\"me\",\"jsonrpc\":\"2.0\",\"result\":{}}\n\n";
        for step in 1..expected.len() + 1 {
            let text = answer(r#"{"id":1,"jsonrpc":"2.0","result":{}}"#);
            assert_eq!(read(Piece::event(text), step), expected, "{step}");
        }
        let mut piece = Piece::event(answer(r#"{"id":1,"jsonrpc":"2.0","result":{}}"#));
        piece.advance(piece.remaining());
        assert_eq!(piece.chunk(), b"");
    }

    #[test]
    fn t35_no_line_end_inside_a_message_ends_its_event() {
        let text = answer("{\"id\":1,\r\n\"jsonrpc\":\"2.0\",\n\"result\":{\"a\":\"\\n\u{2028}\"}}");
        let event = read(Piece::event(text), 7);
        assert_eq!(event, "data: {\"id\":\"me\",  \"jsonrpc\":\"2.0\", \"result\":{\"a\":\"\\n\u{2028}\"}}\n\n");
    }
}
