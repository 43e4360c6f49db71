//! What the static backend says, in both eras: built once, so that a reply costs a copy.

use std::fmt;

use anyhow::{Result, bail};
use serde::Serialize;

/// The revision that modern calls speak.
pub const MODERN: &str = "2026-07-28";
/// The revision that legacy sessions agree on.
pub const LEGACY: &str = "2025-11-25";
/// The legacy revisions that the backend can agree on.
pub const LEGACY_REVISIONS: [&str; 4] = [LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"];

/// The tool that puts a question to its client before it would answer; legacy only.
pub const ASKING: &str = "ask";
/// That question, as the first event of the call's stream.
pub const QUESTION: &str = concat!(
    r#"data: {"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"Open the gate?","#,
    r#""requestedSchema":{"type":"object","properties":{"open":{"type":"boolean"}},"required":["open"]}}}"#,
    "\n\n"
);

const SERVER_INFO: &str = r#"{"name":"sluice-bench","version":"0.1.0"}"#;

/// Which half of MCP's history a call speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// Sessions: 2025-11-25 and before.
    Legacy,
    /// No sessions: 2026-07-28.
    Modern,
}

impl Era {
    /// Both, oldest first.
    pub const ALL: [Self; 2] = [Self::Legacy, Self::Modern];

    /// The word for it on a command line and in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }

    /// The era that a word names.
    pub fn named(word: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|era| era.name() == word) {
            Some(era) => Ok(era),
            None => bail!("{word} is no era; legacy or modern"),
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The backend's two tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// A result of 200 bytes.
    Echo200,
    /// A result of 64 KiB.
    Echo64k,
}

impl Tool {
    /// Both, smallest first.
    pub const ALL: [Self; 2] = [Self::Echo200, Self::Echo64k];

    /// Its MCP name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo200 => "echo200",
            Self::Echo64k => "echo64k",
        }
    }

    /// How many bytes its `result` member has, in either era.
    pub fn result_bytes(self) -> usize {
        match self {
            Self::Echo200 => 200,
            Self::Echo64k => 64 * 1024,
        }
    }

    /// The tool that an MCP name names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

/// Every `result` the backend can answer with.
#[derive(Debug)]
pub struct Replies {
    calls: [[String; 2]; 2],
    lists: [String; 2],
    /// Of `server/discover`. It names the legacy revisions too: a dual-era server is called in its caller's own era.
    pub discover: String,
}

impl Replies {
    /// Builds them all.
    pub fn build() -> Self {
        let revisions: Vec<_> = std::iter::once(MODERN).chain(LEGACY_REVISIONS).map(|r| format!("{r:?}")).collect();
        Self {
            calls: Era::ALL.map(|era| Tool::ALL.map(|tool| call_result(era, tool))),
            lists: Era::ALL.map(list_result),
            discover: format!(
                r#"{{"resultType":"complete","supportedVersions":[{}],"capabilities":{{"tools":{{}}}},{}}}"#,
                revisions.join(","),
                cacheable()
            ),
        }
    }

    /// The result of calling `tool`.
    pub fn call(&self, era: Era, tool: Tool) -> &str {
        &self.calls[era as usize][tool as usize]
    }

    /// The result of `tools/list`.
    pub fn list(&self, era: Era) -> &str {
        &self.lists[era as usize]
    }
}

/// The result of `initialize`, agreeing on what was asked for where the backend knows it.
pub fn initialize_result(asked: &str) -> String {
    let agreed = LEGACY_REVISIONS.into_iter().find(|known| *known == asked).unwrap_or(LEGACY);
    format!(r#"{{"protocolVersion":"{agreed}","capabilities":{{"tools":{{}}}},"serverInfo":{SERVER_INFO}}}"#)
}

/// The members that a modern list or discover result has besides its own.
fn cacheable() -> String {
    format!(r#""ttlMs":60000,"cacheScope":"public",{}"#, server_meta())
}

fn server_meta() -> String {
    format!(r#""_meta":{{"io.modelcontextprotocol/serverInfo":{SERVER_INFO}}}"#)
}

fn list_result(era: Era) -> String {
    let mut tools: Vec<_> = Tool::ALL.map(|tool| {
        format!(
            r#"{{"name":"{}","description":"Answers with a result of {} bytes.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string"}}}}}}}}"#,
            tool.name(),
            tool.result_bytes()
        )
    }).into();
    if era == Era::Legacy {
        tools.push(format!(r#"{{"name":"{ASKING}","description":"Asks and waits.","inputSchema":{{"type":"object"}}}}"#));
    }
    match era {
        Era::Legacy => format!(r#"{{"tools":[{}]}}"#, tools.join(",")),
        Era::Modern => format!(r#"{{"resultType":"complete","tools":[{}],{}}}"#, tools.join(","), cacheable()),
    }
}

/// One text block, filled so that the whole object has the tool's exact size.
fn call_result(era: Era, tool: Tool) -> String {
    let open = match era {
        Era::Legacy => r#"{"content":[{"type":"text","text":""#.to_owned(),
        Era::Modern => format!(r#"{{"resultType":"complete",{},"content":[{{"type":"text","text":""#, server_meta()),
    };
    let close = r#""}]}"#;
    let text = prose(tool.result_bytes() - open.len() - close.len());
    format!("{open}{text}{close}")
}

/// English-like text as it stands inside a JSON string, `length` bytes long: with line ends and quotation marks
/// to unescape, since a proxy that reads strings pays for those, and nothing that a redaction rule matches.
fn prose(length: usize) -> String {
    const WORDS: [&str; 12] = ["water", "turns", "the", "wheel", "while", "a", "keeper", "lifts", "one", "gate", "at", "dawn"];
    let mut text = String::with_capacity(length + 16);
    for count in 0.. {
        // A fixed stride through the list: no two lines alike, and every run has the same text.
        let word = WORDS[count * 7 % WORDS.len()];
        let piece = match count {
            _ if count % 13 == 12 => format!("{word}.\\n"),
            _ if count % 29 == 28 => format!("\\\"{word}\\\" "),
            _ => format!("{word} "),
        };
        if text.len() + piece.len() > length {
            break;
        }
        text.push_str(&piece);
    }
    text.extend(std::iter::repeat_n('.', length - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn results_are_json_of_the_exact_size() {
        let replies = Replies::build();
        for era in Era::ALL {
            for tool in Tool::ALL {
                let result = replies.call(era, tool);
                assert_eq!(result.len(), tool.result_bytes());
                let result: Value = serde_json::from_str(result).unwrap();
                assert!(result["content"][0]["text"].as_str().unwrap().starts_with("water "));
            }
        }
    }

    #[test]
    fn modern_results_carry_what_the_revision_demands() {
        let replies = Replies::build();
        for result in [&replies.discover, replies.list(Era::Modern)] {
            let result: Value = serde_json::from_str(result).unwrap();
            assert_eq!(result["resultType"], "complete");
            assert_eq!(result["ttlMs"], 60_000);
            assert_eq!(result["cacheScope"], "public");
        }
        let list: Value = serde_json::from_str(replies.list(Era::Legacy)).unwrap();
        assert_eq!(list["tools"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn an_unknown_revision_is_answered_with_ours() {
        assert!(initialize_result("2025-06-18").contains(r#""2025-06-18""#));
        assert!(initialize_result("1999-01-01").contains(LEGACY));
    }
}
