//! What a plugin says about itself, checked.

use crate::{grant::Grants, v0_1::bindings::exports::sluice::filter::describe as wit};
use sluice_chain::{
    chunk::OVERLAP_MAX,
    filter::{Hook, Interest, Selector},
    route::Route,
};

const NAME_BYTES_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 4096;
const SCHEMA_BYTES_MAX: usize = 256 << 10;
const LIST_MAX: usize = 256;

/// A plugin's manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Lower-case letters, digits and `-`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of its settings, as text.
    pub config_schema: String,
    /// Capabilities it asks for.
    pub needs: Vec<Need>,
    /// Which traffic enters it.
    pub selectors: Vec<(Hook, Selector)>,
    /// Where it answers HTTP; each is among the needs, too.
    pub routes: Vec<Route>,
    /// Paths it edits, as globs over JSON pointers.
    pub edits: Vec<String>,
    /// Instances may meet several principals.
    pub stateless: bool,
    /// Of `on-chunk`: bytes at the end of a window that come again.
    pub overlap: usize,
    /// What this version of the contract has no field for.
    pub more: Vec<(String, String)>,
}

/// A capability that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// A name from the contract: `kv:shared-bucket`.
    pub capability: String,
    /// For the operator.
    pub reason: String,
    /// It works without.
    pub optional: bool,
}

impl Manifest {
    /// Check what `describe` answered. The error is the middle of a sentence: what is wrong.
    pub(crate) fn new(said: wit::Manifest, exports: &[Hook]) -> Result<Self, String> {
        check_name(&said.name)?;
        check_version(&said.version)?;
        if said.summary.len() > TEXT_BYTES_MAX || said.config_schema.len() > SCHEMA_BYTES_MAX {
            return Err(format!("its summary or its config-schema is longer than {TEXT_BYTES_MAX} or {SCHEMA_BYTES_MAX} bytes"));
        }
        let lists = [said.needs.len(), said.selectors.len(), said.routes.len(), said.edits.len(), said.more.len()];
        let longest = lists.into_iter().max().unwrap_or_default();
        if longest > LIST_MAX {
            return Err(format!("a list in it has {longest} entries, more than {LIST_MAX}"));
        }
        if said.overlap as usize > OVERLAP_MAX {
            return Err(format!("its overlap is {}, more than {OVERLAP_MAX}", said.overlap));
        }
        let selectors: Vec<_> = said.selectors.into_iter().map(selector).collect();
        if let Some((hook, _)) = selectors.iter().find(|(hook, _)| !exports.contains(hook)) {
            return Err(format!("it has a selector for {}, which the component does not export", hook.as_str()));
        }
        if selectors.iter().any(|(hook, _)| *hook == Hook::OnHttp) {
            return Err("it has a selector for on-http, which has routes instead".into());
        }
        if selectors.iter().any(|(hook, _)| *hook == Hook::OnOutbound) {
            return Err("it has a selector for on-outbound, which runs for every request to the upstreams that it is granted".into());
        }
        if !said.routes.is_empty() && !exports.contains(&Hook::OnHttp) {
            return Err("it has routes, and the component does not export on-http".into());
        }
        let routes = said.routes.into_iter().map(|route| self::route(route, &said.name)).collect::<Result<Vec<_>, _>>()?;
        let mut needs = said.needs.into_iter().map(need).collect::<Result<Vec<_>, _>>()?;
        for route in &routes {
            let capability = capability(route);
            if !needs.iter().any(|need| need.capability == capability) {
                needs.push(Need { capability, reason: "to answer requests there".into(), optional: false });
            }
        }
        if exports.contains(&Hook::OnOutbound) && !needs.iter().any(|need| need.capability.starts_with("outbound")) {
            let reason = "to give its requests what they leave with".into();
            needs.push(Need { capability: "outbound".into(), reason, optional: false });
        }
        Ok(Self {
            name: said.name,
            version: said.version,
            summary: crate::instance::one_line(&said.summary),
            config_schema: said.config_schema,
            needs,
            selectors,
            routes,
            edits: said.edits,
            stateless: said.stateless,
            overlap: said.overlap as usize,
            more: said.more,
        })
    }

    /// The hooks with their selectors; several of one hook are alternatives. And the routes that are among the grants.
    pub(crate) fn interest(&self, exports: &[Hook], reads_payload: bool, repeatable: bool, grants: &Grants) -> Interest {
        let mut hooks = Vec::new();
        for hook in exports {
            let own = self.selectors.iter().filter(|(selected, _)| selected == hook);
            let before = hooks.len();
            hooks.extend(own.cloned());
            if hooks.len() == before {
                hooks.push((*hook, Selector::default()));
            }
        }
        let routes = self.routes.iter().filter(|route| grants.answers_at(&route.path)).cloned().collect();
        let outbound = grants.upstreams().map(str::to_owned).collect();
        let edits = !self.edits.is_empty();
        Interest { hooks, reads_payload, routes, outbound, overlap: self.overlap, edits, repeatable }
    }

    /// Shared kv buckets it asks for, without `kv:`.
    pub(crate) fn shared_buckets(&self) -> Vec<String> {
        self.needs.iter().filter_map(|need| need.capability.strip_prefix("kv:")).map(str::to_owned).collect()
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) && !name.starts_with('-');
    // Names of facts and of our own label would be mistaken for the plugin's.
    let reserved = matches!(name, "principal" | "client" | "transport" | "http" | "tenant" | "host" | "bypassed");
    if !fits {
        return Err(format!("its name {:?} is not made of lower-case letters, digits and '-'", crate::instance::one_line(name)));
    }
    if reserved {
        return Err(format!("its name {name:?} is taken by the host's own attributes"));
    }
    Ok(())
}

/// `MAJOR.MINOR.PATCH`, then maybe `-pre` and `+build`.
fn check_version(version: &str) -> Result<(), String> {
    let (core, tail) = match version.find(['-', '+']) {
        Some(at) => version.split_at(at),
        None => (version, ""),
    };
    let number = |part: &str| {
        !part.is_empty() && part.len() <= 10 && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
    let fits = core.split('.').count() == 3 && core.split('.').all(number) && tail.len() <= 64 && tail.bytes().all(plain);
    if fits { Ok(()) } else { Err(format!("its version {:?} is not a semantic version", crate::instance::one_line(version))) }
}

fn selector(selector: wit::Selector) -> (Hook, Selector) {
    let hook = match selector.hook {
        wit::Hook::Authenticate => Hook::Authenticate,
        wit::Hook::OnHttp => Hook::OnHttp,
        wit::Hook::OnRequest => Hook::OnRequest,
        wit::Hook::OnOutbound => Hook::OnOutbound,
        wit::Hook::OnResponse => Hook::OnResponse,
        wit::Hook::OnChunk => Hook::OnChunk,
        wit::Hook::OnNotification => Hook::OnNotification,
        wit::Hook::OnCatalog => Hook::OnCatalog,
        wit::Hook::OnDone => Hook::OnDone,
    };
    (hook, Selector { methods: selector.methods, names: selector.names })
}

/// The grant a route needs.
fn capability(route: &Route) -> String {
    format!("http:{}", route.path)
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// What the host answers itself.
const OWN_PATH: &str = "/.well-known/ai-catalog.json";

fn route(route: wit::Route, plugin: &str) -> Result<Route, String> {
    let shown = crate::instance::one_line(&route.path);
    let bad = |why: &str| Err(format!("its route {shown:?} {why}"));
    let stem = route.path.strip_suffix('*').unwrap_or(&route.path);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    let is_plain = stem.len() <= 200 && stem.bytes().all(plain);
    if !is_plain || stem.split('/').skip(1).any(|part| matches!(part, "." | "..")) || stem.contains("//") {
        return bad("is no plain path, with `*` at its end at most");
    }
    let below = |root: &str| stem.strip_prefix(root);
    let is_well_known = below("/.well-known/").is_some_and(|rest| !rest.is_empty());
    if !is_well_known && below(&format!("/-/{plugin}/")).is_none() {
        return bad(&format!("is neither below /.well-known/ nor below /-/{plugin}/"));
    }
    let unknown = route.methods.iter().find(|method| !METHODS.contains(&method.as_str()));
    if route.methods.is_empty() || unknown.is_some() {
        return bad(&format!("has methods other than {}, or none", METHODS.join(", ")));
    }
    let route = Route { path: route.path, methods: route.methods };
    if route.leads(OWN_PATH) {
        return bad(&format!("covers {OWN_PATH}, which is the host's own"));
    }
    Ok(route)
}

fn need(need: wit::Need) -> Result<Need, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/*,[] ".contains(&b);
    if need.capability.is_empty() || need.capability.len() > 256 || !need.capability.bytes().all(plain) {
        return Err(format!("it needs {:?}, which is no capability's name", crate::instance::one_line(&need.capability)));
    }
    let reason = crate::instance::one_line(&need.reason);
    Ok(Need { capability: need.capability, reason, optional: need.optional })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_plain_and_below_what_is_the_plugins() {
        let checked = |path: &str, methods: &[&str]| {
            let methods = methods.iter().map(|method| (*method).to_owned()).collect();
            route(wit::Route { path: path.into(), methods }, "connect").map(|_| ())
        };
        for good in ["/.well-known/oauth-protected-resource*", "/.well-known/x/mcp", "/-/connect/", "/-/connect/*", "/-/connect/a-b_c.d"] {
            assert_eq!(checked(good, &["GET", "POST"]), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "*",
            "/*",
            "/mcp",
            "/mcp*",
            "/sse",
            "/-/*",
            "/-/connect",
            "/-/connect*",
            "/-/other/x",
            "/-/connect/../other/x",
            "/-/connect/./x",
            "/-/connect//x",
            "/-/connect/%2e%2e/x",
            "/-/connect/a*b",
            "/-/connect/**",
            "/-/connect/a b",
            "/.well-known/",
            "/.well-known/*",
            "/.well-known/ai-catalog.json",
            "/.well-known/ai*",
            "/.well-known/../mcp",
            "https://x/-/connect/",
            &format!("/-/connect/{}", "x".repeat(200)),
        ] {
            assert!(checked(bad, &["GET"]).is_err(), "{bad}");
        }
        for bad in [&[][..], &["get"], &["HEAD"], &["CONNECT"], &["GET", "TRACE"]] {
            assert!(checked("/-/connect/", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_and_versions_are_plain() {
        for good in ["redact", "rate-limit", "a1"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "Redact", "a.b", "a b", "-a", "é", "principal", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in ["0.1.0", "1.20.3-rc.1+build", "0.0.0"] {
            assert_eq!(check_version(good), Ok(()));
        }
        for bad in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "v1.2.3", "1.2.3-a b"] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
    }
}
