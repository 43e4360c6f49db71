//! Whole files, as an operator meets the reader.

mod any_input;
mod checks;
mod page;
mod pasted;
mod secrets;
mod ten_mistakes;
mod tls;

use std::path::{Path, PathBuf};

use super::{Builtin, Config, Loaded, Report, Source, Surroundings};

const BUILTIN: Builtin = Builtin { servers: &["clock", "notes"], plugins: &["auth-api-key", "redact", "rate-limit", "namespace"] };

/// A directory of its own, gone with the test, with a `bin` in its `PATH`.
struct Room(PathBuf);

impl Room {
    fn new() -> Room {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sluice-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let room = Room(std::env::temp_dir().join(name));
        std::fs::create_dir_all(room.0.join("bin")).unwrap();
        for program in ["npx", "uvx", "uv", "node", "docker", "python"] {
            room.put(&format!("bin/{program}"), "");
        }
        room
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `tls/NAME.pem` and `tls/NAME.key`.
    fn certificate(&self, name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        self.put(&format!("tls/{name}.pem"), &params.self_signed(&key).unwrap().pem());
        let key = self.put(&format!("tls/{name}.key"), &key.serialize_pem());
        std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn source(&self, variables: &[(&str, &str)]) -> Source {
        let path = self.0.join("bin");
        let ours = [("PATH", path.to_str().unwrap()), ("HOME", "/home/ada")];
        let surroundings = Surroundings::new(&self.0, ours.into_iter().chain(variables.iter().copied()));
        Source { surroundings, builtin: BUILTIN, ..Source::default() }
    }

    fn read(&self, name: &str, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Report> {
        Config::read(text, Path::new(name), &self.source(variables))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is wrong with a JSON text, line by line.
fn problems(text: &str) -> Vec<String> {
    match Room::new().read("f.json", text, &[]) {
        Ok(_) => Vec::new(),
        Err(report) => report.problems.iter().map(ToString::to_string).collect(),
    }
}

/// A JSON text that must be right, and its warnings.
fn warnings(text: &str) -> Vec<String> {
    match Room::new().read("f.json", text, &[]) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(report) => panic!("{report}"),
    }
}

/// The settings of a JSON text under `sluice` that must be right.
fn settings(sluice: &str) -> super::Settings {
    let text = format!("{{\"sluice\": {sluice}}}");
    Room::new().read("f.json", &text, &[]).unwrap_or_else(|report| panic!("{report}")).config.settings
}
