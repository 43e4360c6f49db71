//! Whether a message that is not held is a result, ours, and complete.

use sluice_wire::{
    json::{Place, Sink, Token},
    message::Message,
};

/// Of a value that may be anything; more of it tells nothing.
const VALUE_MAX: usize = 16;
const VERSION: &str = "\"2.0\"";
const COMPLETE: &str = "\"complete\"";

/// Checks a message while it passes.
pub(super) struct Envelope {
    /// As the id stands in the message.
    id: String,
    /// Its server knows of results that are not complete.
    has_kinds: bool,
    has_id: bool,
    has_version: bool,
    has_result: bool,
    /// A result with `isError: true`.
    pub(super) is_tool_error: bool,
    wrong: Option<&'static str>,
    /// The message has ended; only white space may follow.
    pub(super) is_closed: bool,
    /// What is read now, if it matters, as it stands in the message but for escapes.
    wanted: Option<Member>,
    value: String,
}

enum Member {
    Id,
    Version,
    Kind,
    ToolError,
}

impl Envelope {
    /// `placeholder` has the id that the message must have.
    pub(super) fn new(placeholder: &Message, has_kinds: bool) -> Self {
        let id = placeholder.id().map(|id| id.token().to_owned()).unwrap_or_default();
        let (has_id, has_version, has_result) = (false, false, false);
        Self {
            id,
            has_kinds,
            has_id,
            has_version,
            has_result,
            is_tool_error: false,
            wrong: None,
            is_closed: false,
            wanted: None,
            value: String::new(),
        }
    }

    /// What is wrong with it so far.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        self.wrong
    }

    /// What is wrong with it as a whole.
    pub(super) fn wrong_at_end(&self) -> Option<&'static str> {
        match (self.has_id, self.has_version, self.has_result) {
            _ if self.wrong.is_some() => self.wrong,
            (false, ..) => Some("its answer has no id"),
            (_, false, _) => Some("its answer is not JSON-RPC 2.0"),
            (.., false) => Some("its answer has no result"),
            _ => None,
        }
    }

    fn begin(&mut self, at: Place<'_>) {
        self.value.clear();
        self.wanted = match (at.depth(), at.name(1)) {
            (1, Some("id")) => Some(Member::Id),
            (1, Some("jsonrpc")) => Some(Member::Version),
            (2, Some("result")) if self.has_kinds && at.name(2) == Some("resultType") => Some(Member::Kind),
            (2, Some("result")) if at.name(2) == Some("isError") => Some(Member::ToolError),
            (0, _) => self.not_so("its answer is no object"),
            (1, Some("result")) => self.not_so("its result is no object"),
            _ => None,
        };
    }

    fn not_so(&mut self, wrong: &'static str) -> Option<Member> {
        self.wrong.get_or_insert(wrong);
        None
    }

    fn settle(&mut self) {
        match self.wanted.take() {
            Some(Member::Id) if self.value == self.id => self.has_id = true,
            Some(Member::Id) => _ = self.not_so("it answered a request that was not asked"),
            Some(Member::Version) if self.value == VERSION => self.has_version = true,
            Some(Member::Version) => _ = self.not_so("its answer is not JSON-RPC 2.0"),
            Some(Member::Kind) if self.value != COMPLETE => _ = self.not_so("its answer is not complete, and too long to be held"),
            Some(Member::ToolError) => self.is_tool_error = self.value == "true",
            Some(Member::Kind) | None => {}
        }
    }

    fn add(&mut self, text: &str) {
        let most = match &self.wanted {
            None => return,
            Some(Member::Id) => self.id.len(),
            Some(Member::Version) => VERSION.len(),
            Some(Member::Kind) => COMPLETE.len(),
            Some(Member::ToolError) => VALUE_MAX,
        };
        if self.value.len() <= most {
            self.value.push_str(text);
        }
        if self.value.len() > most && !matches!(self.wanted, Some(Member::ToolError)) {
            // It is wrong already, and nothing of it is to leave.
            self.settle();
        }
    }

    fn name(&mut self, at: Place<'_>) {
        match at.name(1) {
            _ if at.depth() != 1 => {}
            Some("error" | "method") => _ = self.not_so("its answer is no result"),
            Some("result") => self.has_result = true,
            _ => {}
        }
    }
}

impl Sink for Envelope {
    fn token(&mut self, at: Place<'_>, token: Token<'_>) {
        if at.depth() > 2 {
            return;
        }
        self.is_closed |= at.depth() == 0 && matches!(token, Token::Close(_));
        match token {
            Token::Begin { key: true } | Token::Colon => {}
            Token::Begin { key: false } => {
                self.begin(at);
                self.add("\"");
            }
            Token::Scalar(raw) => {
                if self.wanted.is_none() {
                    self.begin(at);
                }
                self.add(std::str::from_utf8(raw).unwrap_or_default());
            }
            Token::Text { decoded, .. } => self.add(decoded),
            Token::End { key: false } => {
                self.add("\"");
                self.settle();
            }
            Token::End { key: true } => self.name(at),
            Token::Comma | Token::Close(_) | Token::Space(_) => self.settle(),
            Token::Open(byte) => {
                let is_body = at.depth() == 0 || at.depth() == 1 && at.name(1) == Some("result");
                if !(is_body && byte == b'{') {
                    self.begin(at);
                    // A container is no id, no version and no kind.
                    self.settle();
                }
            }
        }
    }
}

/// Two at once.
pub(super) struct Both<'s, S>(pub(super) &'s mut Envelope, pub(super) &'s mut S);

impl<S: Sink> Sink for Both<'_, S> {
    fn token(&mut self, at: Place<'_>, token: Token<'_>) {
        self.0.token(at, token);
        self.1.token(at, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::{
        id::RequestId,
        json::{Document, Incremental, IndexDepth, Limits, PassingLimits},
        message,
    };

    fn wrong(text: &str, has_kinds: bool) -> Option<&'static str> {
        let placeholder = Document::parse(message::result(&RequestId::from_u64(7), b"{}"), &Limits::RESPONSE, IndexDepth::Full).unwrap();
        let mut envelope = Envelope::new(&Message::decode(placeholder).unwrap(), has_kinds);
        let limits = PassingLimits { bytes_max: 9_999, depth_max: 9, nodes_max: 99, keys_max: 99, path_bytes_max: 999 };
        let mut pass = Incremental::new(limits);
        for byte in text.as_bytes() {
            pass.push(&[*byte], &mut envelope).unwrap();
        }
        pass.finish().unwrap();
        envelope.wrong_at_end()
    }

    #[test]
    fn only_complete_results_under_our_id_pass() {
        for good in [
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"result":{"resultType":"complete","id":8,"error":{}},"jsonrpc":"2.0","id":7}"#,
            r#" { "id" : 7 , "jsonrpc" : "2.\u0030" , "result" : { "resultType" : "complete" } , "x" : [] } "#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"a":{"resultType":"x"}}}"#,
        ] {
            assert_eq!(wrong(good, true), None, "{good}");
        }
        for bad in [
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":[7],"result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"1.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":2.0,"id":7,"result":{}}"#,
            r#"{"id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":"x"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"m","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":null}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":{}}}"#,
            "[]",
            "7",
            "\"x\"",
        ] {
            assert!(wrong(bad, true).is_some(), "{bad}");
        }
        assert_eq!(wrong(r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}"#, false), None);
    }
}
