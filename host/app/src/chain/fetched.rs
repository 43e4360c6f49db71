//! Plugins that are no files here: fetched before the first chain is put together, and while traffic runs only when another configuration
//! names others. What a tag leads to in the meantime is seen at the next start.

use super::{Found, Placed, supply::Supply};
use crate::config::{Config, Link};
use futures_util::future::join_all;
use sluice_plugin::artifact::BYTES_MAX;
use sluice_registry::{Copy, Host, Kept, Kind, Login, Reference, Registries, Settings, registries::Pulled};
use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// By reference, as the chain has it.
#[derive(Default)]
pub struct Fetched {
    found: HashMap<String, Result<Source, String>>,
    kept: Option<Kept>,
    /// Notes of what is in force.
    held: Mutex<Vec<File>>,
    /// What an operator should know: a registry that is down.
    notes: Vec<String>,
}

/// Where the bytes are.
enum Source {
    /// Among the copies, and held there.
    Kept(Copy),
    /// Nowhere else: they cannot be kept.
    Loose(Pulled),
}

impl Source {
    fn pulled(&self) -> &Pulled {
        match self {
            Self::Kept(copy) => &copy.pulled,
            Self::Loose(pulled) => pulled,
        }
    }
}

/// What was asked for and has not come yet.
#[derive(Default)]
pub(super) struct Outstanding(Mutex<BTreeSet<String>>);

impl Outstanding {
    /// Where they are, in words for everybody.
    pub(super) fn places(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// It is outstanding as long as somebody is asked.
    async fn during<T>(&self, reference: &Reference, asked: impl Future<Output = T>) -> T {
        self.lock().insert(reference.place());
        let came = asked.await;
        self.lock().remove(&reference.place());
        came
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom plugins are fetched from, as the operator says.
pub fn registries(config: &Config) -> Registries {
    let host = |written: &crate::config::RegistrySettings| {
        let secret = |secret: &crate::config::Secret| secret.reveal().to_owned().into();
        let login = written.password.as_ref().map(|password| match &written.username {
            Some(username) => Login::Password { username: username.clone(), password: secret(password) },
            None => Login::Token(secret(password)),
        });
        Host { login, plain_http: written.plain_http }
    };
    let limits = &config.settings.limits;
    Registries::new(Settings {
        hosts: config.settings.plugins.registries.iter().map(|(name, written)| (name.clone(), host(written))).collect(),
        connect: Duration::from_millis(limits.connect_timeout_ms),
        whole: Duration::from_millis(limits.plugin_fetch_timeout_ms),
        bytes_max: BYTES_MAX,
    })
}

impl Fetched {
    /// All that the chain names, at once.
    pub(super) async fn all(config: &Config, supply: &Supply, outstanding: &Outstanding) -> Self {
        let mut references: Vec<&Reference> = Vec::new();
        for link in config.links() {
            if let Link::Fetched(reference) = link
                && !references.contains(&reference)
            {
                references.push(reference);
            }
        }
        if references.is_empty() {
            return Self::default();
        }
        let folder = &config.places.fetched_dir;
        let mut notes = Vec::new();
        let kept = Kept::open(folder, BYTES_MAX)
            .map_err(|why| {
                notes.push(format!("fetched plugins are not kept, so no start is without a network: the folder {} {why}", folder.display()))
            })
            .ok();
        let registries = registries(config);
        let each = references.iter().map(|reference| fetch(reference, &registries, kept.as_ref(), supply, outstanding));
        let mut found = HashMap::new();
        for (reference, (source, note)) in references.iter().zip(join_all(each).await) {
            notes.extend(note);
            found.insert(reference.to_string(), source);
        }
        Self { found, kept, held: Mutex::default(), notes }
    }

    /// Was every plugin asked for that the chain names?
    pub(super) fn has_all_of(&self, config: &Config) -> bool {
        let is_known = |link: &Link| !matches!(link, Link::Fetched(reference) if !self.found.contains_key(&reference.to_string()));
        config.links().all(is_known)
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The plugin of a reference, before anything is made of it.
    pub(super) fn get(&self, key: &str) -> Result<&Pulled, String> {
        match self.found.get(key) {
            Some(Ok(source)) => Ok(source.pulled()),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("{key} was not fetched")),
        }
    }

    /// These are in force: what their references led to is good, and is what is used when nobody answers.
    pub(super) fn are_good(&self, placed: &[Placed]) {
        let Some(kept) = &self.kept else { return };
        let mut held = Vec::new();
        for key in placed.iter().map(|p| &p.key) {
            let (Some(Ok(source)), Ok(reference)) = (self.found.get(key), key.parse()) else { continue };
            match kept.is_good(&reference, source.pulled()) {
                Ok(note) => held.extend(note),
                Err(error) => tracing::warn!(%error, "{key} cannot be kept: without its server there is no start"),
            }
        }
        // Those of before are of files that are gone, replaced by these.
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

/// One plugin, and what is to be said about it.
async fn fetch(
    reference: &Reference,
    registries: &Registries,
    kept: Option<&Kept>,
    supply: &Supply,
    outstanding: &Outstanding,
) -> (Result<Source, String>, Option<String>) {
    let locked = supply.locked(&reference.to_string());
    let copy = kept.and_then(|kept| kept.find(reference, locked));
    // A signature is looked for again behind a URL: a plugin may have been signed since. A manifest's is as good as the manifest.
    let is_settled = |copy: &Copy| {
        let is_known = reference.is_pinned() || locked.is_some();
        let may_be_signed_since = matches!(reference, Reference::Url(_)) && supply.has_keys() && !supply.counts(&copy.pulled);
        is_known && !may_be_signed_since
    };
    let copy = match copy {
        Some(copy) if is_settled(&copy) => return (Ok(Source::Kept(copy)), None),
        other => other,
    };
    tracing::info!(%reference, "asking for a plugin");
    let error = match outstanding.during(reference, registries.pull(reference, &|digest| kept?.bytes(digest))).await {
        Ok(pulled) => {
            tracing::info!(%reference, sha256 = %pulled.digest, manifest = pulled.manifest.as_deref(), "a plugin came");
            return (Ok(keep(reference, pulled, kept)), None);
        }
        Err(error) => error,
    };
    match copy {
        Some(copy) if error.kind == Kind::Down || reference.is_pinned() || locked.is_some() => {
            let note = format!("{error}; the copy that was good before is used (sha256 {}…)", &copy.pulled.digest[..12]);
            (Ok(Source::Kept(copy)), Some(note))
        }
        _ => (Err(error.to_string()), None),
    }
}

fn keep(reference: &Reference, pulled: Pulled, kept: Option<&Kept>) -> Source {
    let Some(kept) = kept else { return Source::Loose(pulled) };
    if let Err(error) = kept.keep(reference, &pulled) {
        tracing::warn!(%error, "{reference} cannot be kept: without its server there is no start");
        return Source::Loose(pulled);
    }
    match kept.find(reference, Some(&pulled.digest)) {
        Some(copy) if copy.pulled == pulled => Source::Kept(copy),
        _ => {
            tracing::warn!(
                "{reference} was kept and is not found again: somebody else changes the cache folder, and could take this copy away"
            );
            Source::Loose(pulled)
        }
    }
}

impl Found {
    /// Where its signature would be, for whoever misses it.
    pub(super) fn place_of_signature(&self) -> &'static str {
        match self.key.split_once("://") {
            Some(("oci", _)) => "its publisher is to `sluice plugin sign` it and push it again",
            Some(_) => "its publisher is to put its .sig file beside it, behind the same URL with .sig at the end of the path",
            None => "put its .wasm.sig file beside it",
        }
    }
}
