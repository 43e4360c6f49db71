//! Another process takes over: a new binary without a connection that is refused or reset (ADR 43).
//!
//! At SIGUSR2 the process that runs starts the file that it was started from, with its own words, and sends it its listening sockets over
//! the pair of sockets that is the new one's standard input. The new one says `ready` once it lets clients in; then the old one takes no new
//! connection, and ends when its exchanges have. Until then nothing is given up: a new one that does not begin is said in the log, and the
//! old one goes on. Sockets can come from systemd, too (`sd_listen_fds(3)`).

use anyhow::{Context as _, Result, bail};
use listenfd::ListenFd;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, getsockname,
    recvmsg, sendmsg,
};
use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

/// Says to a process that its standard input is what sockets come from.
const TAKES_OVER: &str = "SLUICE_TAKES_OVER";
/// Said by the new one: it lets clients in.
const READY: u8 = b'r';
/// Said by the new one where what the old one holds (a state file) is to be let go first: all else is as it should be.
const PREPARED: u8 = b'p';
/// Plugins may have to be compiled first.
const BEGINS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// From what the old one has let go to `ready`: everything else is done by then.
const FINISHES_WITHIN: Duration = Duration::from_secs(120);
const SOCKETS_MAX: usize = 2;
const NAMES: [&str; SOCKETS_MAX] = ["mcp", "admin"];

/// A socket that somebody else has bound.
pub enum Socket {
    /// A TCP port.
    Tcp(std::net::TcpListener),
    /// A socket in the file system.
    Unix(UnixListener),
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        let is_unix = getsockname(&fd).is_ok_and(|address| address.address_family() == AddressFamily::UNIX);
        if is_unix { Self::Unix(fd.into()) } else { Self::Tcp(fd.into()) }
    }
}

/// What this process was started with.
#[derive(Default)]
pub struct Inherited {
    /// For clients.
    pub mcp: Option<Socket>,
    /// For administration.
    pub admin: Option<Socket>,
    predecessor: Option<UnixStream>,
}

impl Inherited {
    /// Takes what is there. Once, and before any thread is started.
    ///
    /// # Errors
    /// It is not as it was promised.
    pub fn of_this_process() -> Result<Self> {
        if env::var_os(TAKES_OVER).is_some() {
            return Self::of_predecessor().context("the sockets of the process that is to be taken over");
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut given = ListenFd::from_env();
        let mut inherited = Self::default();
        for at in 0..given.len() {
            let socket = match given.take_tcp_listener(at) {
                Ok(tcp) => tcp.map(Socket::Tcp),
                Err(_) => given
                    .take_unix_listener(at)
                    .context("a socket of systemd is neither TCP nor a stream in the file system")?
                    .map(Socket::Unix),
            };
            // Without a name the first is for clients.
            let name = names.get(at).filter(|name| NAMES.contains(name)).copied().unwrap_or(NAMES[at.min(SOCKETS_MAX - 1)]);
            *inherited.named(name)? = socket;
        }
        Ok(inherited)
    }

    fn of_predecessor() -> Result<Self> {
        let stdin = io::stdin();
        let predecessor = UnixStream::from(stdin.as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let (mut control, mut names) = (RecvAncillaryBuffer::new(&mut space), [0; 64]);
        let length = recvmsg(&predecessor, &mut [IoSliceMut::new(&mut names)], &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let names = std::str::from_utf8(&names[..length])?;
        let mut sockets: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                sockets.extend(fds);
            }
        }
        let mut inherited = Self { predecessor: Some(predecessor), ..Self::default() };
        for (name, socket) in names.split_whitespace().zip(sockets) {
            *inherited.named(name)? = Some(socket.into());
        }
        Ok(inherited)
    }

    fn named(&mut self, name: &str) -> Result<&mut Option<Socket>> {
        Ok(match name {
            "mcp" => &mut self.mcp,
            "admin" => &mut self.admin,
            _ => bail!("a socket is called {name:?}, and here they are called {}", NAMES.join(" and ")),
        })
    }

    /// Does another process serve until this one is ready?
    pub fn takes_over(&self) -> bool {
        self.predecessor.is_some()
    }

    /// All is as it should be but for what the other process holds.
    pub fn prepared(&self) {
        self.tell(PREPARED);
    }

    /// Clients are let in.
    pub fn ready(&self) {
        self.tell(READY);
    }

    fn tell(&self, word: u8) {
        // A predecessor that is gone needs to hear nothing.
        if let Some(predecessor) = &self.predecessor {
            let _ = io::Write::write_all(&mut &*predecessor, &[word]);
        }
    }
}

/// How a new process is started.
pub struct Handoff {
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    told: Signal,
}

/// A process that takes over.
pub struct Successor {
    child: Child,
    /// Where it says how far it is.
    says: tokio::net::UnixStream,
    sockets: Vec<(&'static str, OwnedFd)>,
    /// It lets clients in already.
    is_ready: bool,
    /// It is not to end with us.
    is_given: bool,
}

impl Handoff {
    /// At SIGUSR2, which is heard from now on.
    ///
    /// # Errors
    /// The signal cannot be heard.
    pub fn at_signal() -> io::Result<Self> {
        Ok(Self { program: started_as(), arguments: env::args_os().skip(1).collect(), told: signal(SignalKind::user_defined2())? })
    }

    /// Waits until it is told to, and until a new process has these sockets and is ready, or is but for what this one holds. May be dropped
    /// before it is told.
    pub async fn handed(&mut self, sockets: impl Fn() -> io::Result<Vec<(&'static str, OwnedFd)>>) -> Successor {
        loop {
            if self.told.recv().await.is_none() {
                return std::future::pending().await;
            }
            let Some(program) = self.program.clone() else {
                tracing::error!("told to hand over, and it is not known which file this process was started from");
                continue;
            };
            tracing::info!(program = %program.display(), "told to hand over: a new process begins");
            let begun = async {
                let mut successor = start(&program, &self.arguments, sockets()?)?;
                let said = tokio::time::timeout(BEGINS_WITHIN, successor.hear()).await;
                match said {
                    Ok(said) => said?,
                    Err(_) => bail!("it was not ready within {} min", BEGINS_WITHIN.as_secs() / 60),
                }
                Ok(successor)
            };
            match begun.await {
                Ok(mut successor) => {
                    successor.is_given = true;
                    return successor;
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "the new process does not begin; this one goes on as it was"),
            }
        }
    }
}

impl Successor {
    /// How far it is.
    async fn hear(&mut self) -> Result<()> {
        let mut word = [0];
        match self.says.read(&mut word).await {
            Ok(1) if word[0] == READY => self.is_ready = true,
            Ok(1) if word[0] == PREPARED => {}
            _ => {
                let ended: io::Result<ExitStatus> = self.child.wait().await;
                bail!("it ended with {}; its own lines say why", ended.map_or_else(|error| error.to_string(), |status| status.to_string()));
            }
        }
        Ok(())
    }

    /// What it is called in the log.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Everything that this process held is let go. Returns once somebody serves.
    ///
    /// # Errors
    /// Nobody does.
    pub async fn finish(mut self) -> Result<()> {
        if self.is_ready {
            return Ok(());
        }
        let said = tokio::time::timeout(FINISHES_WITHIN, self.hear()).await;
        match said {
            Ok(Ok(())) if self.is_ready => return Ok(()),
            Ok(Err(error)) => tracing::error!(
                error = format!("{error:#}"),
                "the new process was prepared and does not begin: the old binary begins again"
            ),
            _ => tracing::error!("the new process was prepared and does not begin: the old binary begins again"),
        }
        let _ = self.child.kill().await;
        let arguments: Vec<OsString> = env::args_os().skip(1).collect();
        let mut again = start(&PathBuf::from("/proc/self/exe"), &arguments, std::mem::take(&mut self.sockets))?;
        while !again.is_ready {
            tokio::time::timeout(FINISHES_WITHIN, again.hear()).await.context("nor does it")??;
        }
        again.is_given = true;
        Ok(())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_given {
            // Whoever was told to stop did not mean that another begins.
            let _ = self.child.start_kill();
        }
    }
}

fn start(program: &PathBuf, arguments: &[OsString], sockets: Vec<(&'static str, OwnedFd)>) -> Result<Successor> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(program);
    command.args(arguments).env(TAKES_OVER, "1").stdin(Stdio::from(OwnedFd::from(theirs)));
    for systemds in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(systemds);
    }
    let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    let fds: Vec<_> = sockets.iter().map(|(_, fd)| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&ours, &[IoSlice::new(names.join(" ").as_bytes())], &mut control, SendFlags::empty())?;
    ours.set_nonblocking(true)?;
    Ok(Successor { child, says: tokio::net::UnixStream::from_std(ours)?, sockets, is_ready: false, is_given: false })
}

/// The file that was started, as it was named then: where a package or a link puts the next version.
fn started_as() -> Option<PathBuf> {
    let named = PathBuf::from(env::args_os().next()?);
    if named.components().count() > 1 {
        return std::path::absolute(named).ok();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(&named)).find(|file| file.is_file());
    found.or_else(|| env::current_exe().ok())
}

/// Tells systemd, where it has asked to be told.
pub fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
