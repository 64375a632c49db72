//! `cargo xtask manifests`: what `deploy/` tells Kubernetes, without a Kubernetes.
//!
//! Three looks at the same documents. `kubectl kustomize` renders each kustomization, as a user's `apply -k` would; the
//! published schemas of the oldest and the newest supported version check each rendered field (`--strict`: a misspelt
//! one is an error, where an API server would drop it); and rules of our own hold what no schema knows, such as that
//! the grace period is longer than the drain. The alerts are parsed, and tried on made-up series.

mod alerts;
mod cluster;
mod document;
mod page;
mod pods;
mod tools;

use std::collections::BTreeMap;

use crate::workspace::{Done, Failure, Workspace};
use document::Rendered;
use tools::Tools;

const DEPLOY: &str = "deploy/";
/// `require`: what can't be checked on this machine fails.
const VARIABLE: &str = "QUORATE_MANIFESTS";

/// What names the version of the image and is no manifest.
const WITH_VERSION: [&str; 6] = [
    "deploy/compose/compose.yaml",
    "deploy/docker/Dockerfile",
    "deploy/examples/2-secret.sh",
    "deploy/examples/README.md",
    "docs/compose.md",
    "docs/kubernetes.md",
];

/// Checks all manifests; with `--tools`, only looks whether that could be done here.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    match args {
        [] => {
            if let Done::Skipped(why) = step(workspace)? {
                eprintln!("manifests: skipped: {why}");
            }
            Ok(())
        }
        [flag] if flag == "--tools" => Tools::find().and_then(Tools::whole).map(drop).map_err(impossible),
        _ => Err(Failure::Usage(format!("`manifests` takes --tools only; got `{}`", args.join(" ")))),
    }
}

/// As a step of CI.
pub fn step(workspace: &Workspace) -> Result<Done, Failure> {
    let required = std::env::var(VARIABLE).is_ok_and(|value| value == "require");
    let found = Tools::find().and_then(|tools| if required { tools.whole() } else { Ok(tools) });
    match found {
        Ok(tools) => check(workspace, &tools).map(|()| Done::Passed),
        Err(why) if required => Err(impossible(why)),
        Err(why) => Ok(Done::Skipped(why)),
    }
}

fn impossible(why: String) -> Failure {
    Failure::Check(format!("manifests can't be checked here: {why}"))
}

fn check(workspace: &Workspace, tools: &Tools) -> Result<(), Failure> {
    let rendered = render(workspace, tools)?;
    let facts = Facts::read(workspace)?;
    let mut found = Vec::new();
    for (path, documents) in &rendered {
        let here = cluster::check(documents, &facts)
            .into_iter()
            .chain(pods::check(documents, &facts))
            .chain(alerts::check(documents, &facts));
        found.extend(here.map(|what| format!("{path}: {what}")));
    }
    for (path, documents) in &rendered {
        found.extend(tools.validate(documents)?.into_iter().map(|what| format!("{path}: {what}")));
        for (alert, query) in alerts::queries(documents) {
            found.extend(tools.parse_query(query)?.map(|what| format!("{path}: {alert}: {what}")));
        }
    }
    for page in WITH_VERSION {
        let wrong = other_versions(&workspace.read(page)?, &facts.version);
        found.extend(wrong.into_iter().map(|what| format!("{page}: {what}")));
    }
    found.extend(page::check(workspace, tools)?);
    golden(workspace, &rendered, &mut found)?;
    if !found.is_empty() {
        let lines: Vec<_> = found.iter().map(|what| format!("\n  {what}")).collect();
        return Err(Failure::Check(format!("manifests: {} found{}", found.len(), lines.concat())));
    }
    alerts::try_out(workspace, tools, &rendered)?;
    eprintln!("manifests: {} kustomizations and files are in order", rendered.len());
    Ok(())
}

/// What the repository says elsewhere, and manifests must agree with.
pub struct Facts {
    /// Of the workspace, hence of the image.
    version: String,
    /// Names of the variables that `quorate serve` reads.
    variables: Vec<String>,
    /// Metrics and their types.
    metrics: BTreeMap<String, String>,
    /// The page that explains metrics.
    operations: String,
    /// The page that explains alerts.
    failures: String,
}

impl Facts {
    fn read(workspace: &Workspace) -> Result<Self, Failure> {
        let facts = Self {
            version: version(&workspace.read("Cargo.toml")?),
            variables: variables(&workspace.read("bin/quorate/tests/help/serve.txt")?),
            metrics: metrics(&workspace.read("crates/telemetry/golden/metrics.txt")?),
            operations: workspace.read("docs/operations.md")?,
            failures: workspace.read("docs/failures.md")?,
        };
        if facts.version.is_empty() || facts.variables.is_empty() || facts.metrics.is_empty() {
            return Err(Failure::Check("manifests: no version, flags or metrics were found".to_owned()));
        }
        Ok(facts)
    }
}

fn version(manifest: &str) -> String {
    let after = manifest.lines().skip_while(|line| line.trim() != "[workspace.package]");
    let value = after.filter_map(|line| line.strip_prefix("version = ")).next();
    value.unwrap_or_default().trim_matches('"').to_owned()
}

/// `0.1.0`, and not a port.
fn is_version(tag: &str) -> bool {
    tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.')
}

/// Where a text names another version than that of the image, or none, though it has to.
fn other_versions(text: &str, version: &str) -> Vec<String> {
    let mut versions = Vec::new();
    for before in ["quorate:", "newTag: ", "ARG VERSION="] {
        for rest in text.split(before).skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
            let tag = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            if is_version(tag) {
                versions.push((before, tag));
            }
        }
    }
    if versions.is_empty() {
        return vec!["it names no version of the image any more".to_owned()];
    }
    let other = versions.into_iter().filter(|(_, tag)| *tag != version);
    other.map(|(before, tag)| format!("the version is not `{before}{tag}` any more")).collect()
}

/// `--drain-limit <DURATION>` is `QUORATE_DRAIN_LIMIT`.
fn variables(help: &str) -> Vec<String> {
    let flags = help.lines().filter_map(|line| line.trim().strip_prefix("--"));
    let names = flags.filter_map(|flag| flag.split([' ', '=']).next());
    names.map(|name| format!("QUORATE_{}", name.to_uppercase().replace('-', "_"))).collect()
}

fn metrics(golden: &str) -> BTreeMap<String, String> {
    let types = golden.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Every kustomization, and every file that is applied as it stands, by its path.
fn render(workspace: &Workspace, tools: &Tools) -> Result<BTreeMap<String, Rendered>, Failure> {
    let files = workspace.files()?;
    let mut rendered = BTreeMap::new();
    let ours: Vec<_> = files.iter().filter(|path| path.starts_with(DEPLOY)).collect();
    for path in ours.iter().filter_map(|path| path.strip_suffix("/kustomization.yaml")) {
        let folder = workspace.root().join(path);
        rendered.insert(path.to_owned(), tools.kustomize(&folder)?);
    }
    for path in ours.iter().filter(|path| path.starts_with("deploy/examples/") && path.ends_with(".yaml")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !rendered.contains_key(folder) {
            rendered.insert((*path).clone(), tools.read(&workspace.root().join(path))?);
        }
    }
    if rendered.len() < 2 {
        return Err(Failure::Check(format!("manifests: there is nothing in {DEPLOY}")));
    }
    Ok(rendered)
}

/// The tests of the rules work on what the base and the alerts really are.
fn golden(
    workspace: &Workspace,
    rendered: &BTreeMap<String, Rendered>,
    found: &mut Vec<String>,
) -> Result<(), Failure> {
    for (path, file) in [
        ("deploy/kubernetes/base", "bin/xtask/golden/kubernetes-base.json"),
        ("deploy/kubernetes/components/monitoring", "bin/xtask/golden/kubernetes-monitoring.json"),
    ] {
        let Some(documents) = rendered.get(path) else {
            found.push(format!("{path} is missing"));
            continue;
        };
        let now = documents.pretty();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(workspace.root().join(file), now)
                .map_err(|error| Failure::Check(format!("{file}: {error}")))?;
        } else if workspace.read(file).unwrap_or_default() != now {
            found.push(format!("{file} is not what {path} renders: UPDATE_EXPECT=1 cargo xtask manifests"));
        }
    }
    Ok(())
}

#[cfg(test)]
impl Facts {
    /// Those of this repository, for the tests of the rules.
    pub fn ours() -> Self {
        Self {
            version: version(include_str!("../../../Cargo.toml")),
            variables: variables(include_str!("../../quorate/tests/help/serve.txt")),
            metrics: metrics(include_str!("../../../crates/telemetry/golden/metrics.txt")),
            operations: include_str!("../../../docs/operations.md").to_owned(),
            failures: include_str!("../../../docs/failures.md").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_another_version_in_a_page_is_found() {
        let text =
            "run quorate:0.1.0, then quorate:0.2.0.\nquorate: a program; quorate:latest; http://quorate:8080";
        assert_eq!(other_versions(text, "0.1.0"), ["the version is not `quorate:0.2.0` any more"]);
        let text = "ARG VERSION=0.3.0\nARG RUST=1.95\n    newTag: 0.2.0\n${IMAGE:-quorate:0.1.0}";
        let found = other_versions(text, "0.1.0").join("\n");
        assert!(found.contains("`newTag: 0.2.0`") && found.contains("`ARG VERSION=0.3.0`"), "{found}");
        assert_eq!(found.lines().count(), 2, "{found}");
        assert_eq!(other_versions("quorate:latest", "0.1.0"), ["it names no version of the image any more"]);
    }

    /// The names of the rows of each status that a page shows.
    fn rows_of_status(page: &'static str) -> Vec<Vec<&'static str>> {
        let blocks = page.split("\nWHAT ").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
        let name = |row: &'static str| row.split("  ").next();
        blocks.map(|block| block.lines().skip(1).filter_map(name).collect()).collect()
    }

    #[test]
    fn the_example_shows_the_status_that_the_readme_shows() {
        let readme = rows_of_status(include_str!("../../../README.md"));
        let example = rows_of_status(include_str!("../../../deploy/examples/README.md"));
        assert!(readme.len() > 1 && readme[0].len() > 5, "{readme:?}");
        for shown in &example {
            assert_eq!(shown, &readme[0]);
        }
        assert_eq!(example.len(), 1);
    }

    #[test]
    fn flags_are_read_as_variables_and_metrics_with_their_types() {
        let help = "Options:\n      --config <FILE.yaml>\n          Read\n      --drain-limit <DURATION>\n  -h, --help\n";
        assert_eq!(variables(help), ["QUORATE_CONFIG", "QUORATE_DRAIN_LIMIT"]);
        let golden = "# HELP quorate_a_b It is\n# TYPE quorate_a_b counter\n";
        assert_eq!(metrics(golden), BTreeMap::from([("quorate_a_b".to_owned(), "counter".to_owned())]));
        assert_eq!(
            version("[package]\nversion = \"9\"\n[workspace.package]\nversion = \"0.1.0\"\n"),
            "0.1.0"
        );
    }
}
