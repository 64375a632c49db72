//! One node: a process of `quorate serve`, its ports, its data folder and its log.

use super::{
    PATIENCE, eventually, free_address,
    http::{Answer, Ask},
    within,
};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// The program under test, without the settings of the developer's environment.
pub fn quorate(args: &[&str]) -> Command {
    through(&[], args)
}

/// The same, started through another program.
fn through(launcher: &[String], args: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_quorate");
    let mut command = Command::new(launcher.first().map_or(program, String::as_str));
    if let [_, rest @ ..] = launcher {
        command.args(rest).arg(program);
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").args(args).stdin(Stdio::null());
    command
}

/// How a process ended that was not meant to run for long.
pub struct Ran {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end, which must be near.
pub fn ran(mut command: Command) -> Ran {
    let [mut out, mut err] = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
    let shared = |file: &File| file.try_clone().expect("a file can be shared");
    let mut child = command.stdout(shared(&out)).stderr(shared(&err)).spawn().expect("it starts");
    let status = within(PATIENCE, || child.try_wait().expect("it is ours"));
    if status.is_none() {
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }
    let ran = Ran { code: status.and_then(|status| status.code()), out: text(&mut out), err: text(&mut err) };
    assert!(status.is_some(), "{command:?} does not end: {}{}", ran.out, ran.err);
    ran
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().expect("a file");
    file.read_to_string(&mut text).expect("UTF-8");
    text
}

/// A node, running or not. Dropping it kills it.
pub struct Node {
    pub name: String,
    pub routing: SocketAddr,
    pub management: SocketAddr,
    pub gateway: SocketAddr,
    pub peer: SocketAddr,
    /// Its data.
    pub data: PathBuf,
    /// What `serve` is told besides.
    pub args: Vec<String>,
    /// What it is started through, such as a program that enters a network namespace, with its arguments.
    pub launcher: Vec<String>,
    /// More of its environment.
    pub environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the log of {}:\n{}", self.name, self.log());
        }
    }
}

impl Node {
    /// Planned, not started. Its files lie in `folder`.
    pub fn new(name: &str, folder: &Path) -> Self {
        Self {
            name: name.into(),
            routing: free_address(),
            management: free_address(),
            gateway: free_address(),
            peer: free_address(),
            data: folder.join(name),
            args: Vec::new(),
            launcher: Vec::new(),
            environment: Vec::new(),
            log: folder.join(format!("{name}.log")),
            child: None,
        }
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = through(&self.launcher, &["serve", "--node-name", &self.name, "--data-dir"]);
        command.arg(&self.data).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let listeners = [
            ("--routing", self.routing),
            ("--management", self.management),
            ("--gateway", self.gateway),
            ("--peer", self.peer),
        ];
        for (flag, address) in listeners {
            command.args([flag, &address.to_string()]);
        }
        command.args(&self.args);
        command
    }

    /// Starts it; it need not be ready when this returns.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let both = |log: &File| log.try_clone().expect("a file can be shared");
        let mut command = self.command();
        // Its stdin ends with the test process, however that dies.
        command.arg("--until-stdin-closes").stdin(Stdio::piped()).stdout(both(&log)).stderr(log);
        self.child = Some(command.spawn().expect("it starts"));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone, where it ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Waits until it has ended; how, and after how long.
    pub fn ended(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let what = format!("{} ends", self.name);
        let status = eventually(&what, || self.has_ended());
        self.child = None;
        (status, start.elapsed())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// How it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().expect("it was started").try_wait().expect("it is ours")
    }

    /// Whether it was started and not ended by the test.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// An answer of its management listener.
    pub fn ask(&self, ask: &Ask) -> Answer {
        ask.send(self.management).unwrap_or_else(|e| panic!("{} does not answer: {e}", self.name))
    }

    /// JSON of its management listener.
    pub fn get(&self, target: &str) -> Value {
        self.ask(&Ask::get(target)).ok().json()
    }

    /// An answer of its routing listener.
    pub fn route(&self, workspace: &str) -> Answer {
        Ask::workspace(workspace)
            .send(self.routing)
            .unwrap_or_else(|e| panic!("{} does not route: {e}", self.name))
    }

    /// A registration as the v1 workers send it.
    pub fn register(&self, id: &str, url: &str, partitions: &[u32]) -> Answer {
        let body = serde_json::json!({"workerId": id, "httpAddress": url, "partitions": partitions});
        self.ask(&Ask::json("POST", "/api/register", &body))
    }

    /// Waits until `/readyz` says `word`.
    pub fn becomes(&mut self, word: &str) {
        let (what, start) = (format!("{} is {word}", self.name), Instant::now());
        eventually(&what, || {
            if let Some(status) = self.has_ended() {
                panic!(
                    "{} has ended after {:?}: {status}, {:?}",
                    self.name,
                    start.elapsed(),
                    status.signal()
                );
            }
            let answer = Ask::get("/readyz").send(self.management).ok()?;
            (answer.json()["status"] == word).then_some(())
        });
    }

    /// An operator command, asked of this node.
    pub fn operate(&self, args: &[&str]) -> Ran {
        let mut command = quorate(args);
        command.env("QUORATE_SERVER", format!("http://{}", self.management));
        ran(command)
    }
}
