//! Child processes of one kind.

use crate::failure::Failure;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{fs::File, io, path::PathBuf, process::Stdio, time::Duration};
use tokio::process::{ChildStdin, Command};

/// How much of a log is shown when its process failed.
const LOG_LINES: usize = 12;

/// A child that is yet to be started.
pub struct Plan {
    pub name: String,
    pub command: Command,
}

/// A child that was started.
pub struct Pid {
    pub name: String,
    pub pid: u32,
}

/// A child that has ended.
pub struct Exit {
    pub name: String,
    pub how: String,
    log: PathBuf,
}

impl Exit {
    /// Where it should not have ended.
    pub fn failure(&self) -> Failure {
        Failure::failed(format!("{} has ended ({})", self.name, self.how), tail(&self.log))
    }
}

/// Children of one kind. Dropping it kills them.
pub struct Children {
    pids: Vec<Pid>,
    /// A child ends when its stdin does.
    stdins: Vec<ChildStdin>,
    running: FuturesUnordered<BoxFuture<'static, Exit>>,
    logs: Vec<PathBuf>,
}

impl Children {
    /// Not even one.
    pub fn none() -> Self {
        Self { pids: Vec::new(), stdins: Vec::new(), running: FuturesUnordered::new(), logs: Vec::new() }
    }

    /// Starts each; their output goes to `<folder>/<name>.log`.
    pub fn start(folder: &std::path::Path, plans: impl Iterator<Item = Plan>) -> Result<Self, Failure> {
        let mut children = Self::none();
        for plan in plans {
            let log = folder.join(format!("{}.log", plan.name));
            let name = plan.name.clone();
            children.add(plan, log).map_err(|e| Failure::failed(format!("cannot start {name}"), e))?;
        }
        Ok(children)
    }

    fn add(&mut self, Plan { name, mut command }: Plan, log: PathBuf) -> io::Result<()> {
        let file = File::create(&log)?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        self.pids.push(Pid { name: name.clone(), pid: child.id().unwrap_or_default() });
        self.stdins.extend(child.stdin.take());
        self.logs.push(log.clone());
        self.running.push(Box::pin(async move {
            let how = child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
            Exit { name, how, log }
        }));
        Ok(())
    }

    /// All that were started.
    pub fn pids(&self) -> Vec<&Pid> {
        self.pids.iter().collect()
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for the next one to end; for ever if there is none.
    pub async fn next_exit(&mut self) -> Exit {
        match self.running.next().await {
            Some(exit) => exit,
            None => std::future::pending().await,
        }
    }

    /// Asks all to end; kills those that don't within `limit`.
    pub async fn end(&mut self, limit: Duration) {
        self.stdins.clear();
        let all = async { while self.running.next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.running.clear();
        }
    }

    /// What the first one said last.
    pub fn end_of_first_log(&self) -> String {
        self.logs.first().map_or_else(String::new, tail)
    }
}

fn tail(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let shown = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
    if shown.is_empty() { "it said nothing".into() } else { format!("it said last\n  {shown}") }
}
