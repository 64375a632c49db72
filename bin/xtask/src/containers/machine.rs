//! Whether this machine can run the test at all: what is missing is a reason to skip, never a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::base;
use super::engine::Engine;
use super::image;
use super::namespace::{Talk, inside, settle};
use crate::workspace::Failure;

/// Free room for the base image, the build and the data of nodes; two of it were used.
const ROOM_GIB: u64 = 4;
/// Programs, with the Debian packages that have them.
const PROGRAMS: &[(&str, &str)] = &[
    ("dockerd", "docker.io"),
    ("docker", "docker-cli, or docker.io before Debian 13"),
    ("debootstrap", "debootstrap"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

/// Why the test can't run here.
pub fn lacks(folder: &Path) -> Result<Option<String>, Failure> {
    if !fs::read_to_string("/proc/self/status").unwrap_or_default().contains("\nUid:\t0\t0") {
        return Ok(Some("it takes root to run a container engine".to_owned()));
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| !is_program(program)) {
        return Ok(Some(format!("`{program}` is not installed (Debian: {package})")));
    }
    let args = ["containers", "--inside-probe"].map(str::to_owned);
    let (status, said) = inside(&[&args[..], &[folder.display().to_string()]].concat(), &Talk::Kept)?;
    if !status.success() {
        return Ok(Some(format!("no container engine can run here: {}", said.trim().replace('\n', "; "))));
    }
    let room = room_gib(folder)?;
    if room < ROOM_GIB {
        return Ok(Some(format!("{} has {room} GiB of room, {ROOM_GIB} are needed", folder.display())));
    }
    // The base image takes a mirror of Debian's, once.
    Ok(base::debian(folder).err().map(|e| format!("there is no base image: {e}")))
}

fn room_gib(folder: &Path) -> Result<u64, Failure> {
    let output = Command::new("df").args(["--output=avail", "--block-size=1G"]).arg(folder).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let room = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
    room.ok_or_else(|| Failure::Check(format!("`df` does not tell the room of {}: {text}", folder.display())))
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Inside of the namespaces: an engine that answers, a container that runs on a network, and an image that is built.
pub fn probe(folder: &Path) -> Result<(), Failure> {
    settle()?;
    let engine = Engine::start(folder)?;
    let result = try_out(&engine, folder);
    engine.stop();
    result
}

fn try_out(engine: &Engine, folder: &Path) -> Result<(), Failure> {
    let driver = engine.docker(["info", "--format", "{{.Driver}}"])?;
    if driver == "vfs" {
        let why = "the engine would copy each layer whole (storage driver vfs), for which there is no room";
        return Err(Failure::Check(why.to_owned()));
    }
    let files = linked_to(Path::new("/usr/bin/true"))?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--dereference", "--directory", "/"]).args(files);
    import(engine, tar, &["-", "probe"])?;
    engine.docker(["network", "create", "probe"])?;
    let args = ["--network", "probe", "--read-only", "probe", "/usr/bin/true"].map(str::to_owned);
    let ended = engine.run_to_end("probe", &args)?;
    if ended.code != 0 {
        return Err(Failure::Check(format!("a container ended with {}: {}", ended.code, ended.said)));
    }
    builds(engine, &folder.join("probe"))
}

/// As the image is built: with BuildKit, which newer clients have in a plugin that may be missing.
fn builds(engine: &Engine, context: &Path) -> Result<(), Failure> {
    let file = "FROM probe\nRUN [\"/usr/bin/true\"]\n";
    let written = fs::create_dir_all(context).and_then(|()| fs::write(context.join("Dockerfile"), file));
    written.map_err(|e| Failure::Check(format!("{}: {e}", context.display())))?;
    let mut command = engine.client(["build", "--progress", "plain"]);
    command.arg(context);
    let needed = "since Docker 23 its client builds with a plugin (Debian: docker-buildx)";
    image::run(command).map_err(|e| Failure::Check(format!("no image can be built; {needed}: {e}")))
}

/// A program and its libraries, as paths from the root.
fn linked_to(program: &Path) -> Result<Vec<PathBuf>, Failure> {
    let output = Command::new("ldd").arg(program).stdin(Stdio::null()).output();
    let output = output.map_err(|e| Failure::Check(format!("`ldd` can't be started: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let all = std::iter::once(program.to_owned()).chain(libraries);
    Ok(all.filter_map(|path| path.strip_prefix("/").map(Path::to_owned).ok()).collect())
}

/// `docker import` of what `tar` writes.
pub fn import(engine: &Engine, mut tar: Command, args: &[&str]) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Check(format!("`tar` can't be read: {e}"));
    let mut tar = tar.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let stream = tar.stdout.take().ok_or_else(|| Failure::Check("`tar` has no output".to_owned()))?;
    // Dropped at the end of the line: while the reading end of the pipe is open, a `tar` that nobody reads waits.
    let output = engine.client(["import"]).args(args).stdin(stream).output().map_err(failed)?;
    let packed = tar.wait().map_err(failed)?;
    if output.status.success() && packed.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::Check(format!("tar ended with {packed}, docker import with {}: {said}", output.status)))
}

/// How long the test waits for one thing.
pub const PATIENCE: Duration = Duration::from_secs(60);
