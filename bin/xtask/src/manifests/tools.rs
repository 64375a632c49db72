//! The programs of others that look at manifests: kubectl from the machine, the schemas and the parser of queries from
//! PyPI in an environment of their own, promtool from the machine or from Debian.
//!
//! All of them are pinned or of a known minimum, and kept between runs beside what cargo built.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::document::Rendered;
use crate::workspace::{Failure, Workspace};

/// The one that bundles the schemas of Kubernetes 1.25 to 1.37, and the one that parses PromQL as Prometheus does.
const PACKAGES: [&str; 2] = ["kubernetes-validate==1.37.0", "promql-parser==0.12.0"];
/// The oldest version that the manifests are for, and the newest that there is a schema of.
const SCHEMAS: [&str; 2] = ["1.27", "1.37"];
/// Its kustomize knows components and patches as we write them, and says its version.
const KUBECTL_MINOR_MIN: u64 = 24;
/// Prometheus' own kinds have no published schema in the bundle; [`super::alerts`] knows their fields.
const WITHOUT_SCHEMA: &str = "monitoring.coreos.com/";
const TO_JSON: &str =
    "import json,sys,yaml; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)";
const PARSE: &str = "import promql_parser,sys; promql_parser.parse(sys.stdin.read())";

/// What was found on this machine.
pub struct Tools {
    python: PathBuf,
    pub promtool: Result<PathBuf, String>,
}

impl Tools {
    /// Finds or fetches them; an error is a reason to skip.
    pub fn find() -> Result<Self, String> {
        kubectl_minor().and_then(|minor| {
            if minor < KUBECTL_MINOR_MIN {
                return Err(format!("kubectl is 1.{minor}, 1.{KUBECTL_MINOR_MIN} is needed"));
            }
            let cache = cache()?;
            Ok(Self { python: python(&cache)?, promtool: promtool(&cache) })
        })
    }

    /// Not without the one that tries alerts out.
    pub fn whole(self) -> Result<Self, String> {
        match &self.promtool {
            Ok(_) => Ok(self),
            Err(why) => Err(why.clone()),
        }
    }

    /// What `kubectl apply -k` would send. A warning is a failure: users would see it too.
    pub fn kustomize(&self, folder: &Path) -> Result<Rendered, Failure> {
        let mut command = Command::new("kubectl");
        command.arg("kustomize").arg(folder);
        let ran = ran(command, &[]).map_err(Failure::Check)?;
        if !ran.ok || !ran.err.is_empty() {
            return Err(Failure::Check(format!(
                "kubectl kustomize {}: {}",
                folder.display(),
                ran.err.trim()
            )));
        }
        self.parse(&ran.out)
    }

    /// A file of documents.
    pub fn read(&self, path: &Path) -> Result<Rendered, Failure> {
        let text =
            std::fs::read(path).map_err(|error| Failure::Check(format!("{}: {error}", path.display())))?;
        self.parse(&text)
    }

    fn parse(&self, yaml: &[u8]) -> Result<Rendered, Failure> {
        let mut command = Command::new(&self.python);
        command.args(["-c", TO_JSON]);
        let ran = ran(command, yaml).map_err(Failure::Check)?;
        let documents = serde_json::from_slice(&ran.out);
        documents.map(Rendered).map_err(|error| Failure::Check(format!("not YAML: {error}: {}", ran.err)))
    }

    /// What the schemas have against the documents.
    pub fn validate(&self, documents: &Rendered) -> Result<Vec<String>, Failure> {
        let known = |document: &&Value| {
            !document["apiVersion"].as_str().is_some_and(|version| version.starts_with(WITHOUT_SCHEMA))
        };
        let lines: Vec<_> =
            documents.0.iter().filter(known).map(|document| format!("---\n{document}\n")).collect();
        let mut complaints = Vec::new();
        for version in SCHEMAS {
            let mut command = Command::new(&self.python);
            command.args(["-m", "kubernetes_validate", "--strict", "-k", version, "/dev/stdin"]);
            let ran = ran(command, lines.concat().as_bytes()).map_err(Failure::Check)?;
            let said = format!("{}{}", String::from_utf8_lossy(&ran.out), ran.err);
            let (passed, other): (Vec<_>, Vec<_>) =
                said.lines().partition(|line| line.contains(" passed for resource "));
            complaints.extend(other.iter().map(|line| (*line).to_owned()));
            // A document that was passed over was not validated either.
            if !ran.ok || passed.len() != lines.len() {
                complaints.push(format!("{} of {} fit Kubernetes {version}", passed.len(), lines.len()));
            }
        }
        Ok(complaints)
    }

    /// What is wrong with a PromQL query.
    pub fn parse_query(&self, query: &str) -> Result<Option<String>, Failure> {
        let mut command = Command::new(&self.python);
        command.args(["-c", PARSE]);
        let ran = ran(command, query.as_bytes()).map_err(Failure::Check)?;
        Ok((!ran.ok).then(|| ran.err.lines().last().unwrap_or("is no query").to_owned()))
    }
}

fn kubectl_minor() -> Result<u64, String> {
    let mut command = Command::new("kubectl");
    command.args(["version", "--client", "--output", "json"]);
    let ran = ran(command, &[]).map_err(|_| "kubectl is missing".to_owned())?;
    let version: Value = serde_json::from_slice(&ran.out).unwrap_or_default();
    let minor = version.pointer("/clientVersion/minor").and_then(Value::as_str).unwrap_or_default();
    minor.trim_end_matches('+').parse().map_err(|_| "kubectl does not say its version".to_owned())
}

/// Where tools are kept between runs.
fn cache() -> Result<PathBuf, String> {
    let folder = Workspace::cache().ok_or("neither QUORATE_CI_CACHE nor HOME is set")?;
    let folder = folder.join("manifests");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// The interpreter of an environment that has the packages; its folder carries their versions, so that a new pin makes
/// a new one.
fn python(cache: &Path) -> Result<PathBuf, String> {
    let folder = cache.join(PACKAGES.join("-").replace("==", "-"));
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if complete.exists() {
        return Ok(python);
    }
    // What a run that was cut short left behind.
    let _ = std::fs::remove_dir_all(&folder);
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    let made = ran(venv, &[])?;
    if !made.ok {
        return Err(format!("python3 makes no virtual environment: {}", made.said()));
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]).args(PACKAGES);
    let installed = ran(pip, &[])?;
    if !installed.ok {
        return Err(format!("{} can't be installed: {}", PACKAGES.join(" and "), installed.said()));
    }
    std::fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    Ok(python)
}

/// Taken out of Debian's package without installing it, which would start a Prometheus.
fn promtool(cache: &Path) -> Result<PathBuf, String> {
    let kept = cache.join("promtool");
    for candidate in [PathBuf::from("promtool"), kept.clone()] {
        let mut command = Command::new(&candidate);
        command.arg("--version");
        if ran(command, &[]).is_ok_and(|ran| ran.ok) {
            return Ok(candidate);
        }
    }
    let script = "set -e; rm -rf fetched; mkdir fetched; cd fetched; apt-get -q download prometheus
        dpkg -x *.deb . && mv usr/bin/promtool .. && cd .. && rm -r fetched";
    let mut fetch = Command::new("sh");
    fetch.args(["-c", script]).current_dir(cache);
    let fetched = ran(fetch, &[])?;
    if fetched.ok && kept.exists() {
        Ok(kept)
    } else {
        Err(format!("there is no promtool, and Debian's can't be fetched: {}", fetched.said()))
    }
}

struct Ran {
    ok: bool,
    out: Vec<u8>,
    err: String,
}

impl Ran {
    /// The last thing that it complained about.
    fn said(&self) -> String {
        let said = String::from_utf8_lossy(&self.out).into_owned() + &self.err;
        said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing").to_owned()
    }
}

/// Runs a command to its end, with `input` on its stdin.
fn ran(mut command: Command, input: &[u8]) -> Result<Ran, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("{program}: {error}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // On a thread of its own: both sides would wait where the pipes are full.
        scope.spawn(move || {
            // A program that does not read its input says why itself.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output()
    });
    let output = output.map_err(failed)?;
    Ok(Ran {
        ok: output.status.success(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Tools {
    /// Runs the unit tests of alerts in `folder`.
    pub fn try_alerts(&self, promtool: &Path, folder: &Path, test: &str) -> Result<(), Failure> {
        let mut command = Command::new(promtool);
        command.args(["test", "rules", test]).current_dir(folder);
        let ran = ran(command, &[]).map_err(Failure::Check)?;
        if ran.ok {
            return Ok(());
        }
        Err(Failure::Check(format!("promtool test rules:\n{}{}", String::from_utf8_lossy(&ran.out), ran.err)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_without_promtool_are_not_all_of_them() {
        let with = |promtool| Tools { python: "python3".into(), promtool };
        assert!(with(Ok("promtool".into())).whole().is_ok());
        assert_eq!(
            with(Err("there is no promtool".to_owned())).whole().err().unwrap(),
            "there is no promtool"
        );
    }
}
