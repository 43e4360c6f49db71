//! Values made of others: `{"$from": "/input/number"}`, `{"$text": "about {/steps/issue/structured/title}"}`.
//!
//! What is put in is never read as a template again, whatever it looks like. Everything that a template names is checked when it is read.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::json as quoted;

use crate::json::{self, Value};

/// Members of what a step leaves behind.
const OF_STEP: [&str; 5] = ["structured", "text", "content", "error", "skipped"];

/// A value with places in it.
#[derive(Debug)]
pub enum Template {
    /// As it is.
    Json(String),
    /// What stands at a pointer.
    From {
        /// The pointer.
        pointer: Pointer,
        /// If nothing does.
        default: Option<String>,
        /// Of each item there, what stands at this pointer in it; `null` if nothing does.
        each: Option<Vec<String>>,
    },
    /// A text with values in it.
    Text(Vec<Part>),
    /// Of templates.
    List(Vec<Template>),
    /// Of templates.
    Object(Vec<(String, Template)>),
}

/// Part of a text.
#[derive(Debug)]
pub enum Part {
    /// As it is.
    Text(String),
    /// What stands at a pointer.
    Value(Pointer),
}

/// Into what is known while a tool runs.
#[derive(Debug)]
pub struct Pointer {
    /// As it is written, for messages.
    written: String,
    root: Root,
    tokens: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Input,
    Step(usize),
    Item,
    Index,
}

/// What may be named at one place.
pub struct Names<'n> {
    /// Members of the input, if it can have no others.
    pub input: Option<&'n [String]>,
    /// Steps that ran by then, and whether each ran for a list.
    pub steps: &'n [(&'n str, bool)],
    /// There is an item of a list.
    pub has_item: bool,
}

/// What is known while a tool runs.
pub struct Known<'k> {
    /// The arguments.
    pub input: &'k Value<'k>,
    /// Steps that ran, the last first.
    pub steps: Option<&'k Ran<'k>>,
    /// Of the list that a step goes through, and its place.
    pub item: Option<(&'k Value<'k>, usize)>,
}

/// What a step left behind.
pub struct Ran<'k> {
    /// Which step it was.
    pub at: usize,
    /// What it left.
    pub value: &'k Value<'k>,
    /// The step before.
    pub before: Option<&'k Ran<'k>>,
}

impl Pointer {
    /// Reads one. The text of an error is a sentence.
    pub fn read(written: &str, names: &Names<'_>) -> Result<Self, String> {
        let no = |why: &str| Err(format!("{written:?} {why}"));
        let mut tokens = tokens(written)?;
        if tokens.is_empty() {
            return no("is no pointer: it begins with /input, /steps, /item or /index");
        }
        let root = match tokens.remove(0).as_str() {
            "input" => {
                if let Some(name) = tokens.first().filter(|name| names.input.is_some_and(|known| !known.contains(name))) {
                    return no(&format!("is of {name:?}, which input_schema does not have"));
                }
                Root::Input
            }
            "item" if names.has_item => Root::Item,
            "index" if names.has_item && tokens.is_empty() => Root::Index,
            "item" | "index" => return no("is of a step that goes through a list (for_each), and this is none"),
            "steps" if !tokens.is_empty() => {
                let id = tokens.remove(0);
                let Some(at) = names.steps.iter().position(|(name, _)| *name == id) else {
                    return no(&format!("is of the step {id:?}, which has not run by then"));
                };
                let known: &[&str] = if names.steps[at].1 { &["results"] } else { &OF_STEP };
                if let Some(member) = tokens.first().filter(|member| !known.contains(&member.as_str())) {
                    return no(&format!("is of {member:?}, and of that step there is: {}", known.join(", ")));
                }
                Root::Step(at)
            }
            _ => return no("is no pointer: it begins with /input, /steps/<step>, /item or /index"),
        };
        Ok(Pointer { written: written.to_string(), root, tokens })
    }

    /// What stands there.
    pub fn find<'k>(&self, known: &Known<'k>) -> Option<Found<'k>> {
        let value = match self.root {
            Root::Input => known.input,
            Root::Item => known.item?.0,
            Root::Index => return Some(Found::Index(known.item?.1)),
            Root::Step(at) => {
                let mut ran = known.steps;
                while let Some(step) = ran.filter(|step| step.at != at) {
                    ran = step.before;
                }
                ran?.value
            }
        };
        json::at(value, &self.tokens).map(Found::Value)
    }

    /// What stands there, or the sentence that says that nothing does.
    pub fn must<'k>(&self, known: &Known<'k>) -> Result<Found<'k>, String> {
        self.find(known).ok_or_else(|| format!("there is nothing at {}", self.written))
    }
}

/// What stands at a pointer.
#[derive(Clone, Copy)]
pub enum Found<'k> {
    /// A value.
    Value(&'k Value<'k>),
    /// The place of an item.
    Index(usize),
}

impl Found<'_> {
    fn write(self, out: &mut String) {
        match self {
            Found::Value(value) => json::append(value, out),
            Found::Index(at) => out.push_str(&at.to_string()),
        }
    }

    /// Inside a text.
    fn write_plain(self, out: &mut String) {
        match self {
            Found::Value(Value::String(text)) => out.push_str(text),
            Found::Value(Value::Null) => {}
            other => other.write(out),
        }
    }
}

impl Template {
    /// Reads one. The text of an error is a sentence.
    pub fn read(value: &Value<'_>, names: &Names<'_>) -> Result<Self, String> {
        match value {
            Value::Array(items) => Ok(Template::List(items.iter().map(|item| Template::read(item, names)).collect::<Result<_, _>>()?)),
            Value::Object(members) if members.iter().any(|(name, _)| name.starts_with('$')) => Template::special(value, names),
            Value::Object(members) => {
                let read = members.iter().map(|(name, member)| Ok((name.to_string(), Template::read(member, names)?)));
                Ok(Template::Object(read.collect::<Result<_, String>>()?))
            }
            plain => Ok(Template::Json(json::write(plain))),
        }
    }

    fn special(value: &Value<'_>, names: &Names<'_>) -> Result<Self, String> {
        let members = json::members(value);
        let is_of = |known: &[&str]| members.iter().all(|(name, _)| known.contains(&&**name));
        if let Some(literal) = json::member(value, "$literal").filter(|_| members.len() == 1) {
            return Ok(Template::Json(json::write(literal)));
        }
        if let Some(text) = json::member(value, "$text").and_then(json::text).filter(|_| members.len() == 1) {
            return parts(text, names).map(Template::Text);
        }
        if let Some(pointer) = json::member(value, "$from").and_then(json::text).filter(|_| is_of(&["$from", "$default", "$each"])) {
            let each = match json::member(value, "$each") {
                None => None,
                Some(each) => Some(tokens(json::text(each).ok_or("\"$each\" is a pointer into each item, such as /structured/title")?)?),
            };
            let default = json::member(value, "$default").map(json::write);
            return Ok(Template::From { pointer: Pointer::read(pointer, names)?, default, each });
        }
        let shown: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        Err(format!(
            "an object with {} is no template: {{\"$from\": pointer}} with \"$default\" and \"$each\" if wanted, {{\"$text\": text}} and {{\"$literal\": any value}} are",
            shown.join(", ")
        ))
    }

    /// Whether it makes an object whatever is put in.
    pub fn is_object(&self) -> bool {
        match self {
            Template::Object(_) => true,
            Template::Json(json) => json.starts_with('{'),
            _ => false,
        }
    }

    /// What it makes, of at most so many bytes. The text of an error is a sentence.
    pub fn fill(&self, known: &Known<'_>, bytes_max: usize) -> Result<String, String> {
        let mut out = String::new();
        self.append(known, bytes_max, &mut out)?;
        Ok(out)
    }

    fn append(&self, known: &Known<'_>, bytes_max: usize, out: &mut String) -> Result<(), String> {
        match self {
            Template::Json(json) => out.push_str(json),
            Template::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(literal) => text.push_str(literal),
                        Part::Value(pointer) => pointer.must(known)?.write_plain(&mut text),
                    }
                    if out.len() + text.len() > bytes_max {
                        break;
                    }
                }
                out.push_str(&quoted::string(&text));
            }
            Template::From { pointer, default, each } => match (pointer.find(known), default, each) {
                (None, Some(default), _) => out.push_str(default),
                (None, None, _) => return pointer.must(known).map(|_| ()),
                (Some(found), _, None) => found.write(out),
                (Some(Found::Value(Value::Array(items))), _, Some(each)) => {
                    out.push('[');
                    for (at, item) in items.iter().enumerate() {
                        if at > 0 {
                            out.push(',');
                        }
                        json::append(json::at(item, each).unwrap_or(&Value::Null), out);
                    }
                    out.push(']');
                }
                (Some(_), _, Some(_)) => return Err(format!("what is at {} is no list", pointer.written)),
            },
            Template::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.append(known, bytes_max, out)?;
                }
                out.push(']');
            }
            Template::Object(members) => {
                out.push('{');
                for (at, (name, member)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted::string(name));
                    out.push(':');
                    member.append(known, bytes_max, out)?;
                }
                out.push('}');
            }
        }
        if out.len() > bytes_max { Err(format!("it comes to more than {bytes_max} bytes")) } else { Ok(()) }
    }
}

fn tokens(pointer: &str) -> Result<Vec<String>, String> {
    match pointer.strip_prefix('/') {
        Some(rest) => Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect()),
        None if pointer.is_empty() => Ok(Vec::new()),
        None => Err(format!("{pointer:?} is no pointer: it begins with a slash")),
    }
}

/// `{/pointer}` is what stands there, `{{` and `}}` are the signs themselves.
fn parts(text: &str, names: &Names<'_>) -> Result<Vec<Part>, String> {
    let (mut parts, mut literal) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let sign = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(sign) {
            literal.push_str(sign);
            rest = behind;
            continue;
        }
        let end = rest
            .find('}')
            .filter(|_| sign == "{")
            .ok_or_else(|| format!("{text:?} has a {sign} by itself; {sign}{sign} stands for the sign"))?;
        if !literal.is_empty() {
            parts.push(Part::Text(core::mem::take(&mut literal)));
        }
        parts.push(Part::Value(Pointer::read(&rest[..end], names)?));
        rest = &rest[end + 1..];
    }
    literal.push_str(rest);
    parts.push(Part::Text(literal));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'n>(input: Option<&'n [String]>, has_item: bool) -> Names<'n> {
        Names { input, steps: &[("issue", false), ("each", true)], has_item }
    }

    fn filled(template: &str, bytes_max: usize) -> Result<String, String> {
        let template = json::read(template).unwrap();
        let template = Template::read(&template, &names(None, true)).unwrap();
        let input = json::read(r#"{"n":1.10,"s":"a\"{/input/n}","list":[{"t":1},{"t":[2]},{}],"no":null}"#).unwrap();
        let issue = json::read(r#"{"structured":{"title":"T"},"text":"whole"}"#).unwrap();
        let ran = Ran { at: 0, value: &issue, before: None };
        let item = json::read(r#"{"x":{"$from":"/input/n"}}"#).unwrap();
        template.fill(&Known { input: &input, steps: Some(&ran), item: Some((&item, 4)) }, bytes_max)
    }

    #[test]
    fn values_are_put_in_as_they_are() {
        for (template, expected) in [
            (r#"{"a":{"$from":"/input/n"},"b":["x",{"$from":"/steps/issue/structured"}]}"#, r#"{"a":1.10,"b":["x",{"title":"T"}]}"#),
            (
                r#"{"$text":"{/input/n} {/input/s} {{{/input/no}}} {/steps/issue/structured/title} {/index} {/input/list/0}"}"#,
                r#""1.10 a\"{/input/n} {} T 4 {\"t\":1}""#,
            ),
            (r#"{"$from":"/item"}"#, r#"{"x":{"$from":"/input/n"}}"#),
            (r#"{"$from":"/input/gone","$default":{"$from":3}}"#, r#"{"$from":3}"#),
            (r#"{"$from":"/input/list","$each":"/t"}"#, "[1,[2],null]"),
            (r#"{"$literal":{"$from":"/input/n"}}"#, r#"{"$from":"/input/n"}"#),
            ("1E400", "1E400"),
        ] {
            assert_eq!(filled(template, 1000).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (template, says) in [
            (r#"{"a":{"$from":"/input/gone/x"}}"#, "there is nothing at /input/gone/x"),
            (r#"{"$text":"{/steps/issue/error}"}"#, "there is nothing at /steps/issue/error"),
            (r#"{"$from":"/input/n","$each":"/a"}"#, "what is at /input/n is no list"),
            (r#"{"$from":"/steps/each/results"}"#, "there is nothing at /steps/each/results"),
        ] {
            assert_eq!(filled(template, 1000).unwrap_err(), says, "{template}");
        }
        assert!(filled(r#"["0123456789",{"$from":"/input/list"}]"#, 20).unwrap_err().contains("20 bytes"));
        assert!(filled(r#"{"$text":"{/input/s}{/input/s}{/input/s}"}"#, 20).unwrap_err().contains("20 bytes"));
    }

    #[test]
    fn templates_that_cannot_work_are_refused() {
        let input = ["n".to_string()];
        for (template, has_item, says) in [
            (r#"{"$from":"input/n"}"#, false, "is no pointer"),
            (r#"{"$from":"/output"}"#, false, "is no pointer"),
            (r#"{"$from":"/steps"}"#, false, "is no pointer"),
            (r#"{"$from":"/input/m"}"#, false, "which input_schema does not have"),
            (r#"{"$from":"/steps/later/text"}"#, false, "has not run by then"),
            (r#"{"$from":"/steps/issue/title"}"#, false, "there is: structured, text, content, error, skipped"),
            (r#"{"$from":"/steps/each/text"}"#, false, "there is: results"),
            (r#"{"$from":"/item/x"}"#, false, "for_each"),
            (r#"{"$from":"/index/x"}"#, true, "for_each"),
            (r#"{"$form":"/input/n"}"#, false, "is no template"),
            (r#"{"$from":"/input/n","x":1}"#, false, "is no template"),
            (r#"{"$from":1}"#, false, "is no template"),
            (r#"{"$from":"/input/n","$each":"x"}"#, false, "begins with a slash"),
            (r#"{"$text":"a { b"}"#, false, "has a { by itself"),
            (r#"{"$text":"a } b"}"#, false, "has a } by itself"),
            (r#"{"a":[{"$text":"{x}"}]}"#, false, "is no pointer"),
        ] {
            let value = json::read(template).unwrap();
            let error = Template::read(&value, &names(Some(&input), has_item)).unwrap_err();
            assert!(error.contains(says), "{template}: {error}");
        }
        let value = json::read(r#"{"$from":"/input/m"}"#).unwrap();
        assert!(Template::read(&value, &names(None, false)).is_ok());
        let error = Template::read(&value, &names(Some(&[]), false)).unwrap_err();
        assert!(error.contains("which input_schema does not have"), "an input that has no members has not this one: {error}");
    }
}
