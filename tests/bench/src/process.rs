//! The processes that are measured: started, watched through the kernel's own books, ended.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a process may take until it says that it is ready: a first start compiles its plugins.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// A process rests when it has used hardly any CPU time, and had no children, for so long.
const RESTS_FOR: Duration = Duration::from_secs(1);
/// Of a fifth of a second.
const STIRS: Duration = Duration::from_millis(10);
const RESTS_WITHIN: Duration = Duration::from_secs(600);
/// How long a process may take to end when asked, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(10);

/// A running process, by its number.
#[derive(Debug, Clone, Copy)]
pub struct Pid(nix::unistd::Pid);

/// How much memory a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    rss_kib: u64,
    peak_kib: u64,
}

impl Memory {
    /// Resident now.
    pub fn rss_mib(self) -> f64 {
        self.rss_kib as f64 / 1024.0
    }

    /// The most that was resident since the start, or since [`Pid::forget_peak`].
    pub fn peak_mib(self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }
}

impl Pid {
    /// Of a process that somebody else started.
    pub fn new(number: i32) -> Self {
        Self(nix::unistd::Pid::from_raw(number))
    }

    /// CPU time of all its threads, those that ended included, in user and kernel mode.
    ///
    /// The kernel's per-process clock counts what the scheduler counts, in nanoseconds. The sum over
    /// `task/*/schedstat` is the same figure without the threads that ended, and `stat` the same in 10 ms steps.
    pub fn cpu(self) -> Result<Duration> {
        let clock = nix::time::clock_getcpuclockid(self.0).with_context(|| format!("CPU clock of {}", self.0))?;
        Ok(nix::time::clock_gettime(clock)?.into())
    }

    /// CPU time as `stat` has it, to check [`Pid::cpu`] against over a whole run.
    pub fn cpu_in_ticks(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The name in brackets may hold blanks; of the fields after it the 12th and 13th are user and kernel time.
        let after_name = stat.rsplit_once(')').context("stat without a name")?.1;
        let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Its memory now.
    pub fn memory(self) -> Result<Memory> {
        let status = self.read("status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        Ok(Memory { rss_kib: field("VmRSS:"), peak_kib: field("VmHWM:") })
    }

    /// Lets the next peak be that of what happens from now on.
    pub fn forget_peak(self) -> Result<()> {
        let file = format!("/proc/{}/clear_refs", self.0);
        std::fs::write(&file, "5").with_context(|| file)
    }

    fn children(self) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        // Each thread has its own.
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.0))? {
            let list = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            all.extend(list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Self::new));
        }
        Ok(all)
    }

    fn read(self, file: &str) -> Result<String> {
        let file = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&file).with_context(|| file)
    }
}

/// A process of ours. Dropping it asks it to end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    /// nginx works in children of the process that was started.
    works_in_children: bool,
}

impl Process {
    /// Starts a command; stdin is empty, stderr is ours.
    pub fn start(mut command: Command, works_in_children: bool) -> Result<Self> {
        command.stdin(Stdio::null()).kill_on_drop(false);
        let program = command.as_std().get_program().to_owned();
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let pid = Pid::new(child.id().context("it ended at once")? as i32);
        Ok(Self { child, pid, works_in_children })
    }

    /// Starts a command and waits for the line on its stdout that has its URL.
    pub async fn start_ready(mut command: Command) -> Result<(Self, String)> {
        command.stdout(Stdio::piped());
        let mut process = Self::start(command, false)?;
        let stdout = process.child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                    return Ok(url.to_owned());
                }
            }
            bail!("it ended before it was ready")
        };
        let url = tokio::time::timeout(READY_WITHIN, url).await.context("it did not get ready")??;
        // Whatever it still prints must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((process, url))
    }

    /// The process itself, or the processes that do its work.
    fn workers(&self) -> Result<Vec<Pid>> {
        let mut all = vec![self.pid];
        if self.works_in_children {
            all.extend(self.pid.children()?);
        }
        Ok(all)
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Result<Duration> {
        self.workers()?.into_iter().map(Pid::cpu).sum()
    }

    /// CPU time so far, in the kernel's 10 ms steps.
    pub fn cpu_in_ticks(&self) -> Result<Duration> {
        self.workers()?.into_iter().map(Pid::cpu_in_ticks).sum()
    }

    /// Memory now; what nginx's processes share counts once for each.
    pub fn memory(&self) -> Result<Memory> {
        let mut sum = Memory::default();
        for pid in self.workers()? {
            let one = pid.memory()?;
            sum = Memory { rss_kib: sum.rss_kib + one.rss_kib, peak_kib: sum.peak_kib + one.peak_kib };
        }
        Ok(sum)
    }

    /// See [`Pid::forget_peak`].
    pub fn forget_peak(&self) -> Result<()> {
        self.workers()?.into_iter().try_for_each(Pid::forget_peak)
    }

    /// Waits until it does nothing any more, nor anything that it has started: what it makes of plugins beside its traffic is made then.
    pub async fn rest(&self) -> Result<()> {
        let (began, mut quiet_since) = (Instant::now(), Instant::now());
        while quiet_since.elapsed() < RESTS_FOR {
            ensure!(began.elapsed() < RESTS_WITHIN, "it does not come to rest");
            let before = self.pid.cpu()?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if !self.pid.children()?.is_empty() || self.pid.cpu()? - before > STIRS {
                quiet_since = Instant::now();
            }
        }
        Ok(())
    }

    /// Asks it to end, and kills it when it does not.
    pub async fn end(mut self) -> Result<()> {
        kill(self.pid.0, Signal::SIGTERM)?;
        if tokio::time::timeout(END_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not SIGKILL: nginx's workers would outlive it. `try_wait` first, so that the number is still its own.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(self.pid.0, Signal::SIGTERM);
        }
    }
}
