//! Programs of others: whether they are there, and Python's packages.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// With the package of Debian that has each.
const PROGRAMS: [(&str, &str); 5] = [
    ("nginx", "nginx-light"),
    ("h2load", "nghttp2-client"),
    ("wrk", "wrk"),
    ("curl", "curl"),
    ("setpriv", "util-linux"),
];
/// From PyPI. A new version is a new environment.
const PACKAGES: [&str; 3] = ["grpcio==1.85.1", "h2==4.4.1", "websockets==17.4"];
/// How often PyPI is asked: it may be away for a moment.
const TRIES: u32 = 3;

/// Whether all of these are there. A test that hears `false` has nothing to do.
pub fn has(programs: &[&str]) -> bool {
    let missing = |program: &&&str| !is_there(program);
    let Some(program) = programs.iter().find(missing) else { return true };
    let package = PROGRAMS.iter().find(|(name, _)| name == program).map_or(*program, |(_, package)| package);
    skip(&format!("there is no {program}; Debian's package {package} has it"))
}

/// The interpreter that has the packages. A test that hears `None` has nothing to do.
pub fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PYTHON.get_or_init(environment) {
        Ok(python) => Some(python),
        Err(reason) => {
            skip(reason);
            None
        }
    }
}

fn skip(reason: &str) -> bool {
    assert!(std::env::var("QUORATE_GATEWAY").as_deref() != Ok("require"), "nothing may be skipped: {reason}");
    println!("skipped: {reason}");
    false
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
}

/// Kept between runs, and made by one process at a time.
fn environment() -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("QUORATE_CI_CACHE").or_else(|| {
        let user = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        user.map(|folder| folder.join("quorate-ci"))
    });
    let folder = cache.ok_or("neither QUORATE_CI_CACHE nor HOME is set")?.join("gateway");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lock = std::fs::File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let folder = folder.join(PACKAGES.join("-").replace("==", "-"));
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if complete.exists() {
        return Ok(python);
    }
    // What a run that was cut short left behind.
    let _ = std::fs::remove_dir_all(&folder);
    let mut venv = Command::new("python3");
    carried_out(venv.args(["-m", "venv"]).arg(&folder))?;
    let install = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        // A wheel or nothing: a compiler would be busy for many minutes.
        carried_out(pip.args(["--only-binary", ":all:"]).args(PACKAGES))
    };
    let mut installed = install();
    for _ in 1..TRIES {
        installed = installed.or_else(|_| install());
    }
    installed?;
    std::fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    Ok(python)
}

fn carried_out(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("it says nothing");
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}
