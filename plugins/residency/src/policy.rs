//! Where upstreams are, and where the data of a caller may go.
//!
//! Whether a caller reaches an upstream is one question, asked of lists and of requests alike.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::glob;

use crate::config::{CallerConfig, Config, PlaceConfig, Unknown};

/// All settings, ready for use.
#[derive(Debug)]
pub struct Policy {
    places: Vec<PlaceConfig>,
    callers: Vec<CallerConfig>,
    unknown: Unknown,
}

/// Where the data of one caller may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Globs; nothing: every region.
    regions: Option<Vec<String>>,
    /// Regions; nothing: every region.
    claimed: Option<Vec<String>>,
}

impl Policy {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        for (at, caller) in (1..).zip(&config.callers) {
            if caller.regions.is_none() && caller.claim.is_none() {
                return Err(format!("callers {at} needs regions, claim or both: where may their data go?"));
            }
            let is_about_all = caller.tenants.is_none() && caller.subjects.is_none();
            if is_about_all && at < config.callers.len() {
                return Err(format!("callers {at} is about everybody, so those after it are about nobody; put it last"));
            }
        }
        Ok(Policy { places: config.places, callers: config.callers, unknown: config.unknown })
    }

    /// Where the data of this caller may go; nothing: nowhere. `attr` reads an attribute, and no more are read than decide: callers for whom
    /// those are the same share their lists.
    pub fn reach(&self, attr: impl Fn(&str) -> Option<String>) -> Option<Reach> {
        let is_one_of = |globs: &Option<Vec<String>>, key: &str| match globs {
            Some(globs) => attr(key).is_some_and(|text| glob::any(globs, &text)),
            None => true,
        };
        let is_about =
            |caller: &&CallerConfig| is_one_of(&caller.tenants, "principal.tenant") && is_one_of(&caller.subjects, "principal.subject");
        let caller = self.callers.iter().find(is_about)?;
        let claimed = caller.claim.as_ref().map(|claim| {
            // A claim that repeats is one attribute, with line feeds between its values.
            let values = attr(&format!("principal.claim.{claim}")).unwrap_or_default();
            values.split('\n').map(ToString::to_string).collect()
        });
        Some(Reach { regions: caller.regions.clone(), claimed })
    }

    /// The regions of an upstream, in their order; none: nobody knows.
    pub fn regions(&self, upstream: &str) -> BTreeSet<&str> {
        let there = self.places.iter().filter(|place| glob::any(&place.upstreams, upstream));
        there.flat_map(|place| &place.regions).map(String::as_str).collect()
    }

    /// May this caller's data go to an upstream in these regions? It may come to each of them, so each must be allowed.
    pub fn may_reach(&self, reach: Option<&Reach>, regions: &BTreeSet<&str>) -> bool {
        if regions.is_empty() {
            return self.unknown == Unknown::Allow;
        }
        reach.is_some_and(|reach| regions.iter().all(|region| reach.has(region)))
    }
}

impl Reach {
    fn has(&self, region: &str) -> bool {
        self.regions.as_ref().is_none_or(|globs| glob::any(globs, region))
            && self.claimed.as_ref().is_none_or(|claimed| claimed.iter().any(|one| one == region))
    }
}
