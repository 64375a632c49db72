//! A disk that loses what was not synced: what the power of a machine takes with it, for one process.
//!
//! `power.c` tells how the node's syncs are followed. A power loss ends the process and puts back what was synced,
//! and of the rest as much as chance decides, sector by sector: a disk may write what it likes before it is told to.

use crate::{machine::works, support::node::Node};
use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, RandomState},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const SECTOR: usize = 512;

/// The disk's honesty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// What is synced stays.
    Honest,
    /// What the log syncs is forgotten all the same.
    Lying,
}

/// How much of what was not synced is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    Everything,
    /// Each sector, each file's length and each folder's names, or not, as chance has it.
    Some,
}

/// Why no disk can forget here, if none can.
pub fn missing() -> Option<&'static str> {
    (!works("gcc", &["--version"])).then_some("`gcc`, which makes the disk that forgets, is missing")
}

/// Makes the library that follows the syncs.
pub fn library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/power.c");
    let library = folder.join("power.so");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-lpthread"]);
    assert!(gcc.status().expect("gcc starts").success());
    library
}

fn shadow(node: &Node) -> PathBuf {
    node.data.with_extension("shadow")
}

/// Puts a node, which has not run yet, on such a disk.
pub fn put_on_forgetful_disk(node: &mut Node, library: &Path, disk: Disk) {
    fs::create_dir(shadow(node)).expect("made");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    node.environment = vec![
        ("LD_PRELOAD".into(), text(library)),
        ("QUORATE_POWER_ROOT".into(), text(&node.data)),
        ("QUORATE_POWER_SHADOW".into(), text(&shadow(node))),
    ];
    if disk == Disk::Lying {
        node.environment.push(("QUORATE_POWER_LIE".into(), "1".into()));
    }
}

/// Takes the power of a node: it ends at once, and its disk has only what it must have.
pub fn lose_power(node: &mut Node, loss: Loss) {
    node.kill();
    let gone = Remains::of(node, loss);
    let before = node.data.with_extension("before");
    let inode = fs::metadata(&node.data).expect("it has run").ino();
    fs::rename(&node.data, &before).expect("renamed");
    gone.restore_folder(inode, &node.data);
    for folder in [before, shadow(node)] {
        fs::remove_dir_all(&folder).expect("removed");
    }
    fs::create_dir(shadow(node)).expect("made");
    // After the loss everything that is there is on the disk.
    keep_all(&node.data, &shadow(node));
}

fn keep_all(folder: &Path, shadow: &Path) {
    let mut names = String::new();
    for (name, path) in entries(folder) {
        let metadata = fs::metadata(&path).expect("it is there");
        let kind = if metadata.is_dir() { "d" } else { "f" };
        names += &format!("{kind} {} {name}\n", metadata.ino());
        if metadata.is_dir() {
            keep_all(&path, shadow);
        } else {
            fs::copy(&path, shadow.join(format!("file.{}", metadata.ino()))).expect("copied");
        }
    }
    let inode = fs::metadata(folder).expect("it is there").ino();
    fs::write(shadow.join(format!("dir.{inode}")), names).expect("written");
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("readable");
        (entry.file_name().into_string().expect("UTF-8"), entry.path())
    };
    fs::read_dir(folder).expect("a folder").map(entry).collect()
}

/// What is left of a node's folder.
struct Remains {
    shadow: PathBuf,
    loss: Loss,
    /// What the page cache had.
    cached: BTreeMap<u64, Vec<u8>>,
    /// Names as the page cache had them: kind, inode and name.
    cached_names: BTreeMap<u64, Vec<(bool, u64, String)>>,
    chance: RandomState,
}

impl Remains {
    fn of(node: &Node, loss: Loss) -> Self {
        let (cached, cached_names) = (BTreeMap::new(), BTreeMap::new());
        let mut gone = Self { shadow: shadow(node), loss, cached, cached_names, chance: RandomState::new() };
        gone.read_cached(&node.data);
        for (name, path) in entries(&gone.shadow) {
            if let Some(inode) = name.strip_prefix("keep.") {
                let bytes = fs::read(path).expect("readable");
                gone.cached.insert(inode.parse().expect("a number"), bytes);
            }
        }
        gone
    }

    fn read_cached(&mut self, folder: &Path) {
        let mut names = Vec::new();
        for (name, path) in entries(folder) {
            let metadata = fs::metadata(&path).expect("it is there");
            names.push((metadata.is_dir(), metadata.ino(), name));
            if metadata.is_dir() {
                self.read_cached(&path);
            } else {
                self.cached.insert(metadata.ino(), fs::read(&path).expect("readable"));
            }
        }
        self.cached_names.insert(fs::metadata(folder).expect("it is there").ino(), names);
    }

    /// Whether something that nobody synced is there all the same.
    fn survives(&self, inode: u64, part: usize) -> bool {
        self.loss == Loss::Some && self.chance.hash_one((inode, part)).is_multiple_of(2)
    }

    fn restore_folder(&self, inode: u64, to: &Path) {
        fs::create_dir(to).expect("made");
        for (is_folder, inode, name) in self.names(inode) {
            if is_folder {
                self.restore_folder(inode, &to.join(name));
            } else {
                fs::write(to.join(name), self.content(inode)).expect("written");
            }
        }
    }

    fn names(&self, inode: u64) -> Vec<(bool, u64, String)> {
        if let Some(names) = self.cached_names.get(&inode).filter(|_| self.survives(inode, usize::MAX)) {
            return names.clone();
        }
        // A folder that was never synced is empty.
        let text = fs::read_to_string(self.shadow.join(format!("dir.{inode}"))).unwrap_or_default();
        let name = |line: &str| {
            let (kind, rest) = line.split_once(' ').expect("a kind");
            let (inode, name) = rest.split_once(' ').expect("an inode");
            (kind == "d", inode.parse().expect("a number"), name.to_owned())
        };
        text.lines().map(name).collect()
    }

    fn content(&self, inode: u64) -> Vec<u8> {
        // A file that was never synced may have a name, and nothing in it.
        let mut bytes = fs::read(self.shadow.join(format!("file.{inode}"))).unwrap_or_default();
        let cached = self.cached.get(&inode).unwrap_or(&bytes).clone();
        if self.survives(inode, usize::MAX) {
            bytes.resize(cached.len(), 0);
        }
        for (nth, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            let at = nth * SECTOR;
            let cached = cached.get(at..).unwrap_or_default();
            let length = sector.len().min(cached.len());
            if self.survives(inode, nth) {
                sector[..length].copy_from_slice(&cached[..length]);
            }
        }
        bytes
    }
}
