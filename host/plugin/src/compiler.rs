//! Compilation in a process of its own.
//!
//! To compile is to work for whoever wrote the file: for hours, or until there is no memory left. wasmtime promises nothing
//! there. So the binary starts itself again, and that process bounds its own CPU time and memory, gives up the right to
//! open anything, and only then reads the first byte.

use crate::{
    artifact::BYTES_MAX,
    compile::{Job, NICENESS},
    engine::{Memory, config},
    snapshot::state::{State, take},
};
use rustix::process::{Resource, Rlimit, getpriority_process, setpriority_process, setrlimit};
use std::{
    ffi::OsString,
    io::{Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The compiler's answer is a reason why not.
const REFUSED: u8 = 10;
/// Said by the process to itself, once its bounds hold.
const BOUNDED: &str = "bounded";
/// A process that has not ended after this many times its CPU time is given up, since its priority is the lowest.
const WALL_TIMES: u32 = 5;
/// And never sooner.
const WALL_MIN: Duration = Duration::from_secs(120);
const CODE_BYTES_MAX: u64 = 1 << 30;
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;
const STACK_BYTES: usize = 8 << 20;
/// What the allocator of the process that compiles sets aside at once, in KiB.
const ARENA_KIB: &str = "4096";

/// How to start a compiler: this binary, and the words that make it call [`serve`] with what follows them.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The binary.
    pub program: PathBuf,
    /// Goes before the words for [`serve`].
    pub arguments: Vec<OsString>,
    /// CPU time for one file, in whole seconds.
    pub cpu: Duration,
    /// Address space of the process.
    pub memory_bytes_max: u64,
}

impl Compiler {
    /// This very binary, also when its file has been replaced. Bounds are the defaults: 60 s and 1 GiB.
    pub fn this_binary(arguments: impl IntoIterator<Item = &'static str>) -> Self {
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| "sluice".into())
        };
        let arguments = arguments.into_iter().map(OsString::from).collect();
        Self { program, arguments, cpu: Duration::from_secs(60), memory_bytes_max: 1 << 30 }
    }

    /// Machine code for an engine with such memories. The error is the end of a sentence about the file.
    pub(crate) async fn compile(&self, memory: Memory, job: &Job, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let wall = (self.cpu * WALL_TIMES).max(WALL_MIN);
        let end = tokio::time::timeout(wall, self.run(memory, job, bytes)).await;
        let (status, code, complaint) = match end {
            Ok(ran) => {
                ran.map_err(|error| format!("cannot be compiled: the compiler {} does not run ({error})", self.program.display()))?
            }
            Err(_) => return Err(format!("was not compiled within {} s; the machine is too busy, try again", wall.as_secs())),
        };
        match status.code() {
            Some(0) => Ok(code),
            Some(code_of_exit) if code_of_exit == i32::from(REFUSED) => {
                Err(self.out_of_memory(&code).unwrap_or_else(|| String::from_utf8_lossy(&code).into_owned()))
            }
            _ => Err(self.out_of_memory(&complaint).unwrap_or_else(|| self.killed(status))),
        }
    }

    async fn run(&self, memory: Memory, job: &Job, bytes: &[u8]) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).arg(word(memory)).arg(self.cpu.as_secs().to_string()).arg(self.memory_bytes_max.to_string());
        command.arg(job_word(job));
        // The allocator would set aside what it may of the bound at once, and leave no room for a thread's stack.
        command.env_clear().env("MIMALLOC_ARENA_RESERVE", ARENA_KIB).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(std::io::Error::other("a pipe is missing"));
        };
        let feed = async {
            // A compiler that ends early does not read on; how it ended says why.
            let _ = stdin.write_all(&before(job)).await;
            let _ = stdin.write_all(bytes).await;
            drop(stdin);
        };
        let (mut code, mut complaint) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (stdout.take(CODE_BYTES_MAX), stderr.take(COMPLAINT_BYTES_MAX));
        let ((), code_read, complaint_read) = tokio::join!(feed, stdout.read_to_end(&mut code), stderr.read_to_end(&mut complaint));
        (code_read?, complaint_read?);
        Ok((child.wait().await?, code, complaint))
    }

    fn out_of_memory(&self, said: &[u8]) -> Option<String> {
        let said = String::from_utf8_lossy(said);
        // The last is what starting a thread says when there is no room for its stack.
        let signs = ["memory allocation of", "annot allocate memory", "Resource temporarily unavailable"];
        let is_memory = signs.iter().any(|sign| said.contains(sign));
        is_memory.then(|| {
            format!(
                "needs more than {} MiB of memory to be compiled; if you trust it, raise sluice.limits.compile_memory_mib",
                self.memory_bytes_max >> 20
            )
        })
    }

    fn killed(&self, status: ExitStatus) -> String {
        let is_time = status.signal().is_some_and(|signal| {
            [rustix::process::Signal::XCPU, rustix::process::Signal::KILL].iter().any(|known| known.as_raw() == signal)
        });
        if is_time {
            return format!(
                "takes more than {} s of CPU time to compile; if you trust it, raise sluice.limits.compile_cpu_ms",
                self.cpu.as_secs()
            );
        }
        format!("made the compiler fail ({status}); tell the plugin's author and us")
    }
}

fn word(memory: Memory) -> &'static str {
    match memory {
        Memory::Pooled => "pooled",
        Memory::PooledSmall => "pooled-small",
        Memory::OnDemand => "on-demand",
    }
}

fn job_word(job: &Job) -> &'static str {
    match job {
        Job::Whole => "whole",
        Job::Instrumented => "instrumented",
        Job::Snapshot(_) => "snapshot",
    }
}

/// What stands before the component on standard input: a state, behind its length.
fn before(job: &Job) -> Vec<u8> {
    let Job::Snapshot(state) = job else { return Vec::new() };
    let mut encoded = Vec::new();
    state.encode(&mut encoded);
    [&(encoded.len() as u64).to_le_bytes(), &*encoded].concat()
}

/// The other way round.
fn job(word: &str, input: &mut &[u8]) -> Option<Job> {
    match word {
        "whole" => Some(Job::Whole),
        "instrumented" => Some(Job::Instrumented),
        "snapshot" => Some(Job::Snapshot(State::decode(take(input)?)?)),
        _ => None,
    }
}

fn memory(word: &str) -> Option<Memory> {
    [Memory::Pooled, Memory::PooledSmall, Memory::OnDemand].into_iter().find(|memory| self::word(*memory) == word)
}

/// Be the compiler: component on standard input, before it what else the work needs, machine code or a reason on standard output. `words` are what
/// follows [`Compiler::arguments`]; the process must have no other thread yet.
pub fn serve(words: &[String]) -> ExitCode {
    match serve_or_say(words) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn serve_or_say(words: &[String]) -> Result<ExitCode, String> {
    let asked = "this command is for Sluice itself: it compiles what it is given on standard input";
    let [memory, cpu_s, memory_bytes, job, rest @ ..] = words else { return Err(asked.into()) };
    let memory = self::memory(memory).ok_or(asked)?;
    if rest.first().map(String::as_str) != Some(BOUNDED) {
        let (Ok(cpu_s), Ok(memory_bytes)) = (cpu_s.parse(), memory_bytes.parse()) else { return Err(asked.into()) };
        return Err(bound_and_start_again(cpu_s, memory_bytes));
    }
    let engine = wasmtime::Engine::new(&config(memory)).map_err(|error| error.to_string())?;
    // Nothing can be opened any more, no file and no socket.
    limit(Resource::Nofile, 3, 3)?;
    let job = job.clone();
    let compiling = std::thread::Builder::new().name("compile".into()).stack_size(STACK_BYTES).spawn(move || compile(&engine, &job));
    let compiled = compiling.map_err(|error| error.to_string())?.join().map_err(|_| "it panicked")??;
    let (code, answer) = match compiled {
        Ok(machine_code) => (ExitCode::SUCCESS, machine_code),
        Err(reason) => (ExitCode::from(REFUSED), reason.into_bytes()),
    };
    std::io::stdout().lock().write_all(&answer).map_err(|error| error.to_string())?;
    Ok(code)
}

fn compile(engine: &wasmtime::Engine, word: &str) -> Result<Result<Vec<u8>, String>, String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(2 * BYTES_MAX as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let mut input = &*bytes;
    let job = job(word, &mut input).ok_or("no such work, or what it is done with is cut short")?;
    Ok(job.run(engine, input))
}

/// Started again, so that whatever the allocator has set aside is set aside within the bounds. Returns only when it fails.
fn bound_and_start_again(cpu_s: u64, memory_bytes: u64) -> String {
    let bounded = || {
        limit(Resource::Cpu, cpu_s, cpu_s + 1)?;
        limit(Resource::As, memory_bytes, memory_bytes)?;
        // Pipes are no files.
        limit(Resource::Fsize, 0, 0)?;
        limit(Resource::Core, 0, 0)?;
        #[cfg(target_os = "linux")]
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())?;
        // What is being served goes first. Nobody but root can make less of a niceness that is there.
        match getpriority_process(None) {
            Ok(niceness) if niceness >= NICENESS => Ok(()),
            _ => setpriority_process(None, NICENESS).map_err(|error| error.to_string()),
        }
    };
    if let Err(why) = bounded() {
        return format!("the compiler cannot be bounded: {why}");
    }
    let this = Compiler::this_binary([]).program;
    std::process::Command::new(this).args(std::env::args_os().skip(1)).arg(BOUNDED).exec().to_string()
}

fn limit(resource: Resource, current: u64, maximum: u64) -> Result<(), String> {
    setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) }).map_err(|error| error.to_string())
}
