//! The test runs itself again inside of new namespaces of network, mounts and processes.
//!
//! What an engine leaves behind when it is killed (bridges, firewall rules, mounts, containers) lives in these, and
//! the kernel removes them with the last process. A folder and a cgroup remain, which the outer process removes; if
//! it is killed itself, the next run does. Whether it lives is told by a lock and not by its process id: containers
//! that share a folder of caches have process ids of their own.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::engine;
use crate::workspace::Failure;

const PREFIX: &str = "quorate-containers-";
/// In a folder: held as long as somebody uses it. Beside all folders: held while one is made or leftovers are removed,
/// so that nobody meets a folder between its making and its lock.
const LOCK: &str = "lock";

/// The folder for everything that a run writes; removed when dropped.
pub struct Scratch {
    pub folder: PathBuf,
    /// Closed, and so freed, after the folder is gone.
    _lock: File,
}

impl Scratch {
    /// A new one in this folder.
    pub fn new(parent: &Path) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::Check(format!("{}: {e}", parent.display()));
        fs::create_dir_all(parent).map_err(failed)?;
        let alone = File::create(parent.join(LOCK)).map_err(failed)?;
        alone.lock().map_err(failed)?;
        remove_leftovers(parent);
        let folder = create(parent).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { folder, _lock: lock })
    }
}

/// Named after this process, and after what makes the name new: its cgroup has it too.
fn create(parent: &Path) -> std::io::Result<PathBuf> {
    let mut nth = 0;
    loop {
        let folder = parent.join(format!("{PREFIX}{}-{nth}", std::process::id()));
        match fs::create_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => nth += 1,
            made => return made.map(|()| folder),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    remove_cgroups(&engine::cgroup(folder));
}

/// Of runs that are gone.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && !is_used(&entry.path()) {
            remove(&entry.path());
        }
    }
}

/// Where that can't be known, it is: what is left behind costs room, what is taken away costs somebody's run.
fn is_used(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_))),
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

/// An empty cgroup is removed by `rmdir`, children first; version 1 has one tree for each controller.
fn remove_cgroups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let trees = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for tree in trees.chain([root.to_owned()]) {
        remove_tree(&tree.join(name.trim_start_matches('/')));
    }
}

fn remove_tree(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for child in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&child.path());
    }
    let _ = fs::remove_dir(folder);
}

/// Whose output goes where.
pub enum Talk {
    /// To our terminal.
    Shown,
    /// Into the answer.
    Kept,
}

/// Runs this program with `args` in new namespaces, and returns how it ended and what it said if that is kept.
pub fn inside(args: &[String], talk: &Talk) -> Result<(ExitStatus, String), Failure> {
    let failed = |e: std::io::Error| Failure::Check(format!("`unshare` can't be started: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(program).args(args);
    // Never written to: its end tells the inner process that this one is gone, see `end_with_parent`.
    command.stdin(Stdio::piped());
    if matches!(talk, Talk::Kept) {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    }
    let mut child = command.spawn().map_err(failed)?;
    let watched = child.stdin.take();
    let mut said = String::new();
    if let Some(mut stream) = child.stderr.take() {
        stream.read_to_string(&mut said).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    drop(watched);
    Ok((status, said))
}

/// Called first in the inner process. As the first process of its namespace it gets no signal that it does not
/// ask for, so Ctrl-C at the outer one arrives as the end of stdin; and its own end is the end of all others.
pub fn settle() -> Result<(), Failure> {
    let watch = || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        std::process::exit(130);
    };
    let named = std::thread::Builder::new().name("parent".to_owned());
    named.spawn(watch).map_err(|e| Failure::Check(format!("no thread: {e}")))?;
    // The machine's own containerd would be found there, and used.
    sh("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    sh("ip", &["link", "set", "lo", "up"])
}

/// A program of the system that has nothing to say unless it fails.
pub fn sh(program: &str, args: &[&str]) -> Result<(), Failure> {
    let shown = format!("{program} {}", args.join(" "));
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::Check(format!("`{shown}` can't be started: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Check(format!("`{shown}` ended with {}: {}", output.status, said.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test, removed when dropped.
    struct Parent(PathBuf);

    impl Parent {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("quorate-scratch-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Parent {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_run_leaves_the_folders_of_others_alone_and_has_one_of_its_own() {
        let parent = Parent::new("shared");
        // Of one process here, as two containers may have one process id.
        let first = Scratch::new(&parent.0).expect("a folder");
        let second = Scratch::new(&parent.0).expect("another one");
        assert_ne!(first.folder, second.folder);
        assert!(first.folder.exists() && second.folder.exists());
        let gone = first.folder.clone();
        drop(first);
        assert!(!gone.exists() && second.folder.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next_one() {
        let parent = Parent::new("left");
        let killed = ["quorate-containers-1-0", "quorate-containers-2-0"].map(|name| parent.0.join(name));
        for folder in &killed {
            fs::create_dir_all(folder.join("draft")).expect("a folder");
        }
        fs::write(killed[0].join(LOCK), "").expect("a lock that nobody holds");
        let other = parent.0.join("bookworm");
        fs::create_dir_all(&other).expect("a folder");
        let next = Scratch::new(&parent.0).expect("a folder");
        assert!(killed.iter().all(|folder| !folder.exists()) && other.exists() && next.folder.exists());
    }
}
