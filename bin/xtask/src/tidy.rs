//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a pure function from text to findings, in a file of its own; this one only walks the repository.
//! Every finding names file and line, and all of them are told at once: one round trip, not ten.

mod code;
mod links;
mod manifests;
mod markdown;
mod sizes;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::workspace::{Failure, Workspace};

/// What headings of a page are called in links.
pub use markdown::anchors;

const EXCEPTIONS: &str = "bin/xtask/tidy-exceptions.txt";

/// One broken rule at one place. Ordered by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 is the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// The text of some files, by their paths from the root.
type Texts = BTreeMap<String, String>;

/// Checks the working tree, new files included.
pub fn run(workspace: &Workspace, _: &[String]) -> Result<(), Failure> {
    let files = workspace.files()?;
    let found = check(workspace, &files)?;
    if found.is_empty() {
        eprintln!("tidy: {} files are tidy", files.len());
        return Ok(());
    }
    let lines: Vec<_> = found.iter().map(|finding| format!("\n  {finding}")).collect();
    Err(Failure::Check(format!("tidy: {} found{}", found.len(), lines.concat())))
}

fn check(workspace: &Workspace, files: &BTreeSet<String>) -> Result<Vec<Finding>, Failure> {
    let ending = |end: &str| read_all(workspace, files.iter().filter(|path| path.ends_with(end)));
    let (rust, pages, manifests) = (ending(".rs")?, ending(".md")?, ending("Cargo.toml")?);
    let sources: BTreeMap<_, _> =
        rust.iter().map(|(path, text)| (path.clone(), code::Source::new(text))).collect();

    let mut found = sizes::check(&sources, EXCEPTIONS, &workspace.read(EXCEPTIONS)?);
    found.extend(words::check(&sources));
    found.extend(manifests::check(&manifests));
    found.extend(links::check(&pages, files));
    for (path, text) in &pages {
        found.extend(markdown::machine_paths(path, text));
    }
    found.sort();
    Ok(found)
}

fn read_all<'a>(workspace: &Workspace, paths: impl Iterator<Item = &'a String>) -> Result<Texts, Failure> {
    paths.map(|path| Ok((path.clone(), workspace.read(path)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_where_an_editor_can_jump_to() {
        assert_eq!(Finding::new("a.rs", 7, "too long").to_string(), "a.rs:7: too long");
        assert_eq!(Finding::new("a.rs", 0, "too long").to_string(), "a.rs: too long");
    }
}
