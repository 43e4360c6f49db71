//! A test's own place on disk: configuration, plugin directory, state.

use crate::turn::eventually;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// Goes away with its test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// With an empty plugin directory in it.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sluice-e2e-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("plugins")).expect("a plugin directory");
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The audit trail, once all of this stands in it: it is written a little later than answers are given.
    pub async fn audited(&self, holding: &[&str]) -> String {
        self.audited_in("audit.jsonl", holding).await
    }

    /// The same of a file of another name.
    pub async fn audited_in(&self, file: &str, holding: &[&str]) -> String {
        eventually(Duration::from_secs(5), || async {
            let trail = self.read(file);
            match holding.iter().find(|text| !trail.contains(**text)) {
                None => Ok(trail),
                Some(missing) => Err(format!("no {missing} in {trail}")),
            }
        })
        .await
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file in the temporary folder");
        path
    }

    /// A file of the plugin directory, there whole or not at all.
    pub fn drop_in(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let (hidden, path) = (self.path(&format!("plugins/.{name}.part")), self.path(&format!("plugins/{name}")));
        fs::write(&hidden, bytes).expect("a file in the plugin directory");
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o644)).expect("its mode");
        fs::rename(&hidden, &path).expect("its name");
    }

    pub fn take_out(&self, name: &str) {
        fs::remove_file(self.path(&format!("plugins/{name}"))).expect("the file was there");
    }
}

/// The component of a test guest or of a standard plugin, e.g. `guest_trap` or `sluice_plugin_redact`.
pub fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SLUICE_GUESTS").map_or_else(|| target().join("components/wasm32-wasip2/plugin"), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask plugins` builds it", path.display()))
}

/// The same component as another file: with a custom section more, which means nothing but has a digest of its own.
pub fn marked(component: &[u8], mark: &str) -> Vec<u8> {
    let name = b"e2e";
    let size = 1 + name.len() + mark.len();
    assert!(size < 128, "one byte of LEB128");
    let mut out = component.to_vec();
    out.extend_from_slice(&[0, size as u8, name.len() as u8]);
    out.extend_from_slice(name);
    out.extend_from_slice(mark.as_bytes());
    out
}

/// Where cargo put this test's binary is `<target>/<profile>/deps`.
fn target() -> PathBuf {
    profile().parent().expect("cargo's layout").to_path_buf()
}

fn profile() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    this.ancestors().nth(2).expect("cargo's layout").to_path_buf()
}

/// The binary under test: `SLUICE_BIN`, or the one built beside this test.
pub fn sluice() -> PathBuf {
    let path = std::env::var_os("SLUICE_BIN").map_or_else(|| profile().join("sluice"), PathBuf::from);
    assert!(path.is_file(), "{} is not there; `cargo build -p sluice` makes it", path.display());
    path
}

/// Compiled plugins of all tests, so that each is compiled once.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// The stdio server that writes down what it executed.
pub fn journal_server() -> &'static str {
    env!("CARGO_BIN_EXE_journal-server")
}
