//! A result on its way to a client that is not held: under the client's id, in the client's era.
//!
//! Only members of `result` itself have to be known for that; `_meta` is held, within a bound. What would need more is told by
//! [`passes`] before anything is begun, or ends the answer: a legacy client's text copy of `structuredContent` that is no object.

use crate::{
    answer::{Asked, MODERN_MEMBERS, is_cacheable, lower_meta},
    older,
};
use bytes::Bytes;
use sluice_wire::{
    json::{DecodeError, Document, Incremental, IndexDepth, Limits, PassingLimits, Place, Sink, Token},
    method,
    patch::Patch,
    revision::{Era, Revision},
};

/// Most of `_meta` and of a name that is held.
const HELD_MAX: usize = 64 << 10;
/// Most white space between two members that is kept.
const BLANKS_MAX: usize = 1024;

/// Whether a result of this method can cross without being held. Revisions before 2025-06-18 have other content.
pub fn passes(spoken: Revision, to: Revision, method: &str) -> bool {
    let has_method = matches!(method, method::TOOLS_CALL | method::RESOURCES_READ | method::PROMPTS_GET);
    let is_newer = to < spoken && to < older::LAST && older::concerns(method);
    has_method && !is_newer
}

/// Why a result cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It is no strict JSON. Nobody passes on such.
    #[error("the answer is refused: {0}")]
    Json(#[from] DecodeError),
    /// It has to be held for this client.
    #[error("the answer cannot be put in the form of this client's protocol revision without being held: {0}")]
    Held(&'static str),
}

/// What becomes of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Stays,
    Goes,
    /// In its place stands the client's id, or the only kind of result there is.
    Replaced(Replacement),
    /// `_meta`, until it is whole.
    Held,
    /// `structuredContent`: its first byte decides.
    ByKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Replacement {
    Id,
    Complete,
    /// It stands there already.
    Written,
}

/// Puts a result in a client's words, piece by piece.
pub struct Shaper {
    pass: Incremental,
    shape: Shape,
}

/// Bounds of the pass, which was made before in the same bounds.
const LIMITS: PassingLimits =
    PassingLimits { bytes_max: u64::MAX, depth_max: u16::MAX, nodes_max: u64::MAX, keys_max: usize::MAX, path_bytes_max: usize::MAX };

impl Shaper {
    /// For the answer to this request, from a server that speaks `spoken`.
    pub fn new(asked: &Asked, spoken: Revision) -> Shaper {
        let crossing = match (spoken.era(), asked.revision.era()) {
            (Era::Legacy, Era::Modern) => Crossing::Up,
            (Era::Modern, Era::Legacy) => Crossing::Down,
            _ => Crossing::None,
        };
        let shape = Shape {
            id: Bytes::copy_from_slice(asked.id.token().as_bytes()),
            method: asked.method,
            to: asked.revision,
            crossing,
            out: Vec::new(),
            between: Vec::new(),
            names: Vec::new(),
            levels: Vec::new(),
            member: None,
            held: Vec::new(),
            has: Has::default(),
            error: None,
        };
        Shaper { pass: Incremental::new(LIMITS), shape }
    }

    /// The next piece, shaped; may be empty.
    ///
    /// # Errors
    /// [`StreamError`]; then the answer is over.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, StreamError> {
        self.pass.push(piece, &mut self.shape)?;
        match self.shape.error {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.shape.out)),
        }
    }

    /// Whether the message ended where the pieces did.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn finish(&mut self) -> Result<(), StreamError> {
        Ok(self.pass.finish()?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Crossing {
    None,
    Up,
    Down,
}

/// Which members of the result were there.
#[derive(Default)]
struct Has {
    kind: bool,
    ttl: bool,
    scope: bool,
    content: bool,
    /// A copy of what was taken out has to stand in `content`.
    needs_text: bool,
}

struct Shape {
    id: Bytes,
    method: &'static str,
    to: Revision,
    crossing: Crossing,
    out: Vec<u8>,
    /// White space and comma since the last member of the envelope or the result.
    between: Vec<u8>,
    /// The name that is read now, as sent.
    names: Vec<u8>,
    /// Of the envelope and the result: whether a member was written.
    levels: Vec<bool>,
    /// The member that is passed now; the result is none, since its own members are looked at one by one.
    member: Option<Member>,
    held: Vec<u8>,
    has: Has,
    error: Option<StreamError>,
}

/// A member of the envelope or of the result.
#[derive(Clone, Copy)]
struct Member {
    depth: usize,
    fate: Fate,
}

impl Shape {
    fn fate_of(&mut self, at: Place<'_>, name: &str) -> Fate {
        if at.depth() == 1 {
            return if name == "id" { Fate::Replaced(Replacement::Id) } else { Fate::Stays };
        }
        match name {
            "resultType" => self.has.kind = true,
            "ttlMs" => self.has.ttl = true,
            "cacheScope" => self.has.scope = true,
            _ => {}
        }
        match (self.crossing, name) {
            (Crossing::Up, "resultType") => Fate::Replaced(Replacement::Complete),
            (Crossing::Down, name) if MODERN_MEMBERS.contains(&name) => Fate::Goes,
            (Crossing::Down, "_meta") => Fate::Held,
            (Crossing::Down, "structuredContent") => Fate::ByKind,
            _ => Fate::Stays,
        }
    }

    fn begin_member(&mut self, at: Place<'_>) {
        let name = at.name(at.depth()).unwrap_or_default();
        let fate = self.fate_of(at, name);
        match fate {
            Fate::Stays | Fate::Replaced(_) => self.write_name(),
            Fate::Goes => self.forget(),
            Fate::Held | Fate::ByKind => {}
        }
        let is_result = at.depth() == 1 && name == "result";
        self.member = (!is_result).then_some(Member { depth: at.depth(), fate });
    }

    /// What stands before a member that is written, and its name.
    fn write_name(&mut self) {
        let Some(has_members) = self.levels.last_mut() else { return };
        if !std::mem::replace(has_members, true) {
            // The comma belonged to one that is gone.
            self.between.retain(|&byte| byte != b',');
        }
        self.out.append(&mut self.between);
        self.out.push(b'"');
        self.out.append(&mut self.names);
        self.out.push(b'"');
    }

    fn end_member(&mut self) {
        if self.member.take().is_some_and(|member| member.fate == Fate::Held) {
            self.end_meta();
        }
        self.held.clear();
    }

    /// A member is gone, with what stood before it.
    fn forget(&mut self) {
        self.between.clear();
        self.names.clear();
    }

    fn end_meta(&mut self) {
        // What is held begins with the colon.
        let text = [br#"{"_meta""#.as_slice(), &self.held, b"}"].concat();
        let Ok(document) = Document::parse_value(text.into(), &Limits::RESPONSE, IndexDepth::Full) else {
            return self.stop(StreamError::Held("its _meta is no JSON of its own"));
        };
        let Some(meta) = document.root().get("_meta") else { return };
        let mut patch = Patch::new(&document);
        lower_meta(&mut patch, meta);
        let lowered = patch.apply().ok().and_then(|text| Document::parse_value(text, &Limits::RESPONSE, IndexDepth::Full).ok());
        match lowered.as_ref().and_then(|document| document.root().get("_meta")) {
            Some(meta) => {
                self.write_name();
                self.out.push(b':');
                self.out.extend_from_slice(meta.raw_bytes());
            }
            None => self.forget(),
        }
    }

    fn stop(&mut self, error: StreamError) {
        self.error.get_or_insert(error);
    }

    /// Bytes behind the name of a member that are none of its value: its colon, and white space.
    fn around(&mut self, fate: Fate, raw: &[u8]) {
        match fate {
            Fate::Stays | Fate::Replaced(_) => self.out.extend_from_slice(raw),
            Fate::Goes => {}
            Fate::Held | Fate::ByKind => self.hold(raw),
        }
    }

    /// Bytes of a member's value.
    fn value(&mut self, raw: &[u8]) {
        match self.member.map(|member| member.fate) {
            Some(Fate::Stays) => self.out.extend_from_slice(raw),
            Some(Fate::Goes | Fate::Replaced(_)) => {}
            Some(Fate::Held | Fate::ByKind) => self.hold(raw),
            None => self.stop(StreamError::Held("its result is no object")),
        }
    }

    fn hold(&mut self, raw: &[u8]) {
        if self.held.len() + raw.len() > HELD_MAX {
            return self.stop(StreamError::Held("its _meta is long"));
        }
        self.held.extend_from_slice(raw);
    }

    /// The value of a member begins with this byte, or, if it is a number cut in two, goes on.
    fn begin_value(&mut self, first: u8) {
        let Some(member) = &mut self.member else { return };
        match member.fate {
            Fate::Replaced(Replacement::Written) => {}
            Fate::Replaced(replacement) => {
                member.fate = Fate::Replaced(Replacement::Written);
                let is_id = replacement == Replacement::Id;
                self.out.extend_from_slice(if is_id { &self.id } else { br#""complete""# });
            }
            // Legacy knows objects only, and knew none before; the text copy in `content` says the same.
            Fate::ByKind if first == b'{' && self.to >= older::LAST => {
                member.fate = Fate::Stays;
                let before = std::mem::take(&mut self.held);
                self.write_name();
                self.out.extend_from_slice(&before);
            }
            Fate::ByKind => {
                member.fate = Fate::Goes;
                self.has.needs_text = true;
                self.held.clear();
                self.forget();
            }
            Fate::Stays | Fate::Goes | Fate::Held => {}
        }
    }

    /// The result ends: what the client's era demands of it, and was not there.
    fn close_result(&mut self) {
        if self.has.needs_text && !self.has.content {
            return self.stop(StreamError::Held("its structuredContent would have to be repeated as text"));
        }
        if self.crossing != Crossing::Up {
            return;
        }
        let is_cached = is_cacheable(self.method);
        let wanted: [(bool, &[u8]); 3] = [
            (!self.has.kind, br#""resultType":"complete""#),
            (is_cached && !self.has.ttl, br#""ttlMs":0"#),
            (is_cached && !self.has.scope, br#""cacheScope":"private""#),
        ];
        for (_, member) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
            if self.levels.last_mut().is_some_and(|has_members| std::mem::replace(has_members, true)) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(member);
        }
    }

    fn open_level(&mut self) {
        self.out.append(&mut self.between);
        self.out.push(b'{');
        self.levels.push(false);
    }

    fn close_level(&mut self) {
        if self.levels.len() == 2 {
            self.close_result();
        }
        self.levels.pop();
        self.between.retain(|&byte| byte != b',');
        self.out.append(&mut self.between);
        self.out.push(b'}');
    }

    /// Outside of members.
    fn outside(&mut self, token: Token<'_>, at: Place<'_>) {
        match token {
            Token::Open(b'{') => self.open_level(),
            Token::Close(b'}') => self.close_level(),
            Token::Comma => self.between.push(b','),
            Token::Colon => {
                self.out.append(&mut self.between);
                self.out.push(b':');
            }
            Token::Space(raw) => {
                let room = BLANKS_MAX.saturating_sub(self.between.len());
                self.between.extend_from_slice(&raw[..raw.len().min(room)]);
            }
            Token::Begin { key: true } => self.names.clear(),
            Token::Text { raw, .. } => {
                self.names.extend_from_slice(raw);
                if self.names.len() > HELD_MAX {
                    self.stop(StreamError::Held("the name of a member is long"));
                }
            }
            Token::End { key: true } => self.begin_member(at),
            _ => self.stop(StreamError::Held("its result is no object")),
        }
    }
}

impl Sink for Shape {
    fn token(&mut self, at: Place<'_>, token: Token<'_>) {
        let begins_value = matches!(token, Token::Open(_) | Token::Scalar(_) | Token::Begin { key: false });
        if begins_value && at.depth() == 3 && at.name(1) == Some("result") && at.name(2) == Some("content") {
            self.has.content = true;
        }
        let Some(Member { depth, fate }) = self.member else { return self.outside(token, at) };
        let is_own = at.depth() == depth;
        match token {
            Token::Comma if is_own => {
                self.end_member();
                self.outside(token, at);
            }
            Token::Close(_) if at.depth() < depth => {
                self.end_member();
                self.outside(token, at);
            }
            Token::Colon if is_own => self.around(fate, b":"),
            Token::Space(raw) if is_own => self.around(fate, raw),
            Token::Open(byte) => self.part(is_own, &[byte]),
            Token::Scalar(raw) => self.part(is_own, raw),
            Token::Begin { key } => self.part(is_own && !key, b"\""),
            Token::Close(byte) => self.value(&[byte]),
            Token::Comma => self.value(b","),
            Token::Colon => self.value(b":"),
            Token::Space(raw) | Token::Text { raw, .. } => self.value(raw),
            Token::End { .. } => self.value(b"\""),
        }
    }
}

impl Shape {
    /// Bytes with which a value may begin.
    fn part(&mut self, is_own: bool, raw: &[u8]) {
        if is_own {
            self.begin_value(raw[0]);
        }
        self.value(raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::relayed;
    use sluice_wire::message::Message;

    const MODERN: Revision = Revision::V2026_07_28;
    const LEGACY: Revision = Revision::V2025_11_25;

    fn message(text: &str) -> Message {
        let document = Document::parse(text.to_owned().into(), &Limits::RESPONSE, IndexDepth::Levels(4)).expect("valid JSON");
        Message::decode(document).expect("a message")
    }

    fn asked(method: &str, revision: Revision) -> Asked {
        let request = message(&format!(r#"{{"jsonrpc":"2.0","id":"\u0041-1","method":"{method}","params":{{"uri":"test://a"}}}}"#));
        Asked::of(&request, revision).expect("a known method")
    }

    fn shaped(sent: &str, method: &str, spoken: Revision, to: Revision, cut: usize) -> Result<String, StreamError> {
        let mut shaper = Shaper::new(&asked(method, to), spoken);
        let mut out = Vec::new();
        for piece in sent.as_bytes().chunks(cut) {
            out.extend_from_slice(&shaper.push(piece)?);
        }
        shaper.finish()?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    const RESULTS: &[&str] = &[
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"é\n\u0041"}],"isError":false}}"#,
        r#"{"result":{"content":[1.0,{}]},"jsonrpc":"2.0","id":7}"#,
        r#"{"result":{},"jsonrpc":"2.0","id":7}"#,
        r#"{ "result" : { "content" : [ ] , "resultType" : "complete" , "x" : { "resultType" : 1 } } , "id" : 7 , "jsonrpc" : "2.0" } "#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"resultType":"complete","ttlMs":10,"cacheScope":"public","contents":[],"_meta":{"a":1}}}"#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"resultType":"complete"}}"#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n"}},"content":[1]}}"#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"a":[],"_meta":{"io.modelcontextprotocol/x":1,"own":[1,"2"]},"resultType":"complete"}}"#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"content":[1],"structuredContent":{"a":[1]},"z":null}}"#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"content":[1],"structuredContent":[1,{"b":"c"}],"z":-1.5e3}}"#,
        r#"{"id":7,"jsonrpc":"2.0","result":{"structuredContent":"x","content":[{}]},"more":{"id":8}}"#,
    ];

    /// The meaning is that of the pass over the whole answer; within one era the very bytes are.
    #[test]
    fn whatever_the_cut_it_is_what_the_whole_answer_becomes() {
        for sent in RESULTS {
            for method in ["tools/call", "resources/read", "prompts/get"] {
                for (spoken, to) in
                    [(MODERN, MODERN), (LEGACY, LEGACY), (LEGACY, MODERN), (MODERN, LEGACY), (LEGACY, Revision::V2025_06_18)]
                {
                    let whole = String::from_utf8(relayed(&message(sent), spoken, &asked(method, to)).into_bytes().to_vec()).unwrap();
                    for cut in [1, 2, 3, 7, 50, 1_000] {
                        let out = shaped(sent, method, spoken, to, cut).unwrap_or_else(|error| panic!("{error}: {sent}"));
                        if spoken.era() == to.era() {
                            assert_eq!(out, whole.trim_end(), "{cut}");
                        }
                        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|e| panic!("{e}: {text}"));
                        assert_eq!(read(&out), read(&whole), "{sent} {spoken:?} {to:?} {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_would_have_to_be_held_ends_the_answer() {
        let copy = r#"{"id":7,"jsonrpc":"2.0","result":{"content":[],"structuredContent":[1]}}"#;
        assert!(matches!(shaped(copy, "tools/call", MODERN, LEGACY, 5), Err(StreamError::Held(_))));
        let meta = format!(r#"{{"id":7,"jsonrpc":"2.0","result":{{"_meta":{{"own":"{}"}}}}}}"#, "x".repeat(HELD_MAX));
        assert!(matches!(shaped(&meta, "tools/call", MODERN, LEGACY, 500), Err(StreamError::Held(_))));
        assert!(shaped(&meta, "tools/call", MODERN, MODERN, 500).is_ok());
        assert!(matches!(shaped(r#"{"result":7}"#, "tools/call", MODERN, MODERN, 5), Err(StreamError::Held(_))));
        assert!(matches!(shaped(r#"{"result":{}"#, "tools/call", MODERN, MODERN, 5), Err(StreamError::Json(_))));
        for (spoken, to, method, goes) in [
            (MODERN, LEGACY, "tools/call", true),
            (MODERN, Revision::V2024_11_05, "tools/call", false),
            (LEGACY, Revision::V2025_03_26, "prompts/get", false),
            (Revision::V2025_03_26, Revision::V2025_03_26, "tools/call", true),
            (MODERN, MODERN, "tools/list", false),
            (LEGACY, MODERN, "tasks/result", false),
        ] {
            assert_eq!(passes(spoken, to, method), goes, "{spoken:?} {to:?} {method}");
        }
    }
}
