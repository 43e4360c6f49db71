//! Where clients connect.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::config::choice::choice;
use crate::config::reader::Reader;
use crate::config::setting::{Setting, socket};
use crate::config::tree::Node;

/// A TCP port or a socket in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

choice! {
    /// Who may connect to a socket in the file system.
    pub enum UnixMode {
        /// The user that runs Sluice.
        Owner = "0600",
        /// And the socket's group.
        Group = "0660",
    }
}

impl UnixMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        match self {
            UnixMode::Owner => 0o600,
            UnixMode::Group => 0o660,
        }
    }
}

/// The kernel has room for 108 bytes, with their end.
const PATH_BYTES_MAX: usize = 107;

impl Listen {
    /// Its TCP address; a socket in the file system has none.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        }
    }

    /// What a flag or a file says; otherwise what to write. A relative path starts at `base`.
    pub(in crate::config) fn parse(text: &str, base: &Path) -> Result<Listen, String> {
        let Some(path) = text.strip_prefix("unix:") else { return socket(text).map(Listen::Tcp) };
        let written = path.strip_prefix("//").unwrap_or(path);
        let path = base.join(written);
        if written.is_empty() || path.file_name().is_none() {
            return Err("write \"unix:/run/sluice.sock\"".to_owned());
        }
        if path.as_os_str().len() > PATH_BYTES_MAX || text.contains('\0') {
            return Err(format!("a socket's path has at most {PATH_BYTES_MAX} bytes"));
        }
        Ok(Listen::Unix(path))
    }
}

impl Setting for Listen {
    fn schema() -> Json {
        json!({"type": "string"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Listen> {
        if matches!(node.value, crate::config::tree::Value::Number(_)) {
            return SocketAddr::read(node, reader).map(Listen::Tcp);
        }
        let text = reader.text(node)?;
        match Listen::parse(text.value(), &reader.base) {
            Ok(listen) => Some(listen),
            Err(suggestion) => {
                reader.mismatch(node, "an address and a port, or unix: and a path", Some(suggestion));
                None
            }
        }
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
