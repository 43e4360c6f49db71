//! Reading the plugin directory with suspicion: whoever writes there decides what runs.

use bytes::Bytes;
use std::{
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Largest `.wasm` file read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Largest text read.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// `*.wasm` in file-name order, without dot files. A directory that is not there is empty.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let said = |what: String| format!("the plugin directory {} {what}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(said(format!("cannot be read: {error}"))),
    };
    let facts = fs::metadata(folder).map_err(|error| said(format!("cannot be read: {error}")))?;
    // In a sticky directory others can add files, which are theirs and refused, and cannot touch ours.
    let is_sticky = facts.mode() & 0o1000 != 0;
    trusted(&facts, our_uid(), is_sticky).map_err(said)?;
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
    read_as(path, FILE_BYTES_MAX, our_uid()).map(Bytes::from)
}

/// The bytes of a new version to be tried, which lies beside the plugin and is trusted no more easily. `None`: there is none.
pub fn next(path: &Path) -> Option<Result<Bytes, String>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        _ => Some(read(path)),
    }
}

/// The text of what stands beside a plugin: a sidecar gives it its powers, a signature or a lock its place, so none is trusted more easily
/// than the plugin itself. `None`: there is none.
pub fn text(path: &Path) -> Result<Option<String>, String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => {
            let bytes = read_as(path, TEXT_BYTES_MAX, our_uid())?;
            String::from_utf8(bytes).map(Some).map_err(|_| format!("{} is not UTF-8 text", path.display()))
        }
    }
}

/// What is checked is what is read, since both are the one open file.
fn read_as(path: &Path, bytes_max: u64, us: u32) -> Result<Vec<u8>, String> {
    let is_plain = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| !name.contains(char::is_control));
    if !is_plain {
        return Err(format!("{path:?} has a name that is not plain text: give it another"));
    }
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
    trusted(&facts, us, false).map_err(said)?;
    let too_large = || said(format!("has more than {bytes_max} bytes, which is the most that is read"));
    if facts.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or(0));
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|e| said(format!("cannot be read: {e}")))?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// Nobody but us and root can have written it. The error is the end of a sentence.
fn trusted(facts: &Metadata, us: u32, others_may_write: bool) -> Result<(), String> {
    if facts.uid() != us && facts.uid() != 0 {
        return Err(format!("belongs to user {}: only ours and root's are trusted", facts.uid()));
    }
    if facts.mode() & 0o022 != 0 && !others_may_write {
        return Err("can be written by others: chmod go-w it".into());
    }
    Ok(())
}

fn our_uid() -> u32 {
    fs::metadata("/proc/self").map_or(0, |m| m.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::{
            fs::{PermissionsExt as _, symlink},
            net::UnixListener,
        },
        process::Command,
    };

    const PLUGIN: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

    struct Trick {
        what: &'static str,
        make: fn(&Path),
        /// Said by the refusal.
        says: &'static str,
        /// To whoever simply reads the file, it is a plugin.
        is_tempting: bool,
    }

    fn good(path: &Path) {
        fs::write(path, PLUGIN).unwrap();
        mode(path, 0o644);
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn elsewhere(path: &Path) -> PathBuf {
        path.parent().unwrap().join("elsewhere")
    }

    /// The somebody else of these tests is us: the file is read as if we were user 4242424.
    const TRICKS: [Trick; 14] = [
        Trick {
            what: "a link to a plugin elsewhere",
            make: |path| {
                good(&elsewhere(path));
                symlink(elsewhere(path), path).unwrap();
            },
            says: "symbolic link",
            is_tempting: true,
        },
        Trick { what: "a link to nothing", make: |path| symlink("/nothing", path).unwrap(), says: "symbolic link", is_tempting: false },
        Trick { what: "a link to itself", make: |path| symlink(path, path).unwrap(), says: "symbolic link", is_tempting: false },
        Trick { what: "a link to a device", make: |path| symlink("/dev/zero", path).unwrap(), says: "symbolic link", is_tempting: false },
        Trick {
            what: "a link into /proc",
            make: |path| symlink("/proc/self/exe", path).unwrap(),
            says: "symbolic link",
            is_tempting: false,
        },
        Trick {
            what: "a pipe that somebody writes into",
            make: |path| {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
                let path = path.to_owned();
                // Waits for its readers; the thread ends with the test.
                std::thread::spawn(move || while fs::write(&path, PLUGIN).is_ok() {});
            },
            says: "not a regular file",
            is_tempting: true,
        },
        Trick { what: "a socket", make: |path| drop(UnixListener::bind(path).unwrap()), says: "cannot be read", is_tempting: false },
        Trick { what: "a folder", make: |path| fs::create_dir(path).unwrap(), says: "not a regular file", is_tempting: false },
        Trick {
            what: "a file that everybody may write",
            make: |path| {
                good(path);
                mode(path, 0o666);
            },
            says: "written by others",
            is_tempting: true,
        },
        Trick {
            what: "a file that a group may write",
            make: |path| {
                good(path);
                mode(path, 0o664);
            },
            says: "written by others",
            is_tempting: true,
        },
        Trick {
            what: "a hard link to a file that others may write",
            make: |path| {
                good(&elsewhere(path));
                mode(&elsewhere(path), 0o666);
                fs::hard_link(elsewhere(path), path).unwrap();
            },
            says: "written by others",
            is_tempting: true,
        },
        Trick {
            what: "a file that is larger than any plugin",
            make: |path| {
                good(path);
                File::options().write(true).open(path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
            },
            says: "more than",
            is_tempting: true,
        },
        Trick { what: "a name with a line break", make: good, says: "not plain text", is_tempting: true },
        Trick { what: "a name with an escape sequence", make: good, says: "not plain text", is_tempting: true },
    ];

    fn name(what: &str) -> &'static str {
        match what {
            "a name with a line break" => "a\n{\"level\":\"INFO\"}.wasm",
            "a name with an escape sequence" => "a\u{1b}[2J.wasm",
            _ => "plugin.wasm",
        }
    }

    #[test]
    fn tricks_of_the_file_system_are_refused_in_one_line() {
        let mut tempting = 0;
        for Trick { what, make, says, is_tempting } in &TRICKS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name(what));
            make(&path);
            let refusal = read(&path).expect_err(what);
            assert!(refusal.contains(says) && !refusal.contains(char::is_control), "{what}: {refusal}");
            // The control: who reads without suspicion gets a plugin.
            if *is_tempting {
                let found = fs::read(&path).unwrap();
                assert!(found.starts_with(PLUGIN), "{what} tempts nobody");
                tempting += 1;
            }
        }
        println!("{} tricks refused; {tempting} of them are a plugin to whoever simply reads the file", TRICKS.len());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.wasm");
        good(&path);
        let owner = fs::metadata(&path).unwrap().uid();
        assert_eq!(read_as(&path, 100, owner).unwrap(), PLUGIN);
        let as_stranger = read_as(&path, 100, 4_242_424);
        // Root's files are everybody's to trust.
        assert_eq!(as_stranger.is_ok(), owner == 0, "{as_stranger:?}");
        let facts = fs::metadata(&path).unwrap();
        assert!(owner == 0 || trusted(&facts, owner + 1, false).is_err());
    }

    #[test]
    fn a_directory_that_others_may_write_is_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        good(&folder.path().join("plugin.wasm"));
        good(&folder.path().join(".hidden.wasm"));
        for (bits, is_listed) in [(0o755, true), (0o777, false), (0o775, false), (0o1777, true), (0o700, true)] {
            mode(folder.path(), bits);
            match list(folder.path()) {
                Ok(listed) => assert!(is_listed && listed.len() == 1, "{bits:o}: {listed:?}"),
                Err(why) => assert!(!is_listed && why.contains("written by others"), "{bits:o}: {why}"),
            }
        }
    }

    #[test]
    fn a_sidecar_is_trusted_no_more_easily_than_its_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.toml");
        assert_eq!(text(&path), Ok(None));
        let grants = "grants = [\"kv:everything\"]\n";
        fs::write(&path, grants).unwrap();
        mode(&path, 0o666);
        assert!(text(&path).unwrap_err().contains("written by others"));
        mode(&path, 0o644);
        assert_eq!(text(&path).unwrap().as_deref(), Some(grants));
        fs::rename(&path, elsewhere(&path)).unwrap();
        symlink(elsewhere(&path), &path).unwrap();
        assert!(text(&path).unwrap_err().contains("symbolic link"));
        assert_eq!(fs::read_to_string(&path).unwrap(), grants, "the control: it reads like a sidecar");
        symlink("/nothing", folder.path().join("gone.toml")).unwrap();
        assert!(text(&folder.path().join("gone.toml")).is_err(), "a link to nothing is there all the same");
    }
}
