//! The agent as a process.

use crate::support::{
    eventually,
    http::Ask,
    node::{Node, quorate},
};
use serde_json::Value;
use std::{
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// One that runs. Dropping it kills it.
pub struct Agent {
    pub id: String,
    child: Child,
    log: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Already gone, where it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of the agent {}:\n{}", self.id, self.log());
        }
    }
}

impl Agent {
    /// Starts it with these settings and the id, beside `nodes`.
    pub fn start(id: &str, folder: &Path, nodes: &[&Node], settings: &str) -> Self {
        let servers: Vec<_> = nodes.iter().map(|node| format!("http://{}", node.management)).collect();
        Self::start_at(id, folder, &servers.join(","), settings)
    }

    /// Starts it with these settings and the id, beside whatever is at these addresses.
    pub fn start_at(id: &str, folder: &Path, servers: &str, settings: &str) -> Self {
        let config = folder.join(format!("{id}.yaml"));
        std::fs::write(&config, settings).expect("written");
        let mut command = quorate(&["agent", "--id", id, "--server", servers, "--config"]);
        // Its stdin ends with the test process, however that dies.
        command.arg(config).args(["--log-format", "text", "--until-stdin-closes"]);
        Self::of(id, folder, command)
    }

    /// Starts a worker of another kind.
    pub fn of(id: &str, folder: &Path, mut command: Command) -> Self {
        let log = folder.join(format!("{id}.agent.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        command.stdin(Stdio::piped());
        let out = file.try_clone().expect("a file can be shared");
        let child = command.stdout(out).stderr(file).spawn().expect("it starts");
        Self { id: id.into(), child, log }
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said so.
    pub fn says(&self, part: &str) {
        eventually(&format!("the agent {} says `{part}`", self.id), || {
            self.log().contains(part).then_some(())
        });
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Waits until it has ended; its exit code, or 128 and the signal.
    pub fn ended(&mut self) -> i32 {
        let what = format!("the agent {} ends", self.id);
        let status = eventually(&what, || self.child.try_wait().expect("it is ours"));
        status.code().or(status.signal().map(|signal| 128 + signal)).expect("one of the two")
    }
}

/// What a node knows of a worker; `None`: nothing.
pub fn record(node: &Node, id: &str) -> Option<Value> {
    let answer = Ask::get(&format!("/v1/workers/{id}")).send(node.management).ok()?;
    (answer.status == 200).then(|| answer.json())
}

/// The names of the services that a worker offers, and where.
pub fn offered(node: &Node, id: &str) -> Vec<(String, String)> {
    let record = record(node, id).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let services = record["services"].as_array().cloned().unwrap_or_default();
    services.iter().map(|service| (text(&service["name"]), text(&service["url"]))).collect()
}

/// Waits until it offers these and no others.
pub fn offers(node: &Node, id: &str, services: &[(&str, String)]) {
    let expected: Vec<_> = services.iter().map(|(name, url)| ((*name).to_owned(), url.clone())).collect();
    eventually(&format!("{id} offers {expected:?}"), || (offered(node, id) == expected).then_some(()));
}
