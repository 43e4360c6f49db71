//! What a hook decides.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::Json;

pub use crate::bindings::base::sluice::filter::types::{Ask, Rejection, Suspension, Verdict};
pub use crate::bindings::on_notification::exports::sluice::filter::on_notification::NotificationVerdict;

impl Rejection {
    /// A no. `code` lies outside -32768..-32000, which belong to the protocol; `message` is for the client and
    /// never holds the data that was the reason.
    pub fn new(code: i32, message: &str) -> Self {
        Rejection { code, message: message.to_string(), data: None, http_status: None, http_headers: Vec::new(), as_tool_result: false }
    }

    /// The `data` member of the error, as JSON text.
    pub fn data(mut self, json: String) -> Self {
        self.data = Some(json);
        self
    }

    /// The status of the HTTP answer, where the transport can still set it.
    pub fn status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// A header of the HTTP answer, where the transport can still set it.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.http_headers.push((name.to_string(), value.to_string()));
        self
    }

    /// For `tools/call`: answer with an `isError` result, which models can read, instead of an error.
    pub fn tool_result(mut self) -> Self {
        self.as_tool_result = true;
        self
    }
}

impl Suspension {
    /// A yes or no. `message` says what is about to happen, and what a yes means.
    pub fn confirm(message: &str) -> Self {
        Self::form(message, r#"{"type":"object","properties":{}}"#.to_string())
    }

    /// A form, given as the JSON Schema of an object with members of primitive types.
    pub fn form(message: &str, schema: Json) -> Self {
        Suspension { message: message.to_string(), ask: Ask::Form(schema), ttl_ms: 0 }
    }

    /// Something to be opened in a browser. Accepting says that it was opened, not that anything was done there.
    pub fn url(message: &str, url: &str) -> Self {
        Suspension { message: message.to_string(), ask: Ask::Url(url.to_string()), ttl_ms: 0 }
    }

    /// How long the answer may take. Without, and at most: what the operator allows.
    pub fn within_ms(mut self, ms: u32) -> Self {
        self.ttl_ms = ms;
        self
    }
}

impl Verdict {
    /// Asks the person behind the client. With the answer the whole request chain runs again, and finds it by
    /// [`Facts::elicited`](crate::exchange::Facts::elicited).
    pub fn suspend(question: Suspension) -> Self {
        Verdict::Suspend(question)
    }
}

impl From<Rejection> for Verdict {
    fn from(no: Rejection) -> Self {
        Verdict::Reject(no)
    }
}

impl From<Rejection> for NotificationVerdict {
    fn from(no: Rejection) -> Self {
        NotificationVerdict::Reject(no)
    }
}
