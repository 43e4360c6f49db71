//! Where clients connect: a TCP port, or a socket in the file system.

use std::{
    fmt, fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A bound endpoint.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixEndpoint),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::Tcp(listener)
    }
}

/// One client's bytes.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Who holds the other end of a connection; behind a trusted proxy, not the client itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// From this address.
    Ip(IpAddr),
    /// A process of this user.
    User(u32),
}

impl Peer {
    /// Its address, if it has one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Ip(ip) => Some(ip),
            Peer::User(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(ip) => ip.fmt(f),
            Peer::User(uid) => write!(f, "uid:{uid}"),
        }
    }
}

impl Listener {
    /// A port that somebody else has bound.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn adopt_tcp(socket: std::net::TcpListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        Ok(Listener::Tcp(TcpListener::from_std(socket)?))
    }

    /// A socket in the file system that somebody else has bound and that is there now, whatever it was called when it was bound. Its file is
    /// taken away with it, unless it is kept.
    ///
    /// # Errors
    /// Nothing is there, or the runtime does not take it.
    pub fn adopt_unix(socket: std::os::unix::net::UnixListener, path: &Path) -> io::Result<Listener> {
        let facts = fs::symlink_metadata(path)?;
        socket.set_nonblocking(true)?;
        let (path, made) = (path.to_owned(), (facts.dev(), facts.ino()));
        Ok(Listener::Unix(UnixEndpoint { listener: UnixListener::from_std(socket)?, path, made, is_kept: Arc::default() }))
    }

    /// A second hold on the socket, for another process to have.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Listener::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Listener::Unix(endpoint) => endpoint.listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Once it is set, a socket's file stays when the listener goes: it is another process's by then.
    pub fn keeps_file(&self) -> Arc<AtomicBool> {
        match self {
            Listener::Tcp(_) => Arc::default(),
            Listener::Unix(endpoint) => endpoint.is_kept.clone(),
        }
    }

    /// Its TCP address; a socket in the file system has none.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Some),
            Listener::Unix(_) => Ok(None),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                Ok((Stream::Tcp(tcp), Peer::Ip(peer.ip().to_canonical())))
            }
            Listener::Unix(endpoint) => {
                let (unix, _) = endpoint.listener.accept().await?;
                let user = unix.peer_cred()?.uid();
                Ok((Stream::Unix(unix), Peer::User(user)))
            }
        }
    }
}

/// A socket in the file system, which goes away with the listener.
#[derive(Debug)]
pub struct UnixEndpoint {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of what was bound: a file that somebody else put there since is not ours to remove.
    made: (u64, u64),
    /// Nor is one that was handed over.
    is_kept: Arc<AtomicBool>,
}

impl UnixEndpoint {
    /// Binds `path` with these permission bits. A socket that nobody answers on any more is replaced.
    ///
    /// The socket is made in a folder that only we can enter and then moved, so that nobody can
    /// connect before its permissions are set.
    ///
    /// # Errors
    /// Somebody answers there, something else than a socket is there, or it cannot be made.
    pub fn bind(path: &Path, mode: u32) -> io::Result<UnixEndpoint> {
        check_free(path)?;
        // A number of its own: a killed process may have left its folder, and in a container the next one has the same id.
        let folder = path.with_file_name(format!(".sluice-{:016x}", RandomState::new().build_hasher().finish()));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let made = make(path, &folder.join("s"), mode);
        let _ = fs::remove_dir(&folder);
        made
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn check_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(facts) if !facts.file_type().is_socket() => {
            Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket is there"))
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "somebody answers there already")),
        },
    }
}

fn make(path: &Path, fresh: &Path, mode: u32) -> io::Result<UnixEndpoint> {
    let made = UnixListener::bind(fresh).and_then(|listener| {
        fs::set_permissions(fresh, fs::Permissions::from_mode(mode))?;
        let facts = fs::symlink_metadata(fresh)?;
        fs::rename(fresh, path)?;
        Ok(UnixEndpoint { listener, path: path.to_owned(), made: (facts.dev(), facts.ino()), is_kept: Arc::default() })
    });
    if made.is_err() {
        let _ = fs::remove_file(fresh);
    }
    made
}

impl Drop for UnixEndpoint {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|facts| (facts.dev(), facts.ino()) == self.made);
        if is_ours && !self.is_kept.load(Relaxed) {
            // What cannot be removed is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sluice-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder.join("socket")
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_and_goes_away() {
        let path = path("mode.sock");
        let endpoint = UnixEndpoint::bind(&path, 0o660).expect("a socket");
        assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o660);
        assert!(UnixStream::connect(&path).await.is_ok());
        let drafts = fs::read_dir(path.parent().expect("a folder")).expect("it is there").flatten();
        assert!(!drafts.map(|entry| entry.path().join("s")).any(|draft| draft.exists()), "its draft went with it");
        drop(endpoint);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let path = path("stale.sock");
        let living = UnixEndpoint::bind(&path, 0o600).expect("a socket");
        assert_eq!(UnixEndpoint::bind(&path, 0o600).expect_err("somebody answers").kind(), ErrorKind::AddrInUse);
        assert!(UnixStream::connect(&path).await.is_ok(), "the first one is unharmed");
        drop(living);
        // What a killed process leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        assert!(path.exists());
        let heir = UnixEndpoint::bind(&path, 0o600).expect("a dead socket is replaced");
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "not ours").expect("a file");
        drop(heir);
        assert_eq!(fs::read_to_string(&path).expect("it stays"), "not ours");
        assert_eq!(UnixEndpoint::bind(&path, 0o600).expect_err("no socket").kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&path).expect("it is there");
    }
}
