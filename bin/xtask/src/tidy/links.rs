//! Links between the pages, and from pages into the code, lead somewhere.
//!
//! Checked against the list of files that git would give to a fresh clone, not against the disk: what only a build
//! makes does not exist for a reader.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::{Link, anchors, links};
use super::{Finding, Texts};

pub fn check(pages: &Texts, files: &BTreeSet<String>) -> Vec<Finding> {
    let anchors: BTreeMap<_, _> = pages.iter().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let mut found = Vec::new();
    for (path, text) in pages {
        for link in links(text).iter().filter(|link| !is_elsewhere(&link.target)) {
            if let Some(message) = broken(path, link, files, &anchors) {
                found.push(Finding::new(path, link.line, message));
            }
        }
    }
    found
}

/// Another site, an address to write to.
fn is_elsewhere(target: &str) -> bool {
    let scheme = target.split_once(':').map_or("", |(scheme, _)| scheme);
    target.starts_with("//")
        || (!scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))
}

fn broken(
    page: &str,
    link: &Link,
    files: &BTreeSet<String>,
    anchors: &BTreeMap<&str, Vec<String>>,
) -> Option<String> {
    let target = &link.target;
    let (file, anchor) =
        target.split_once('#').map_or((target.as_str(), None), |(file, name)| (file, Some(name)));
    let Some(path) = resolve(page, file) else {
        return Some(format!("`{target}` leads out of the repository"));
    };
    if !exists(&path, files) {
        return Some(format!("`{target}` leads to no file"));
    }
    // A bare `#` is the top. Anchors into code are lines, which the host of the repository makes.
    let (anchor, known) = (anchor.filter(|name| !name.is_empty())?, anchors.get(path.as_str())?);
    (!known.iter().any(|name| name == anchor)).then(|| format!("`{target}` leads to no heading"))
}

/// The path from the root that `target`, written in `page`, means; `/x` starts at the root, as on GitHub.
fn resolve(page: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(page.to_owned());
    }
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let start = if target.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// A file, or a folder that holds one.
fn exists(path: &str, files: &BTreeSet<String>) -> bool {
    let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
    files.contains(path) || files.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let other = "# First part\n";
        let pages = [("docs/a.md", text), ("docs/deep/b.md", other), ("README.md", "# Quorate\n")];
        let pages: Texts = pages.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        let mut files: BTreeSet<_> = pages.keys().cloned().collect();
        files.insert("crates/model/src/lib.rs".to_owned());
        check(&pages, &files).iter().map(Finding::to_string).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn links_to_files_folders_and_headings_pass() {
        let text = "# Own\n[1](deep/b.md) [2](../README.md#quorate) [3](./deep/b.md#first-part) [4](#own)
            [5](../crates/model/src/lib.rs#L7) [6](../crates/model) [7](/README.md) [8](../) [9](#)";
        assert_eq!(found(text), NONE);
    }

    #[test]
    fn other_sites_are_not_asked() {
        assert_eq!(found("[1](https://a.b/c.md) [2](mailto:a@b.c) [3](//a.b/c)"), NONE);
    }

    #[test]
    fn a_link_to_nothing_is_found_with_its_line() {
        assert_eq!(found("\n[1](gone.md)"), ["docs/a.md:2: `gone.md` leads to no file"]);
        assert_eq!(found("[1](../crates/mod)"), ["docs/a.md:1: `../crates/mod` leads to no file"]);
        assert_eq!(found("[1](../../x.md)"), ["docs/a.md:1: `../../x.md` leads out of the repository"]);
    }

    #[test]
    fn an_anchor_without_its_heading_is_found() {
        assert_eq!(found("[1](#none)"), ["docs/a.md:1: `#none` leads to no heading"]);
        assert_eq!(
            found("[1](deep/b.md#last-part)"),
            ["docs/a.md:1: `deep/b.md#last-part` leads to no heading"]
        );
    }
}
