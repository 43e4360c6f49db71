//! Where things are kept when the file does not say.

use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::surroundings::Surroundings;

/// Paths in force. Nothing is made here: whoever uses one makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The loopback token.
    pub token_file: PathBuf,
    /// The token of the admin listener, unless `admin.token` names another.
    pub admin_token_file: PathBuf,
    /// The secret of task ids.
    pub task_key_file: PathBuf,
    /// The audit log.
    pub audit_file: PathBuf,
    /// What plugins keep, if a file keeps it.
    pub state_file: PathBuf,
    /// Compiled plugins, and below it `fetched`.
    pub cache_dir: PathBuf,
    /// Copies of fetched plugins.
    pub fetched_dir: PathBuf,
    /// Versions of signed plugins that were in force.
    pub versions_file: PathBuf,
    /// Which plugin files may be in force, if that is demanded.
    pub lock_file: PathBuf,
    /// The plugin directory. It may not exist, unless it was named.
    pub plugins_dir: PathBuf,
}

impl Places {
    /// Where compiled plugins are kept when no configuration says otherwise.
    pub fn cache_of(surroundings: &Surroundings) -> PathBuf {
        user_dir("XDG_CACHE_HOME", ".cache", surroundings.directory(), surroundings)
    }

    /// Where copies of fetched plugins are kept.
    pub fn fetched_in(cache: &Path) -> PathBuf {
        cache.join("fetched")
    }

    /// `base` is the directory of the file, or the caller's without one.
    pub(super) fn of(settings: &Settings, base: &Path, surroundings: &Surroundings) -> Places {
        let state = user_dir("XDG_STATE_HOME", ".local/state", base, surroundings);
        let cache = user_dir("XDG_CACHE_HOME", ".cache", base, surroundings);
        let or = |named: &Option<PathBuf>, default: PathBuf| named.clone().unwrap_or(default);
        let cache_dir = or(&settings.cache_dir, cache);
        let token_file = or(&settings.auth.token_file, state.join("token"));
        Places {
            admin_token_file: token_file.with_file_name("admin-token"),
            task_key_file: token_file.with_file_name("task-key"),
            versions_file: token_file.with_file_name("plugin-versions"),
            lock_file: base.join("plugins.lock"),
            token_file,
            audit_file: or(&settings.audit.path, state.join("audit.jsonl")),
            state_file: or(&settings.state.path, state.join("state.redb")),
            fetched_dir: Self::fetched_in(&cache_dir),
            cache_dir,
            plugins_dir: or(&settings.plugins.dir, base.join("plugins")),
        }
    }
}

/// As the XDG base directories have it: a relative path in the variable is ignored. A user without a
/// home, as in many containers, keeps things beside the file.
fn user_dir(variable: &str, below_home: &str, base: &Path, surroundings: &Surroundings) -> PathBuf {
    let absolute = |name| surroundings.filled(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(below_home));
    absolute(variable).or_else(home).map_or_else(|| base.join(".sluice"), |dir| dir.join("sluice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_user() {
        let places = |variables: &[(&str, &str)]| {
            let surroundings = Surroundings::new("/cwd", variables.iter().copied());
            Places::of(&Settings::default(), Path::new("/conf"), &surroundings)
        };
        let at_home = places(&[("HOME", "/home/ada"), ("XDG_CACHE_HOME", "relative")]);
        assert_eq!(at_home.token_file, Path::new("/home/ada/.local/state/sluice/token"));
        assert_eq!(at_home.admin_token_file, Path::new("/home/ada/.local/state/sluice/admin-token"));
        assert_eq!(at_home.cache_dir, Path::new("/home/ada/.cache/sluice"));
        assert_eq!(at_home.plugins_dir, Path::new("/conf/plugins"));
        let moved = places(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/var/state")]);
        assert_eq!(moved.audit_file, Path::new("/var/state/sluice/audit.jsonl"));
        assert_eq!(places(&[]).cache_dir, Path::new("/conf/.sluice"));
    }
}
