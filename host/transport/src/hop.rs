//! Which gateways a request has passed through. Each names itself in `Via` (RFC 9110, section 7.6.3) to servers behind a URL, behind those
//! that were before it, and takes nothing that has been here.
//!
//! A name is drawn by lot and says nothing of who bears it. What others than gateways of this kind write there, names of hosts maybe, stays
//! here. A child process has no headers: if it is a gateway, it learns from its environment behind which others it stands.

use http::{HeaderMap, HeaderValue, header::VIA};
use std::sync::Arc;

/// The variable that tells a child so: names with spaces between.
pub const VARIABLE: &str = "SLUICE_VIA";
/// So many of them are taken over; a gateway lets fewer through.
const BEFORE_MAX: usize = 64;
/// What a name begins with, and the number of hexadecimal digits behind it.
const NAME: (&str, usize) = ("sluice-", 16);
/// As it stands in the header, where the version of HTTP is what we send.
const PROTOCOL: &str = "1.1 ";

/// One gateway among others.
#[derive(Debug, Clone)]
pub struct Hop {
    name: Arc<str>,
    /// What stands in the header, whoever asks: those that started this process, and this one.
    first: Arc<str>,
}

impl Default for Hop {
    /// A gateway that no other is, and that none has started.
    fn default() -> Self {
        Self::behind("")
    }
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It has been here.
    #[error(
        "this request has passed through this gateway before, so servers of gateways lead back to where they are asked from: whoever runs them has to take one of those out"
    )]
    Loop,
    /// It has been in more places than a request may.
    #[error(
        "this request has passed through more than {max} gateways: whoever runs them has to make the way shorter, or raise limits.gateways_max here"
    )]
    TooFar {
        /// The bound.
        max: usize,
    },
}

impl Hop {
    /// A gateway that no other is, behind those that this names, as [`VARIABLE`] does.
    pub fn behind(names: &str) -> Self {
        let mut number = [0; 8];
        // Without randomness nothing starts anyway: the host asks for it as well. The process's number is better than one that all share.
        if getrandom::fill(&mut number).is_err() {
            number = u64::from(std::process::id()).to_be_bytes();
        }
        let name = format!("{}{:0width$x}", NAME.0, u64::from_be_bytes(number), width = NAME.1);
        let before = names.split(' ').filter(|name| is_name(name)).take(BEFORE_MAX);
        Self { first: written(before.chain([&*name])).into(), name: name.into() }
    }

    /// Behind whom a child of this process stands: the value of [`VARIABLE`].
    pub fn above_children(&self) -> String {
        self.first.replace(PROTOCOL, "").replace(',', "")
    }

    /// The gateways that a request has passed through, `max` at most, the first one first, with spaces between; none: it comes from its
    /// client.
    ///
    /// # Errors
    /// It is to go no further.
    pub fn passed(&self, headers: &HeaderMap, max: usize) -> Result<Option<String>, Lost> {
        if !headers.contains_key(VIA) {
            return Ok(None);
        }
        let written = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut passed = String::new();
        for (at, name) in written.filter_map(name).enumerate() {
            if *name == *self.name {
                return Err(Lost::Loop);
            }
            if at >= max {
                return Err(Lost::TooFar { max });
            }
            if at > 0 {
                passed.push(' ');
            }
            passed.push_str(name);
        }
        Ok((!passed.is_empty()).then_some(passed))
    }

    /// What stands in `Via` of a request that came straight from its client.
    pub(crate) fn first(&self) -> HeaderValue {
        value(&self.first)
    }

    /// Writes down the way of a request that has [`passed`](Self::passed) through others.
    pub(crate) fn follow(&self, passed: &str, headers: &mut HeaderMap) {
        headers.insert(VIA, value(&format!("{}, {}", written(passed.split(' ')), self.first)));
    }
}

/// The name in an element of `Via`, if it is one of ours: protocol, name, maybe a comment.
fn name(element: &str) -> Option<&str> {
    element.split_ascii_whitespace().nth(1).filter(|name| is_name(name))
}

fn is_name(text: &str) -> bool {
    let is_number = |digits: &str| digits.len() == NAME.1 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.strip_prefix(NAME.0).is_some_and(is_number)
}

fn written<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let elements: Vec<String> = names.map(|name| format!("{PROTOCOL}{name}")).collect();
    elements.join(", ")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| unreachable!("names are visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(VIA, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn named(digit: char) -> String {
        format!("sluice-{}", digit.to_string().repeat(16))
    }

    #[test]
    fn each_gateway_adds_itself_and_a_request_comes_to_each_once() {
        let (a, b, c) = (Hop::default(), Hop::default(), Hop::default());
        assert_ne!(a.name, b.name);
        let mut way = headers(&[]);
        assert_eq!(a.passed(&way, 8), Ok(None));
        way.insert(VIA, a.first());
        let passed = b.passed(&way, 8).unwrap().unwrap();
        assert_eq!(*passed, *a.name);
        b.follow(&passed, &mut way);
        assert_eq!(way[VIA], format!("1.1 {}, 1.1 {}", a.name, b.name));
        assert_eq!(c.passed(&way, 8), Ok(Some(format!("{} {}", a.name, b.name))));
        assert_eq!((a.passed(&way, 8), b.passed(&way, 8)), (Err(Lost::Loop), Err(Lost::Loop)));
    }

    #[test]
    fn a_gateway_that_was_started_by_one_stands_behind_it() {
        let (a, b) = (Hop::default(), Hop::default());
        let child = Hop::behind(&Hop::behind(&a.above_children()).above_children());
        let names: Vec<&str> = child.first.split(", ").collect();
        assert_eq!((names.len(), names[0], names[2]), (3, &*format!("1.1 {}", a.name), &*format!("1.1 {}", child.name)));
        let mut way = headers(&[]);
        child.follow(&b.name, &mut way);
        assert_eq!((a.passed(&way, 8), b.passed(&way, 8)), (Err(Lost::Loop), Err(Lost::Loop)));
        assert_eq!(Hop::behind("x sluice-1\r\nevil: 1 sluice-").first.split(", ").count(), 1);
    }

    #[test]
    fn what_others_write_there_is_no_gateways() {
        let a = named('a');
        for (written, passed) in [
            (vec!["1.1 proxy.corp.example (squid/6.1)", "HTTP/2.0 edge"], None),
            (vec!["1.1 fred, 1.1 sluice-aaaaaaaaaaaaaaaa (x), 2.0 p"], Some(&a)),
            (vec!["HTTP/1.1 sluice-aaaaaaaaaaaaaaaa"], Some(&a)),
            (vec!["sluice-aaaaaaaaaaaaaaaa"], None),
            (vec!["1.1 sluice-aaaaaaaaaaaaaaa", "1.1 sluice-aaaaaaaaaaaaaaaaa", "1.1 sluice-AAAAAAAAAAAAAAAA", "1.1 sluice-"], None),
            (vec!["", ",", " , ,", "1.1"], None),
        ] {
            assert_eq!(Hop::default().passed(&headers(&written), 8), Ok(passed.cloned()), "{written:?}");
        }
        let mut unreadable = headers(&[]);
        unreadable.insert(VIA, HeaderValue::from_bytes(b"1.1 sluice-aaaaaaaaaaaaaaaa\xff").unwrap());
        assert_eq!(Hop::default().passed(&unreadable, 8), Ok(None));
    }

    #[test]
    fn a_request_passes_through_so_many_and_no_more() {
        let hop = Hop::default();
        let [a, b, c] = ['a', 'b', 'c'].map(|digit| format!("1.1 {}", named(digit)));
        assert_eq!(hop.passed(&headers(&[&a, &b]), 2), Ok(Some(format!("{} {}", named('a'), named('b')))));
        assert_eq!(hop.passed(&headers(&[&a, &format!("{b}, {c}")]), 2), Err(Lost::TooFar { max: 2 }));
        let long = vec![a.as_str(); 5_000].join(",");
        assert_eq!(hop.passed(&headers(&[&long]), 2), Err(Lost::TooFar { max: 2 }));
    }
}
