//! The project's own commands. `cargo xtask` lists them.

#![forbid(unsafe_code)]

mod asking;
mod bench;
mod conformance;
mod connect;
mod contract;
mod deploy;
mod faults;
mod governed;
mod hostile;
mod isolation;
mod languages;
mod large;
mod must_reject;
mod mutations;
mod parity;
mod run;
mod sbom;
mod schemas;
mod setup;
mod sources;
mod statements;
mod step;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask run                 build everything and start Sluice with two demo upstreams and the four plugins
cargo xtask test [--fast]       install what the tests need and run all of them (--fast: only those in Rust)
cargo xtask plugins             build the standard plugins and the test guests to components
cargo xtask large               build the standard plugins that the binary does not carry, and test them
cargo xtask languages           the same filter in Rust, Python, TypeScript and C: built, tested, compared, in one chain
cargo xtask five-minutes        from nothing to a plugin that works, in each language: four commands, measured (--lang L)
cargo xtask bindings            write the C bindings again, after a change of the contract
cargo xtask contract            what changed in wit since each release, and what of it is refused (--freeze VERSION)
cargo xtask statements          write docs/statements.md: which test shows which statement of what a proxy must do
cargo xtask hostile [--run]     write docs/hostile.md: which test shows which kind of hostile plugin contained, with its control
cargo xtask mutations           break the host in each named way, and see that the statement's test notices
cargo xtask conformance         the official suite, direct and through Sluice, side by side
cargo xtask asking              official clients and servers that ask each other, in every pairing and with every answer
cargo xtask connect             people connect their accounts at an authorization server nobody here wrote
cargo xtask governed            the example with tenants and roles: real provider, clients and servers (--stay: for a client of yours)
cargo xtask parity              one corpus over every pairing of eras and transports, through the same filters
cargo xtask faults              10,000 calls with faults on both sides: none runs twice (--calls N, --seed S)
cargo xtask isolation           a million tries of one caller to reach what is another's, and the control (--tries N, --seed S)
cargo xtask schemas             clients and servers of all revisions: every message against the official schema
cargo xtask sbom                what each plugin inside the binary is made of, as CycloneDX, into target/sbom
cargo xtask deploy              the files to deploy it with: judged by what reads them, and started (--release FILE)
cargo xtask bench --quick       speed and memory against the bars; more flags go to the bench itself
cargo xtask bench --plugins     what filters cost: hooks in three languages, fresh instances, principals, loading, swaps
cargo xtask bench --idle        10,000 quiet streams: memory, and latency of other traffic
cargo xtask bench --parked      1,000 calls that wait for an answer of their client: memory";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let result = match arguments.first().map(String::as_str) {
        Some("run") => run::run(),
        Some("test") => test::run(rest),
        Some("plugins") => setup::components().map(|folder| println!("components are in {}", folder.display())),
        Some("large") => large::run(),
        Some("languages") => languages::run(rest),
        Some("five-minutes") => languages::five_minutes(rest),
        Some("bindings") => languages::bindings(),
        Some("contract") => contract::run(rest),
        Some("statements") => statements::run(),
        Some("hostile") => hostile::run(rest),
        Some("mutations") => mutations::run(rest),
        Some("conformance") => conformance::run(rest),
        Some("asking") => asking::run(rest),
        Some("sbom") => sbom::run(rest),
        Some("deploy") => deploy::run(rest),
        Some("connect") => connect::run(rest),
        Some("governed") => governed::run(rest),
        Some("parity") => parity::run(rest),
        Some("faults") => faults::run(rest),
        Some("isolation") => isolation::run(rest),
        Some("schemas") => schemas::run(rest),
        Some("bench") => bench::run(rest),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
