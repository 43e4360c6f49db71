//! Command lines: words as a shell makes them, and whose they are.

use super::Origin;

/// What `shlex` of Python and a composition make of a text: quotes and backslashes, and nothing else of a shell.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("a quote that is not closed")? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("a quote that is not closed")? {
                        '"' => break,
                        '\\' => match letters.next().ok_or("a quote that is not closed")? {
                            letter @ ('"' | '\\') => word.push(letter),
                            letter => word.extend(['\\', letter]),
                        },
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("a backslash before nothing")?),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The last part of a path, without a version behind `@` or `==`: how a program is known.
pub(super) fn program(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    let name = name.split(['@', '=', ':', '[']).next().unwrap_or(name);
    name.strip_suffix(".exe").unwrap_or(name)
}

/// What stands behind the program's own name, however it is started: `uvx mcp-proxy …`, `python -m mcp_proxy …`, `docker run … mcp-proxy …`.
pub(super) fn behind<'w>(words: &'w [String], name: &str) -> Option<&'w [String]> {
    let is_named = |word: &String| program(word).replace('_', "-") == name;
    words.iter().position(is_named).map(|at| &words[at + 1..])
}

/// What stands behind `docker mcp gateway run`.
pub(super) fn behind_gateway(words: &[String]) -> Option<&[String]> {
    let at = words.windows(2).position(|pair| pair[0] == "gateway" && pair[1] == "run")?;
    Some(&words[at + 2..])
}

/// Whose command line it is.
pub(super) fn system(words: &[String]) -> Option<Origin> {
    if behind_gateway(words).is_some() || behind(words, "mcp-gateway").is_some() {
        return Some(Origin::Docker);
    }
    if behind(words, "mcp-proxy").is_some() {
        return Some(Origin::McpProxy);
    }
    behind(words, "fastmcp").map(|_| Origin::Fastmcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, words) in [
            ("uvx mcp-server-fetch --timeout 10", vec!["uvx", "mcp-server-fetch", "--timeout", "10"]),
            (r#"a 'b c' "d \" e" f\ g"#, vec!["a", "b c", "d \" e", "f g"]),
            (r#"'' "x"'y'z"#, vec!["", "xyz"]),
            ("  ", vec![]),
            (r#""a\b""#, vec![r"a\b"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        assert!(split("'a").is_err() && split("\"a").is_err() && split("a\\").is_err());
    }

    #[test]
    fn a_program_is_known_however_it_is_started() {
        let words = |text: &str| split(text).unwrap();
        for text in [
            "mcp-proxy a b",
            "uvx mcp-proxy@0.13 a b",
            "/opt/bin/mcp-proxy a b",
            "python -m mcp_proxy a b",
            "docker run --rm ghcr.io/sparfenyuk/mcp-proxy:v0.3 a b",
        ] {
            assert_eq!(behind(&words(text), "mcp-proxy").unwrap(), ["a", "b"], "{text}");
        }
        assert_eq!(system(&words("docker mcp gateway run --servers=fetch")), Some(Origin::Docker));
        assert_eq!(system(&words("npx mcp-remote x")), None);
    }
}
