//! `sluice plugin keygen`

use crate::cli::Exit;
use anyhow::{Context as _, Result};
use clap::Args;
use sluice_supply::PrivateKey;
use std::{fs::File, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

#[derive(Args)]
pub struct Keygen {
    /// Where the private key goes: a new file that only you can read.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Keygen {
    /// A private key that was there is never written over.
    pub fn run(self) -> Result<Exit> {
        let cannot = || format!("cannot write {}", self.file.display());
        let text = PrivateKey::generate()?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&self.file).with_context(cannot)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)?;
        let name = self.file.file_stem().map_or_else(|| "publisher".into(), |stem| stem.to_string_lossy());
        say!("{}", PrivateKey::from_pem(&text)?.public());
        eprintln!("keep {} to yourself; who runs your plugins pins the line above:", self.file.display());
        eprintln!("  sluice.plugins.keys.{name} = \"ed25519:…\"");
        Ok(Exit::Good)
    }
}
