//! The compose file, and how `docker run` starts what it describes: what users start is what is tested.
//!
//! Only what the file uses is understood. A key that is not known here is an error, so that nothing of it can
//! silently stay untested.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::engine::Engine;
use crate::workspace::{Failure, Workspace};

const PATH: &str = "deploy/compose/compose.yaml";

/// A part of the compose file that is about one container.
#[derive(Debug)]
pub struct Service {
    body: Map<String, Value>,
}

/// The whole file.
#[derive(Debug)]
pub struct Compose {
    services: Map<String, Value>,
}

impl Compose {
    pub fn read(workspace: &Workspace) -> Result<Self, Failure> {
        Self::parse(&workspace.read(PATH)?)
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let file: Value = serde_saphyr::from_str(text).map_err(|e| Failure::Check(format!("{PATH}: {e}")))?;
        match file["services"].as_object() {
            Some(services) => Ok(Self { services: services.clone() }),
            None => Err(Failure::Check(format!("{PATH}: there are no services"))),
        }
    }

    /// Lets Compose itself look at the file, where there is one.
    pub fn validate(engine: &Engine, workspace: &Workspace, secret: &Path) -> Result<(), Failure> {
        let plugin = || engine.client(["compose"]);
        let program = || Command::new("docker-compose");
        let works =
            |mut command: Command| command.arg("version").output().is_ok_and(|ran| ran.status.success());
        let mut command = if works(plugin()) {
            plugin()
        } else if works(program()) {
            program()
        } else {
            eprintln!("containers: Compose is not installed; the file is read by this test alone");
            return Ok(());
        };
        command.arg("--file").arg(workspace.root().join(PATH)).args(["config", "--quiet"]);
        command.env("QUORATE_SECRET_FILE", secret).stdin(Stdio::null());
        let ran = command.output().map_err(|e| Failure::Check(format!("Compose can't be started: {e}")))?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        Err(Failure::Check(format!("Compose refuses {PATH}: {said}")))
    }

    pub fn service(&self, name: &str) -> Result<Service, Failure> {
        let body = self.services.get(name).and_then(Value::as_object);
        let body = body.ok_or_else(|| Failure::Check(format!("{PATH}: there is no service {name}")))?;
        Ok(Service { body: body.clone() })
    }
}

impl Service {
    /// A variable of the container.
    #[cfg(test)]
    fn variable(&self, name: &str) -> Option<&str> {
        self.body.get("environment")?.get(name)?.as_str()
    }

    /// Replaces a variable of the container.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        let environment = self.body.entry("environment").or_insert_with(|| Value::Object(Map::new()));
        environment[name] = Value::String(value.to_owned());
        self
    }

    /// Leaves a key out.
    pub fn without(mut self, key: &str) -> Self {
        self.body.remove(key);
        self
    }

    /// Seconds between SIGTERM and SIGKILL.
    pub fn stop_grace_seconds(&self) -> Result<u64, Failure> {
        let text = self.body.get("stop_grace_period").and_then(Value::as_str).unwrap_or("10s");
        let seconds = text.strip_suffix('s').and_then(|digits| digits.parse().ok());
        seconds.ok_or_else(|| {
            Failure::Check(format!("{PATH}: stop_grace_period is `{text}`; expected: such as 45s"))
        })
    }

    /// Arguments of `docker run`: options, the image, its command. `place` says where this one differs from the
    /// file: addresses, volumes, the secret.
    pub fn run(&self, image: &str, place: &[String]) -> Result<Vec<String>, Failure> {
        let mut options = Vec::new();
        let mut command = Vec::new();
        for (key, value) in &self.body {
            match key.as_str() {
                "environment" => {
                    options.extend(pairs(key, value)?.into_iter().map(|(k, v)| format!("--env={k}={v}")))
                }
                "read_only" if *value == Value::Bool(true) => options.push("--read-only".to_owned()),
                "restart" => options.push(format!("--restart={}", text(key, value)?)),
                "cap_drop" => {
                    options.extend(list(key, value)?.into_iter().map(|c| format!("--cap-drop={c}")))
                }
                "security_opt" => {
                    options.extend(list(key, value)?.into_iter().map(|o| format!("--security-opt={o}")));
                }
                "healthcheck" => options.extend(health(value)?),
                "command" => command = list(key, value)?,
                // Arguments of `docker stop`, and what `place` decides.
                "stop_grace_period" | "image" | "networks" | "ports" | "volumes" | "secrets" | "profiles" => {
                }
                _ => return Err(unknown(key, value)),
            }
        }
        Ok([&options[..], place, &[image.to_owned()], &command[..]].concat())
    }
}

fn health(value: &Value) -> Result<Vec<String>, Failure> {
    let mut options = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match key.as_str() {
            "disable" => options.push("--no-healthcheck".to_owned()),
            "interval" | "timeout" => options.push(format!("--health-{key}={}", text(key, value)?)),
            "start_period" => options.push(format!("--health-start-period={}", text(key, value)?)),
            "retries" => options.push(format!("--health-retries={value}")),
            // `docker run` knows commands of a shell only; the image has this one, and there it is checked.
            "test" if *value == serde_json::json!(["CMD", "/quorate", "healthcheck"]) => {}
            _ => return Err(unknown(key, value)),
        }
    }
    Ok(options)
}

fn unknown(key: &str, value: &Value) -> Failure {
    Failure::Check(format!("{PATH}: the container test does not know `{key}: {value}`"))
}

fn text(key: &str, value: &Value) -> Result<String, Failure> {
    value.as_str().map(str::to_owned).ok_or_else(|| unknown(key, value))
}

fn list(key: &str, value: &Value) -> Result<Vec<String>, Failure> {
    let items = value.as_array().ok_or_else(|| unknown(key, value))?;
    items.iter().map(|item| text(key, item)).collect()
}

fn pairs(key: &str, value: &Value) -> Result<Vec<(String, String)>, Failure> {
    let items = value.as_object().ok_or_else(|| unknown(key, value))?;
    items.iter().map(|(name, value)| Ok((name.clone(), text(name, value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
x-base: &base
  restart: unless-stopped
  read_only: true
  cap_drop: [ALL]
services:
  n1:
    <<: *base
    stop_grace_period: 45s
    environment: {A: b}
    command: [serve, --x]
";

    #[test]
    fn a_service_becomes_a_command_line_anchors_included() {
        let service = Compose::parse(FILE).expect("it is YAML").service("n1").expect("it is there");
        let service = service.with_variable("C", "d");
        let args = service.run("image", &["--network=n".to_owned()]).expect("all is known").join(" ");
        let expected = "--cap-drop=ALL --env=A=b --env=C=d --read-only --restart=unless-stopped --network=n image serve --x";
        assert_eq!(args, expected);
        assert_eq!(service.stop_grace_seconds().expect("seconds"), 45);
    }

    #[test]
    fn what_is_not_tested_is_not_in_the_file() {
        let text = FILE.replace("    stop_grace_period: 45s", "    privileged: true");
        let service = Compose::parse(&text).expect("it is YAML").service("n1").expect("it is there");
        let failure = service.run("image", &[]).expect_err("not known").to_string();
        assert!(failure.contains("does not know `privileged: true`"), "{failure}");
    }

    #[test]
    fn the_compose_file_of_the_repository_is_understood() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/compose/compose.yaml");
        let compose =
            Compose::parse(&std::fs::read_to_string(file).expect("it is there")).expect("it is YAML");
        for name in ["n1", "n2", "n3", "n4", "n5", "worker-1", "worker-2"] {
            compose.service(name).and_then(|service| service.run("image", &[])).expect(name);
        }
        let node = compose.service("n1").expect("it is there");
        let seconds =
            |name| node.variable(name).and_then(|v| v.strip_suffix('s')?.parse::<u64>().ok()).expect(name);
        let needed = seconds("QUORATE_DRAIN_DELAY") + seconds("QUORATE_DRAIN_LIMIT");
        assert!(node.stop_grace_seconds().expect("seconds") > needed, "Docker would kill a node that drains");
    }
}
