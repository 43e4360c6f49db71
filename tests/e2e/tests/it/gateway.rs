//! The binary, started as its users start it.

use crate::{
    caller::{Caller, Era},
    connection::{Connection, Reply},
    folder::{Folder, cache, sluice},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// Compiling plugins for the first time on a busy machine takes its time.
const START_MAX: Duration = Duration::from_secs(120);

/// `sluice serve`; killed when it is dropped.
pub struct Gateway {
    child: Child,
    /// HOST:PORT of the endpoint.
    pub address: String,
    /// HOST:PORT of the admin listener.
    pub admin: String,
    /// The one line on standard output.
    pub ready: String,
    /// What clients show without an authenticator in the chain.
    pub token: String,
    pub admin_token: String,
    log: Arc<Mutex<Vec<String>>>,
}

/// How a start that was to fail ended.
pub struct Refused {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A configuration with everything that touches the machine pointed into the test's folder.
pub fn complete(folder: &Folder, mut config: Value) -> Value {
    let own = config.as_object_mut().expect("an object").entry("sluice").or_insert_with(|| json!({}));
    let defaults = json!({
        "auth": {"token_file": folder.path("token")},
        "audit": {"path": folder.path("audit.jsonl")},
        "admin": {"listen": "127.0.0.1:0"},
        "cache_dir": cache(),
    });
    for (key, value) in defaults.as_object().expect("an object") {
        let is_set = own.get(key).is_some();
        match own.get_mut(key).and_then(Value::as_object_mut) {
            Some(there) => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    there.entry(key).or_insert_with(|| value.clone());
                }
            }
            // A test that looks into the cache has its own.
            None if key == "cache_dir" && is_set => {}
            None => own[key] = value.clone(),
        }
    }
    config
}

/// A command on this configuration, with a clean environment.
pub fn command(folder: &Folder, config: &Value, verb: &str) -> Command {
    let file = folder.write("sluice.json", complete(folder, config.clone()).to_string());
    let mut command = plain_command(folder);
    command.arg(verb).arg("--config").arg(file).arg("--plugins").arg(folder.path("plugins"));
    command
}

pub fn plain_command(folder: &Folder) -> Command {
    let mut command = Command::new(sluice());
    command.current_dir(folder.root()).env_clear().env("HOME", folder.root()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Gateway {
    pub async fn start(folder: &Folder, config: Value) -> Self {
        match Self::try_start(folder, config).await {
            Ok(gateway) => gateway,
            Err(refused) => panic!("sluice did not start: {}\n{}", refused.status, refused.stderr),
        }
    }

    /// A start that must fail, with the exit code that says why.
    pub async fn refused(folder: &Folder, config: Value) -> Refused {
        match Self::try_start(folder, config).await {
            Ok(gateway) => panic!("sluice started: {}", gateway.ready),
            Err(refused) => refused,
        }
    }

    pub async fn try_start(folder: &Folder, config: Value) -> Result<Self, Refused> {
        Self::try_start_with(folder, config, &[]).await
    }

    /// With these variables in its environment.
    pub async fn try_start_with(folder: &Folder, config: Value, variables: &[(&str, &str)]) -> Result<Self, Refused> {
        let mut command = command(folder, &config, "serve");
        command.envs(variables.iter().copied());
        if config["sluice"].get("listen").is_none() {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Self::of(folder, command).await
    }

    /// What this command starts.
    pub async fn of(folder: &Folder, mut command: Command) -> Result<Self, Refused> {
        let mut child = command.spawn().expect("sluice can be executed");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stderr, lines) = (child.stderr.take().expect("a pipe"), log.clone());
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let stdout = child.stdout.take().expect("a pipe");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = tell.send(line);
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let waited = tokio::task::spawn_blocking(move || told.recv_timeout(START_MAX)).await.expect("a thread");
        let ready = waited.unwrap_or_default().trim().to_owned();
        let mut gateway =
            Self { child, address: String::new(), admin: String::new(), ready, token: String::new(), admin_token: String::new(), log };
        if gateway.ready.is_empty() {
            let status = gateway.ended(Duration::from_secs(5)).await.expect("a program that says nothing has ended");
            let _ = reading.join();
            return Err(Refused { status, stdout: String::new(), stderr: gateway.log(|_| true).join("\n") });
        }
        let after =
            |mark: &str| gateway.ready.split_once(mark).map(|(_, rest)| rest.split(['/', ' ']).next().unwrap_or_default().to_owned());
        gateway.address = after("ready http://").or_else(|| after("ready https://")).expect("the ready line names the endpoint");
        gateway.admin = after("admin=http://").unwrap_or_default();
        let token = |name: &str| std::fs::read_to_string(folder.path(name)).map(|text| text.trim().to_owned()).unwrap_or_default();
        gateway.token = token("token");
        gateway.admin_token = token("admin-token");
        Ok(gateway)
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// A client with the loopback token.
    pub async fn caller(&self, era: Era) -> Caller {
        Caller::new(&self.address, era, &self.token).await
    }

    /// Lines of standard error that are so.
    pub fn log(&self, is_so: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| is_so(line)).cloned().collect()
    }

    /// Lines of the log at ERROR that hold this.
    pub fn errors(&self, holding: &str) -> Vec<String> {
        self.log(|line| line.contains(r#""level":"ERROR""#) && line.contains(holding))
    }

    /// The log lines of ended exchanges.
    pub fn exchanges(&self) -> Vec<Value> {
        let lines = self.log(|line| line.contains(r#""message":"exchange""#));
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the gateway runs");
    }

    /// Its exit status, once it has ended.
    pub async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// GET on the admin listener; `extra` are whole header lines.
    pub async fn admin(&self, path: &str, extra: &str) -> Reply {
        let mut connection = Connection::open(&self.admin).await.expect("the admin listener");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{extra}\r\n", self.admin);
        connection.exchange(request.as_bytes()).await.expect("an answer")
    }

    /// All metrics, as they are shown.
    pub async fn metrics(&self) -> String {
        let reply = self.admin("/metrics", &format!("authorization: Bearer {}\r\n", self.admin_token)).await;
        assert_eq!(reply.status, 200, "{}", reply.answer());
        String::from_utf8(reply.body).expect("text")
    }

    /// One series of them; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let metrics = self.metrics().await;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.log(|_| true);
            let tail = &lines[lines.len().saturating_sub(25)..];
            eprintln!("the end of the gateway's log:\n{}", tail.join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A panic that the runtime swallows loses a record or a notification, and no answer may show it.
        // A guest's own panic is a line of the log, in JSON.
        let panics = self.log(|line| line.starts_with("thread '") && line.contains("panicked at"));
        assert!(std::thread::panicking() || panics.is_empty(), "the gateway panicked: {panics:?}");
    }
}

/// Processes below this one: number and command line.
pub fn descendants(pid: i32) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    let mut look = vec![pid];
    while let Some(pid) = look.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()) {
                if found.insert(child, command_line(child)).is_none() {
                    look.push(child);
                }
            }
        }
    }
    found
}

pub fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ").trim().to_owned()
}

/// How an API key stands in the settings.
pub fn key_hash(key: &str) -> String {
    let digest = Sha256::digest(key);
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A `mcpServers` entry for the journal server.
pub fn journal_entry(folder: &Folder, journal: &str, more: &[&str]) -> (PathBuf, Value) {
    let path = folder.path(journal);
    let mut args = vec!["--journal".to_owned(), path.display().to_string()];
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    (path, json!({"command": crate::folder::journal_server(), "args": args}))
}

/// Everything a program said, and how it ended; it must end soon.
pub async fn finish(mut command: Command, within: Duration) -> Refused {
    let mut child = command.spawn().expect("sluice can be executed");
    let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = err.read_to_string(&mut text);
        text
    });
    let waiting = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let _ = out.read_to_string(&mut text);
        (text, child.wait().expect("our own child"))
    });
    let (stdout, status) = tokio::time::timeout(within, waiting).await.expect("it ends in time").expect("a thread");
    Refused { status, stdout, stderr: reading.join().expect("a thread") }
}
