//! What the binary carries: the standard plugins as components, and the names of the demo servers.

/// The folders of `plugins/` as the build found them: name, component, and what it is made of: the compiler, then a line for each crate.
const PLUGINS: &[(&str, &[u8], &str)] = include!(concat!(env!("OUT_DIR"), "/plugins.rs"));

/// Names for `builtin:<name>` in a chain.
pub const PLUGIN_NAMES: &[&str] = &names();

const fn names() -> [&'static str; PLUGINS.len()] {
    let mut names = [""; PLUGINS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = PLUGINS[at].0;
        at += 1;
    }
    names
}

/// Names for `{"url": "builtin:<name>"}`.
pub const SERVERS: &[&str] = sluice_transport::upstream::BUILTIN_NAMES;

/// The component behind a name.
pub fn plugin(name: &str) -> Option<&'static [u8]> {
    PLUGINS.iter().find(|(known, ..)| *known == name).map(|(_, component, _)| *component)
}

/// What the plugin of this name is made of.
pub fn made_of(name: &str) -> Option<&'static str> {
    PLUGINS.iter().find(|(known, ..)| *known == name).map(|(_, _, tree)| *tree)
}
