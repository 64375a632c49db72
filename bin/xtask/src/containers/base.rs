//! The base image of the Dockerfile, made here: no registry is asked.
//!
//! A minimal Debian with a C compiler, the Rust of this machine, and the crates that cargo has already fetched.
//! The Dockerfile can't tell it from the official image; only the network is missing, so cargo is told to be
//! offline.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::engine::Engine;
use super::machine::import;
use super::namespace::sh;
use crate::workspace::{Failure, Workspace};

/// As in the Dockerfile.
pub const NAME: &str = "rust:1.95-bookworm";
const SUITE: &str = "bookworm";
const PACKAGES: &str = "gcc,libc6-dev,ca-certificates";

/// The folder of the Debian, kept from run to run. Called where the network is.
pub fn debian(scratch: &Path) -> Result<PathBuf, Failure> {
    let cache = cache_folder();
    let root = cache.join(format!("{SUITE}-{}", PACKAGES.replace(',', "-")));
    if root.exists() {
        return Ok(root);
    }
    let failed = |e: std::io::Error| Failure::Check(format!("{}: {e}", cache.display()));
    fs::create_dir_all(&cache).map_err(failed)?;
    eprintln!("containers: a minimal Debian is made once and kept in {}", root.display());
    // On the file system of its place, so that it is there whole or not at all; and it goes with the scratch folder
    // if this is killed. What debootstrap mounts goes with its namespace.
    let draft = scratch.join("draft");
    let include = format!("--include={PACKAGES}");
    let place = draft.display().to_string();
    sh("unshare", &["--mount", "debootstrap", "--variant=minbase", &include, SUITE, &place])?;
    for needless in
        ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "dev", "proc", "sys"]
    {
        let _ = fs::remove_dir_all(draft.join(needless));
    }
    match fs::rename(&draft, &root) {
        // Another run was quicker.
        Err(_) if root.exists() => Ok(root),
        renamed => renamed.map(|()| root).map_err(failed),
    }
}

/// Sees to it that all crates are on this machine. Called where the network is.
pub fn fetch(workspace: &Workspace) -> Result<(), Failure> {
    let about = said_by("rustc", &["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::Check(format!("`rustc -vV` names no host: {about}")))?;
    workspace.cargo(["fetch", "--locked", "--quiet", "--target", host]).run()
}

/// Beside the target folder of CI, or in it.
pub fn cache_folder() -> PathBuf {
    Workspace::cache().unwrap_or_else(std::env::temp_dir).join("containers")
}

/// Gives the engine the image, with a Rust that builds offline.
pub fn provide(engine: &Engine, debian: &Path) -> Result<(), Failure> {
    let rust = from_root(&said_by("rustc", &["--print", "sysroot"])?);
    let registry = from_root(&cargo_home().join("registry").display().to_string());
    let mut tar = Command::new("tar");
    tar.args(["--create", "--exclude=lib/rustlib/src"]);
    // Names only: links inside of the toolchain are relative.
    tar.arg(format!("--transform=flags=rSh;s,^{rust},usr/local/rust,"));
    tar.arg(format!("--transform=flags=rSh;s,^{registry},usr/local/cargo/registry,"));
    tar.arg("--directory").arg(debian).args([".", "--directory=/"]);
    tar.args(["bin/cargo", "bin/rustc", "lib"].map(|part| format!("{rust}/{part}")));
    tar.args(["index", "cache"].map(|part| format!("{registry}/{part}")));
    import_as_base(engine, tar)
}

/// As [`provide`], with a cargo that builds nothing and hands out a program that is already there: the same
/// Dockerfile in seconds, for those who work on the test itself.
pub fn provide_built(engine: &Engine, scratch: &Path, debian: &Path, binary: &Path) -> Result<(), Failure> {
    let folder = scratch.join("built");
    let bin = folder.join("usr/local/rust/bin");
    let failed = |e: std::io::Error| Failure::Check(format!("{}: {e}", binary.display()));
    fs::create_dir_all(&bin).map_err(failed)?;
    fs::copy(binary, bin.join("quorate")).map_err(failed)?;
    let script = "#!/bin/sh\nmkdir -p /target/release && cp /usr/local/rust/bin/quorate /target/release/\n";
    fs::write(bin.join("cargo"), script).map_err(failed)?;
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--directory").arg(debian).arg(".");
    // The engine refuses an archive that has a folder twice.
    tar.arg("--directory").arg(&folder).arg("usr/local/rust");
    import_as_base(engine, tar)
}

fn import_as_base(engine: &Engine, tar: Command) -> Result<(), Failure> {
    let paths = "/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let env = format!("ENV PATH={paths} CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true");
    import(engine, tar, &["--change", &env, "-", NAME])
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").filter(|value| !value.is_empty()).map_or_else(home, PathBuf::from)
}

fn from_root(path: &str) -> String {
    path.trim().trim_start_matches('/').to_owned()
}

fn said_by(program: &str, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|e| Failure::Check(format!("`{program}` can't be started: {e}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
