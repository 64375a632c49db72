//! A Docker engine of our own: socket, data, network and processes are nobody else's.
//!
//! It is started inside of namespaces (see `namespace`), so its bridges, firewall rules and mounts are gone with
//! them, however the test ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::clock::{eventually, sleep};
use super::machine::PATIENCE;
use crate::workspace::Failure;

/// In a `/run` of our own: the path of a socket must be short.
const SOCKET: &str = "unix:///run/docker.sock";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running `dockerd`.
pub struct Engine {
    daemon: Child,
}

/// What a container did in its whole life.
pub struct Ended {
    pub code: i64,
    /// What it wrote, without the progress of others.
    pub said: String,
}

impl Engine {
    /// Starts it with all that it writes in `folder`.
    pub fn start(folder: &Path) -> Result<Self, Failure> {
        let at = |name: &str| folder.join(name);
        let failed = |what: &str, e: std::io::Error| Failure::Check(format!("{what}: {e}"));
        fs::write(at("daemon.json"), "{}\n").map_err(|e| failed("the folder of the engine", e))?;
        let log = File::create(at("dockerd.log")).map_err(|e| failed("the log of the engine", e))?;
        let mut command = Command::new("dockerd");
        command.args(["--host", SOCKET, "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid"]);
        command.arg("--data-root").arg(at("data")).arg("--config-file").arg(at("daemon.json"));
        command.arg("--cgroup-parent").arg(cgroup(folder));
        let again = log.try_clone().map_err(|e| failed("the log of the engine", e))?;
        command.stdin(Stdio::null()).stdout(log).stderr(again);
        let daemon = command.spawn().map_err(|e| failed("`dockerd` can't be started", e))?;
        let mut engine = Self { daemon };
        engine.answers().map_err(|e| Failure::Check(format!("{e}\n{}", last_lines(&at("dockerd.log")))))?;
        Ok(engine)
    }

    fn answers(&mut self) -> Result<(), Failure> {
        eventually("the engine answers on its socket", START_LIMIT, || {
            if let Ok(Some(status)) = self.daemon.try_wait() {
                return Ok(Err(Failure::Check(format!("the engine ended at its start: {status}"))));
            }
            self.docker(["version"]).map(|_| Ok(())).map_err(|e| e.to_string())
        })?
    }

    /// A call of the client that is not started yet. Debian's own is preferred: newer clients of others may lack
    /// the plugin that they build with.
    pub fn client<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let own = Path::new("/usr/bin/docker");
        let mut command = Command::new(if own.exists() { own } else { Path::new("docker") });
        command.args(["--host", SOCKET]);
        command.args(args).env("DOCKER_BUILDKIT", "1").env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
        command.stdin(Stdio::null());
        command
    }

    /// What the client printed; its errors are ours.
    pub fn docker<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String, Failure> {
        let mut command = self.client(args);
        let shown: Vec<_> =
            command.get_args().skip(2).map(|arg| arg.to_string_lossy().into_owned()).collect();
        let shown = format!("docker {}", shown.join(" "));
        let output = command.output().map_err(|e| Failure::Check(format!("`{shown}`: {e}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::Check(format!("`{shown}` ended with {}: {}", output.status, said.trim_end())))
    }

    /// What `docker inspect` knows of a container, an image or a network.
    pub fn inspect(&self, name: &str) -> Result<Value, Failure> {
        let text = self.docker(["inspect", name])?;
        let all: Value =
            serde_json::from_str(&text).map_err(|e| Failure::Check(format!("docker inspect {name}: {e}")))?;
        Ok(all[0].clone())
    }

    /// Both streams of a container, as they are now.
    pub fn logs(&self, name: &str) -> String {
        self.client(["logs", name]).output().map_or_else(
            |e| e.to_string(),
            |output| {
                let both = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&both).trim_end().to_owned()
            },
        )
    }

    /// Runs a container to its end, which has to come by itself.
    pub fn run_to_end(&self, name: &str, args: &[String]) -> Result<Ended, Failure> {
        let mut all = vec!["run".to_owned(), "--detach".into(), "--name".into(), name.into()];
        all.extend_from_slice(args);
        self.docker(&all)?;
        let code = eventually(&format!("container {name} ends"), PATIENCE, || {
            let state = self.inspect(name).map_err(|e| e.to_string())?["State"].clone();
            match (state["Running"].as_bool(), state["ExitCode"].as_i64()) {
                (Some(false), Some(code)) => Ok(code),
                _ => Err(format!("{state}; it said\n{}", self.logs(name))),
            }
        })?;
        let said = self.logs(name);
        self.docker(["rm", "--force", name])?;
        Ok(Ended { code, said })
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let rounds = STOP_LIMIT.as_millis() / 100;
        for _ in 0..rounds {
            if !matches!(self.daemon.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
    }
}

/// Where all containers of the engine in this folder live.
pub fn cgroup(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("/{name}")
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
