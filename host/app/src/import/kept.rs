//! Values that may be secrets. A secret does not move into our file: a reference to a variable of the environment stands in its place, and
//! the operator is told where the value is.

use super::draft::Draft;
use crate::config::expand::{Piece, is_variable_name, pieces};
use crate::config::problem::Place;
use crate::config::secret::looks_secret;
use serde_json::Value as Json;

impl Draft<'_> {
    /// A variable of a server's environment.
    pub(super) fn variable(&mut self, server: &str, name: &str, value: &str, place: &Place) -> String {
        if let Some(reference) = self.reference(value, place) {
            return reference;
        }
        if !is_secret(name, value) && !names_variable(value) {
            return literal(value);
        }
        let variable = self.claim([upper(name), upper(&format!("{server}_{name}"))], value, place);
        format!("env:{variable}")
    }

    /// A header of requests to a server.
    pub(super) fn header(&mut self, server: &str, name: &str, value: &str, place: &Place) -> String {
        if let Some(reference) = self.reference(value, place) {
            return reference;
        }
        let is_credential = ["authorization", "proxy-authorization", "cookie"].iter().any(|known| name.eq_ignore_ascii_case(known));
        if !is_credential && !is_secret(name, value) && !names_variable(value) {
            return literal(value);
        }
        let what = if name.eq_ignore_ascii_case("authorization") { "token" } else { name };
        let scheme = value.split_once(' ').filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let secret = scheme.map_or(value, |(_, secret)| secret);
        let variable = self.claim([upper(&format!("{server}_{what}"))], secret, place);
        match scheme {
            Some((scheme, _)) => format!("{scheme} ${{{variable}}}"),
            None => format!("env:{variable}"),
        }
    }

    /// The arguments of a server's command.
    pub(super) fn arguments(&mut self, server: &str, arguments: &[(String, Place)]) -> Vec<Json> {
        let mut before = "";
        let mut written = Vec::new();
        for (argument, place) in arguments {
            written.push(Json::String(self.argument(server, before, argument, place)));
            before = argument;
        }
        written
    }

    /// One text by itself: a command, a URL.
    pub(super) fn argument_of(&mut self, server: &str, text: &str, place: &Place) -> String {
        self.argument(server, "", text, place)
    }

    /// What is a secret whatever it looks like.
    pub(super) fn secret(&mut self, server: &str, what: &str, value: &str, place: &Place) -> String {
        if let Some(reference) = self.reference(value, place) {
            return reference;
        }
        format!("env:{}", self.claim([upper(&format!("{server}_{what}"))], value, place))
    }

    /// A variable for a secret that is known by its name, and is here or elsewhere.
    pub(super) fn lent(&mut self, wished: [String; 2], secret: &str, is_here: bool, place: &Place) -> String {
        let held = format!("the secret {secret}");
        if let Some((name, _)) = self.held.iter().find(|(_, known)| **known == held) {
            return name.clone();
        }
        let name = wished.iter().map(|name| upper(name)).find(|name| is_variable_name(name) && !self.held.contains_key(name));
        let name = name.unwrap_or_else(|| format!("SLUICE_SECRET_{}", self.held.len() + 1));
        self.held.insert(name.clone(), held);
        let from = if is_here { "to the value that stands here; it is not copied" } else { "to that of the gateway's store" };
        self.wanted(place.clone(), format!("set {name} where Sluice starts, {from}: secret {secret}"));
        name
    }

    fn argument(&mut self, server: &str, before: &str, argument: &str, place: &Place) -> String {
        if let Some(reference) = self.reference(argument, place) {
            return reference;
        }
        // `--token=VALUE`; and `-e NAME=VALUE` of docker.
        if let Some((name, value)) = argument.split_once('=')
            && (name.starts_with('-') || matches!(before, "-e" | "--env"))
            && is_secret(name, value)
        {
            let variable = self.claim([upper(name), upper(&format!("{server}_{name}"))], value, place);
            return format!("{name}=${{{variable}}}");
        }
        let is_flag = |word: &str| word.starts_with('-') && !word.contains('=');
        let is_named = is_flag(before) && !argument.starts_with('-') && is_secret(before, argument);
        if !is_named && !looks_secret(argument) && !has_password(argument) {
            return literal(argument);
        }
        let what = if is_named { before } else { "secret" };
        let variable = self.claim([upper(&format!("{server}_{what}"))], argument, place);
        format!("${{{variable}}}")
    }

    /// What refers to the environment already. Nothing else may look as if it did.
    fn reference(&mut self, value: &str, place: &Place) -> Option<String> {
        if self.is_foreign {
            return None;
        }
        let whole = value.strip_prefix("env:").filter(|name| is_variable_name(name)).map(|name| vec![Piece::Reference(name.to_owned())]);
        let pieces = whole.or_else(|| pieces(value).ok())?;
        let names: Vec<_> =
            pieces.into_iter().filter_map(|piece| if let Piece::Reference(name) = piece { Some(name) } else { None }).collect();
        let name_of = |reference: &str| -> Option<(String, bool)> {
            let plain = reference.strip_prefix("env:").unwrap_or(reference);
            let (name, has_default) = plain.split_once(":-").map_or((plain, false), |(name, _)| (name, true));
            is_variable_name(name).then(|| (name.to_owned(), has_default))
        };
        let names = names.iter().map(|name| name_of(name)).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())?;
        for (name, has_default) in names {
            let is_new = !self.held.contains_key(&name);
            self.held.entry(name.clone()).or_insert_with(|| format!("${{{name}}}"));
            if is_new && !has_default && self.surroundings.variable(&name).is_none() {
                self.wanted(place.clone(), format!("set {name} where Sluice starts; it is read from there"));
            }
        }
        Some(value.to_owned())
    }

    /// A variable for this value: the first of these names that is free, or that stands for it already.
    pub(super) fn claim(&mut self, wished: impl IntoIterator<Item = String>, value: &str, place: &Place) -> String {
        let mut wished: Vec<_> = wished.into_iter().filter(|name| is_variable_name(name)).collect();
        let last = wished.last().cloned().unwrap_or_else(|| "SECRET".to_owned());
        wished.extend((2..=self.held.len() + 2).map(|number| format!("{last}_{number}")));
        let is_ours = |name: &&String| self.held.get(*name).is_none_or(|held| held == value);
        let name = wished.iter().find(is_ours).cloned().unwrap_or(last);
        if self.held.insert(name.clone(), value.to_owned()).is_none() {
            self.wanted(place.clone(), format!("set {name} where Sluice starts, to the value that stands here; it is not copied"));
        }
        name
    }
}

/// Whether a value is one to keep out of a file, by its own shape or by what it is called.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    const LAST: [&str; 14] = [
        "TOKEN",
        "KEY",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PWD",
        "PAT",
        "AUTH",
        "AUTHORIZATION",
        "CREDENTIAL",
        "CREDENTIALS",
        "COOKIE",
        "DSN",
    ];
    const END: [&str; 4] = ["TOKEN", "APIKEY", "SECRET", "PASSWORD"];
    let name = upper(name);
    let last = name.rsplit('_').next().unwrap_or_default();
    let is_called_so = LAST.contains(&last) || END.iter().any(|end| last.ends_with(end));
    let is_path = value.starts_with(['/', '~']) || value.starts_with("./") || value.starts_with("../");
    let is_plain =
        value.is_empty() || matches!(value, "true" | "false") || (value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit()));
    looks_secret(value) || has_password(value) || (is_called_so && !is_path && !is_plain)
}

/// What our loader would read from the environment.
fn names_variable(value: &str) -> bool {
    value.strip_prefix("env:").is_some_and(is_variable_name)
}

/// `postgres://user:password@host/`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

/// `${` is a reference in our files.
pub(super) fn literal(value: &str) -> String {
    value.replace("${", "$${")
}

/// `--api-key` of `my server` ⇒ `API_KEY`.
fn upper(name: &str) -> String {
    let letters = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    let name = letters.collect::<String>().trim_matches('_').to_owned();
    if name.starts_with(|letter: char| letter.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_and_by_shape() {
        for (name, value) in [
            ("GITHUB_TOKEN", "<YOUR_TOKEN>"),
            ("--api-key", "abc"),
            ("apiKey", "abcde"),
            ("X", "ghp_0123456789abcdefghij"),
            ("DATABASE_URL", "postgres://ada:hunter2@db/x"),
            ("x-api-key", "12345"),
        ] {
            assert!(is_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("LOG_LEVEL", "INFO"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/key.json"),
            ("MAX_TOKENS", "4096"),
            ("DATABASE_URL", "postgres://db/x"),
            ("USE_AUTH", "true"),
            ("TOKEN", ""),
            ("--auth-mode", "basic"),
        ] {
            assert!(!is_secret(name, value), "{name}={value}");
        }
    }
}
