//! A network of its own for each cluster: one namespace for each node, one in the middle with a bridge, where the
//! clients are.
//!
//! One direction between two nodes is cut by telling the sender's kernel a link address for the receiver that
//! nobody has. Its packets then leave, and arrive nowhere: silence, not an error, as when a switch fails.
//!
//! A namespace lives as long as the process that holds it, and that one as long as its stdin is open: nothing is
//! left behind, however the test ends.

use crate::{
    machine::works,
    support::{cluster::Cluster, node::Node},
};
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::IpAddr,
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    panic,
    process::{Child, Command, Stdio},
};

const NOBODY: &str = "02:00:00:00:00:00";
/// Where the clients and workers of a test are.
pub const MIDDLE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 99, 0, 254));

fn address(place: usize) -> String {
    format!("10.99.0.{}", place + 1)
}

/// Why there can be no networks here, if there can't.
pub fn missing() -> Option<&'static str> {
    if !works("unshare", &["--net", "true"]) {
        return Some("network namespaces need root");
    }
    let bridge = [
        "--net",
        "sh",
        "-c",
        "ip link add bridge0 type bridge && ip link add veth0 type veth peer name veth1",
    ];
    (!works("unshare", &bridge)).then_some("`ip` (iproute2) can't make a bridge and a veth pair here")
}

/// A namespace, held by a process that does nothing else.
struct Namespace(Child);

impl Drop for Namespace {
    fn drop(&mut self) {
        // Already gone, where somebody else has ended it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Namespace {
    fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut said = String::new();
        let out = holder.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut said).expect("it says that it is ready");
        assert_eq!(said, "ready\n");
        Self(holder)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn launcher(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net={}", self.path())]
    }

    /// Runs `ip` in it.
    fn ip(&self, args: &str) {
        let [program, enter] = self.launcher().try_into().expect("two words");
        let status = Command::new(program).arg(enter).arg("ip").args(args.split(' ')).status();
        assert!(status.expect("nsenter starts").success(), "ip {args}");
    }
}

/// Three namespaces around one.
pub struct Network {
    middle: Namespace,
    nodes: [Namespace; 3],
}

impl Network {
    fn new() -> Self {
        let network = Self { middle: Namespace::new(), nodes: [(); 3].map(|()| Namespace::new()) };
        network.middle.ip("link add bridge type bridge");
        network.middle.ip(&format!("addr add {MIDDLE}/24 dev bridge"));
        network.middle.ip("link set bridge up");
        for (place, node) in network.nodes.iter().enumerate() {
            network.middle.ip(&format!("link add to{place} type veth peer name eth0 netns {}", node.0.id()));
            network.middle.ip(&format!("link set to{place} master bridge up"));
            node.ip(&format!("addr add {}/24 dev eth0", address(place)));
            node.ip("link set eth0 up");
        }
        network
    }

    /// Three nodes, each in its namespace, that prove themselves to each other by a secret.
    pub fn cluster(&self, flags: &[&str]) -> Cluster {
        Cluster::planned_as(flags, |place, node| self.arrange(place, node))
    }

    fn arrange(&self, place: usize, node: &mut Node) {
        for (address_of, port) in
            [(&mut node.routing, 8080), (&mut node.management, 9090), (&mut node.peer, 7070)]
        {
            *address_of = format!("{}:{port}", address(place)).parse().expect("an address");
        }
        node.launcher = self.nodes[place].launcher();
        let secret = node.data.with_extension("secret");
        fs::write(&secret, "5".repeat(64)).expect("a file");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
        node.args.push(format!("--cluster-secret-file={}", secret.display()));
    }

    /// From now on nothing that one node sends reaches the other one.
    pub fn cut(&self, from: usize, to: usize) {
        let to = address(to);
        self.nodes[from].ip(&format!("neigh replace {to} lladdr {NOBODY} nud permanent dev eth0"));
    }

    /// Cuts a node off from the others, in both directions. Clients still reach it.
    pub fn isolate(&self, node: usize) {
        for other in (0..3).filter(|other| *other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Mends everything.
    pub fn heal(&self) {
        for node in &self.nodes {
            node.ip("neigh flush nud permanent dev eth0");
        }
    }
}

/// Runs a test in the middle of a new network.
pub fn with_network(test: impl FnOnce(&Network) + Send) {
    let network = Network::new();
    let middle = File::open(network.middle.path()).expect("it is there");
    // In a thread of its own, because a thread that has entered a namespace stays there.
    let ended = std::thread::scope(|threads| {
        let run = || {
            rustix::thread::move_into_link_name_space(
                middle.as_fd(),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .expect("root may enter it");
            test(&network);
        };
        threads.spawn(run).join()
    });
    if let Err(panicked) = ended {
        panic::resume_unwind(panicked);
    }
}
