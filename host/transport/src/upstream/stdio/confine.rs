//! What a child may touch and use, where its operator says so. The kernel sees to it.
//!
//! Bounds are a process's own to set, so the binary starts itself again: that process confines itself ([`become_child`]) and then becomes the
//! server. Nothing of it runs in ours, and nothing of ours is changed.

use rustix::{
    process::{Gid, Resource, Rlimit, Uid, setrlimit},
    thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// What a child may touch and use. None and empty: what its user may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Address space.
    pub memory_bytes: Option<u64>,
    /// CPU time of each of its processes, in whole seconds.
    pub cpu_seconds: Option<u64>,
    /// Open files of each of its processes.
    pub files_max: Option<u64>,
    /// Processes and threads of its user.
    pub processes_max: Option<u64>,
    /// Longest file it may write.
    pub file_bytes: Option<u64>,
    /// Files and folders it may touch, besides what every program needs; none: all.
    pub folders: Option<Folders>,
    /// It may not open TCP connections, nor wait for any.
    pub is_offline: bool,
    /// User and group it runs as. Needs the right to change them.
    pub user: Option<(u32, u32)>,
    /// A cgroup v2 folder that it is put into.
    pub cgroup: Option<PathBuf>,
}

/// Where a child may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// To read, and to run what is there.
    pub read: Vec<PathBuf>,
    /// To write as well.
    pub write: Vec<PathBuf>,
}

/// How to start a process that confines itself: this binary, and the words that make it call [`become_child`] with what follows them.
#[derive(Debug, Clone)]
pub struct Starter {
    /// The binary.
    pub program: PathBuf,
    /// Goes before the words for [`become_child`].
    pub arguments: Vec<OsString>,
}

impl Starter {
    /// This very binary, also when its file has been replaced.
    pub fn this_binary(arguments: impl IntoIterator<Item = &'static str>) -> Self {
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| "sluice".into())
        };
        Self { program, arguments: arguments.into_iter().map(OsString::from).collect() }
    }
}

/// Between what confines and what is confined.
const END: &str = "--";
/// As a shell says it of a program that cannot be run.
const CANNOT: u8 = 126;
/// What every program needs: itself, its libraries, what the machine says of itself.
const SYSTEM: [&str; 11] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/nix/store"];
/// And may write to.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

impl Confinement {
    /// The words for [`become_child`], the program's own behind them.
    pub(super) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let numbers = [
            ("memory", self.memory_bytes),
            ("cpu", self.cpu_seconds),
            ("files", self.files_max),
            ("processes", self.processes_max),
            ("file", self.file_bytes),
            ("uid", self.user.map(|(uid, _)| uid.into())),
            ("gid", self.user.map(|(_, gid)| gid.into())),
        ];
        words.extend(numbers.into_iter().filter_map(|(key, number)| Some(format!("{key}={}", number?).into())));
        let path = |key: &str, path: &Path| {
            let mut word = OsString::from(format!("{key}="));
            word.push(path);
            word
        };
        if let Some(Folders { read, write }) = &self.folders {
            words.push("folders".into());
            words.extend(read.iter().map(|folder| path("read", folder)));
            words.extend(write.iter().map(|folder| path("write", folder)));
        }
        words.extend(self.is_offline.then(|| "offline".into()));
        words.extend(self.cgroup.as_ref().map(|folder| path("cgroup", folder)));
        words.push(END.into());
        words
    }

    fn read(words: &[OsString]) -> io::Result<Self> {
        let mut confinement = Self::default();
        let (mut uid, mut gid) = (None, None);
        for word in words {
            let at = word.as_bytes().iter().position(|byte| *byte == b'=').unwrap_or(word.len());
            let (key, rest) = word.as_bytes().split_at(at);
            let path = || PathBuf::from(OsStr::from_bytes(rest.get(1..).unwrap_or_default()));
            let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no bound of a child", word.to_string_lossy()));
            let number = || path().to_str().and_then(|text| text.parse::<u64>().ok()).ok_or_else(unknown);
            let id = || u32::try_from(number()?).map_err(|_| unknown());
            match key {
                b"memory" => confinement.memory_bytes = Some(number()?),
                b"cpu" => confinement.cpu_seconds = Some(number()?),
                b"files" => confinement.files_max = Some(number()?),
                b"processes" => confinement.processes_max = Some(number()?),
                b"file" => confinement.file_bytes = Some(number()?),
                b"uid" => uid = Some(id()?),
                b"gid" => gid = Some(id()?),
                b"folders" => drop(confinement.folders.get_or_insert_default()),
                b"read" => confinement.folders.get_or_insert_default().read.push(path()),
                b"write" => confinement.folders.get_or_insert_default().write.push(path()),
                b"offline" => confinement.is_offline = true,
                b"cgroup" => confinement.cgroup = Some(path()),
                _ => return Err(unknown()),
            }
        }
        confinement.user = uid.zip(gid);
        Ok(confinement)
    }

    /// Confines this process, for good. One thread must be all there is.
    fn enter(&self, program: &Path) -> io::Result<()> {
        let said = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"))
        };
        if let Some(cgroup) = &self.cgroup {
            fs::write(cgroup.join("cgroup.procs"), "0").map_err(said(&format!("the cgroup {} cannot be entered", cgroup.display())))?;
        }
        let bounds = [
            (Resource::As, self.memory_bytes),
            (Resource::Cpu, self.cpu_seconds),
            (Resource::Nofile, self.files_max),
            (Resource::Fsize, self.file_bytes),
            // Memory of others, perhaps, on a disk.
            (Resource::Core, Some(0)),
        ];
        for (resource, bound) in bounds.into_iter().filter_map(|(resource, bound)| Some((resource, bound?))) {
            setrlimit(resource, both(bound)).map_err(|error| said("a bound cannot be set")(error.into()))?;
        }
        if let Some((uid, gid)) = self.user {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            set_thread_groups(&[gid])
                .and_then(|()| set_thread_res_gid(gid, gid, gid))
                .and_then(|()| set_thread_res_uid(uid, uid, uid))
                .map_err(|error| said("this user cannot become another (only root can)")(error.into()))?;
        }
        if let Some(bound) = self.processes_max {
            // Counted for the user that it is by now.
            setrlimit(Resource::Nproc, both(bound)).map_err(|error| said("a bound cannot be set")(error.into()))?;
        }
        set_no_new_privs(true).map_err(io::Error::from)?;
        self.fence(program)
    }

    #[cfg(target_os = "linux")]
    fn fence(&self, program: &Path) -> io::Result<()> {
        use landlock::{
            ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, RestrictionStatus, Ruleset, RulesetAttr as _,
            RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
        };
        // Files have been fenced whole since Linux 6.2, TCP since 6.7, signals and abstract sockets since 6.12.
        const FILES: ABI = ABI::V3;
        if self.folders.is_none() && !self.is_offline {
            return Ok(());
        }
        let fenced = || -> Result<RestrictionStatus, RulesetError> {
            let mut rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
            if self.folders.is_some() {
                rules = rules.handle_access(AccessFs::from_all(FILES))?;
            }
            if self.is_offline {
                rules = rules.handle_access(AccessNet::from_all(ABI::V4))?;
            }
            let rules = rules.set_compatibility(CompatLevel::BestEffort).scope(Scope::from_all(ABI::V6))?;
            let mut rules = rules.create()?;
            if let Some(Folders { read, write }) = &self.folders {
                let beside = program.parent().into_iter();
                let readable = SYSTEM.iter().map(Path::new).chain(beside).chain(read.iter().map(PathBuf::as_path));
                let writable = DEVICES.iter().map(Path::new).chain(write.iter().map(PathBuf::as_path));
                rules = rules.add_rules(path_beneath_rules(readable, AccessFs::from_read(FILES)))?;
                rules = rules.add_rules(path_beneath_rules(writable, AccessFs::from_all(FILES)))?;
            }
            rules.restrict_self()
        };
        if let Some(Folders { read, write }) = &self.folders {
            for folder in read.iter().chain(write) {
                fs::metadata(folder).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
            }
        }
        fenced().map(drop).map_err(|error| io::Error::other(format!("this kernel cannot confine it (Landlock): {error}")))
    }

    #[cfg(not(target_os = "linux"))]
    fn fence(&self, _: &Path) -> io::Result<()> {
        if self.folders.is_none() && !self.is_offline {
            return Ok(());
        }
        Err(io::Error::other("files and network of a child can be confined on Linux only"))
    }
}

fn both(bound: u64) -> Rlimit {
    Rlimit { current: Some(bound), maximum: Some(bound) }
}

/// Confines this process as the words say and becomes the program behind them. Comes back only if that cannot be; the reason is on standard
/// error then.
pub fn become_child(words: &[OsString]) -> ExitCode {
    let became = || -> io::Result<io::Error> {
        let end = words.iter().position(|word| word == END);
        let (bounds, program) = end.map(|end| (&words[..end], &words[end + 1..])).unwrap_or_default();
        let Some((program, arguments)) = program.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program"));
        };
        Confinement::read(bounds)?.enter(Path::new(program))?;
        let error = Command::new(program).args(arguments).exec();
        Ok(io::Error::new(error.kind(), format!("{}: {error}", program.to_string_lossy())))
    };
    let (Ok(error) | Err(error)) = became();
    eprintln!("sluice: the server cannot be started as it is confined: {error}");
    ExitCode::from(CANNOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_read() {
        let whole = Confinement {
            memory_bytes: Some(1 << 30),
            cpu_seconds: Some(7),
            files_max: Some(64),
            processes_max: Some(9),
            file_bytes: Some(0),
            folders: Some(Folders { read: vec!["/a=b".into()], write: vec!["/c d".into(), OsStr::from_bytes(b"/\xff").into()] }),
            is_offline: true,
            user: Some((1, 0)),
            cgroup: Some("/sys/fs/cgroup/x".into()),
        };
        for confinement in [whole, Confinement::default(), Confinement { folders: Some(Folders::default()), ..Confinement::default() }] {
            let words = confinement.words();
            assert_eq!(words.last().map(OsString::as_os_str), Some(OsStr::new(END)));
            assert_eq!(Confinement::read(&words[..words.len() - 1]).unwrap(), confinement);
        }
        for wrong in ["memory=", "memory=-1", "uid=5000000000", "memry=1", ""] {
            assert!(Confinement::read(&[wrong.into()]).is_err(), "{wrong}");
        }
    }
}
