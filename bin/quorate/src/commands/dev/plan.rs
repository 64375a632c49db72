//! Who listens where, and what the user is told about it.

use super::children;
use crate::{failure::Failure, output::ranges};
use quorate_node::config::SETTINGS;
use std::{
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};
use tokio::process::Command;

const NODES: u16 = 3;
const PARTITIONS: u16 = 12;
const ROUTING: u16 = 8_081;
const MANAGEMENT: u16 = 9_091;
const GATEWAY: u16 = 8_091;
const PEER: u16 = 7_071;
const DEMO: u16 = 8_101;

/// The whole cluster.
pub struct Plan {
    pub nodes: Vec<NodePlan>,
    pub workers: Vec<WorkerPlan>,
    offset: u16,
}

/// One node.
pub struct NodePlan {
    name: String,
    routing: String,
    management: String,
    gateway: String,
    peer: String,
}

/// One demo worker.
pub struct WorkerPlan {
    id: String,
    listen: String,
    partitions: Vec<u16>,
}

impl NodePlan {
    /// Where its management listener is.
    pub fn management_url(&self) -> String {
        format!("http://{}", self.management)
    }

    /// The process.
    pub fn command(&self, plan: &Plan, folder: &Path) -> children::Plan {
        let peers: Vec<_> = plan.nodes.iter().map(|node| format!("{}={}", node.name, node.peer)).collect();
        let mut command = this_program("serve");
        command.arg("--until-stdin-closes");
        command.args(["--node-name", &self.name]).args(["--peers", &peers.join(",")]);
        command.arg("--data-dir").arg(folder.join(&self.name));
        command.args(["--routing", &self.routing]).args(["--management", &self.management]);
        command.args(["--gateway", &self.gateway]).args(["--peer", &self.peer]);
        command.args(["--partitions", &PARTITIONS.to_string()]);
        // Three nodes share this machine with whatever the user does on it.
        command.args(["--threads", "1"]).args(["--log-format", "text"]);
        children::Plan { name: self.name.clone(), command }
    }
}

impl WorkerPlan {
    /// The process.
    pub fn command(&self, plan: &Plan) -> children::Plan {
        let routers: Vec<_> = plan.nodes.iter().map(NodePlan::management_url).collect();
        let partitions: Vec<_> = self.partitions.iter().map(ToString::to_string).collect();
        let mut command = this_program("demo-worker");
        command.args(["--id", &self.id]).args(["--listen", &self.listen]);
        command.args(["--routers", &routers.join(",")]).args(["--partitions", &partitions.join(",")]);
        children::Plan { name: self.id.clone(), command }
    }
}

/// This program again, without the settings that the user's environment holds for other nodes.
fn this_program(subcommand: &str) -> Command {
    // Where the system can't say who we are, the name by which we were called is as good.
    let program = std::env::current_exe().unwrap_or_else(|_| "quorate".into());
    let mut command = Command::new(program);
    command.arg(subcommand).env_remove("QUORATE_CONFIG");
    for setting in SETTINGS {
        command.env_remove(setting.env());
        for name in setting.legacy {
            command.env_remove(name);
        }
    }
    command
}

impl Plan {
    /// All ports shifted by `offset`.
    pub fn new(offset: u16) -> Self {
        let at = |base: u16, nth: u16| format!("{}:{}", Ipv4Addr::LOCALHOST, base + offset + nth);
        let node = |nth: u16| NodePlan {
            name: format!("n{}", nth + 1),
            routing: at(ROUTING, nth),
            management: at(MANAGEMENT, nth),
            gateway: at(GATEWAY, nth),
            peer: at(PEER, nth),
        };
        let share = PARTITIONS / NODES;
        let worker = |nth: u16| WorkerPlan {
            id: format!("demo-{}", nth + 1),
            listen: at(DEMO, nth),
            partitions: (nth * share..(nth + 1) * share).collect(),
        };
        Self { nodes: (0..NODES).map(node).collect(), workers: (0..NODES).map(worker).collect(), offset }
    }

    /// A port that is taken is told before anything is started.
    pub fn check_ports(&self) -> Result<(), Failure> {
        let nodes = self.nodes.iter();
        let nodes = nodes.flat_map(|node| [&node.routing, &node.management, &node.gateway, &node.peer]);
        for address in nodes.chain(self.workers.iter().map(|worker| &worker.listen)) {
            if let Err(e) = TcpListener::bind(address) {
                let port = address.rsplit(':').next().unwrap_or_default();
                let other = if self.offset == 0 { 100 } else { self.offset.saturating_add(100) };
                let remedy = format!("{e}; try `quorate dev --base-port-offset {other}`");
                return Err(Failure::failed(format!("port {port} can't be used"), remedy));
            }
        }
        Ok(())
    }

    /// What the user is told when all is up. Every line that starts with `curl` works as it is printed, and so do those
    /// with `quorate` where that is on the path.
    pub fn words(&self, folder: &Path, nodes: &[&children::Pid], workers: &[&children::Pid]) -> String {
        let mut text = String::from("Three nodes and three workers are up.\n\n");
        for (node, pid) in self.nodes.iter().zip(nodes) {
            let NodePlan { routing, management, gateway, .. } = node;
            line(
                &mut text,
                &format!(
                    "  {}      pid {:<8} routing http://{routing}   management http://{management}   gateway ws://{gateway}/ws",
                    pid.name, pid.pid
                ),
            );
        }
        for (worker, pid) in self.workers.iter().zip(workers) {
            let partitions: Vec<i64> = worker.partitions.iter().map(|p| i64::from(*p)).collect();
            let partitions = ranges(&partitions);
            line(
                &mut text,
                &format!(
                    "  {}  pid {:<8} worker  http://{}   partitions {partitions}",
                    pid.name, pid.pid, worker.listen
                ),
            );
        }
        let [a, b, c] = [0, 1, 2].map(|nth| &self.nodes[nth]);
        let first = nodes.first().map_or(0, |pid| pid.pid);
        let tries = format!(
            "
Try in another terminal; every node gives the same answer:

curl http://{}/v1/workspaces/my-workspace/hello
curl -H 'X-Workspace-ID: my-workspace' http://{}/hello
curl -d 'some text' http://{}/v1/workspaces/test-workspace/orders
curl http://{}/v1/workers
kill -9 {first}    # {} dies, the other two go on
curl http://{}/v1/cluster

And by WebSocket, each in a terminal of its own; they are connected to two nodes:

quorate connect --user bob --gateway ws://{}/ws
quorate connect --user alice --to bob --gateway ws://{}/ws

Data and logs: {} (removed at the end). Ctrl-C ends it all.
",
            a.routing,
            b.routing,
            c.routing,
            b.management,
            a.name,
            b.management,
            b.gateway,
            c.gateway,
            folder.display(),
        );
        text + &tries
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(name: &str, pid: u32) -> children::Pid {
        children::Pid { name: name.into(), pid }
    }

    #[test]
    fn every_partition_has_one_worker() {
        let plan = Plan::new(0);
        let all: Vec<_> = plan.workers.iter().flat_map(|worker| worker.partitions.clone()).collect();
        assert_eq!(all, (0..PARTITIONS).collect::<Vec<_>>());
    }

    #[test]
    fn the_offset_shifts_every_port() {
        let plan = Plan::new(1_000);
        assert_eq!(plan.nodes[2].routing, "127.0.0.1:9083");
        assert_eq!(plan.nodes[1].management, "127.0.0.1:10092");
        assert_eq!(plan.nodes[0].peer, "127.0.0.1:8071");
        assert_eq!(plan.nodes[0].gateway, "127.0.0.1:9091");
        assert_eq!(plan.workers[0].listen, "127.0.0.1:9101");
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_the_remedy() {
        // Below the ports that the kernel gives to outgoing connections: one of those would be taken, too.
        let plan = Plan::new(20_000);
        let Ok(_taken) = TcpListener::bind(&plan.workers[1].listen) else { return };
        let Err(Failure::Failed(text)) = plan.check_ports() else { panic!("the port is taken") };
        assert!(text.contains("port 28102") && text.contains("--base-port-offset 20100"), "{text}");
    }

    #[test]
    fn the_user_is_told_names_pids_and_what_to_try() {
        let plan = Plan::new(0);
        let nodes = [pid("n1", 11), pid("n2", 12), pid("n3", 13)];
        let workers = [pid("demo-1", 21), pid("demo-2", 22), pid("demo-3", 23)];
        let words = plan.words(Path::new("/tmp/x"), &nodes.each_ref(), &workers.each_ref());
        let connect = "quorate connect --user alice --to bob --gateway ws://127.0.0.1:8093/ws";
        let gateway = "management http://127.0.0.1:9091   gateway ws://127.0.0.1:8091/ws";
        for part in [
            "pid 11 ",
            "pid 23 ",
            "kill -9 11 ",
            "partitions 8-11",
            "http://127.0.0.1:9093",
            connect,
            gateway,
        ] {
            assert!(words.contains(part), "{part} in {words}");
        }
    }
}
