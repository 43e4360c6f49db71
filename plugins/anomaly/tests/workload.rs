//! How often attacks are found and how often nothing is taken for one, on a workload that is made up from a seed. The table is on the page.
//!
//! Forty callers work for three weeks. Each has a dozen of sixty tools and an order of its own in which it calls them, most of the time; works in
//! sessions at its hours, some days more than others; and now and then takes up a tool it has not used. The first week is for learning. In the
//! other two, callers are attacked: somebody with their credentials tries tools they do not use, calls much faster than they do, or calls their
//! own tools at their own pace in no order.

use std::fmt::Write as _;

use sluice_plugin_anomaly::config::Config;
use sluice_plugin_anomaly::habits::{Habits, Tool, tool};
use sluice_plugin_anomaly::score::{Call, weigh};

const CALLERS: usize = 40;
const TOOLS: u64 = 60;
const OWN_TOOLS: usize = 12;
const DAY_S: u64 = 86_400;
const DAYS: u64 = 21;
const LEARNING_DAYS: u64 = 7;
/// Of each kind.
const ATTACKS: usize = 200;

/// Numbers that are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, and neither is left out.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.next() % many == 0
    }
}

/// One caller: its habits as they really are.
struct Worker {
    tools: Vec<u64>,
    /// Those of earlier days too.
    used: Vec<u64>,
    /// For each tool, what mostly follows.
    next: Vec<[usize; 3]>,
    sessions: u64,
    calls: u64,
    pause_s: u64,
}

impl Worker {
    fn new(dice: &mut Dice) -> Self {
        let mut tools = Vec::new();
        while tools.len() < OWN_TOOLS {
            let one = dice.between(1, TOOLS);
            if !tools.contains(&one) {
                tools.push(one);
            }
        }
        let mut one = || dice.between(0, OWN_TOOLS as u64 - 1) as usize;
        let next = (0..OWN_TOOLS).map(|_| [one(), one(), one()]).collect();
        Worker { used: tools.clone(), tools, next, sessions: dice.between(3, 6), calls: dice.between(8, 25), pause_s: dice.between(5, 40) }
    }

    /// What follows on a tool: mostly one of three, at times any.
    fn follow(&self, at: usize, dice: &mut Dice) -> usize {
        match dice.between(0, 19) {
            0..10 => self.next[at][0],
            10..16 => self.next[at][1],
            16..19 => self.next[at][2],
            _ => dice.between(0, OWN_TOOLS as u64 - 1) as usize,
        }
    }

    /// Calls of one day, by when they come.
    fn day(&mut self, day: u64, dice: &mut Dice) -> Vec<(u64, u64)> {
        let mut calls = Vec::new();
        let is_busy = dice.one_in(7);
        for session in 0..self.sessions * (1 + u64::from(is_busy)) {
            let mut now_s = day * DAY_S + 8 * 3600 + session * 3000 + dice.between(0, 900);
            let mut at = dice.between(0, 2) as usize;
            for _ in 0..dice.between(self.calls / 2, self.calls * 3 / 2) {
                calls.push((now_s, self.tools[at]));
                at = self.follow(at, dice);
                now_s += dice.between(self.pause_s / 2, self.pause_s * 3 / 2).max(1);
            }
        }
        // A tool that it takes up: some 5 in two weeks. It is called a few times, and is one of its own from then on.
        if day >= LEARNING_DAYS && dice.one_in(3) {
            let place = dice.between(3, OWN_TOOLS as u64 - 1) as usize;
            self.tools[place] = dice.between(1, TOOLS);
            self.used.push(self.tools[place]);
        }
        calls
    }
}

/// What the plugin knows of a caller, and how it scores.
#[derive(Clone)]
struct Watched {
    habits: Habits,
    window: (u64, u32),
}

impl Watched {
    fn call(&mut self, config: &Config, now_s: u64, which: u64) -> u8 {
        let window = now_s / u64::from(config.window_s);
        self.window = if self.window.0 == window { (window, self.window.1 + 1) } else { (window, 1) };
        let tool: Tool = tool("server", &format!("tool-{which}"));
        weigh(config, &mut self.habits, Call { tool, is_known: false, nth: self.window.1, now_s }).total
    }
}

/// One kind of attack: the calls that are made with somebody's credentials from a time on.
fn attack(kind: &str, worker: &Worker, begins_s: u64, dice: &mut Dice) -> Vec<(u64, u64)> {
    let mut now_s = begins_s;
    let mut at = 0;
    let mut calls = Vec::new();
    for n in 0..30 {
        let (which, pause_s) = match kind {
            // Three tools that it has never called, between its own.
            "tools it does not use" if n % 10 == 5 => {
                let foreign = (1..=TOOLS).filter(|one| !worker.used.contains(one)).collect::<Vec<_>>();
                (foreign[dice.between(0, foreign.len() as u64 - 1) as usize], worker.pause_s)
            }
            "no order" => (worker.tools[dice.between(0, OWN_TOOLS as u64 - 1) as usize], worker.pause_s),
            _ => (worker.tools[at], worker.pause_s),
        };
        calls.push((now_s, which));
        at = worker.follow(at, dice);
        now_s += pause_s.max(1);
    }
    if kind == "ten times as fast" {
        let many = 300 / worker.pause_s.max(1) * 10;
        calls = (0..many).map(|n| (begins_s + n * 300 / many, worker.tools[0])).collect();
        for call in &mut calls {
            call.1 = worker.tools[at];
            at = worker.follow(at, dice);
        }
    }
    calls
}

const KINDS: [&str; 3] = ["tools it does not use", "ten times as fast", "no order"];
/// `alarm_at`.
const AT: [u8; 3] = [50, 70, 90];

/// Rows of the table on the page.
fn table() -> String {
    let config = Config { learn_s: (LEARNING_DAYS * DAY_S) as u32 - 60_000, ..Config::default() };
    let mut dice = Dice(64);
    let (mut calls, mut sessions) = (0u64, 0u64);
    let (mut false_calls, mut false_sessions) = ([0u64; 3], [0u64; 3]);
    let mut found = [[0u64; 3]; 3];
    let mut attacks = [0u64; 3];
    for _ in 0..CALLERS {
        let mut worker = Worker::new(&mut dice);
        let mut watched = Watched { habits: Habits::new(0), window: (0, 0) };
        for day in 0..DAYS {
            let mut last_s = 0;
            let mut worst = 0;
            for (now_s, which) in worker.day(day, &mut dice) {
                let score = watched.call(&config, now_s, which);
                if day < LEARNING_DAYS {
                    continue;
                }
                if now_s - last_s > u64::from(config.gap_s) {
                    sessions += 1;
                    worst = 0;
                }
                last_s = now_s;
                calls += 1;
                for (at, from) in AT.iter().enumerate() {
                    false_calls[at] += u64::from(score >= *from);
                    false_sessions[at] += u64::from(score >= *from && worst < *from);
                }
                worst = worst.max(score);
            }
            // At night, each kind once every few days, on a copy: an attack does not teach the next.
            for (kind, name) in KINDS.iter().enumerate() {
                let is_due = day >= LEARNING_DAYS && dice.one_in(2) && attacks[kind] < ATTACKS as u64;
                if !is_due {
                    continue;
                }
                attacks[kind] += 1;
                let mut copy = watched.clone();
                let begins_s = day * DAY_S + 23 * 3600;
                let scores = attack(name, &worker, begins_s, &mut dice).into_iter().map(|(now_s, which)| copy.call(&config, now_s, which));
                let worst = scores.max().unwrap_or(0);
                for (at, from) in AT.iter().enumerate() {
                    found[kind][at] += u64::from(worst >= *from);
                }
            }
        }
    }
    let percent = |part: u64, all: u64| format!("{part} of {all} ({:.2} %)", 100.0 * part as f64 / all as f64);
    let mut table = String::from("| | score ≥ 50 | ≥ 70 | ≥ 90 |\n|---|---|---|---|\n");
    let mut row = |name: &str, parts: [u64; 3], all: u64| {
        writeln!(table, "| {name} | {} | {} | {} |", percent(parts[0], all), percent(parts[1], all), percent(parts[2], all)).unwrap();
    };
    for (kind, name) in KINDS.iter().enumerate() {
        row(&format!("found: {name}"), found[kind], attacks[kind]);
    }
    row("false: calls", false_calls, calls);
    row("false: sessions with one", false_sessions, sessions);
    table
}

#[test]
fn f064_the_figures_of_the_page_are_those_of_the_workload() {
    let table = table();
    assert!(include_str!("../README.md").contains(&table), "the page must say\n{table}");
}
