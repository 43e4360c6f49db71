//! What one caller usually does, as it is kept: tools with the weight of their calls, which follows which, and how many calls come at once.
//!
//! Everything is bounded: so many tools, so many pairs, and of those the lightest makes room for a new one. Weights halve with time, and what
//! has become too light is forgotten.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

/// A tool, in few bytes.
pub type Tool = [u8; 8];

/// Before the first call of a sequence.
pub const START: Tool = [0; 8];

/// Tools of one caller.
pub const TOOLS_MAX: usize = 128;
/// Pairs of tools, one after the other.
pub const PAIRS_MAX: usize = 512;
/// Lighter than this is forgotten: one call, after four half-lives.
const WEIGHT_MIN: f32 = 1.0 / 16.0;
/// Weights are made lighter in steps of this part of a half-life, so that no step is lost to rounding.
const STEPS: u64 = 64;
/// Of what is kept; another is not read.
const FORMAT: u8 = 1;

/// A number that varies, by its mean and variance: of all values while there are few, later mostly of the last ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usual {
    /// How many values there were.
    pub count: u32,
    /// Their mean.
    pub mean: f32,
    /// Their variance.
    pub variance: f32,
}

impl Usual {
    /// One value more. One that is far out counts as if it were less so: an attack is not to become what is usual.
    pub fn learn(&mut self, value: f32, memory: u32, deviation_min: f32) {
        let far = self.mean + 3.0 * self.deviation(deviation_min);
        let value = if self.count >= 8 { value.min(far) } else { value };
        self.count = self.count.saturating_add(1);
        let share = 1.0 / self.count.min(memory) as f32;
        let difference = value - self.mean;
        self.mean += share * difference;
        self.variance = (1.0 - share) * (self.variance + share * difference * difference);
    }

    /// Its standard deviation, and at least this.
    pub fn deviation(&self, min: f32) -> f32 {
        libm::sqrtf(self.variance).max(min)
    }
}

/// One tool.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    tool: Tool,
    since_s: u64,
    weight: f32,
}

/// One tool after another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    from: Tool,
    to: Tool,
    weight: f32,
}

/// What one caller usually does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Habits {
    /// When it was seen first, in seconds since 1970.
    pub since_s: u64,
    /// When it called last.
    pub last_s: u64,
    /// Up to when weights have been made lighter.
    lighter_s: u64,
    /// The exchange of the last call, and its score: further rounds of it are no further calls.
    pub exchange: u64,
    /// Of that exchange.
    pub score: u8,
    /// Calls so far.
    pub calls: u32,
    /// What it called last.
    pub previous: Tool,
    /// Which window it was in then.
    pub window: u64,
    /// Calls of that window.
    pub window_calls: u32,
    /// Calls in a window with calls.
    pub volume: Usual,
    /// Bits of surprise in what follows on what.
    pub surprise: Usual,
    /// The same of the last few calls.
    pub surprise_now: f32,
    tools: Vec<Seen>,
    pairs: Vec<Pair>,
}

/// A tool of an upstream, by its name.
pub fn tool(upstream: &str, name: &str) -> Tool {
    let mut digest = Sha256::new();
    digest.update((upstream.len() as u64).to_le_bytes());
    digest.update(upstream);
    digest.update(name);
    let digest = digest.finalize();
    let mut tool = Tool::default();
    tool.copy_from_slice(&digest[..8]);
    tool
}

impl Habits {
    /// Of somebody who was never seen.
    pub fn new(now_s: u64) -> Self {
        Habits { since_s: now_s, last_s: now_s, lighter_s: now_s, ..Self::default() }
    }

    /// Since when this tool is called; nothing: it is not.
    pub fn knows(&self, tool: &Tool) -> Option<u64> {
        self.tools.iter().find(|seen| seen.tool == *tool).map(|seen| seen.since_s)
    }

    /// How surprising it is that this follows on that, in bits: none that always does, more the seldomer it did.
    pub fn bits(&self, from: &Tool, to: &Tool) -> f32 {
        let after = |pair: &&Pair| pair.from == *from;
        let all: f32 = self.pairs.iter().filter(after).map(|pair| pair.weight).sum();
        let this = self.pairs.iter().find(|pair| pair.from == *from && pair.to == *to).map_or(0.0, |pair| pair.weight);
        // What has never followed is not impossible.
        let unseen = 0.5;
        libm::log2f((all + unseen * (self.tools.len() as f32 + 1.0)) / (this + unseen))
    }

    /// One call more.
    pub fn learn(&mut self, from: Tool, to: Tool, now_s: u64) {
        self.calls = self.calls.saturating_add(1);
        match self.tools.iter_mut().find(|seen| seen.tool == to) {
            Some(seen) => seen.weight += 1.0,
            None => put(&mut self.tools, Seen { tool: to, since_s: now_s, weight: 1.0 }, TOOLS_MAX, |seen| seen.weight),
        }
        match self.pairs.iter_mut().find(|pair| pair.from == from && pair.to == to) {
            Some(pair) => pair.weight += 1.0,
            None => put(&mut self.pairs, Pair { from, to, weight: 1.0 }, PAIRS_MAX, |pair| pair.weight),
        }
    }

    /// What time has done to weights.
    pub fn fade(&mut self, now_s: u64, half_life_s: u64) {
        let step_s = (half_life_s / STEPS).max(1);
        let steps = now_s.saturating_sub(self.lighter_s) / step_s;
        if steps == 0 {
            return;
        }
        self.lighter_s += steps * step_s;
        let share = libm::exp2f(-(steps as f32) / STEPS as f32);
        self.tools.iter_mut().for_each(|seen| seen.weight *= share);
        self.pairs.iter_mut().for_each(|pair| pair.weight *= share);
        self.tools.retain(|seen| seen.weight >= WEIGHT_MIN);
        self.pairs.retain(|pair| pair.weight >= WEIGHT_MIN);
    }

    /// As it is kept: at most some 13 KB.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.tools.len() * 20 + self.pairs.len() * 20);
        out.push(FORMAT);
        out.push(self.score);
        for number in [self.since_s, self.last_s, self.lighter_s, self.exchange, self.window] {
            out.extend(number.to_le_bytes());
        }
        for number in [self.calls, self.window_calls, self.volume.count, self.surprise.count] {
            out.extend(number.to_le_bytes());
        }
        let (volume, surprise) = (&self.volume, &self.surprise);
        for number in [volume.mean, volume.variance, surprise.mean, surprise.variance, self.surprise_now] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.previous);
        out.push(self.tools.len() as u8);
        for seen in &self.tools {
            out.extend(seen.tool);
            out.extend(seen.since_s.to_le_bytes());
            out.extend(seen.weight.to_le_bytes());
        }
        for pair in &self.pairs {
            out.extend(pair.from);
            out.extend(pair.to);
            out.extend(pair.weight.to_le_bytes());
        }
        out
    }

    /// What was kept; nothing if it is not of this format.
    pub fn read(kept: &[u8]) -> Option<Self> {
        let mut at = Reader(kept);
        if at.take::<1>()? != [FORMAT] {
            return None;
        }
        let [score] = at.take()?;
        let [since_s, last_s, lighter_s, exchange, window] = [at.u64()?, at.u64()?, at.u64()?, at.u64()?, at.u64()?];
        let [calls, window_calls, volumes, surprises] = [at.u32()?, at.u32()?, at.u32()?, at.u32()?];
        let volume = Usual { count: volumes, mean: at.f32()?, variance: at.f32()? };
        let surprise = Usual { count: surprises, mean: at.f32()?, variance: at.f32()? };
        let (surprise_now, previous) = (at.f32()?, at.take()?);
        let [count] = at.take()?;
        let mut tools = Vec::new();
        for _ in 0..usize::from(count).min(TOOLS_MAX) {
            tools.push(Seen { tool: at.take()?, since_s: at.u64()?, weight: at.f32()? });
        }
        let mut pairs = Vec::new();
        while !at.0.is_empty() && pairs.len() < PAIRS_MAX {
            pairs.push(Pair { from: at.take()?, to: at.take()?, weight: at.f32()? });
        }
        Some(Habits {
            since_s,
            last_s,
            lighter_s,
            exchange,
            score,
            calls,
            previous,
            window,
            window_calls,
            volume,
            surprise,
            surprise_now,
            tools,
            pairs,
        })
    }
}

/// Puts one more into a list, in the place of the lightest if it is full.
fn put<T>(list: &mut Vec<T>, one: T, max: usize, weight: impl Fn(&T) -> f32) {
    if list.len() < max {
        return list.push(one);
    }
    let lightest = list.iter_mut().min_by(|a, b| weight(a).total_cmp(&weight(b)));
    if let Some(lightest) = lightest {
        *lightest = one;
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// A finite one: a score of what is no number would be none.
    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes).filter(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u64) -> Tool {
        (n + 1).to_le_bytes()
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let mut habits = Habits::new(1000);
        for n in 0..40 {
            habits.learn(id(n % 3), id(n % 5), 1000 + n);
        }
        habits.volume.learn(7.0, 32, 1.0);
        habits.surprise.learn(1.5, 64, 0.5);
        habits.surprise_now = 0.25;
        (habits.window, habits.window_calls, habits.previous) = (9, 4, id(2));
        (habits.exchange, habits.score) = (77, 80);
        assert_eq!(Habits::read(&habits.write()), Some(habits));
    }

    #[test]
    fn a_caller_takes_so_much_room_and_no_more() {
        let mut habits = Habits::new(0);
        habits.learn(id(1), id(1), 0);
        habits.learn(id(1), id(1), 0);
        for n in 0..10_000 {
            habits.learn(id(n), id(n * 7), n);
        }
        assert_eq!((habits.tools.len(), habits.pairs.len()), (TOOLS_MAX, PAIRS_MAX));
        assert!(habits.knows(&id(1)).is_some(), "the lightest make room");
        let kept = habits.write();
        assert!(kept.len() < 13_000, "{}", kept.len());
        assert_eq!(Habits::read(&kept), Some(habits));
    }

    #[test]
    fn what_was_learnt_fades_and_is_forgotten() {
        let mut habits = Habits::new(0);
        let half_life_s = 6400;
        for _ in 0..8 {
            habits.learn(START, id(1), 0);
        }
        habits.learn(START, id(2), 0);
        let before = habits.bits(&START, &id(2));
        // In many small steps as in one.
        let mut at_once = habits.clone();
        for now_s in 0..=half_life_s {
            habits.fade(now_s, half_life_s);
        }
        at_once.fade(half_life_s, half_life_s);
        let weights = |habits: &Habits| habits.tools.iter().map(|seen| seen.weight).collect::<Vec<_>>();
        for (a, b) in weights(&habits).into_iter().zip(weights(&at_once)) {
            assert!((a - b).abs() < 0.001, "{a} {b}");
        }
        assert!((weights(&habits)[0] - 4.0).abs() < 0.001);
        assert!(habits.bits(&START, &id(2)) < before, "less is known of what is usual");
        habits.fade(5 * half_life_s, half_life_s);
        assert!(habits.knows(&id(1)).is_some() && habits.knows(&id(2)).is_none());
        habits.fade(20 * half_life_s, half_life_s);
        assert!(habits.tools.is_empty() && habits.pairs.is_empty());
    }

    #[test]
    fn an_attack_does_not_become_what_is_usual() {
        let mut usual = Usual::default();
        for n in 0..100 {
            usual.learn(8.0 + (n % 5) as f32, 32, 1.0);
        }
        let before = usual;
        usual.learn(1000.0, 32, 1.0);
        assert!(usual.mean < before.mean + 1.0, "{before:?} {usual:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_store_is_no_panic(mut kept in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Habits::read(&kept);
            if let Some(first) = kept.first_mut() {
                *first = FORMAT;
            }
            if let Some(mut habits) = Habits::read(&kept) {
                habits.fade(u64::MAX, 1);
                habits.learn(id(1), id(2), 5);
                let _ = habits.bits(&id(1), &id(2));
            }
        }
    }
}
