//! The checkout that a command works on, and the one way to start a child process in it.
//!
//! Children inherit the terminal and the caller's folder, so that a relative `CARGO_TARGET_DIR` means the same to
//! them as it means to the caller; only `git` is pinned to the root, since it answers in paths relative to where
//! it stands.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a command did not succeed; decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The caller asked for something that does not exist: exit 2.
    Usage(String),
    /// A check found something, or the machine refused: exit 1.
    Check(String),
    /// A child process ended badly: its exit code is passed on.
    Child { what: String, code: Option<i32> },
    /// Already told to the reader, who must find nothing printed after it.
    Reported { code: u8 },
}

/// How a check ended that did not fail.
#[derive(Debug)]
pub enum Done {
    /// It was made.
    Passed,
    /// It can't be made on this machine, and why.
    Skipped(String),
}

impl Failure {
    /// The exit code of the whole process; never 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Check(_) => 1,
            Self::Child { code, .. } => {
                code.and_then(|code| u8::try_from(code).ok()).map_or(1, |code| code.max(1))
            }
            Self::Reported { code } => *code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Check(message) => f.write_str(message),
            Self::Child { what, code: Some(code) } => write!(f, "`{what}` ended with exit code {code}"),
            Self::Child { what, code: None } => write!(f, "`{what}` was ended by a signal"),
            Self::Reported { code } => write!(f, "failed with exit code {code}"),
        }
    }
}

/// The checkout that `cargo xtask` was called in.
pub struct Workspace {
    root: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Reads what `cargo run` tells its child. At run time, not at compile time: a cached build that is shared
    /// between two clones must not check the other one.
    pub fn from_env() -> Result<Self, Failure> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = manifest.as_deref().and_then(|folder| folder.ancestors().nth(2));
        match (root, std::env::var_os("CARGO")) {
            (Some(root), Some(cargo)) => Ok(Self { root: root.to_owned(), cargo }),
            _ => Err(Failure::Usage("run this as `cargo xtask <command>`".to_owned())),
        }
    }

    /// Where what is costly to make is kept between runs, as `.ci/run` has it; nothing where no variable names one.
    pub fn cache() -> Option<PathBuf> {
        cache_by(|name| std::env::var_os(name))
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A call of the same cargo that built this program.
    pub fn cargo<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = Command::new(&self.cargo);
        command.args(args);
        Child { program: "cargo", command }
    }

    /// Every file that is, or would be, in the repository, as paths from the root: tracked ones and new ones that
    /// nothing ignores. Files deleted but not yet staged are left out.
    pub fn files(&self) -> Result<BTreeSet<String>, Failure> {
        let mut command = Command::new("git");
        command.current_dir(&self.root);
        command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = Child { program: "git", command }.output()?;
        let listed =
            String::from_utf8(listed).map_err(|_| Failure::Check("a file name is not UTF-8".to_owned()))?;
        let named = listed.split('\0').filter(|path| !path.is_empty());
        Ok(named.filter(|path| self.root.join(path).is_file()).map(str::to_owned).collect())
    }

    /// The text of one file of the repository.
    pub fn read(&self, path: &str) -> Result<String, Failure> {
        std::fs::read_to_string(self.root.join(path))
            .map_err(|error| Failure::Check(format!("{path}: can't be read as text: {error}")))
    }
}

/// An empty variable counts as one that is not set, as in a shell's `${NAME:-other}`.
fn cache_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("QUORATE_CI_CACHE").or_else(|| {
        let user = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
        user.map(|folder| folder.join("quorate-ci"))
    })
}

/// A child process that has not been started yet.
pub struct Child {
    program: &'static str,
    /// Open to changes of environment until it is started.
    pub command: Command,
}

impl Child {
    /// Runs it on our terminal until it ends.
    pub fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status().map_err(|error| self.not_started(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::Child { what: self.shown(), code: status.code() })
        }
    }

    /// Runs it and returns what it printed; its errors go to our terminal.
    pub fn output(mut self) -> Result<Vec<u8>, Failure> {
        let output =
            self.command.stderr(Stdio::inherit()).output().map_err(|error| self.not_started(&error))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Failure::Child { what: self.shown(), code: output.status.code() })
        }
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::Check(format!("`{}` can't be started: {error}", self.shown()))
    }

    /// The command line as a reader would type it.
    fn shown(&self) -> String {
        let args = self.command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        std::iter::once(self.program.to_owned()).chain(args).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
impl Workspace {
    /// A workspace for tests that start nothing.
    pub fn at(root: &str) -> Self {
        Self { root: root.into(), cargo: "cargo".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>) -> Failure {
        Failure::Child { what: "cargo test".to_owned(), code }
    }

    #[test]
    fn a_child_that_fails_passes_its_code_on_and_never_becomes_a_success() {
        assert_eq!(ended(Some(101)).exit_code(), 101);
        assert_eq!(ended(Some(0)).exit_code(), 1);
        assert_eq!(ended(Some(256)).exit_code(), 1);
        assert_eq!(ended(None).exit_code(), 1);
    }

    #[test]
    fn the_cache_is_where_the_first_variable_that_is_not_empty_says() {
        let of = |set: &[(&str, &str)]| {
            let found = cache_by(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            });
            found.map(|folder| folder.display().to_string()).unwrap_or_default()
        };
        let home = ("HOME", "/root");
        assert_eq!(of(&[("QUORATE_CI_CACHE", "/kept"), ("XDG_CACHE_HOME", "/x"), home]), "/kept");
        assert_eq!(of(&[("QUORATE_CI_CACHE", ""), ("XDG_CACHE_HOME", "/x"), home]), "/x/quorate-ci");
        assert_eq!(of(&[("QUORATE_CI_CACHE", ""), ("XDG_CACHE_HOME", ""), home]), "/root/.cache/quorate-ci");
        assert_eq!(of(&[("HOME", "")]), "");
    }

    #[test]
    fn a_failing_child_is_named_as_it_would_be_typed() {
        let child = Child { program: "sh", command: Command::new("/bin/sh") };
        let mut failing = child;
        failing.command.args(["-c", "exit 7"]);
        let failure = failing.run().expect_err("sh exits with 7");
        assert_eq!(failure.exit_code(), 7);
        assert_eq!(failure.to_string(), "`sh -c exit 7` ended with exit code 7");
    }
}
