//! `cargo xtask run`: the main job, on loopback, with nothing else to install.

use crate::{
    setup,
    step::{step, target},
};
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

/// Build, show the chain, start, print what to paste, stay until Ctrl-C.
pub fn run() -> Result<()> {
    let sluice = setup::host()?;
    let folder = target().join("demo");
    fs::create_dir_all(folder.join("plugins"))?;
    let key = random_key()?;
    let config = folder.join("sluice.json");
    fs::write(&config, configuration(&key, &folder.to_string_lossy()))?;

    step("the chain, and what each plugin may do", Command::new(&sluice).arg("ls").arg("--config").arg(&config))?;
    let mut child =
        Command::new(&sluice).arg("serve").arg("--config").arg(&config).stdout(Stdio::piped()).spawn().context("sluice does not start")?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    let ready = lines.next().context("sluice ended before it was ready")??;
    let url = ready.split_whitespace().find(|w| w.starts_with("http://")).context("the ready line names no URL")?.to_owned();
    print_lines(&url, &key, &sluice.to_string_lossy());
    lines.for_each(drop);
    let status = child.wait()?;
    if !status.success() {
        bail!("sluice ended: {status}");
    }
    Ok(())
}

fn random_key() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("demo-{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn configuration(key: &str, folder: &str) -> String {
    let hash = hex(&Sha256::digest(key));
    format!(
        r#"{{
  // What a client's own file would say; these two servers are inside the binary.
  "mcpServers": {{
    "notes": {{"url": "builtin:notes"}},
    "clock": {{"url": "builtin:clock"}}
  }},
  "sluice": {{
    "chain": ["builtin:auth-api-key", "builtin:rate-limit", "builtin:redact", "builtin:namespace"],
    "plugins": {{"dir": "{folder}/plugins", "settings": {{
      "auth-api-key": {{"config": {{"keys": [{{"id": "demo", "hash": "sha256:{hash}", "subject": "you", "roles": ["demo"]}}]}}}},
      "rate-limit": {{"config": {{"limits": [{{"name": "demo", "key": ["principal", "tool"], "names": ["notes_*"], "burst": 5, "per_minute": 10}}]}}}}
    }}}},
    "auth": {{"token_file": "{folder}/token"}},
    "audit": {{"path": "{folder}/audit.jsonl"}},
    "cache_dir": "{folder}/cache",
    "log": {{"format": "text"}}
  }}
}}
"#
    )
}

fn print_lines(url: &str, key: &str, sluice: &str) {
    let call = format!("{sluice} call --url {url} --key {key}");
    println!(
        r#"
Sluice serves at {url}
the token of this run: {key}

Paste these into another terminal.

# redaction: the e-mail address and the card number do not reach the tool, so it cannot give them back
{call} clock_echo '{{"text":"write to ada@example.com, card 4111 1111 1111 1111"}}'

# namespacing: two servers, one list, no clash
{call} --list

# a 401 with its challenge
curl -si {url} -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \
  -d '{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"curl","version":"0"}}}}}}'

# the rate limit: the sixth call in a row is refused, and says when to come back
for i in 1 2 3 4 5 6; do {call} notes_add_note "{{\"title\":\"$i\",\"text\":\"note $i\"}}"; done

Ctrl-C stops it."#
    );
}
