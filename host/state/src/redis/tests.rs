use super::*;
use crate::contract;
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{OnceLock, atomic::AtomicUsize},
    time::Instant,
};
use tempfile::TempDir;

/// A Redis of the tests' own, on a port of its own.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    fn start(port: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = port.unwrap_or_else(free);
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server; Debian has it in the package redis-server");
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, _folder: folder }
    }

    fn store(&self, prefix: &str) -> RedisStore {
        RedisStore::new(&format!("redis://127.0.0.1:{}/", self.port), prefix).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One server for all cases, each with keys of its own. It goes when this process does.
fn fresh() -> RedisStore {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    #[expect(clippy::zombie_processes, reason = "it waits for us")]
    let server = SERVER.get_or_init(|| {
        let server = Server::start(None);
        let (pid, own) = (server.child.id(), std::process::id());
        // Statics are not dropped: a shell waits for this process to end.
        let script = format!("while kill -0 {own} 2>/dev/null; do sleep 1; done; kill {pid}");
        Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        server
    });
    server.store(&format!("test{}", COUNT.fetch_add(1, Relaxed)))
}

crate::contract_tests!(false, contract::Real, fresh);

/// The same keys, seen by another process.
fn two() -> (RedisStore, RedisStore) {
    let (one, url) = {
        let one = fresh();
        let prefix = one.shared.prefix.clone();
        (one, prefix)
    };
    let other = fresh();
    let connection = other.shared.connection.clone();
    let shared = Shared { connection, prefix: url, asked: AtomicU64::default(), is_lost: AtomicBool::default(), tried: Mutex::default() };
    (one, RedisStore { shared: Arc::new(shared), buckets: Mutex::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_count_and_swap_as_one() {
    let (one, other) = two();
    let buckets = [one.bucket("b", Quota::default()), other.bucket("b", Quota::default())];
    let tasks: Vec<_> = (0..8)
        .map(|task: usize| {
            let bucket = buckets[task % 2].clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    bucket.incr("n", 1, Duration::from_secs(60)).await.unwrap();
                }
                u32::from(bucket.swap("first", None, vec![task as u8], None).await.unwrap())
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }
    assert_eq!(won, 1, "one swap of eight");
    assert_eq!(buckets[0].get("n").await.unwrap().unwrap(), b"400");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_never_let_through_more_than_the_limit_and_ask_seldom() {
    const BURST: u32 = 400;
    const PER_SECOND: f64 = 1_000.0;
    let (one, other) = two();
    let began = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|task: usize| {
            let bucket = [&one, &other][task % 2].bucket("b", Quota::default());
            tokio::spawn(async move {
                let (mut let_through, mut decided) = (0u32, 0u32);
                while began.elapsed() < Duration::from_secs(2) {
                    decided += 1;
                    match bucket.take("k", 1, BURST, PER_SECOND).await.unwrap() {
                        0 => let_through += 1,
                        wait => tokio::time::sleep(Duration::from_millis(u64::from(wait).min(20))).await,
                    }
                }
                (let_through, decided)
            })
        })
        .collect();
    let (mut let_through, mut decided) = (0, 0);
    for task in tasks {
        let (through, all) = task.await.unwrap();
        (let_through, decided) = (let_through + through, decided + all);
    }
    let limit = f64::from(BURST) + PER_SECOND * began.elapsed().as_secs_f64();
    let asked = one.asked() + other.asked();
    println!("{let_through} of at most {limit:.0} let through, {decided} decisions, {asked} questions to Redis");
    assert!(f64::from(let_through) <= limit, "{let_through} of {limit}");
    assert!(asked * 5 <= u64::from(decided), "{asked} questions for {decided} decisions");
    assert!(f64::from(let_through) >= limit * 0.6, "{let_through} of {limit}: leases lose too much");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_not_reached_is_asked_for_once_in_twenty_decisions() {
    let store = fresh();
    let bucket = store.bucket("b", Quota::default());
    for _ in 0..10_000 {
        assert_eq!(bucket.take("k", 1, 100_000, 100_000.0).await, Ok(0));
    }
    println!("10000 decisions, {} questions", store.asked());
    assert!(store.asked() * 20 <= 10_000, "{} questions", store.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_nothing_is_done_and_it_heals() {
    let server = Server::start(None);
    let (store, port) = (server.store("sluice"), server.port);
    let bucket = store.bucket("b", Quota::default());
    bucket.set("k", b"1".to_vec(), None).await.unwrap();
    drop(server);
    for _ in 0..3 {
        let began = Instant::now();
        assert!(matches!(bucket.get("k").await, Err(StateError::Unavailable(_))));
        assert!(began.elapsed() < Duration::from_secs(1), "nobody waits longer than that");
    }
    assert!(store.is_lost());
    assert_eq!(bucket.batch(vec![Op::Get("k".into()), Op::Delete("k".into())]).await.len(), 2, "one answer each");
    let _again = Server::start(Some(port));
    let until = Instant::now() + Duration::from_secs(10);
    // It lost its memory, too, and has never seen the script.
    while bucket.set("k", b"2".to_vec(), None).await.is_err() {
        assert!(Instant::now() < until, "it does not heal");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bucket.get("k").await.unwrap().unwrap(), b"2");
    assert!(!store.is_lost());
}

#[test]
fn an_address_that_is_none_is_refused_and_not_repeated() {
    for url in ["", "http://user:hunter2@host", "redis://user:hunter2@host:port", "hunter2"] {
        let said = RedisStore::new(url, "x").map(|_| ()).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
}
