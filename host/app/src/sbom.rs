//! What a plugin inside the binary is made of, as a CycloneDX document: for whoever asks, when a crate turns out to be bad, whether it is in
//! there. The build writes down what cargo resolved for these very components; nothing of it is guessed afterwards.

use crate::embedded;
use serde_json::{Value, json};
use sluice_plugin::artifact;
use std::collections::{BTreeMap, BTreeSet};

/// One crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    name: String,
    version: String,
    licence: String,
    /// sha256 of its archive; none for a crate of this project.
    checksum: Option<String>,
    /// It ran when the plugin was built, and is not in it: a macro, a build script, or what only those use.
    builds_only: bool,
    needs: BTreeSet<String>,
}

/// What a plugin is made of.
#[derive(Debug)]
pub struct Bom {
    plugin: String,
    digest: String,
    /// As `rustc -V` says.
    pub compiler: &'static str,
    /// The plugin's own crate.
    root: String,
    /// By reference.
    crates: BTreeMap<String, Crate>,
}

impl Bom {
    /// Of the plugin `builtin:<name>`; none if there is no such one.
    pub fn of(name: &str) -> Option<Self> {
        let (compiler, lines) = embedded::made_of(name)?.split_once('\n')?;
        let (root, crates) = read(lines)?;
        Some(Self { plugin: name.to_owned(), digest: artifact::digest(embedded::plugin(name)?), compiler, root, crates })
    }

    /// Crates whose code is in the component, but its own.
    pub fn linked(&self) -> usize {
        self.crates.iter().filter(|(reference, found)| **reference != self.root && !found.builds_only).count()
    }

    /// CycloneDX 1.6. The same plugin gives the same document: there is no time and no serial number in it.
    pub fn cyclonedx(&self) -> Value {
        let own = &self.crates[&self.root];
        let std = self.compiler.split(' ').nth(1).unwrap_or(self.compiler);
        let mut components = vec![json!({
            "type": "library",
            "bom-ref": "rust-std",
            "name": "rust-std",
            "version": std,
            "description": format!("the standard library of {}", self.compiler),
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
            "scope": "required",
        })];
        components
            .extend(self.crates.iter().filter(|(reference, _)| **reference != self.root).map(|(reference, c)| c.component(reference)));
        let dependencies = self.crates.iter().map(|(reference, found)| {
            let mut needs: Vec<&str> = found.needs.iter().map(String::as_str).collect();
            needs.extend((*reference == self.root).then_some("rust-std"));
            json!({"ref": reference, "dependsOn": needs})
        });
        json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "tools": {"components": [{"type": "application", "name": "sluice", "version": env!("CARGO_PKG_VERSION")}]},
                "component": {
                    "type": "application",
                    "bom-ref": self.root,
                    "name": self.plugin,
                    "version": own.version,
                    "licenses": [{"expression": own.licence}],
                    "hashes": [{"alg": "SHA-256", "content": self.digest}],
                },
            },
            "components": components,
            "dependencies": dependencies.collect::<Vec<_>>(),
        })
    }
}

impl Crate {
    fn component(&self, reference: &str) -> Value {
        let mut component = json!({
            "type": "library",
            "bom-ref": reference,
            "name": self.name,
            "version": self.version,
            "licenses": [{"expression": self.licence}],
            "scope": if self.builds_only { "excluded" } else { "required" },
        });
        if let Some(checksum) = &self.checksum {
            component["purl"] = json!(reference);
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        component
    }
}

/// The root's reference, and all crates. What a crate needs stands where it stands first.
fn read(lines: &str) -> Option<(String, BTreeMap<String, Crate>)> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    // References from the root down to the line before.
    let mut above: Vec<String> = Vec::new();
    for line in lines.lines() {
        let mut fields = line.split('|');
        let mut field = || fields.next();
        let (depth, package, licence, checksum, how) = (field()?.parse().ok()?, field()?, field()?, field()?, field()?);
        let (name, version) = package.split_once(" v")?;
        let reference = format!("pkg:cargo/{name}@{version}");
        above.truncate(depth);
        if let Some(parent) = above.last() {
            crates.get_mut(parent)?.needs.insert(reference.clone());
        }
        crates.entry(reference.clone()).or_insert_with(|| Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            // As cargo let people write it long ago.
            licence: licence.replace('/', " OR "),
            checksum: (!checksum.is_empty()).then(|| checksum.to_owned()),
            builds_only: how != "linked",
            needs: BTreeSet::new(),
        });
        above.push(reference);
    }
    let root = crates.keys().find(|reference| reference.starts_with("pkg:cargo/sluice-plugin-"))?.clone();
    Some((root, crates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_in_the_component_or_helped_to_build_it() {
        let lines = "0|sluice-plugin-a v0.1.0|Apache-2.0||linked\n1|serde v1.0.1|MIT OR Apache-2.0|aa|linked\n2|serde_derive v1.0.1|MIT/Apache-2.0|bb|builds\n\
                     3|syn v2.0.0|MIT|cc|builds\n1|sluice-sdk v0.1.0|Apache-2.0||linked\n2|serde v1.0.1|MIT OR Apache-2.0|aa|linked\n";
        let (root, crates) = read(lines).unwrap();
        assert_eq!(root, "pkg:cargo/sluice-plugin-a@0.1.0");
        let needs = |name: &str| crates[name].needs.iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(needs(&root), ["pkg:cargo/serde@1.0.1", "pkg:cargo/sluice-sdk@0.1.0"]);
        assert_eq!(needs("pkg:cargo/serde@1.0.1"), ["pkg:cargo/serde_derive@1.0.1"]);
        assert_eq!(needs("pkg:cargo/sluice-sdk@0.1.0"), ["pkg:cargo/serde@1.0.1"]);
        let only_builds = |name: &str| crates[name].builds_only;
        assert!(only_builds("pkg:cargo/syn@2.0.0") && !only_builds("pkg:cargo/serde@1.0.1"));
        assert_eq!(crates["pkg:cargo/serde_derive@1.0.1"].licence, "MIT OR Apache-2.0");
        for bad in ["", "x|a v1|MIT|a|linked", "1|sluice-plugin-a v1|MIT", "0|a v1|MIT|a|linked"] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    /// Every crate of every plugin, with what tells which it is; and nothing of the machine that built it.
    #[test]
    fn each_shipped_plugin_says_what_it_is_made_of() {
        for name in embedded::PLUGIN_NAMES {
            let bom = Bom::of(name).unwrap();
            let document = bom.cyclonedx();
            assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], *artifact::digest(embedded::plugin(name).unwrap()));
            let components = document["components"].as_array().unwrap();
            let named = |wanted: &str| components.iter().find(|c| c["name"] == wanted).unwrap_or_else(|| panic!("{name}: no {wanted}"));
            assert_eq!(named("serde_json")["scope"], "required");
            assert_eq!(named("proc-macro2")["scope"], "excluded", "a macro's own");
            assert!(named("rust-std")["version"].as_str().unwrap().starts_with("1."));
            for component in components.iter().filter(|c| c["name"] != "rust-std") {
                let is_ours = component["name"].as_str().unwrap().starts_with("sluice-");
                assert_eq!(component["hashes"][0]["content"].as_str().is_some_and(|text| text.len() == 64), !is_ours, "{component}");
                assert!(!component["licenses"][0]["expression"].as_str().unwrap().is_empty(), "{component}");
            }
            let text = document.to_string();
            assert!(!text.contains(env!("CARGO_MANIFEST_DIR")) && !text.contains("(/"), "{text}");
        }
        assert!(Bom::of("nobody").is_none());
    }
}
