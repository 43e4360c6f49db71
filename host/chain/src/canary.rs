//! Two versions of one plugin side by side: a part of the traffic takes the new one, until it proves worse than the old one.
//!
//! Each version is a [`Link`](crate::generation::Link) of its own with its own breaker, counts and records; what is here says which
//! of the two an exchange enters, and judges.

use crate::{
    attributes::Attributes,
    filter::{Filter, Verdict},
    selector::Conditions,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Which exchanges take the new version.
#[derive(Clone, Debug)]
pub struct Share {
    /// Of a hundred exchanges.
    pub percent: u32,
    /// Of these tenants, with these labels of filters before it; the rest of the conditions is the plugin's own.
    pub when: Conditions,
}

impl Share {
    fn takes(&self, exchange: u64, tenant: Option<&str>, attributes: &Attributes) -> bool {
        // Ids come in a row; the product spreads them evenly (Fibonacci hashing), and the same id always falls alike.
        let drawn = (exchange.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 100 < u64::from(self.percent);
        drawn && self.when.hold_for_tenant(tenant) && self.when.hold_for_labels(attributes)
    }
}

/// How much worse the new version may be. Percentages are of its own calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Calls of each version before shares and times are compared.
    pub calls_min: u64,
    /// Faults, beyond the share of the old one. Three in a row are always too many.
    pub faults_percent_max: u64,
    /// How much longer nine of ten calls may take, beyond those of the old one; under 100 µs no difference counts.
    pub slower_percent_max: u64,
    /// Verdicts unlike the old one's on the same message, where the two can be compared.
    pub diverging_percent_max: u64,
}

/// Faults in a row that need no statistics.
const FAULTS_IN_A_ROW: u32 = 3;
/// Shorter than this, the clock and the machine say more than the plugin.
const UNJUDGED: Duration = Duration::from_micros(100);
/// Calls after which all counts are halved, so that what happens now outweighs what happened long ago.
const HALVED_AT: u64 = 20_000;

/// Which of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one in force.
    Stable,
    /// The one on trial.
    Candidate,
}

/// Why a new version was taken back.
#[derive(Clone, Debug, PartialEq)]
pub enum Worse {
    /// Faults one after another.
    Row(u32),
    /// More faults: per cent of the new version's calls, and of the old one's.
    Faults(f64, f64),
    /// Nine of ten calls end within this time, against that of the old one.
    Slower(Duration, Duration),
    /// Per cent of verdicts that differ, and how many were compared.
    Diverging(f64, u64),
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(faults) => write!(f, "{faults} faults in a row"),
            Self::Faults(new, old) => write!(f, "faults in {new:.1} % of its calls, against {old:.1} % of the old version's"),
            Self::Slower(new, old) => write!(f, "nine of ten calls within {new:?}, against {old:?} of the old version's"),
            Self::Diverging(percent, of) => write!(f, "a verdict unlike the old version's on {percent:.1} % of {of} messages"),
        }
    }
}

/// What one version did so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Hook calls.
    pub calls: u64,
    /// Those that ended in a fault.
    pub faults: u64,
    row: u32,
    took: Times,
}

/// Call times by half octaves of a microsecond, which can be halved. What it tells of a percentile is at most half as much again as the
/// truth, from 2 µs on.
#[derive(Clone, Debug)]
struct Times([u32; 48]);

impl Default for Times {
    fn default() -> Self {
        Self([0; 48])
    }
}

impl Times {
    fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let octave = micros.ilog2();
        let upper = micros >= (3 << octave) / 2;
        let at = (octave as usize * 2 + usize::from(upper)).min(self.0.len() - 1);
        self.0[at] = self.0[at].saturating_add(1);
    }

    /// The upper end of the class that nine of ten lie in or below.
    fn ninth_tenth(&self) -> Duration {
        let all: u64 = self.0.iter().map(|n| u64::from(*n)).sum();
        let mut seen = 0;
        for (at, n) in self.0.iter().enumerate() {
            seen += u64::from(*n);
            if seen * 10 >= all * 9 {
                let (octave, half) = (at as u32 / 2, at as u64 % 2);
                return Duration::from_micros((1_u64 << octave) + ((1_u64 << octave) * (half + 1)) / 2);
            }
        }
        Duration::ZERO
    }
}

impl Tally {
    fn note(&mut self, is_fault: bool, took: Option<Duration>) {
        self.calls += 1;
        self.faults += u64::from(is_fault);
        self.row = if is_fault { self.row + 1 } else { 0 };
        took.into_iter().for_each(|took| self.took.add(took));
        if self.calls >= HALVED_AT {
            (self.calls, self.faults) = (self.calls / 2, self.faults / 2);
            self.took.0.iter_mut().for_each(|n| *n /= 2);
        }
    }

    fn fault_percent(&self) -> f64 {
        percent(self.faults, self.calls)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are halved long before that")]
fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

/// Everything counted, for status and metrics.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Of the version in force.
    pub stable: Tally,
    /// Of the one on trial.
    pub candidate: Tally,
    /// Messages that both were asked about.
    pub compared: u64,
    /// Those on which they differed.
    pub diverged: u64,
    /// Why the trial ended, if it has.
    pub worse: Option<Worse>,
}

/// A trial of a new version.
pub struct Canary {
    share: Share,
    bounds: Bounds,
    /// Asked as well about what the new version is asked, where it can be asked twice.
    twin: Option<Arc<dyn Filter>>,
    /// The first exchange that takes the old version again: those under way keep what they began with.
    ended_from: AtomicU64,
    /// Held for a few additions, never across an await.
    counts: Mutex<Counts>,
}

impl Canary {
    /// Begin a trial of a version against `stable`.
    pub fn new(share: Share, bounds: Bounds, stable: &Arc<dyn Filter>) -> Self {
        let twin = stable.interest().repeatable.then(|| stable.clone());
        Self { share, bounds, twin, ended_from: AtomicU64::new(u64::MAX), counts: Mutex::default() }
    }

    /// Does this exchange enter the version of `side`? The same exchange always gets the same answer, unless its labels change.
    pub fn enters(&self, side: Side, exchange: u64, tenant: Option<&str>, attributes: &Attributes) -> bool {
        let candidate = exchange < self.ended_from.load(Relaxed) && self.share.takes(exchange, tenant, attributes);
        candidate == (side == Side::Candidate)
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.locked().clone()
    }

    /// Whom to ask as well, as long as the trial lasts.
    pub(crate) fn twin(&self, side: Side) -> Option<&Arc<dyn Filter>> {
        let lasts = self.ended_from.load(Relaxed) == u64::MAX;
        self.twin.as_ref().filter(|_| lasts && side == Side::Candidate)
    }

    /// A call of one side has ended, and took so long if a client waited for it. `next` is the id of the next exchange. Says why, the
    /// one time that the trial ends.
    pub(crate) fn note(&self, side: Side, is_fault: bool, took: Option<Duration>, next: impl FnOnce() -> u64) -> Option<Worse> {
        let mut counts = self.locked();
        match side {
            Side::Stable => counts.stable.note(is_fault, took),
            Side::Candidate => counts.candidate.note(is_fault, took),
        }
        self.judge(&mut counts, next)
    }

    /// Both versions were asked about one message.
    pub(crate) fn compared(&self, alike: bool, next: impl FnOnce() -> u64) -> Option<Worse> {
        let mut counts = self.locked();
        counts.compared += 1;
        counts.diverged += u64::from(!alike);
        if counts.compared >= HALVED_AT {
            (counts.compared, counts.diverged) = (counts.compared / 2, counts.diverged / 2);
        }
        self.judge(&mut counts, next)
    }

    fn judge(&self, counts: &mut Counts, next: impl FnOnce() -> u64) -> Option<Worse> {
        if counts.worse.is_some() {
            return None;
        }
        counts.worse = self.worse(counts);
        if counts.worse.is_some() {
            self.ended_from.store(next(), Relaxed);
        }
        counts.worse.clone()
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    fn worse(&self, counts: &Counts) -> Option<Worse> {
        let (old, new, bounds) = (&counts.stable, &counts.candidate, &self.bounds);
        if new.row >= FAULTS_IN_A_ROW {
            return Some(Worse::Row(new.row));
        }
        if counts.compared >= bounds.calls_min {
            let diverging = percent(counts.diverged, counts.compared);
            if diverging > bounds.diverging_percent_max as f64 {
                return Some(Worse::Diverging(diverging, counts.compared));
            }
        }
        if new.calls < bounds.calls_min {
            return None;
        }
        let (new_faults, old_faults) = (new.fault_percent(), old.fault_percent());
        if new_faults > old_faults + bounds.faults_percent_max as f64 {
            return Some(Worse::Faults(new_faults, old_faults));
        }
        // A look over all classes, which not every call needs.
        if old.calls < bounds.calls_min || new.calls % 16 != 0 {
            return None;
        }
        let (new_took, old_took) = (new.took.ninth_tenth(), old.took.ninth_tenth());
        let allowed = old_took.max(UNJUDGED).mul_f64(1.0 + bounds.slower_percent_max as f64 / 100.0);
        (new_took > allowed).then_some(Worse::Slower(new_took, old_took))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Do two verdicts on one message come to the same?
pub(crate) fn alike(a: &Verdict, b: &Verdict) -> bool {
    match (a, b) {
        (Verdict::Next(a), Verdict::Next(b)) => a.as_ref().map(|m| m.bytes()) == b.as_ref().map(|m| m.bytes()),
        (Verdict::Reply(a), Verdict::Reply(b)) => a == b,
        (Verdict::Reject(a), Verdict::Reject(b)) => a == b,
        (Verdict::Suspend(a), Verdict::Suspend(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Globs;
    use std::sync::atomic::AtomicUsize;

    const US: Duration = Duration::from_micros(1);

    fn canary(percent: u32) -> Canary {
        let share = Share { percent, when: Conditions::default() };
        let bounds = Bounds { calls_min: 50, faults_percent_max: 1, slower_percent_max: 100, diverging_percent_max: 5 };
        Canary { share, bounds, twin: None, ended_from: AtomicU64::new(u64::MAX), counts: Mutex::default() }
    }

    fn calls(canary: &Canary, side: Side, n: u64, took: Duration, is_fault: impl Fn(u64) -> bool) -> Option<Worse> {
        (0..n).find_map(|i| canary.note(side, is_fault(i), Some(took), || 1_000))
    }

    #[test]
    fn a_percentage_is_kept_and_an_exchange_always_falls_alike() {
        for percent in [0, 1, 10, 50, 100] {
            let canary = canary(percent);
            let takes = |id| canary.enters(Side::Candidate, id, None, &Attributes::default());
            let taken = (0..100_000).filter(|id| takes(*id)).count();
            assert!(taken.abs_diff(percent as usize * 1_000) < 300, "{percent}: {taken}");
            for id in 0..1_000 {
                assert_ne!(takes(id), canary.enters(Side::Stable, id, None, &Attributes::default()), "one of the two and never both");
            }
        }
    }

    #[test]
    fn a_tenant_and_a_label_choose() {
        let mut canary = canary(100);
        canary.share.when.tenants = Globs::new(&["blue*"]);
        canary.share.when.labels = vec![("sort.class".into(), Globs::new(&["batch"]))];
        let mut labelled = Attributes::default();
        labelled.set_label("sort", "class", "batch");
        for (tenant, attributes, expected) in [
            (Some("blue-1"), &labelled, true),
            (Some("red"), &labelled, false),
            (None, &labelled, false),
            (Some("blue-1"), &Attributes::default(), false),
        ] {
            assert_eq!(canary.enters(Side::Candidate, 7, tenant, attributes), expected, "{tenant:?}");
        }
    }

    #[test]
    fn each_kind_of_worse_ends_the_trial_once_and_what_is_as_good_does_not() {
        let ended = canary(10);
        assert_eq!(calls(&ended, Side::Candidate, 10, US, |_| true), Some(Worse::Row(3)));
        assert!(ended.enters(Side::Stable, 1_000, None, &Attributes::default()), "what comes later");
        let goes_on = (0..1_000).filter(|id| ended.enters(Side::Candidate, *id, None, &Attributes::default())).count();
        assert!((90..110).contains(&goes_on), "what was begun: {goes_on}");
        assert_eq!(calls(&ended, Side::Candidate, 10, US, |_| true), None, "said once");

        let faulty = canary(10);
        calls(&faulty, Side::Stable, 100, US, |_| false);
        assert!(matches!(calls(&faulty, Side::Candidate, 100, US, |i| i % 10 == 9), Some(Worse::Faults(..))));

        let slow = canary(10);
        calls(&slow, Side::Stable, 100, 300 * US, |_| false);
        assert!(matches!(calls(&slow, Side::Candidate, 100, 1_000 * US, |_| false), Some(Worse::Slower(..))));

        let other = canary(10);
        let worse = (0..100).find_map(|i| other.compared(i % 10 != 0, || 0));
        assert!(matches!(worse, Some(Worse::Diverging(..))), "{worse:?}");

        let good = canary(10);
        calls(&good, Side::Stable, 1_000, 300 * US, |i| i % 100 == 50);
        assert_eq!(calls(&good, Side::Candidate, 1_000, 350 * US, |i| i % 100 == 50), None, "faults like the old one's");
        assert_eq!((0..1_000).find_map(|i| good.compared(i % 50 != 0, || 0)), None);
        let quick = canary(10);
        calls(&quick, Side::Stable, 100, 5 * US, |_| false);
        assert_eq!(calls(&quick, Side::Candidate, 100, 50 * US, |_| false), None, "ten times nothing");
    }

    #[test]
    fn what_happens_now_outweighs_what_happened_long_ago() {
        let canary = canary(10);
        calls(&canary, Side::Stable, 1_000_000, US, |_| false);
        assert_eq!(calls(&canary, Side::Candidate, 1_000_000, US, |_| false), None);
        let until = AtomicUsize::new(0);
        let worse = calls(&canary, Side::Candidate, 10_000, US, |i| {
            until.fetch_add(1, Relaxed);
            i % 10 == 0
        });
        assert!(worse.is_some() && until.load(Relaxed) < 5_000, "{worse:?} after {until:?}");
    }

    #[test]
    fn nine_tenths_are_told_to_half_as_much_again_at_most() {
        for micros in [2, 7, 90, 1_000, 65_000] {
            let mut times = Times::default();
            (0..90).for_each(|_| times.add(Duration::from_micros(micros)));
            (0..10).for_each(|_| times.add(Duration::from_secs(10)));
            let told = times.ninth_tenth().as_secs_f64() * 1e6;
            assert!((micros as f64..=micros as f64 * 1.5).contains(&told), "{micros}: {told}");
        }
    }

    #[test]
    fn what_no_client_waits_for_is_no_time() {
        let canary = canary(10);
        calls(&canary, Side::Stable, 100, 300 * US, |_| false);
        // As many calls without a time as with one: were they short ones, nine of ten would be no longer than before.
        let worse = (0..2_000).find_map(|i| canary.note(Side::Candidate, false, (i % 16 == 0).then_some(1_000 * US), || 0));
        assert!(matches!(worse, Some(Worse::Slower(..))), "{worse:?}");
    }
}
