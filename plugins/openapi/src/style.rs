//! Values in URLs and headers, as OpenAPI's styles say: RFC 6570 for most, and OpenAPI's own words for the rest.
//!
//! Whatever a value is, it stays in its place: in a path and a query everything that is not unreserved (RFC 3986 §2.3) is escaped.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::{self, Value};

/// How lists and objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;n=a;n=b`
    Matrix,
    /// `n=a&n=b`
    Form,
    /// `n=a%20b`
    Delimited(&'static str),
    /// `n[k]=v`
    DeepObject,
}

/// How one text is escaped.
type Escape = fn(&str) -> Cow<'_, str>;

/// What a value is made of.
enum Parts<'v> {
    One(Cow<'v, str>),
    List(Vec<Cow<'v, str>>),
    Members(Vec<(&'v str, Cow<'v, str>)>),
}

/// The end of the sentence that says why a value cannot be written.
fn parts<'v>(value: &'v Value<'_>) -> Result<Parts<'v>, String> {
    let inside = "has lists or objects within, which cannot be written there";
    Ok(match value {
        Value::Array(items) => {
            let items = items.iter().filter(|item| !matches!(item, Value::Null));
            Parts::List(items.map(|item| plain(item).ok_or(inside)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let members = members.iter().filter(|(_, member)| !matches!(member, Value::Null));
            let written = members.map(|(name, member)| Ok((&**name, plain(member).ok_or(inside)?)));
            Parts::Members(written.collect::<Result<_, &str>>()?)
        }
        other => Parts::One(plain(other).unwrap_or_default()),
    })
}

/// What is neither a list nor an object.
fn plain<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number((digits, _)) => Some(Cow::Borrowed(digits)),
        Value::Bool(yes) => Some(Cow::Borrowed(if *yes { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// In a path or, not escaped, in a header.
pub fn in_path(style: Style, explode: bool, name: &str, value: &Value<'_>, escape: Escape) -> Result<String, String> {
    let parts = parts(value)?;
    let name = escape(name);
    let flat = |between: &str| match &parts {
        Parts::One(text) => escape(text).to_string(),
        Parts::List(texts) => texts.iter().map(|text| escape(text)).collect::<Vec<_>>().join(between),
        Parts::Members(members) => {
            let inner = if explode { "=" } else { between };
            let pair = |(key, text): &(&str, Cow<'_, str>)| format!("{}{inner}{}", escape(key), escape(text));
            members.iter().map(pair).collect::<Vec<_>>().join(between)
        }
    };
    Ok(match (style, &parts) {
        (Style::Label, _) => format!(".{}", flat(if explode { "." } else { "," })),
        (Style::Matrix, Parts::List(texts)) if explode => texts.iter().map(|text| format!(";{name}={}", escape(text))).collect(),
        (Style::Matrix, Parts::Members(members)) if explode => {
            members.iter().map(|(key, text)| format!(";{}={}", escape(key), escape(text))).collect()
        }
        (Style::Matrix, Parts::One(text)) if text.is_empty() => format!(";{name}"),
        (Style::Matrix, _) => format!(";{name}={}", flat(",")),
        _ => flat(","),
    })
}

/// In a query: `name=value`, each with what its name is before it was escaped.
pub fn in_query(style: Style, explode: bool, name: &str, value: &Value<'_>, escape: Escape) -> Result<Vec<(String, String)>, String> {
    let pair = |name: &str, text: &str| (name.to_string(), format!("{}={text}", percent(name)));
    let joined = |texts: &mut dyn Iterator<Item = String>| pair(name, &texts.collect::<Vec<_>>().join(between(style)));
    // What divides items is none of an item.
    let item = |text: &str| if between(style) == "," { escape(text).replace(',', "%2C") } else { escape(text).into_owned() };
    Ok(match (style, parts(value)?) {
        (Style::DeepObject, Parts::Members(members)) => {
            members.iter().map(|(key, text)| pair(&format!("{name}[{key}]"), &escape(text))).collect()
        }
        (Style::DeepObject, _) => return Err("has to be an object".to_string()),
        (_, Parts::One(text)) => [pair(name, &escape(&text))].into(),
        // Nothing in them is nothing at all (RFC 6570 §2.3).
        (_, Parts::List(texts)) if texts.is_empty() => Vec::new(),
        (_, Parts::Members(members)) if members.is_empty() => Vec::new(),
        (_, Parts::List(texts)) if explode => texts.iter().map(|text| pair(name, &escape(text))).collect(),
        (_, Parts::Members(members)) if explode => members.iter().map(|(key, text)| pair(key, &escape(text))).collect(),
        (_, Parts::List(texts)) => [joined(&mut texts.iter().map(|text| item(text)))].into(),
        (_, Parts::Members(members)) => {
            let mut flat = members.iter().flat_map(|(key, text)| [item(key), item(text)]);
            [joined(&mut flat)].into()
        }
    })
}

fn between(style: Style) -> &'static str {
    if let Style::Delimited(between) = style { between } else { "," }
}

/// Everything that is not unreserved is escaped.
pub fn percent(text: &str) -> Cow<'_, str> {
    escaped(text, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// In a query some more stay what they are: those of the reserved that end nothing there. Many a server reads `;` as it does `&`.
pub fn reserved(text: &str) -> Cow<'_, str> {
    escaped(text, |b| b.is_ascii_alphanumeric() || b"-._~:/?@!$'()*,".contains(&b))
}

/// Nothing is.
pub fn bare(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

fn escaped(text: &str, stays: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(&stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match stays(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Cow::Owned(out)
}

/// A form of a web page (`application/x-www-form-urlencoded`): each member by itself, lists as a member for each item.
pub fn form(value: &Value<'_>) -> Result<String, String> {
    if !matches!(value, Value::Object(_)) {
        return Err("has to be an object".to_string());
    }
    let mut pairs = Vec::new();
    for (name, member) in json::members(value) {
        let written = in_query(Style::Form, true, name, member, percent).map_err(|why| format!("{why}: look at {name:?}"))?;
        match member {
            Value::Null => {}
            Value::Object(_) => return Err(format!("has an object within, which cannot be written there: look at {name:?}")),
            _ => pairs.extend(written.into_iter().map(|(_, pair)| pair)),
        }
    }
    Ok(pairs.join("&"))
}

/// Whether a path has parts that lead out of it once somebody resolves them: `.` and `..`, however they are spelt, between whatever some
/// server takes for slashes, and before what some take for no part of a name (`..;x`, RFC 3986 §3.3).
pub fn has_dots(path: &str) -> bool {
    let signs = [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%3b", ";")];
    let plain = signs.iter().fold(path.to_ascii_lowercase(), |path, (escaped, sign)| path.replace(escaped, sign));
    plain.split(['/', '\\']).any(|part| matches!(part.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = r#""""#;
    const TEXT: &str = r#""blue""#;
    const LIST: &str = r#"["blue","black","brown"]"#;
    const OBJECT: &str = r#"{"R":100,"G":200,"B":150}"#;

    /// The table "Style Examples" of OpenAPI 3.1 (§4.8.12.4), but for what it calls n/a.
    #[test]
    fn styles_are_those_of_the_table() {
        let path = |style, explode, value| in_path(style, explode, "color", &json::read(value).unwrap(), percent).unwrap();
        for (style, explode, expected) in [
            (Style::Matrix, false, [";color", ";color=blue", ";color=blue,black,brown", ";color=R,100,G,200,B,150"]),
            (Style::Matrix, true, [";color", ";color=blue", ";color=blue;color=black;color=brown", ";R=100;G=200;B=150"]),
            (Style::Label, false, [".", ".blue", ".blue,black,brown", ".R,100,G,200,B,150"]),
            (Style::Label, true, [".", ".blue", ".blue.black.brown", ".R=100.G=200.B=150"]),
            (Style::Simple, false, ["", "blue", "blue,black,brown", "R,100,G,200,B,150"]),
            (Style::Simple, true, ["", "blue", "blue,black,brown", "R=100,G=200,B=150"]),
        ] {
            assert_eq!([EMPTY, TEXT, LIST, OBJECT].map(|value| path(style, explode, value)), expected, "{style:?} {explode}");
        }
        let query = |style, explode, value| {
            let pairs = in_query(style, explode, "color", &json::read(value).unwrap(), percent).unwrap();
            pairs.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>().join("&")
        };
        for (style, explode, value, expected) in [
            (Style::Form, false, EMPTY, "color="),
            (Style::Form, false, TEXT, "color=blue"),
            (Style::Form, false, LIST, "color=blue,black,brown"),
            (Style::Form, false, OBJECT, "color=R,100,G,200,B,150"),
            (Style::Form, true, EMPTY, "color="),
            (Style::Form, true, LIST, "color=blue&color=black&color=brown"),
            (Style::Form, true, OBJECT, "R=100&G=200&B=150"),
            (Style::Delimited("%20"), false, LIST, "color=blue%20black%20brown"),
            (Style::Delimited("%20"), false, OBJECT, "color=R%20100%20G%20200%20B%20150"),
            (Style::Delimited("%7C"), false, LIST, "color=blue%7Cblack%7Cbrown"),
            (Style::DeepObject, true, OBJECT, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150"),
            (Style::Form, true, "[]", ""),
            (Style::Form, true, "[1.10,true,null]", "color=1.10&color=true"),
        ] {
            assert_eq!(query(style, explode, value), expected, "{style:?} {explode} {value}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        for value in ["[[1]]", r#"{"a":{}}"#] {
            let value = json::read(value).unwrap();
            assert!(in_path(Style::Simple, false, "x", &value, percent).unwrap_err().contains("within"));
            assert!(in_query(Style::Form, true, "x", &value, percent).unwrap_err().contains("within"));
        }
        assert_eq!(in_query(Style::DeepObject, true, "x", &json::read("1").unwrap(), percent).unwrap_err(), "has to be an object");
    }

    #[test]
    fn a_value_stays_in_its_place() {
        assert_eq!(percent("a/b?c#d&e=f;g,h%2F é\r\n\0"), "a%2Fb%3Fc%23d%26e%3Df%3Bg%2Ch%252F%20%C3%A9%0D%0A%00");
        assert_eq!(reserved("a/b?c#d&e=f+[g]% \\;h,i"), "a/b?c%23d%26e%3Df%2B%5Bg%5D%25%20%5C%3Bh,i");
        let (list, object) = (json::read(r#"["a,b",":c"]"#).unwrap(), json::read(r#"{"a,b":",c"}"#).unwrap());
        let query = |explode, value| in_query(Style::Form, explode, "x", value, reserved).unwrap().remove(0).1;
        assert_eq!((query(false, &list), query(true, &list)), ("x=a%2Cb,:c".into(), "x=a,b".into()));
        assert_eq!((query(false, &object), query(true, &object)), ("x=a%2Cb,%2Cc".into(), "a%2Cb=,c".into()));
        assert_eq!(percent("aZ0-._~"), "aZ0-._~");
    }

    #[test]
    fn forms_are_flat() {
        let form = |value: &str| super::form(&json::read(value).unwrap());
        assert_eq!(form(r#"{"a b":"c&d","e":[1,2],"n":null,"é":true}"#).unwrap(), "a%20b=c%26d&e=1&e=2&%C3%A9=true");
        assert!(form(r#"{"a":{"b":1}}"#).unwrap_err().contains("\"a\""));
        assert!(form("[1]").is_err());
    }

    #[test]
    fn dots_are_found_however_they_are_spelt() {
        for (path, yes) in [
            ("/a/../b", true),
            ("/a/%2e%2E", true),
            ("/.", true),
            ("/.%2e/", true),
            ("/a/x%2F..%2fy", true),
            ("/a/..%5cy", true),
            ("/a/..;x/b", true),
            ("/a/..%3Bx", true),
            ("/a/%2F.%3b", true),
            ("/a..b/...", false),
            ("/a/.b", false),
            ("/a/b;..", false),
            ("/a/b%2Fc", false),
            ("/", false),
        ] {
            assert_eq!(has_dots(path), yes, "{path}");
        }
    }
}
