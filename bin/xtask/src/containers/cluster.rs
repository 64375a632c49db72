//! Nodes and workers in containers, started from the compose file.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clock::{eventually, now};
use super::compose::{self, Compose};
use super::engine::Engine;
use super::http::{self, Answer, Request};
use super::image;
use super::load;
use super::machine::PATIENCE;
use super::scenario::ALL;
use super::service::{Endpoint, Service};
use crate::workspace::Failure;

/// The network that everything is on.
pub const NETWORK: &str = "quorate";
/// Another one, by which a node that was cut off from the first is still asked.
pub const EDGE: &str = "edge";
pub const WORKERS: [&str; 2] = ["worker-1", "worker-2"];
const SECRET: &str = "/run/secrets/cluster-secret";
/// Of each node, where something failed.
const LOG_LINES: usize = 60;
/// Whom containers run as.
const USER: u32 = 65_532;
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// The exit code of `leave` for one that has left already: only the answer to an earlier try was lost.
const NOT_FOUND: i32 = 4;
/// A request on a connection to where a worker was before hangs; the next one is sent elsewhere.
const ROUTED_LIMIT: Duration = Duration::from_secs(2);

pub struct Cluster<'a> {
    pub engine: &'a Engine,
    pub compose: &'a Compose,
    pub service: &'a Service,
    /// For files that containers are given.
    pub folder: PathBuf,
    /// The last part of the next address that nobody had before.
    pub unused: AtomicU8,
}

impl Cluster<'_> {
    /// The two networks, and the secret as a user would make it: printed by the program itself.
    pub fn prepare(&self) -> Result<(), Failure> {
        self.engine.docker(["network", "create", "--subnet", "10.89.0.0/24", NETWORK])?;
        self.engine.docker(["network", "create", "--subnet", "10.90.0.0/24", EDGE])?;
        let secret = self.engine.docker(["run", "--rm", image::NAME, "cluster", "secret", "new"])?;
        let file = self.secret();
        let written = fs::write(&file, secret + "\n")
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o400)))
            .and_then(|()| chown(&file, Some(USER), Some(USER)));
        written.map_err(|e| Failure::Check(format!("{}: {e}", file.display())))
    }

    pub fn secret(&self) -> PathBuf {
        self.folder.join("cluster-secret")
    }

    /// An address that no container had before.
    pub fn new_address(&self) -> IpAddr {
        Ipv4Addr::new(10, 89, 0, self.unused.fetch_add(1, Ordering::Relaxed)).into()
    }

    /// What of a node's container is not in the compose file.
    pub fn place(&self, container: &str, volume: &str) -> Vec<String> {
        vec![
            format!("--hostname={container}"),
            format!("--volume={volume}:/var/lib/quorate"),
            format!("--volume={}:{SECRET}:ro", self.secret().display()),
            format!("--network={NETWORK}"),
        ]
    }

    /// Starts a node on its volume, as the compose file has it.
    pub fn start(&self, node: &str, ip: IpAddr) -> Result<Instant, Failure> {
        let service = self.compose.service(node)?;
        self.start_as(node, ip, &service)
    }

    fn start_as(&self, node: &str, ip: IpAddr, service: &compose::Service) -> Result<Instant, Failure> {
        let mut place = self.place(node, node);
        place.push(format!("--ip={ip}"));
        let args = service.run(image::NAME, &place)?;
        let at = now();
        self.run(node, &args)?;
        self.service.place(node, ip);
        Ok(at)
    }

    fn run(&self, name: &str, args: &[String]) -> Result<(), Failure> {
        let head = ["run", "--detach", "--name", name].map(str::to_owned);
        self.engine.docker([&head[..], args].concat()).map(drop)
    }

    /// The demo workers, which listen on both networks.
    pub fn start_workers(&self) -> Result<(), Failure> {
        for (nth, worker) in (100..).zip(WORKERS) {
            let place = [format!("--network={NETWORK}"), format!("--ip=10.89.0.{nth}")];
            self.run(worker, &self.compose.service(worker)?.run(image::NAME, &place)?)?;
            self.engine.docker(["network", "connect", EDGE, worker])?;
        }
        Ok(())
    }

    /// SIGTERM, and the end of it: exit code 0 within the time that the compose file gives.
    pub fn stop(&self, node: &str) -> Result<(), Failure> {
        let grace = self.compose.service(node)?.stop_grace_seconds()?.to_string();
        self.engine.docker(["stop", "--time", &grace, node])?;
        let code = self.engine.inspect(node)?["State"]["ExitCode"].clone();
        if code != 0 {
            let said = self.engine.logs(node);
            return Err(Failure::Check(format!("{node} ended with {code} after SIGTERM; it said\n{said}")));
        }
        self.remove(node)
    }

    /// `kill -9`, if it still runs, and the container is gone; its volume stays.
    pub fn remove(&self, node: &str) -> Result<(), Failure> {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join(format!("{node}.log")));
        let kept = log.and_then(|mut log| writeln!(log, "{}", self.engine.logs(node)));
        kept.map_err(|e| Failure::Check(format!("the log of {node} can't be kept: {e}")))?;
        self.engine.docker(["rm", "--force", node]).map(drop)
    }

    /// What all nodes said, those of removed containers first.
    pub fn tell_logs(&self) {
        for node in ALL {
            let before = fs::read_to_string(self.folder.join(format!("{node}.log"))).unwrap_or_default();
            let said = before + &self.engine.logs(node);
            let lines: Vec<_> = said.lines().collect();
            eprintln!("--- {node}\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
        }
    }

    pub fn endpoint(&self, node: &str) -> Result<Endpoint, Failure> {
        self.service.endpoint(node).ok_or_else(|| Failure::Check(format!("{node} was not started")))
    }

    /// Until the node is ready, and clients are sent to it.
    pub fn becomes_ready(&self, node: &str, since: Instant) -> Result<Duration, Failure> {
        let endpoint = self.endpoint(node)?;
        let took = eventually(&format!("{node} is ready"), PATIENCE, || {
            let answer = get(&endpoint, "/readyz")?;
            if answer.status == 200 && answer.json()?["status"] == "ready" {
                Ok(since.elapsed())
            } else {
                Err(answer.text())
            }
        });
        let took = took.map_err(|e| Failure::Check(format!("{e}; it said\n{}", self.engine.logs(node))))?;
        eventually(&format!("clients are sent to {node}"), PATIENCE, || {
            if self.service.is_ready(&endpoint) { Ok(()) } else { Err("not yet".to_owned()) }
        })?;
        Ok(took)
    }

    /// Until every node named shows these as voters that answer, and nobody besides, under one leader.
    pub fn agrees(&self, nodes: &[&str]) -> Result<(), Failure> {
        for node in nodes {
            let endpoint = self.endpoint(node)?;
            eventually(&format!("{node} shows {nodes:?} as voters that answer"), PATIENCE, || {
                let view = get(&endpoint, "/v1/cluster")?.json()?;
                if voters(&view) == *nodes && view["leader"].is_string() {
                    Ok(())
                } else {
                    Err(view.to_string())
                }
            })?;
        }
        Ok(())
    }

    /// The membership as one node shows it.
    pub fn view(&self, node: &str) -> Result<Value, Failure> {
        let endpoint = self.endpoint(node)?;
        eventually(&format!("{node} shows the cluster"), PATIENCE, || get(&endpoint, "/v1/cluster")?.json())
    }

    /// Who leads, as known to `node`.
    pub fn leader(&self, node: &str) -> Result<String, Failure> {
        let endpoint = self.endpoint(node)?;
        eventually("there is a leader", PATIENCE, || {
            let view = get(&endpoint, "/v1/cluster")?.json()?;
            view["leader"].as_str().map(str::to_owned).ok_or_else(|| view.to_string())
        })
    }

    /// An operator's command, by the program in a node's container.
    pub fn operate(&self, node: &str, args: &[&str]) -> Result<String, Failure> {
        self.engine.docker([&["exec", node, "/quorate"], args].concat())
    }

    /// As docs/operate/scale.md has it: asked again while there is an election, until it has left.
    pub fn leaves(&self, node: &str, by: &str) -> Result<(), Failure> {
        eventually(&format!("{node} leaves"), PATIENCE, || {
            let output = self.engine.client(["exec", by, "/quorate", "cluster", "leave", node]).output();
            let output = output.map_err(|e| e.to_string())?;
            if output.status.success() || output.status.code() == Some(NOT_FOUND) {
                return Ok(());
            }
            Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
        })
    }
}

/// Asks the management listener of a node.
pub fn get(endpoint: &Endpoint, path: &str) -> Result<Answer, String> {
    http::ask(endpoint.management(), &Request::get(path), ASK_LIMIT).map_err(|e| e.to_string())
}

/// Asks the routing listener of a node for something that a worker answers.
pub fn routed(endpoint: &Endpoint, path: &str) -> Result<Answer, String> {
    let answer = http::ask(endpoint.routing(), &Request::get(path), ROUTED_LIMIT);
    let answer = answer.map_err(|e| e.to_string())?;
    load::came_from_a_worker(&answer, path)?;
    Ok(answer)
}

fn voters(view: &Value) -> Vec<&str> {
    let members = view["nodes"].as_array().into_iter().flatten();
    let voters = members.filter(|member| member["role"] != "learner" && member["reachable"] == true);
    let mut names: Vec<_> = voters.filter_map(|member| member["name"].as_str()).collect();
    names.sort_unstable();
    names
}
