//! The command line of mcp-proxy, read as its `argparse` reads it.

use crate::config::problem::{nearest, quoted};

/// What it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// A URL, a command with its arguments, or nothing.
    pub(super) words: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) transport: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) token_url: Option<String>,
    /// `true`, `false`, or the path of a bundle.
    pub(super) verify_ssl: Option<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: Option<String>,
    pub(super) pass_environment: bool,
    pub(super) log_level: Option<String>,
    pub(super) named: Vec<(String, String)>,
    pub(super) named_config: Option<String>,
    pub(super) port: Option<String>,
    pub(super) host: Option<String>,
    pub(super) stateless: bool,
    pub(super) origins: Vec<String>,
    pub(super) exposed: Vec<String>,
}

const OPTIONS: [&str; 26] = [
    "--headers",
    "--transport",
    "--client-id",
    "--client-secret",
    "--token-url",
    "--verify-ssl",
    "--no-verify-ssl",
    "--env",
    "--cwd",
    "--pass-environment",
    "--no-pass-environment",
    "--log-level",
    "--debug",
    "--no-debug",
    "--named-server",
    "--named-server-config",
    "--port",
    "--host",
    "--sse-port",
    "--sse-host",
    "--stateless",
    "--no-stateless",
    "--allow-origin",
    "--expose-header",
    "-H",
    "-e",
];

impl Arguments {
    /// What stands behind the program's name.
    pub(super) fn parse(words: &[String]) -> Result<Arguments, String> {
        let mut read = Arguments::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                read.words.extend(rest.cloned());
                break;
            }
            if !word.starts_with('-') || word == "-" {
                read.words.push(word.clone());
                continue;
            }
            let (option, given) = match word.split_once('=') {
                Some((option, given)) => (option, Some(given.to_owned())),
                None => (word.as_str(), None),
            };
            read.option(option, given, &mut rest)?;
        }
        Ok(read)
    }

    fn option<'w>(&mut self, option: &str, given: Option<String>, rest: &mut std::slice::Iter<'w, String>) -> Result<(), String> {
        let mut given = given;
        let mut value = || given.take().or_else(|| rest.next().cloned()).ok_or_else(|| format!("{option} wants a value"));
        match option {
            "-H" | "--headers" => self.headers.push((value()?, value()?)),
            "-e" | "--env" => self.env.push((value()?, value()?)),
            "--named-server" => self.named.push((value()?, value()?)),
            "--transport" => self.transport = Some(value()?),
            "--client-id" => self.client_id = Some(value()?),
            "--client-secret" => self.client_secret = Some(value()?),
            "--token-url" => self.token_url = Some(value()?),
            "--cwd" => self.cwd = Some(value()?),
            "--log-level" => self.log_level = Some(value()?),
            "--named-server-config" => self.named_config = Some(value()?),
            "--port" => self.port = Some(value()?),
            "--host" => self.host = Some(value()?),
            // Older names; the newer ones count where both stand.
            "--sse-port" => self.port = self.port.take().or(Some(value()?)),
            "--sse-host" => self.host = self.host.take().or(Some(value()?)),
            "--expose-header" => self.exposed.push(value()?),
            "--pass-environment" => self.pass_environment = true,
            "--no-pass-environment" => self.pass_environment = false,
            "--stateless" => self.stateless = true,
            "--no-stateless" => self.stateless = false,
            "--debug" => self.log_level = Some("DEBUG".to_owned()),
            "--no-debug" => {}
            "--no-verify-ssl" => self.verify_ssl = Some("false".to_owned()),
            "--verify-ssl" => {
                let is_value = |word: &&String| !word.starts_with('-');
                let next = given.or_else(|| rest.as_slice().first().filter(is_value).and_then(|_| rest.next().cloned()));
                self.verify_ssl = Some(next.unwrap_or_else(|| "true".to_owned()));
            }
            // It takes all words that follow, as far as the next option.
            "--allow-origin" => {
                self.origins.extend(given);
                while rest.as_slice().first().is_some_and(|word| !word.starts_with('-')) {
                    self.origins.extend(rest.next().cloned());
                }
            }
            _ => {
                let meant = nearest(option, OPTIONS).map(|known| format!("; did you mean {known}?"));
                return Err(format!(
                    "mcp-proxy has no option {}{}; what belongs to the server's command stands behind --",
                    quoted(option),
                    meant.unwrap_or_default()
                ));
            }
        }
        Ok(())
    }

    /// The server's URL, if it is reached by one.
    pub(super) fn url(&self) -> Option<&str> {
        self.words.first().map(String::as_str).filter(|word| word.starts_with("http://") || word.starts_with("https://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::words::split;

    fn parse(text: &str) -> Arguments {
        Arguments::parse(&split(text).unwrap()).unwrap()
    }

    #[test]
    fn the_forms_of_its_own_pages() {
        let read = parse("--port=8080 -- uvx mcp-server-fetch --user-agent=Mine");
        assert_eq!((read.port.as_deref(), read.words.len()), (Some("8080"), 3));
        let read = parse("your-command --port 8080 -e KEY VALUE -e ANOTHER OTHER");
        assert_eq!((read.words, read.env.len()), (vec!["your-command".to_owned()], 2));
        let read = parse("--named-server fetch 'uvx mcp-server-fetch --timeout 10' --port 8080");
        assert_eq!(read.named, [("fetch".to_owned(), "uvx mcp-server-fetch --timeout 10".to_owned())]);
        let read = parse("-H Authorization 'Bearer x' --transport streamablehttp https://a.example/mcp");
        assert_eq!((read.url(), read.headers.len()), (Some("https://a.example/mcp"), 1));
        let read = parse("--no-verify-ssl https://a.example/sse");
        assert_eq!((read.url(), read.verify_ssl.as_deref()), (Some("https://a.example/sse"), Some("false")));
        let read = parse("uvx x --allow-origin a b --stateless --sse-host 0.0.0.0 --pass-environment");
        assert_eq!((read.origins.len(), read.stateless, read.host.as_deref()), (2, true, Some("0.0.0.0")));
        assert_eq!(read.words, ["uvx", "x"]);
    }

    #[test]
    fn what_it_has_not_is_named() {
        let wrong = |text: &str| Arguments::parse(&split(text).unwrap()).unwrap_err();
        assert!(wrong("--prot 8080 x").contains("did you mean --port?"));
        assert_eq!(wrong("x --port"), "--port wants a value");
    }
}
