//! A request in the one form that both sides sign (AWS General Reference, "Create a signed AWS API request", step 1).

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// What is signed of a request, beside the time and the place.
pub struct Request<'a> {
    /// Of HTTP, upper case.
    pub method: &'a str,
    /// As it is sent.
    pub path: &'a str,
    /// As it is sent, without `?`.
    pub query: &'a str,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// The digest of the body in hex, or a word that stands for it.
    pub payload: &'a str,
    /// S3 signs the path as it is sent; all other services tidy it up, and encode it once more.
    pub is_s3: bool,
}

impl Request<'_> {
    /// The canonical request, and the names of the headers that are signed.
    pub fn canonical(mut self) -> (String, String) {
        self.headers.sort();
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}:{}\n", tidy(value))).collect();
        let path =
            if self.is_s3 { Cow::Borrowed(self.path) } else { Cow::Owned(utf8_percent_encode(&normal(self.path), PATH).to_string()) };
        let query = query(self.query);
        (format!("{}\n{path}\n{query}\n{headers}\n{names}\n{}", self.method, self.payload), names)
    }
}

/// Without spaces around it, and of several in a row one.
fn tidy(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Without `.`, `..` and empty segments (RFC 3986, section 5.2.4).
fn normal(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let end = if is_folder && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// Sorted by name and value, each encoded in the one way that signatures know.
fn query(query: &str) -> String {
    let encoded = |text: &str| -> String {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&bytes, QUERY).to_string()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_tidied_up() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("/../..", "/"),
            ("//example//", "/example/"),
            ("/./example", "/example"),
            ("/a/./b/.", "/a/b/"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn a_query_is_sorted_and_encoded_once() {
        for (text, expected) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("lifecycle", "lifecycle="),
            ("a=2&a=1&aa=0", "a=1&a=2&aa=0"),
            ("q=a%20b%2Bc%3d&r=~", "q=a%20b%2Bc%3D&r=~"),
            ("x=a=b&&", "x=a%3Db"),
        ] {
            assert_eq!(query(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_that_is_encoded_is_encoded_once_more_but_for_s3() {
        let of = |is_s3| {
            let path = "/runtimes/arn%3Aaws%3Ax%2Fy/invocations";
            Request { method: "POST", path, query: "", headers: Vec::new(), payload: "", is_s3 }.canonical().0
        };
        assert!(of(false).contains("/runtimes/arn%253Aaws%253Ax%252Fy/invocations\n"), "{}", of(false));
        assert!(of(true).contains("/runtimes/arn%3Aaws%3Ax%2Fy/invocations\n"), "{}", of(true));
    }
}
