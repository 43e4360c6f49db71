//! TLS and sockets: what `sluice check` says before anything listens.

use super::{Room, settings};
use crate::config::{ClientAuth, Listen, UnixMode};

/// Problems and warnings of a text under `sluice`, in a room with two pairs of files and one that has expired.
fn findings(sluice: &str) -> (Vec<String>, Vec<String>) {
    let room = Room::new();
    room.certificate("server", |_| {});
    room.certificate("other", |_| {});
    room.certificate("old", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let lines = |all: Vec<crate::config::Problem>| all.iter().map(ToString::to_string).collect();
    match room.read("f.json", &format!("{{\"sluice\": {sluice}}}"), &[]) {
        Ok(loaded) => (Vec::new(), lines(loaded.warnings)),
        Err(report) => (lines(report.problems), lines(report.warnings)),
    }
}

#[track_caller]
fn one_problem(sluice: &str, expected: &str) {
    let (problems, _) = findings(sluice);
    assert!(problems.len() == 1 && problems[0].contains(expected), "{sluice}\n{problems:#?}");
}

const PAIR: &str = r#""cert": "tls/server.pem", "key": "tls/server.key""#;

#[test]
fn files_of_tls_are_judged_where_they_are_named() {
    let server = |sluice: &str| findings(sluice).1.into_iter().filter(|w| !w.contains("there is no server")).collect::<Vec<_>>();
    assert_eq!(server(&format!(r#"{{"tls": {{{PAIR}}}}}"#)), [""; 0]);
    one_problem(r#"{"tls": {"cert": "tls/none.pem", "key": "tls/server.key"}}"#, "f.json:1:20: sluice.tls: ");
    one_problem(r#"{"tls": {"cert": "tls/server.pem", "key": "tls/other.key"}}"#, "is not the key of the certificate in");
    one_problem(r#"{"tls": {"cert": "tls/server.key", "key": "tls/server.key"}}"#, "holds no certificate in PEM");
    one_problem(r#"{"tls": {"cert": "tls/server.pem"}}"#, "sluice.tls needs key; add \"key\": \"tls/server.key\"");
    one_problem(&format!(r#"{{"tls": {{{PAIR}, "client_auth": "optional"}}}}"#), "client_auth has no effect without client_ca");
    one_problem(&format!(r#"{{"tls": {{{PAIR}, "client_ca": "tls/none.pem"}}}}"#), "cannot be read");
    let old = server(r#"{"tls": {"cert": "tls/old.pem", "key": "tls/old.key"}}"#);
    assert!(old.len() == 1 && old[0].contains("expired") && old[0].contains("days ago"), "{old:?}");
    let tls = settings(r#"{"listen": "127.0.0.1:0"}"#).tls;
    assert!(tls.is_none());
}

#[test]
fn with_tls_a_listener_may_leave_loopback_and_is_asked_for_its_name() {
    let open = |more: &str| findings(&format!(r#"{{"listen": "0.0.0.0:443", "tls": {{{PAIR}}}{more}}}"#));
    let (problems, warnings) = open("");
    assert!(problems.is_empty() && warnings.iter().any(|w| w.contains("allowed_hosts is empty")), "{problems:?} {warnings:?}");
    let (problems, warnings) = open(r#", "allowed_hosts": ["mcp.example.com"]"#);
    assert!(problems.is_empty() && !warnings.iter().any(|w| w.contains("allowed_hosts")), "{problems:?} {warnings:?}");
}

#[test]
fn a_listener_may_be_a_socket() {
    let room = settings(r#"{"listen": "unix:run/s.sock", "unix_mode": "0660"}"#);
    assert!(matches!(&room.listen, Listen::Unix(path) if path.is_absolute() && path.ends_with("run/s.sock")), "{:?}", room.listen);
    assert_eq!((room.unix_mode, UnixMode::Owner.bits(), UnixMode::Group.bits()), (UnixMode::Group, 0o600, 0o660));
    one_problem(r#"{"listen": "unix:"}"#, "write \"unix:/run/sluice.sock\"");
    one_problem(&format!(r#"{{"listen": "unix:/{}"}}"#, "x".repeat(120)), "at most 107 bytes");
    one_problem(&format!(r#"{{"listen": "unix:/run/s.sock", "tls": {{{PAIR}}}}}"#), "has no place on a unix socket");
}

#[test]
fn client_certificates_are_required_unless_the_file_says_otherwise() {
    assert_eq!(ClientAuth::Required.as_str(), "required");
    let room = Room::new();
    room.certificate("server", |_| {});
    let text = format!(r#"{{"sluice": {{"tls": {{{PAIR}, "client_ca": "tls/server.pem"}}}}}}"#);
    let tls = room.read("f.json", &text, &[]).unwrap_or_else(|report| panic!("{report}")).config.settings.tls.unwrap();
    assert!(tls.files().clients.is_some_and(|clients| clients.required));
}
