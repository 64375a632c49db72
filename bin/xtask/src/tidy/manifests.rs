//! Every member takes its lints from the workspace, or `forbid(unsafe_code)` holds only where somebody thought of it.

use super::{Finding, Texts};

const ROOT: &str = "Cargo.toml";

pub fn check(manifests: &Texts) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in manifests {
        if path == ROOT {
            if !has(text, "workspace.lints.rust", "unsafe_code", "\"forbid\"") {
                found.push(Finding::new(path, 0, "[workspace.lints.rust] must say unsafe_code = \"forbid\""));
            }
        } else if !in_other_workspace(path, manifests) && !has(text, "lints", "workspace", "true") {
            found.push(Finding::new(path, 0, "must say `workspace = true` under [lints]"));
        }
    }
    found
}

/// Tools with a workspace of their own, such as the bench kit, are not members of ours.
fn in_other_workspace(path: &str, manifests: &Texts) -> bool {
    manifests.iter().any(|(other, text)| {
        let folder = other.strip_suffix(ROOT).unwrap_or(other);
        other != ROOT && path.starts_with(folder) && text.lines().any(|line| line.trim() == "[workspace]")
    })
}

/// True where the table `section` sets `key` to `value`.
fn has(text: &str, section: &str, key: &str, value: &str) -> bool {
    let header = format!("[{section}]");
    let after_header = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    after_header
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .any(|(name, set)| name.trim() == key && set.split('#').next().is_some_and(|set| set.trim() == value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        check(&texts).iter().map(Finding::to_string).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_member_without_the_lints_of_the_workspace_is_found() {
        let wrong = ["crates/a/Cargo.toml: must say `workspace = true` under [lints]"];
        assert_eq!(found(&[("crates/a/Cargo.toml", "[package]\n[lints]\nworkspace = true # all\n")]), NONE);
        assert_eq!(found(&[("crates/a/Cargo.toml", "[package]\nversion.workspace = true\n")]), wrong);
        assert_eq!(found(&[("crates/a/Cargo.toml", "[lints]\n[dependencies]\nworkspace = true\n")]), wrong);
        assert_eq!(found(&[("crates/a/Cargo.toml", "[lints]\nworkspace = false\n")]), wrong);
    }

    #[test]
    fn a_workspace_that_allows_unsafe_code_is_found() {
        assert_eq!(found(&[("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n")]), NONE);
        assert_eq!(found(&[("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"deny\"\n")]).len(), 1);
        assert_eq!(found(&[("Cargo.toml", "[workspace]\n")]).len(), 1);
    }

    #[test]
    fn tools_with_a_workspace_of_their_own_are_left_alone() {
        let own = ("bin/bench/load/Cargo.toml", "[package]\n[workspace]\n");
        let below = ("bin/bench/load/inner/Cargo.toml", "[package]\n");
        let beside = ("bin/bench/other/Cargo.toml", "[package]\n");
        assert_eq!(found(&[own, below, beside]).len(), 1);
    }
}
