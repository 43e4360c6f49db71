//! A fixture: hook calls with what must come of them, in the same form for every language. docs/plugins/testing.md describes it.

use super::{
    engine,
    step::Step,
    tools::{self, Tools},
    world::{Answers, Scripted, Unavailable},
};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use sluice_plugin::{Engine, Secret, Settings, Setup};
use sluice_state::{Store, memory::MemoryStore};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The longest file taken.
const BYTES_MAX: u64 = 8 << 20;

/// One file.
pub struct Fixture {
    /// Where it is.
    pub path: PathBuf,
    /// Its text, as JSON: blessed, it is written back with what came of the steps.
    raw: Value,
    written: Written,
}

/// What it says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "about")]
    _about: String,
    /// These five are the sidecar's keys. `limits` go over the sidecar's, key by key; the others stand in its keys' places.
    config: Option<Map<String, Value>>,
    grants: Option<Vec<String>>,
    deny: Option<Vec<String>>,
    scope: Option<String>,
    limits: Option<Map<String, Value>>,
    /// The operator's, by name.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    kv: Kv,
    /// What the network answers, in this order.
    #[serde(default)]
    fetch: Vec<Scripted>,
    /// What the tools answer that the plugin calls itself, in this order.
    #[serde(default)]
    upstream: Vec<tools::Scripted>,
    steps: Vec<Step>,
}

/// What is behind `kv`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kv {
    /// A store of the fixture's own, empty at its first step.
    #[default]
    Memory,
    /// A remote store that does not answer.
    Unavailable,
}

/// One step that came out otherwise.
pub struct Difference {
    /// Which, from 1.
    pub step: usize,
    /// What the author says about it.
    pub about: String,
    /// None: the step does not say.
    pub expected: Option<Value>,
    /// What came.
    pub got: Value,
}

impl Fixture {
    /// All of a folder, by name.
    ///
    /// # Errors
    /// There is none, or one that is not as it should be.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        let mut paths: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        if paths.is_empty() {
            bail!("{} has no case: write one, as docs/plugins/testing.md says", folder.display());
        }
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Result<Self> {
        let shown = path.display();
        let bytes = fs::metadata(&path).with_context(|| format!("{shown} cannot be read"))?.len();
        if bytes > BYTES_MAX {
            bail!("{shown} is longer than {} MiB", BYTES_MAX >> 20);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{shown} cannot be read"))?;
        let raw: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?;
        // From the text, so that a mistake has its line.
        let written: Written = serde_json::from_str(&text).with_context(|| format!("{shown} is no fixture"))?;
        if written.steps.is_empty() {
            bail!("{shown} has no steps");
        }
        Ok(Self { path, raw, written })
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.written.steps
    }

    /// An engine with what this fixture has around the plugin.
    ///
    /// # Errors
    /// wasm cannot run here.
    fn engine(&self) -> Result<(Engine, Arc<Answers>, Arc<Tools>)> {
        let store: Arc<dyn Store> = match self.written.kv {
            Kv::Memory => Arc::new(MemoryStore::new()),
            Kv::Unavailable => Arc::new(Unavailable),
        };
        let answers = Arc::new(Answers::new(self.written.fetch.clone()));
        let tools = Arc::new(Tools::new(self.written.upstream.clone()));
        let secrets = self.written.secrets.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone().into_bytes())));
        let setup = Setup { secrets: secrets.collect(), fetch: Some(answers.clone()), calls: Some(tools.clone()), ..Setup::new(store) };
        Ok((engine::start(setup)?, answers, tools))
    }

    /// The plugin's settings: its sidecar's, with what this fixture says over them.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn settings(&self, file: &str, sidecar: &Path) -> Result<Settings> {
        let text = engine::sidecar(sidecar)?;
        engine::settings(file, sidecar, &text)?;
        let table: toml::Table = text.parse().with_context(|| format!("{} is no TOML", sidecar.display()))?;
        let mut merged = serde_json::to_value(table)?;
        let written = &self.written;
        for (key, value) in [
            ("config", written.config.clone().map(Value::from)),
            ("grants", written.grants.clone().map(Value::from)),
            ("deny", written.deny.clone().map(Value::from)),
            ("scope", written.scope.clone().map(Value::from)),
        ] {
            if let Some(value) = value {
                merged[key] = value;
            }
        }
        for (key, value) in written.limits.iter().flatten() {
            merged["limits"][key] = value.clone();
        }
        engine::settings(file, &self.path, &merged.to_string())
    }

    /// Runs every step in the order they stand in, on one loaded plugin.
    ///
    /// # Errors
    /// The plugin does not load, a step makes no sense, or the network or a tool was to answer more than it was asked.
    pub async fn run(&self, file: &str, bytes: Bytes, sidecar: &Path) -> Result<Vec<Value>> {
        let (engine, answers, tools) = self.engine()?;
        let filter = engine.load(bytes, self.settings(file, sidecar)?).await?;
        let mut outcomes = Vec::new();
        for (at, step) in self.steps().iter().enumerate() {
            let outcome = step.run(&filter, at as u64 + 1).await;
            outcomes.push(outcome.with_context(|| format!("{}, step {}", self.path.display(), at + 1))?);
        }
        if let Some(left) = answers.left() {
            bail!("{}: the plugin did not ask for {left}, which `fetch` has an answer for", self.path.display());
        }
        if let Some(left) = tools.left() {
            bail!("{}: the plugin did not call {left}, which `upstream` has an answer for", self.path.display());
        }
        Ok(outcomes)
    }

    /// What came out otherwise than it should.
    pub fn differences(&self, outcomes: &[Value]) -> Vec<Difference> {
        let differs = |(at, (step, got)): (usize, (&Step, &Value))| {
            let about = || if step.about.is_empty() { step.hook.to_string() } else { step.about.clone() };
            (step.expect.as_ref() != Some(got)).then(|| Difference {
                step: at + 1,
                about: about(),
                expected: step.expect.clone(),
                got: got.clone(),
            })
        };
        self.steps().iter().zip(outcomes).enumerate().filter_map(differs).collect()
    }

    /// Writes what came of each step into the file as what is expected.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn bless(mut self, outcomes: Vec<Value>) -> Result<()> {
        for (step, outcome) in self.raw["steps"].as_array_mut().into_iter().flatten().zip(outcomes) {
            step["expect"] = outcome;
        }
        let text = serde_json::to_string_pretty(&self.raw)? + "\n";
        fs::write(&self.path, text).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}
