//! What `cargo metadata` says about the workspace, cut down to what the layer rules ask.
//!
//! Only normal dependencies are kept: what a crate links into the product. Tests may use anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use serde_json::Value;

/// Where a member of the workspace lives, which decides what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `crates/<name>`
    Crate(String),
    /// `bin/<name>`
    Bin(String),
    /// `sim-tests`
    SimTests,
    /// Anywhere else: refused, since no rule speaks of it.
    Elsewhere(String),
}

/// One normal dependency, as the member's own manifest declares it (for any platform or `cfg`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    pub name: String,
    pub features: Vec<String>,
}

/// One member of the workspace.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: String,
    pub name: String,
    pub place: Place,
    pub dependencies: Vec<Dependency>,
}

/// The members, and the resolved graph of normal dependencies between all packages.
#[derive(Debug)]
pub struct Metadata {
    pub members: Vec<Member>,
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Metadata {
    /// Reads the JSON of `cargo metadata --format-version 1`; the error says what was missing in it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let root: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let folder = text(&root, "workspace_root")?;
        let member_ids: BTreeSet<&str> =
            list(&root, "workspace_members")?.iter().filter_map(Value::as_str).collect();
        let mut names = BTreeMap::new();
        let mut members = Vec::new();
        for package in list(&root, "packages")? {
            let id = text(package, "id")?;
            names.insert(id.to_owned(), text(package, "name")?.to_owned());
            if member_ids.contains(id) {
                members.push(member(package, Path::new(folder))?);
            }
        }
        let resolve = root.get("resolve").ok_or("`resolve` is missing")?;
        Ok(Self { members, names, edges: edges(resolve)? })
    }

    /// The shortest chain of package names from `from` to a package called `name`, both included.
    pub fn chain<'a>(&'a self, from: &'a str, name: &str) -> Option<Vec<&'a str>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = VecDeque::from([from]);
        while let Some(id) = waiting.pop_front() {
            if id != from && self.name(id) == name {
                return Some(self.walk_back(&came_from, from, id));
            }
            for next in self.edges.get(id).into_iter().flatten() {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, id);
                    waiting.push_back(next);
                }
            }
        }
        None
    }

    fn walk_back<'a>(
        &'a self,
        came_from: &BTreeMap<&'a str, &'a str>,
        from: &str,
        to: &'a str,
    ) -> Vec<&'a str> {
        let mut chain = vec![self.name(to)];
        let mut at = to;
        while at != from {
            at = came_from[at];
            chain.push(self.name(at));
        }
        chain.reverse();
        chain
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

fn member(package: &Value, root: &Path) -> Result<Member, String> {
    let mut dependencies = Vec::new();
    for dependency in list(package, "dependencies")? {
        // A normal dependency has `null` for its kind.
        if dependency.get("kind").is_some_and(Value::is_null) {
            let features = list(dependency, "features")?.iter().filter_map(Value::as_str).map(str::to_owned);
            dependencies.push(Dependency {
                name: text(dependency, "name")?.to_owned(),
                features: features.collect(),
            });
        }
    }
    Ok(Member {
        id: text(package, "id")?.to_owned(),
        name: text(package, "name")?.to_owned(),
        place: place(Path::new(text(package, "manifest_path")?), root),
        dependencies,
    })
}

fn place(manifest: &Path, root: &Path) -> Place {
    let folder = manifest.parent().unwrap_or(manifest);
    let folder = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().into_owned();
    match folder.split('/').collect::<Vec<_>>()[..] {
        ["crates", name] => Place::Crate(name.to_owned()),
        ["bin", name] => Place::Bin(name.to_owned()),
        ["sim-tests"] => Place::SimTests,
        _ => Place::Elsewhere(folder),
    }
}

fn edges(resolve: &Value) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut edges = BTreeMap::new();
    for node in list(resolve, "nodes")? {
        let mut to = Vec::new();
        for dependency in list(node, "deps")? {
            if list(dependency, "dep_kinds")?.iter().any(|kind| kind.get("kind").is_some_and(Value::is_null))
            {
                to.push(text(dependency, "pkg")?.to_owned());
            }
        }
        edges.insert(text(node, "id")?.to_owned(), to);
    }
    Ok(edges)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("`{key}` is missing or no string"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| format!("`{key}` is missing or no list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{
        "workspace_root": "/w",
        "workspace_members": ["model", "state", "cli", "sim", "odd"],
        "packages": [
            {"id": "model", "name": "quorate-model", "manifest_path": "/w/crates/model/Cargo.toml", "dependencies": [
                {"name": "serde", "kind": null, "features": ["derive"]},
                {"name": "proptest", "kind": "dev", "features": []}]},
            {"id": "state", "name": "quorate-state", "manifest_path": "/w/crates/state/Cargo.toml", "dependencies": []},
            {"id": "cli", "name": "quorate", "manifest_path": "/w/bin/quorate/Cargo.toml", "dependencies": []},
            {"id": "sim", "name": "quorate-sim-tests", "manifest_path": "/w/sim-tests/Cargo.toml", "dependencies": []},
            {"id": "odd", "name": "odd", "manifest_path": "/w/tools/odd/Cargo.toml", "dependencies": []},
            {"id": "serde", "name": "serde", "manifest_path": "/r/serde/Cargo.toml", "dependencies": []}],
        "resolve": {"nodes": [
            {"id": "state", "deps": [{"pkg": "model", "dep_kinds": [{"kind": null}]}]},
            {"id": "model", "deps": [
                {"pkg": "serde", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
                {"pkg": "state", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "serde", "deps": []}]}
    }"#;

    #[test]
    fn members_keep_their_place_and_their_normal_dependencies() {
        let metadata = Metadata::parse(SMALL.as_bytes()).unwrap();
        let places: Vec<_> = metadata.members.iter().map(|member| member.place.clone()).collect();
        let own = |name: &str| Place::Crate(name.to_owned());
        let bin = Place::Bin("quorate".to_owned());
        assert_eq!(
            places,
            [own("model"), own("state"), bin, Place::SimTests, Place::Elsewhere("tools/odd".to_owned())]
        );
        let serde = Dependency { name: "serde".to_owned(), features: vec!["derive".to_owned()] };
        assert_eq!(metadata.members[0].dependencies, [serde]);
    }

    #[test]
    fn a_chain_follows_normal_dependencies_only() {
        let metadata = Metadata::parse(SMALL.as_bytes()).unwrap();
        assert_eq!(metadata.chain("state", "serde"), Some(vec!["quorate-state", "quorate-model", "serde"]));
        assert_eq!(metadata.chain("model", "quorate-state"), None);
        assert_eq!(metadata.chain("model", "tokio"), None);
    }

    #[test]
    fn a_format_that_we_do_not_know_is_an_error_that_says_what_is_missing() {
        let error = Metadata::parse(br#"{"workspace_root": "/w"}"#).expect_err("no members");
        assert_eq!(error, "`workspace_members` is missing or no list");
        assert!(Metadata::parse(b"not json").is_err());
    }
}
