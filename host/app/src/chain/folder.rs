//! Reading the plugin directory with suspicion.

use bytes::Bytes;
use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Largest `.wasm` file read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// `*.wasm` in file-name order, without dot files. A directory that is not there is empty.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{} cannot be read: {error}", folder.display())),
    };
    let is_plugin = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|e| e == "wasm")
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_plugin).collect();
    paths.sort();
    Ok(paths)
}

/// The bytes of one plugin: a regular file, ours or root's, that nobody else may write.
pub fn read(path: &Path) -> Result<Bytes, String> {
    let said = |what: String| format!("{} {what}", path.display());
    // No link is followed and no pipe waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(|error| {
        let link = error.raw_os_error() == Some(libc::ELOOP);
        said(if link { "is a symbolic link: put the file itself there".into() } else { format!("cannot be read: {error}") })
    })?;
    let facts = file.metadata().map_err(|e| said(format!("cannot be read: {e}")))?;
    if !facts.is_file() {
        return Err(said("is not a regular file".into()));
    }
    let us = fs::metadata("/proc/self").map_or(0, |m| m.uid());
    if facts.uid() != us && facts.uid() != 0 {
        return Err(said(format!("belongs to user {}: only ours and root's are loaded", facts.uid())));
    }
    if facts.mode() & 0o022 != 0 {
        return Err(said("can be written by others: chmod go-w it".into()));
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(said(format!("has {} bytes; at most {FILE_BYTES_MAX} are loaded", facts.len())));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or(0));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| said(format!("cannot be read: {e}")))?;
    Ok(bytes.into())
}
