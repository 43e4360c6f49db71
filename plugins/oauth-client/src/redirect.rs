//! There and back: where browsers are sent, and what may be believed of what they bring back.

use alloc::string::String;

use crate::url::{self, Url};

/// A page of a server with these members in its query, behind those it has already (RFC 6749 section 3.1).
pub fn to(endpoint: &Url, members: &[(&str, &str)]) -> String {
    let joint = if endpoint.query.is_empty() { "?" } else { "&" };
    alloc::format!("{}{}{}{joint}{}", endpoint.origin, endpoint.path, endpoint.query, url::form(members))
}

/// Whether an answer may be the server's whose name was recorded before the browser was sent there (RFC 9207 section 2.4): compared as it
/// is, letter by letter. Who always says it, and does not this time, was not asked.
pub fn is_from(issuer: &str, always_says: bool, said: Option<&str>) -> bool {
    match said {
        Some(said) => said == issuer,
        None => !always_says,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_answers() {
        let issuer = "https://as.example.com/t";
        for (always_says, said, is_taken) in [
            (true, Some(issuer), true),
            (true, None, false),
            (false, Some(issuer), true),
            (false, None, true),
            (true, Some("https://evil.example"), false),
            (false, Some("https://evil.example"), false),
            (true, Some("https://as.example.com/t/"), false),
            (true, Some("https://AS.example.com/t"), false),
            (true, Some("https://as.example.com:443/t"), false),
            (true, Some("https://as.example.com/%74"), false),
            (false, Some(""), false),
        ] {
            assert_eq!(is_from(issuer, always_says, said), is_taken, "{always_says} {said:?}");
        }
    }

    #[test]
    fn an_endpoint_keeps_its_own_query() {
        let url = |text| Url::read(text).unwrap();
        assert_eq!(to(&url("https://as/a?b=c"), &[("state", "x y")]), "https://as/a?b=c&state=x%20y");
        assert_eq!(to(&url("https://as"), &[("state", "s")]), "https://as?state=s");
    }
}
