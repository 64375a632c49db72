//! The test runs itself again inside of new namespaces of network, mounts and processes.
//!
//! What an engine leaves behind when it is killed (bridges, firewall rules, mounts, containers) lives in these, and
//! the kernel removes them with the last process. A folder and a cgroup remain, which the outer process removes; if
//! it is killed itself, the next run does.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::engine;
use crate::workspace::Failure;

const PREFIX: &str = "quorate-containers-";

/// The folder for everything that a run writes; removed when dropped.
pub struct Scratch {
    pub folder: PathBuf,
}

impl Scratch {
    /// In this folder, named after this process.
    pub fn new(parent: &Path) -> Result<Self, Failure> {
        remove_leftovers(parent);
        let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|e| Failure::Check(format!("{}: {e}", folder.display())))?;
        Ok(Self { folder })
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

/// Of runs whose process is gone.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|id| id.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(&entry.path());
        }
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
