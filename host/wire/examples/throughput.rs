//! Prints how fast the strict pass runs: `cargo run --release -p sluice-wire --example throughput`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sluice_wire::id::RequestId;
use sluice_wire::json::{Document, IndexDepth, Limits, validate};
use sluice_wire::message::{Message, with_id};

/// Runs `work` for about a second and prints its rate over `text`.
fn measure(name: &str, text: &Bytes, mut work: impl FnMut(&Bytes)) {
    let start = Instant::now();
    let mut rounds = 0u64;
    while start.elapsed() < Duration::from_millis(800) {
        for _ in 0..64 {
            work(black_box(text));
        }
        rounds += 64;
    }
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = rounds as f64 * text.len() as f64 / 1e6 / seconds;
    let each = seconds * 1e9 / rounds as f64;
    println!("{name:<34} {:>8} B {megabytes:>9.0} MB/s {each:>10.0} ns", text.len());
}

fn parse(text: &Bytes, depth: IndexDepth) -> Document {
    Document::parse(text.clone(), &Limits::RESPONSE, depth).expect("the sample is valid")
}

fn main() {
    let call = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search","arguments":{"query":"byte for byte","limit":10,"filters":["a","b"]},"_meta":{"progressToken":"p-17","traceparent":"00-ab"}}}"#,
    );
    let plain = "plain words in a row, ".repeat(64 * 1024 / 22);
    let escaped = "a line of source code;\\n\\t".repeat(64 * 1024 / 26);
    let result = |text: &str| {
        let head = r#"{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":""#;
        Bytes::from(format!("{head}{text}\"}}]}}}}"))
    };
    let tool = r#"{"name":"t","description":"does a thing","inputSchema":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}}}}"#;
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, vec![tool; 400].join(","));
    let (plain, escaped, list) = (result(&plain), result(&escaped), Bytes::from(list));

    for (name, text) in [("call", &call), ("64 KiB string", &plain), ("64 KiB escapes", &escaped), ("tool list", &list)] {
        measure(&format!("{name}, full index"), text, |text| {
            black_box(parse(text, IndexDepth::Full));
        });
        measure(&format!("{name}, three levels"), text, |text| {
            black_box(parse(text, IndexDepth::Levels(3)));
        });
        measure(&format!("{name}, validate"), text, |text| {
            black_box(validate(text, &Limits::RESPONSE)).expect("the sample is valid");
        });
    }
    let id = RequestId::from_u64(90_210);
    measure("call, decode and re-address", &call, |text| {
        let message = Message::decode(parse(text, IndexDepth::Levels(3))).expect("the sample is valid");
        black_box(with_id(&message, &id));
    });
}
