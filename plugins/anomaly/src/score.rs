//! How unlike a call is to what its caller usually does.
//!
//! Three things are looked at, each of which has a score of its own: a tool that is new to the caller, more calls in a window than it usually makes, and
//! calls in an order that it does not keep. They add up as chances do: two of 50 are 75.

use alloc::vec::Vec;

use crate::config::Config;
use crate::habits::{Habits, START, Tool};

/// Windows and calls there must be before anything is said of volume and order.
const WINDOWS_MIN: u32 = 8;
const SURPRISES_MIN: u32 = 32;
/// Windows and calls that are remembered, about.
const WINDOWS: u32 = 32;
const SURPRISES: u32 = 256;
/// Standard deviations at which volume begins to score, and at which it scores all it can. Counts of a window vary wildly, and they vary upwards.
const VOLUME: (f32, f32) = (4.0, 10.0);
/// The same for order.
const SEQUENCE: (f32, f32) = (3.5, 7.0);
/// What the last call weighs among the last few.
const LAST: f32 = 0.25;
/// The deviation of a mean of the last few, over that of one: √(LAST / (2 − LAST)).
const OF_FEW: f32 = 0.377_964_5;
/// No order is so regular that one call out of it is an order of its own: a deviation is at least a bit.
const BITS_MIN: f32 = 1.0;

/// A call, as far as it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// What is called.
    pub tool: Tool,
    /// The operator says that it is new to nobody.
    pub is_known: bool,
    /// The how manieth of its window it is.
    pub nth: u32,
    /// When, in seconds since 1970.
    pub now_s: u64,
}

/// 0 to 100, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Score {
    /// Of everything together.
    pub total: u8,
    /// What it is made of.
    pub reasons: Vec<(&'static str, u8)>,
    /// Too little is known of the caller.
    pub is_learning: bool,
    /// The call was scored when it came first.
    pub is_again: bool,
}

/// Scores a call, and learns from it.
pub fn weigh(config: &Config, habits: &mut Habits, call: Call) -> Score {
    let Call { tool, now_s, .. } = call;
    habits.fade(now_s, config.half_life_s.into());
    let is_learning = habits.calls < config.learn_calls || now_s.saturating_sub(habits.since_s) < config.learn_s.into();
    let volume = volume(config, habits, call);
    let goes_on = habits.calls > 0 && now_s.saturating_sub(habits.last_s) <= config.gap_s.into();
    let from = if goes_on { habits.previous } else { START };
    // What is new is that already, and has no place in any order yet.
    let is_new = |tool: &Tool| *tool != START && is_fresh(config, habits, tool, now_s);
    let is_tool_new = is_new(&tool) && !is_learning;
    let has_place = !is_new(&tool) && !is_new(&from);
    let sequence = if has_place { sequence(habits, &from, &tool) } else { 0.0 };
    // Of tools that are learnt now nobody asks since when.
    habits.learn(from, tool, if is_learning { 0 } else { now_s });
    (habits.previous, habits.last_s) = (tool, now_s);
    if is_learning {
        return Score { is_learning, ..Score::default() };
    }
    let part = |most: u8, share: f32| libm::roundf(f32::from(most) * share) as u8;
    let new_tool = if is_tool_new && !call.is_known { config.new_tool } else { 0 };
    let parts = [("new-tool", new_tool), ("volume", part(config.volume, volume)), ("sequence", part(config.sequence, sequence))];
    let reasons: Vec<_> = parts.into_iter().filter(|(_, score)| *score > 0).collect();
    let is_usual = reasons.iter().fold(1.0, |rest: f32, (_, score)| rest * (1.0 - f32::from(*score) / 100.0));
    Score { total: libm::roundf(100.0 * (1.0 - is_usual)) as u8, reasons, is_learning, is_again: false }
}

fn is_fresh(config: &Config, habits: &Habits, tool: &Tool, now_s: u64) -> bool {
    habits.knows(tool).is_none_or(|since_s| since_s > 0 && now_s.saturating_sub(since_s) < config.fresh_s.into())
}

/// Compares this window with those before it. Windows without calls are not counted, so the first of a morning is like the others.
fn volume(config: &Config, habits: &mut Habits, call: Call) -> f32 {
    let window = call.now_s / u64::from(config.window_s.max(1));
    if habits.window != window {
        if habits.window_calls > 0 {
            let deviation = volume_deviation_min(habits);
            habits.volume.learn(habits.window_calls as f32, WINDOWS, deviation);
        }
        (habits.window, habits.window_calls) = (window, 0);
    }
    habits.window_calls = habits.window_calls.max(call.nth);
    if habits.volume.count < WINDOWS_MIN {
        return 0.0;
    }
    let deviation = habits.volume.deviation(volume_deviation_min(habits));
    between(VOLUME, (habits.window_calls as f32 - habits.volume.mean) / deviation)
}

/// Counts vary at least as those of unrelated events do: by the root of their mean.
fn volume_deviation_min(habits: &Habits) -> f32 {
    libm::sqrtf(habits.volume.mean).max(1.0)
}

/// Compares the surprise of the last few calls with what this caller's calls usually surprise.
fn sequence(habits: &mut Habits, from: &Tool, to: &Tool) -> f32 {
    let bits = habits.bits(from, to);
    if *from == START {
        habits.surprise_now = habits.surprise.mean;
    }
    habits.surprise_now += LAST * (bits - habits.surprise_now);
    let usual = habits.surprise;
    habits.surprise.learn(bits, SURPRISES, BITS_MIN);
    if usual.count < SURPRISES_MIN {
        return 0.0;
    }
    between(SEQUENCE, (habits.surprise_now - usual.mean) / (usual.deviation(BITS_MIN) * OF_FEW))
}

/// Where a value lies between two others, from 0 to 1.
fn between((low, high): (f32, f32), value: f32) -> f32 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}
