//! Asks WASI for everything a program may want, and sets as attributes what it got. With `std`.

use sluice_sdk::prelude::*;
use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::Read,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    thread,
    time::{Duration, Instant, SystemTime},
};

struct WasiProbe;

impl Plugin for WasiProbe {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("wasi-probe", "0.1.0", "Asks WASI for everything.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(WasiProbe)
    }
}

fn said<T>(what: std::io::Result<T>) -> String {
    what.map_or_else(|error| format!("{:?}", error.kind()), |_| "yes".into())
}

impl OnRequest for WasiProbe {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        if head.name.as_deref() == Some("exit") {
            std::process::exit(3);
        }
        println!("a line on stdout\nand {}", "\u{1b}[31mone more");
        eprint!("no line break");
        let (began, day) = (Instant::now(), SystemTime::now());
        thread::sleep(Duration::from_millis(5));
        let mut stdin = String::new();
        let read = std::io::stdin().read_to_string(&mut stdin);
        let since_epoch = day.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for (key, value) in [
            ("env", env::vars_os().count().to_string()),
            ("args", env::args_os().count().to_string()),
            ("read", said(fs::read("/etc/passwd"))),
            ("write", said(fs::write("probe", "x"))),
            ("list", said(fs::read_dir("/"))),
            ("connect", said(TcpStream::connect("127.0.0.1:80"))),
            ("listen", said(TcpListener::bind("127.0.0.1:0"))),
            ("udp", said(UdpSocket::bind("127.0.0.1:0"))),
            ("resolve", said("localhost:80".to_socket_addrs())),
            ("stdin", read.map_or_else(|error| format!("{:?}", error.kind()), |n| n.to_string())),
            ("slept", (began.elapsed() >= Duration::from_millis(5)).to_string()),
            ("coarse", (since_epoch.subsec_nanos() % 1_000_000 == 0).to_string()),
            ("year", (since_epoch.as_secs() / 31_556_952 + 1970).to_string()),
            ("random", (RandomState::new().hash_one(1) != RandomState::new().hash_one(1)).to_string()),
        ] {
            let _ = x.set_attr(key, &value);
        }
        Verdict::Next
    }
}

sluice_sdk::export!(WasiProbe: on_request);
