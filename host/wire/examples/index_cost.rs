//! What the index costs on top of the strict pass that builds it: `cargo run --release -p sluice-wire --example index_cost`.
//!
//! Both are measured in turn, round by round; what is judged is the median of the rounds' ratios. Ends with an error when that
//! is above the bar for one of the texts.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sluice_wire::json::{Document, IndexDepth, Limits, validate};

/// The pass with the index, in passes without.
const RATIO_MAX: f64 = 1.25;
const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(20);

/// Nanoseconds for each, over a short while.
fn nanoseconds(text: &Bytes, work: &impl Fn(&Bytes)) -> f64 {
    let (began, mut passes) = (Instant::now(), 0_u32);
    while began.elapsed() < ROUND {
        for _ in 0..16 {
            work(black_box(text));
        }
        passes += 16;
    }
    began.elapsed().as_nanos() as f64 / f64::from(passes)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn parse(text: &Bytes, depth: IndexDepth) {
    black_box(Document::parse(text.clone(), &Limits::RESPONSE, depth).expect("the sample is valid"));
}

fn judge(name: &str, text: &Bytes) -> bool {
    let (mut without, mut with, mut ratios, mut shallow) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = nanoseconds(text, &|text| {
            black_box(validate(text, &Limits::RESPONSE)).expect("the sample is valid");
        });
        let full = nanoseconds(text, &|text| parse(text, IndexDepth::Full));
        shallow.push(nanoseconds(text, &|text| parse(text, IndexDepth::Levels(3))) / bare);
        (without.push(bare), with.push(full), ratios.push(full / bare));
    }
    let (ratio, shallow) = (median(ratios), median(shallow));
    let passes = ratio <= RATIO_MAX;
    println!(
        "{}  the strict pass with an index, {name} ({} B): {ratio:.2} × (at most {RATIO_MAX:.2}); {:.0} ns without, {:.0} ns with; three levels of it {shallow:.2} ×",
        if passes { "PASS" } else { "MISS" },
        text.len(),
        median(without),
        median(with)
    );
    passes
}

fn main() -> ExitCode {
    let call = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search","arguments":{"query":"byte for byte","limit":10,"filters":["a","b"]},"_meta":{"progressToken":"p-17","traceparent":"00-ab"}}}"#,
    );
    let result =
        |text: &str| Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":17,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#));
    let tool = r#"{"name":"t","description":"does a thing","inputSchema":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}}}}"#;
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, vec![tool; 400].join(","));
    let all = [
        ("a call", call),
        ("a result of 200 B", result(&"plain words in a row, ".repeat(6))),
        ("a result of 64 KiB", result(&"plain words in a row, ".repeat(64 * 1024 / 22))),
        ("source code of 64 KiB", result(&"a line of source code;\\n\\t".repeat(64 * 1024 / 26))),
        ("a list of 400 tools", Bytes::from(list)),
    ];
    println!("{ROUNDS} rounds of {} ms", ROUND.as_millis());
    let passed = all.iter().filter(|(name, text)| judge(name, text)).count();
    if passed == all.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
