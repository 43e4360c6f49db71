//! Requests to a plugin's own routes, and their answers: the types of the `on-http` hook.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use crate::bindings::on_http::exports::sluice::filter::on_http::{Request as HttpRequest, Response as HttpResponse};

impl HttpRequest {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl HttpResponse {
    /// A body of this media type, with status 200.
    pub fn new(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        HttpResponse { status: 200, headers: Vec::from([("content-type".to_string(), media_type.to_string())]), body: body.into() }
    }

    /// JSON text.
    pub fn json(json: String) -> Self {
        Self::new("application/json", json)
    }

    /// A status without a body.
    pub fn empty(status: u16) -> Self {
        HttpResponse { status, headers: Vec::new(), body: Vec::new() }
    }

    /// To another place, which is read with GET (303).
    pub fn see_other(location: &str) -> Self {
        Self::empty(303).header("location", location)
    }

    /// With another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a header more; the contract says which are a plugin's.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }
}
