//! What the chain is, in words, for `sluice ls`, `sluice check` and the metrics.

use super::{Placed, Plugins, Trial, counted::Counted};
use sluice_chain::{
    canary::Counts,
    filter::{Filter, Hook},
    route::Route,
};
use sluice_plugin::import::Imported;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// One plugin in plain words.
pub struct Described {
    /// From its manifest.
    pub name: String,
    /// From its manifest.
    pub version: String,
    /// File or `builtin:<name>`.
    pub origin: String,
    /// sha256, hex.
    pub digest: String,
    /// The operator's name of the key that signed the file, if one did.
    pub signed_by: Option<String>,
    /// From its manifest.
    pub summary: String,
    /// What it takes part in.
    pub hooks: Vec<String>,
    /// What it can do, as its imports prove.
    pub powers: Vec<String>,
    /// The new version on trial beside it, and how that goes.
    pub trial: Option<String>,
}

impl Plugins {
    /// The chain of a group; none: that of `/mcp`.
    fn of(&self, group: Option<&str>) -> Vec<Placed> {
        self.placed().iter().filter(|placed| placed.group.as_deref() == group).cloned().collect()
    }

    /// Names in the order of the chain of `/mcp`.
    pub fn names(&self) -> Vec<String> {
        self.of(None).iter().map(|p| p.filter.identity().name.to_string()).collect()
    }

    /// What a plugin of the chain is told, by its name.
    pub fn config_of(&self, name: &str) -> Option<serde_json::Value> {
        self.placed().iter().find(|placed| *placed.filter.identity().name == *name).map(|placed| placed.settings.config.clone())
    }

    /// All plugins in the order of a group's chain; none: of that of `/mcp`.
    pub fn described(&self, group: Option<&str>) -> Vec<Described> {
        self.of(group).iter().map(describe).collect()
    }

    /// Pairs of plugins that edit the same part of a message or answer at the same path, with the order used.
    pub fn overlaps(&self) -> Vec<String> {
        let mut lines = overlaps(&self.of(None));
        for group in self.config().groups().iter().filter(|group| group.own.is_some()) {
            lines.extend(overlaps(&self.of(Some(&group.name))).into_iter().map(|line| format!("group {}: {line}", group.name)));
        }
        lines
    }

    /// What several chains share counts once, for the first of them.
    fn each_once(&self) -> Vec<Placed> {
        let mut each: Vec<Placed> = Vec::new();
        for placed in self.placed().iter() {
            if !each.iter().any(|known| Arc::ptr_eq(&known.filter, &placed.filter)) {
                each.push(placed.clone());
            }
        }
        each
    }

    /// Figures of the plugin host in Prometheus' text form.
    pub fn figures(&self) -> String {
        use std::sync::atomic::Ordering::Relaxed;
        let mut out = String::new();
        head(&mut out, "sluice_plugins_compiling", "gauge", "Plugin files being compiled for the chain");
        let _ = writeln!(out, "sluice_plugins_compiling {}", self.engine.compiling().len());
        let placed = self.each_once();
        let mut series = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Placed) -> u64| {
            head(&mut out, name, kind, help);
            for p in placed.iter() {
                let group = p.group.as_ref().map(|group| format!(",group=\"{group}\"")).unwrap_or_default();
                let _ = writeln!(out, "{name}{{plugin=\"{}\"{group}}} {}", p.filter.identity().name, value(p));
            }
        };
        series("sluice_plugin_instances_created_total", "counter", "Instances made", &|p| p.filter.figures().created.load(Relaxed));
        series("sluice_plugin_instances_reused_total", "counter", "Calls that found a warm instance", &|p| {
            p.filter.figures().reused.load(Relaxed)
        });
        series("sluice_plugin_pool_misses_total", "counter", "Calls that had to make an instance", &|p| {
            p.filter.figures().missed.load(Relaxed)
        });
        series("sluice_plugin_instances_live", "gauge", "Instances alive", &|p| p.filter.figures().live.load(Relaxed) as u64);
        series("sluice_plugin_memory_peak_bytes", "gauge", "Highest memory of one instance", &|p| {
            p.filter.figures().memory_peak.load(Relaxed) as u64
        });
        series("sluice_plugin_log_dropped_total", "counter", "Log lines dropped by the rate limit", &|p| {
            p.filter.figures().log_dropped.load(Relaxed)
        });
        series("sluice_plugin_copied", "gauge", "1 while new instances are copies of one that has run init", &|p| {
            u64::from(matches!(p.filter.starts_from_copy(), Some(Ok(()))))
        });
        series("sluice_plugin_breaker_open", "gauge", "1 while switched off", &|p| u64::from(p.breaker.is_open()));
        let on_trial = |value: fn(&Counts) -> u64| move |p: &Placed| p.trial.as_ref().map_or(0, |trial| value(&trial.canary.counts()));
        let (running, calls) = (on_trial(|c| u64::from(c.worse.is_none())), on_trial(|c| c.candidate.calls));
        let (faults, diverged) = (on_trial(|c| c.candidate.faults), on_trial(|c| c.diverged));
        series("sluice_plugin_trial_running", "gauge", "1 while a new version takes a part of the traffic", &running);
        series("sluice_plugin_trial_recent_calls", "gauge", "Recent hook calls of the new version", &calls);
        series("sluice_plugin_trial_recent_faults", "gauge", "Those that ended in a fault", &faults);
        series("sluice_plugin_trial_recent_diverging", "gauge", "Recent verdicts unlike the old version's", &diverged);
        // One plugin may stand in the chain several times.
        let mut called: BTreeMap<(&str, Hook), (u64, f64)> = BTreeMap::new();
        for p in placed.iter() {
            let identity = p.filter.identity();
            for hook in Hook::ALL.into_iter().filter(|hook| p.filter.interest().hooks.iter().any(|(h, _)| h == hook)) {
                let (calls, took) = identity.calls.of(hook);
                let sum = called.entry((&identity.name, hook)).or_default();
                *sum = (sum.0 + calls, sum.1 + took.as_secs_f64());
            }
        }
        let mut series = |name: &str, help: &str, value: &dyn Fn(&(u64, f64)) -> String| {
            head(&mut out, name, "counter", help);
            for ((plugin, hook), sum) in &called {
                let _ = writeln!(out, "{name}{{plugin=\"{plugin}\",hook=\"{}\"}} {}", hook.as_str(), value(sum));
            }
        };
        series("sluice_plugin_entries_total", "Hook calls", &|(calls, _)| calls.to_string());
        series("sluice_plugin_seconds_total", "Time spent in hooks", &|(_, seconds)| seconds.to_string());
        Counted::of(placed.iter().flat_map(|p| [Some(&*p.filter), p.trial.as_ref().map(|trial| &*trial.filter)]).flatten()).write(&mut out);
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let family = name.strip_suffix("_total").unwrap_or(name);
    let _ = writeln!(out, "# HELP {family} {help}.\n# TYPE {family} {kind}");
}

fn describe(placed: &Placed) -> Described {
    let filter = &placed.filter;
    let identity = filter.identity();
    Described {
        name: identity.name.to_string(),
        version: identity.version.to_string(),
        origin: placed.key.clone(),
        digest: identity.digest.to_string(),
        signed_by: placed.signer.name.clone(),
        summary: filter.manifest().summary.clone(),
        hooks: filter.interest().hooks.iter().map(|(hook, s)| hook_line(hook.as_str(), &s.methods)).collect(),
        powers: powers(filter.imports(), placed),
        trial: placed.trial.as_ref().map(trial),
    }
}

fn trial(trial: &Trial) -> String {
    let (counts, identity) = (trial.canary.counts(), trial.filter.identity());
    let new = &counts.candidate;
    let so_far = match counts.worse {
        Some(worse) => format!("taken back for {worse}"),
        None => format!(
            "{} calls, {} faults; {} of {} verdicts unlike the old version's",
            new.calls, new.faults, counts.diverged, counts.compared
        ),
    };
    format!("{} (sha256:{}…): {so_far}", identity.version, &identity.digest[..12])
}

fn hook_line(hook: &str, methods: &[String]) -> String {
    if methods.is_empty() { hook.to_owned() } else { format!("{hook} ({})", methods.join(" ")) }
}

/// In the words of the list that the binary was linked from.
fn powers(imports: &[Imported], placed: &Placed) -> Vec<String> {
    let denied: Vec<&str> = placed.settings.denied.iter().map(|p| p.as_str()).collect();
    let words = |imported: &Imported| {
        let what = imported.import.allows?;
        Some(if denied.contains(&imported.import.interface) { format!("{what} (DENIED)") } else { what.to_owned() })
    };
    let mut powers: Vec<String> = Vec::new();
    for word in imports.iter().filter_map(words) {
        if !powers.contains(&word) {
            powers.push(word);
        }
    }
    powers.extend(placed.settings.grants.iter().map(|g| format!("granted {g}")));
    powers
}

fn overlaps(placed: &[Placed]) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, first) in placed.iter().enumerate() {
        for second in &placed[i + 1..] {
            let shared = shared_path(&first.filter.manifest().edits, &second.filter.manifest().edits);
            if let Some(path) = shared {
                let (a, b) = (&first.filter.identity().name, &second.filter.identity().name);
                lines.push(format!("{a} and {b} both edit {path}: requests pass {a} first, responses {b} first"));
            }
            if let Some(path) = shared_route(&first.filter.interest().routes, &second.filter.interest().routes) {
                let (a, b) = (&first.filter.identity().name, &second.filter.identity().name);
                lines.push(format!("{a} and {b} both answer at {path}: {a} does"));
            }
        }
    }
    lines
}

/// A path at which both answer with the same method.
fn shared_route<'a>(a: &'a [Route], b: &[Route]) -> Option<&'a str> {
    let meets = |x: &Route| b.iter().any(|y| x.meets(y) && x.methods.iter().any(|method| y.methods.contains(method)));
    a.iter().find(|x| meets(x)).map(|route| route.path.as_str())
}

/// A path that both lists of globs can reach, by their literal beginnings.
fn shared_path(a: &[String], b: &[String]) -> Option<String> {
    let stem = |glob: &str| glob.split('*').next().unwrap_or_default().to_owned();
    a.iter().flat_map(|x| b.iter().map(move |y| (x, y))).find_map(|(x, y)| {
        let (sx, sy) = (stem(x), stem(y));
        (sx.starts_with(&sy) || sy.starts_with(&sx)).then(|| if sx.len() >= sy.len() { x.clone() } else { y.clone() })
    })
}
