//! Tokens in files that only this user can read, made at the first start.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// The token in `path`; made there with 256 random bits and mode 0600 when there is none.
///
/// # Errors
/// The file is readable for others, is not a regular file, or cannot be read or made.
pub fn load_or_make(path: &Path) -> io::Result<String> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        other => other,
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() || facts.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{} must be a regular file that only its owner can read: chmod 600 it", path.display())));
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    let token = text.trim();
    if token.len() < 32 {
        return Err(io::Error::other(format!(
            "{} holds no token of at least 32 characters: remove it and a new one is made",
            path.display()
        )));
    }
    Ok(token.to_owned())
}

fn make(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    let token: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    // Whole or not at all, and never over one that is there: two processes that start at once end with one token.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{token}\n").as_bytes()).and_then(|()| file.sync_all())?;
    let made = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match made {
        Ok(()) => Ok(token),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error),
    }
}
