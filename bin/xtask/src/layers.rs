//! `cargo xtask layers`: the crate table of the design, tested against what the manifests really say.
//!
//! A layer that only a page describes lasts until the first hurried import. So the table stands here a second
//! time, as data, and each rule names the crates that it lets through:
//!
//! 1. **inside**: a crate under `crates/` uses only what the table allows, and what that allows in turn;
//! 2. **outside**: a library with a cost (a runtime, an engine, a format) has named owners, so that replacing it
//!    touches those and no others;
//! 3. **pure**: the crates that decide link no runtime and no randomness, by any path, or replay is a promise
//!    that nobody can check.
//!
//! `bin/*` and `sim-tests` compose, so rule 1 leaves them free; they alone may name `quorate-node`.

use std::collections::BTreeSet;

use crate::metadata::{Dependency, Member, Metadata, Place};
use crate::workspace::{Failure, Workspace};

/// Crate → what it may use inside. Every crate may also use `model`.
const INSIDE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("state", &["model"]),
    ("routing", &["model", "state"]),
    ("codec", &["model", "state"]),
    ("api", &["model"]),
    ("rt", &[]),
    ("telemetry", &["model"]),
    ("storage", &["codec", "rt", "telemetry"]),
    ("consensus", &["state", "codec", "storage", "rt", "telemetry"]),
    ("proxy", &["routing", "rt", "telemetry"]),
    ("gateway", &["routing", "rt", "telemetry"]),
    // The original's ways between gateways. The program composes it: nothing of it is simulated.
    ("backplane", &["gateway", "rt"]),
    // `state` read only: lists and lookups are answered from the View itself. `routing` to explain what it decides.
    ("management", &["api", "state", "routing", "rt", "telemetry"]),
    ("client", &["api"]),
    ("controller", &["api", "client", "telemetry"]),
    (
        "node",
        &[
            "model",
            "state",
            "routing",
            "codec",
            "api",
            "rt",
            "telemetry",
            "storage",
            "consensus",
            "proxy",
            "gateway",
            "management",
        ],
    ),
];

/// A library that only some members may name in their manifests.
struct Owned {
    /// A trailing `*` stands for any ending.
    library: &'static str,
    /// Only these features are owned; the rest is free. Empty: the whole library is.
    features: &'static [&'static str],
    /// Names of crates, or `bin/*`, or `sim-tests`.
    owners: &'static [&'static str],
}

const OUTSIDE: &[Owned] = &[
    Owned { library: "openraft*", features: &[], owners: &["storage", "consensus", "rt"] },
    Owned { library: "sled", features: &[], owners: &["storage"] },
    Owned { library: "bincode", features: &[], owners: &["codec"] },
    Owned { library: "axum", features: &[], owners: &["management"] },
    Owned {
        library: "hyper*",
        features: &[],
        owners: &["rt", "proxy", "consensus", "management", "gateway", "client", "bin/*", "sim-tests"],
    },
    Owned { library: "redis", features: &[], owners: &["backplane"] },
    Owned { library: "rskafka", features: &[], owners: &["backplane", "bin/*"] },
    Owned { library: "reqwest", features: &[], owners: &["client"] },
    Owned { library: "imbl", features: &[], owners: &["state"] },
    Owned { library: "murmur2", features: &[], owners: &["routing"] },
    Owned {
        library: "tokio",
        features: &["net", "time", "rt-multi-thread", "full"],
        owners: &["rt", "client", "bin/*"],
    },
    Owned { library: "madsim", features: &[], owners: &["rt", "sim-tests"] },
];

const PURE: &[&str] = &["model", "state", "routing", "codec", "api"];
const IMPURE: &[&str] = &["tokio", "hyper", "rand", "madsim"];

/// One platform for everybody, the one that production runs on: the answer does not depend on who asks, and
/// nobody downloads the libraries of platforms that they don't have.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Checks the workspace as it stands.
pub fn run(workspace: &Workspace, _: &[String]) -> Result<(), Failure> {
    let manifest = workspace.root().join("Cargo.toml");
    let mut child =
        workspace.cargo(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM]);
    child.command.arg("--manifest-path").arg(manifest);
    let metadata = Metadata::parse(&child.output()?)
        .map_err(|error| Failure::Check(format!("`cargo metadata` is not as expected: {error}")))?;
    let found = check(&metadata);
    if found.is_empty() {
        eprintln!("layers: {} members keep to the table", metadata.members.len());
        return Ok(());
    }
    let table = "the table is in bin/xtask/src/layers.rs and in the design; change both, or the dependency";
    Err(Failure::Check(format!("layers: {} found\n  {}\n{table}", found.len(), found.join("\n  "))))
}

fn check(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for member in &metadata.members {
        check_inside(member, &mut found);
        check_outside(member, &mut found);
        check_pure(metadata, member, &mut found);
    }
    found
}

fn check_inside(member: &Member, found: &mut Vec<String>) {
    let name = match &member.place {
        Place::Bin(_) | Place::SimTests => return,
        Place::Elsewhere(folder) => {
            found.push(format!("{}: {folder} is neither crates/*, bin/* nor sim-tests", member.name));
            return;
        }
        Place::Crate(name) => name,
    };
    if member.name != format!("quorate-{name}") {
        found.push(format!("{}: crates/{name} must be the package quorate-{name}", member.name));
    }
    if !INSIDE.iter().any(|(row, _)| row == name) {
        found.push(format!("{}: has no row in the table", member.name));
        return;
    }
    let allowed = closure(name);
    for dependency in &member.dependencies {
        if let Some(used) = dependency.name.strip_prefix("quorate-")
            && !allowed.contains(used)
        {
            let names = allowed.iter().copied().collect::<Vec<_>>().join(", ");
            found.push(format!("{} uses {}; it may use: {names}", member.name, dependency.name));
        }
    }
}

/// Everything that `name` may use, by the table and by what the table allows those in turn.
fn closure(name: &str) -> BTreeSet<&'static str> {
    let row = |name: &str| INSIDE.iter().find(|(row, _)| *row == name).map_or(&[][..], |(_, uses)| uses);
    let mut allowed = BTreeSet::from(["model"]);
    let mut waiting = row(name).to_vec();
    while let Some(used) = waiting.pop() {
        if allowed.insert(used) {
            waiting.extend(row(used));
        }
    }
    allowed.remove(name);
    allowed
}

fn check_outside(member: &Member, found: &mut Vec<String>) {
    for dependency in &member.dependencies {
        for rule in OUTSIDE {
            if let Some(used) = owned_part(rule, dependency)
                && !owns(rule, &member.place)
            {
                found.push(format!("{} uses {used}, which only {} may", member.name, rule.owners.join(", ")));
            }
        }
    }
}

/// What of the dependency falls under the rule, in words.
fn owned_part(rule: &Owned, dependency: &Dependency) -> Option<String> {
    let named = match rule.library.strip_suffix('*') {
        Some(start) => dependency.name.starts_with(start),
        None => dependency.name == rule.library,
    };
    if !named {
        return None;
    }
    if rule.features.is_empty() {
        return Some(dependency.name.clone());
    }
    let features: Vec<_> =
        dependency.features.iter().filter(|used| rule.features.contains(&used.as_str())).collect();
    let names = features.iter().map(|feature| feature.as_str()).collect::<Vec<_>>().join(", ");
    (!features.is_empty()).then(|| format!("{} with {names}", dependency.name))
}

fn owns(rule: &Owned, place: &Place) -> bool {
    match place {
        Place::Crate(name) => rule.owners.contains(&name.as_str()),
        Place::Bin(_) => rule.owners.contains(&"bin/*"),
        Place::SimTests => rule.owners.contains(&"sim-tests"),
        Place::Elsewhere(_) => false,
    }
}

fn check_pure(metadata: &Metadata, member: &Member, found: &mut Vec<String>) {
    let Place::Crate(name) = &member.place else { return };
    if !PURE.contains(&name.as_str()) {
        return;
    }
    for library in IMPURE {
        if let Some(chain) = metadata.chain(&member.id, library) {
            found.push(format!("{} is pure, but links {library}: {}", member.name, chain.join(" -> ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata from lines `folder: dependency dependency+feature`; a folder without `/` is a library outside.
    fn metadata(lines: &str) -> Metadata {
        let (mut packages, mut nodes, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (folder, uses) = line.split_once(':').unwrap();
            let name = match folder.split_once('/') {
                Some(("crates", name)) => format!("quorate-{name}"),
                Some((_, name)) => name.to_owned(),
                None => folder.to_owned(),
            };
            if folder.contains('/') || folder == "sim-tests" {
                members.push(format!("{name:?}"));
            }
            let (declared, linked) = dependencies(uses);
            packages.push(format!(
                r#"{{"id": {name:?}, "name": {name:?}, "manifest_path": "/w/{folder}/Cargo.toml",
                    "dependencies": [{declared}]}}"#
            ));
            nodes.push(format!(r#"{{"id": {name:?}, "deps": [{linked}]}}"#));
        }
        let (packages, nodes, members) = (packages.join(","), nodes.join(","), members.join(","));
        let json = format!(
            r#"{{"workspace_root": "/w", "workspace_members": [{members}], "packages": [{packages}],
                "resolve": {{"nodes": [{nodes}]}}}}"#
        );
        Metadata::parse(json.as_bytes()).unwrap()
    }

    fn dependencies(uses: &str) -> (String, String) {
        let (mut declared, mut linked) = (Vec::new(), Vec::new());
        for used in uses.split_whitespace() {
            let (name, feature) = used.split_once('+').map_or((used, None), |(name, f)| (name, Some(f)));
            let features = feature.map_or(String::new(), |feature| format!("{feature:?}"));
            declared.push(format!(r#"{{"name": {name:?}, "kind": null, "features": [{features}]}}"#));
            linked.push(format!(r#"{{"pkg": {name:?}, "dep_kinds": [{{"kind": null}}]}}"#));
        }
        (declared.join(","), linked.join(","))
    }

    fn found(lines: &str) -> Vec<String> {
        check(&metadata(lines))
    }

    #[test]
    fn dependencies_downwards_pass() {
        let lines = "crates/model: serde
            crates/state: quorate-model imbl
            crates/routing: quorate-model quorate-state murmur2 http
            crates/rt: tokio+net hyper madsim openraft-rt quorate-model
            crates/proxy: quorate-routing quorate-state quorate-rt hyper-util
            crates/management: quorate-api quorate-state axum http
            crates/node: quorate-proxy quorate-management quorate-state
            crates/client: quorate-api reqwest tokio+time
            bin/quorate: quorate-node quorate-client tokio+rt-multi-thread
            sim-tests: quorate-node quorate-consensus madsim hyper";
        assert_eq!(found(lines), Vec::<String>::new());
    }

    #[test]
    fn an_upward_or_sideways_dependency_is_found_with_what_is_allowed() {
        assert_eq!(
            found("crates/state: quorate-routing"),
            ["quorate-state uses quorate-routing; it may use: model"]
        );
        assert_eq!(found("crates/proxy: quorate-management").len(), 1);
        assert_eq!(found("crates/model: quorate-model").len(), 1, "not even itself");
    }

    #[test]
    fn only_bins_and_the_simulation_name_the_node() {
        for (name, _) in INSIDE {
            assert_eq!(found(&format!("crates/{name}: quorate-node")).len(), 1, "{name}");
        }
    }

    #[test]
    fn the_node_uses_neither_client_nor_controller() {
        assert_eq!(found("crates/node: quorate-client quorate-controller").len(), 2);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(found("crates/common: serde"), ["quorate-common: has no row in the table"]);
        assert_eq!(found("tools/odd: serde"), ["odd: tools/odd is neither crates/*, bin/* nor sim-tests"]);
    }

    #[test]
    fn an_owned_library_is_found_outside_of_its_owners() {
        for (library, owner) in [
            ("openraft-rt-tokio", "consensus"),
            ("sled", "storage"),
            ("bincode", "codec"),
            ("axum", "management"),
            ("hyper", "proxy"),
            ("reqwest", "client"),
            ("madsim", "rt"),
        ] {
            assert_eq!(found(&format!("crates/{owner}: {library}")), Vec::<String>::new(), "{library}");
            assert_eq!(found(&format!("crates/telemetry: {library}")).len(), 1, "{library}");
        }
        assert_eq!(
            found("bin/quorate: sled"),
            ["quorate uses sled, which only storage may"],
            "an engine stays behind its trait for programs too"
        );
        assert_eq!(found("bin/quorate: madsim").len(), 1, "production carries no simulator");
    }

    #[test]
    fn tokio_itself_is_free_and_its_clock_sockets_and_threads_are_owned() {
        assert_eq!(found("crates/proxy: tokio+sync"), Vec::<String>::new());
        for feature in ["net", "time", "rt-multi-thread", "full"] {
            assert_eq!(
                found(&format!("crates/proxy: tokio+{feature}")),
                [format!("quorate-proxy uses tokio with {feature}, which only rt, client, bin/* may")]
            );
        }
    }

    #[test]
    fn a_pure_crate_that_links_a_runtime_by_a_detour_is_found_with_the_path() {
        let lines = "crates/routing: http-types
            http-types: fastrand rand
            rand: rand_core";
        assert_eq!(
            found(lines),
            ["quorate-routing is pure, but links rand: quorate-routing -> http-types -> rand"]
        );
        let impure_neighbour = "crates/proxy: body
            body: tokio";
        assert_eq!(found(impure_neighbour), Vec::<String>::new());
    }

    #[test]
    fn rows_name_known_crates_and_pure_crates_build_on_pure_crates() {
        let rows: BTreeSet<_> = INSIDE.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows.len(), INSIDE.len(), "one row each");
        for (row, uses) in INSIDE {
            assert!(uses.iter().all(|used| rows.contains(used)), "{row} names a crate without a row");
            assert!(!closure(row).contains("node"), "{row} may reach the node");
        }
        for pure in PURE {
            assert!(closure(pure).iter().all(|used| PURE.contains(used)), "{pure}");
        }
    }
}
