//! A program with a gateway inside: its configuration is an object, and it ends when the program says so.
//!
//!     cargo run --example embedded -- FOLDER
//!
//! What the gateway keeps stands in FOLDER. It serves until there is nothing more on standard input.

use serde_json::json;
use sluice::{
    config::{Builtin, Config, Source, Surroundings},
    embedded, serving,
};
use std::{path::PathBuf, process::ExitCode};
use tokio::io::AsyncReadExt as _;

fn main() -> ExitCode {
    if let Some(code) = sluice::own_process_if_asked() {
        return code;
    }
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "embedded".into()));
    let config = match configured(&folder) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let stop = async {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    };
    let served = runtime.block_on(serving::serve(config, None, stop, |ready| {
        println!("ready {} with {}", ready.url, ready.chain.join(", "));
        Ok(())
    }));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// As a file would say it, and checked as one.
fn configured(folder: &std::path::Path) -> Result<Config, sluice::config::Report> {
    let object = json!({
        "mcpServers": {"clock": {"url": "builtin:clock"}, "notes": {"url": "builtin:notes"}},
        "sluice": {
            "listen": "127.0.0.1:0",
            "admin": false,
            "chain": ["builtin:redact", "builtin:namespace"],
            "auth": {"token_file": folder.join("token")},
            "audit": {"path": folder.join("audit.jsonl")},
            "cache_dir": folder.join("cache"),
        },
    });
    let builtin = Builtin { servers: embedded::SERVERS, plugins: embedded::PLUGIN_NAMES };
    let source = Source { surroundings: Surroundings::of_process(), builtin, ..Source::default() };
    let loaded = Config::read(&object.to_string(), "embedded.json".as_ref(), &source)?;
    loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    Ok(loaded.config)
}
