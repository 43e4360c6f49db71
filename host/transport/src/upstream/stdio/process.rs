//! A child and everything it starts: one process group, ended as a whole.

use super::{confine::Confinement, settings::StdioSettings};
use rustix::{
    fs::{Access, access},
    process::{Pid, Signal, kill_process_group},
};
use std::{ffi::OsString, io, path::PathBuf, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// What a child gets of our environment: the allowlist of the official SDKs.
const INHERITED: [&str; 6] = ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];

/// A running child. Dropping it kills its whole group.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    directory: Option<TempDir>,
}

/// The child's three streams.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Process {
    /// Starts the program: argv only, a clean environment, its own process group.
    pub(super) fn start(settings: &StdioSettings) -> io::Result<(Self, Pipes)> {
        let program = found(settings)?;
        let directory = settings.has_own_directory.then(|| tempfile::Builder::new().prefix("sluice-child-").tempdir()).transpose()?;
        let mut command = match &settings.confinement {
            None => Command::new(program),
            Some((confinement, starter)) => {
                let mut command = Command::new(&starter.program);
                command.args(&starter.arguments).args(within(confinement, directory.as_ref())?.words()).arg(program);
                command
            }
        };
        command.args(&settings.args).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Some(directory) = &directory {
            command.current_dir(directory).envs(["HOME", "TMPDIR"].map(|name| (name, directory.path())));
        } else if let Some(directory) = &settings.directory {
            command.current_dir(directory);
        }
        command.envs(settings.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pipes = Pipes { stdin: taken(child.stdin.take())?, stdout: taken(child.stdout.take())?, stderr: taken(child.stderr.take())? };
        Ok((Self { child, group, directory }, pipes))
    }

    /// Waits until the child itself has ended and is reaped; how it ended. Cancel safe.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => format!("unknown exit status: {error}"),
        }
    }

    /// Ends a child whose stdin was closed: time to leave, SIGTERM, time to leave, SIGKILL.
    pub(super) async fn stop(&mut self, grace: Duration) -> String {
        if let Ok(status) = timeout(grace, self.ended()).await {
            return status;
        }
        self.signal(Signal::TERM);
        if let Ok(status) = timeout(grace, self.ended()).await {
            return status;
        }
        self.signal(Signal::KILL);
        self.ended().await
    }

    /// Kills what is left of the group after the child itself has ended. Afterwards the group's
    /// number belongs to whoever gets it next, so this happens once, right after the end.
    pub(super) fn kill_rest(&mut self) {
        self.signal(Signal::KILL);
        self.group = None;
    }

    /// Takes the child's own folder away.
    pub(super) async fn clear(&mut self) {
        let Some(directory) = self.directory.take() else { return };
        // It may be large, and others wait for this thread.
        let cleared = tokio::task::spawn_blocking(move || directory.close()).await;
        if let Ok(Err(error)) = cleared {
            tracing::warn!(%error, "a child's own folder cannot be taken away");
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Nobody left to tell is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The program's file. Looked up here, in the `PATH` that the child will have, so that it can be
/// started without a copy of our own memory map.
fn found(settings: &StdioSettings) -> io::Result<OsString> {
    if settings.command.as_encoded_bytes().contains(&b'/') {
        return Ok(settings.command.clone());
    }
    let own = settings.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let is_program = |file: &PathBuf| access(file, Access::EXEC_OK).is_ok() && file.is_file();
    let found = std::env::split_paths(&path).map(|folder| folder.join(&settings.command)).find(is_program);
    found.map(PathBuf::into_os_string).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program in PATH"))
}

/// Its own folder is its to write to, and its user's.
fn within(confinement: &Confinement, directory: Option<&TempDir>) -> io::Result<Confinement> {
    let mut confinement = confinement.clone();
    if let Some(directory) = directory {
        if let Some((uid, gid)) = confinement.user {
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid))?;
        }
        if let Some(folders) = &mut confinement.folders {
            folders.write.push(directory.path().to_owned());
        }
    }
    Ok(confinement)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn taken<T>(pipe: Option<T>) -> io::Result<T> {
    pipe.ok_or_else(|| io::Error::other("a pipe to the child is missing"))
}
