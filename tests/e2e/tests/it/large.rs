//! The standard plugins of `plugins-large`, each as a file that the chain names. `cargo xtask large` builds what they load.

mod policy;
mod schema;

use crate::folder::Folder;
use std::{env, fs, path::PathBuf};

/// Puts the component of one into the folder, and says what the chain calls it.
fn placed(folder: &Folder, name: &str) -> String {
    let built =
        PathBuf::from(env::var_os("SLUICE_LARGE").expect("`cargo xtask large` sets it, and runs this")).join(format!("{name}.wasm"));
    let bytes = fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    folder.write(&format!("{name}.wasm"), bytes).display().to_string()
}
