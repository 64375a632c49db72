//! R1 and R2: networks that are cut, in every direction, and nodes that are paused or killed meanwhile.

use crate::{
    machine,
    network::{self, MIDDLE, Network, with_network},
    registers::{Reads, Registers},
    support::{
        cluster::{Cluster, WORKSPACES},
        eventually, figure,
        http::Ask,
        machine_to_itself,
        node::Node,
        within,
        worker::Worker,
    },
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Writes go on within this time, whatever one node or one link does.
const GAP_MAX: Duration = Duration::from_secs(5);
/// How long a fault lasts: some elections long.
const FAULT: Duration = Duration::from_millis(2_500);
/// And how long there is none.
const CALM: Duration = Duration::from_secs(1);

fn started(network: &Network) -> Cluster {
    let mut cluster = network.cluster(&[]);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    cluster
}

/// Clients write and read while `fault` comes and goes; then all must be explained.
fn under(
    network: &Network,
    name: &str,
    mut fault: impl FnMut(&mut Cluster, usize),
    mut end: impl FnMut(&mut Cluster),
) {
    let mut cluster = started(network);
    let length = machine::seconds(8);
    let registers = Registers::start(&cluster, Reads::Consistent, length);
    let (start, mut round) = (Instant::now(), 0);
    while start.elapsed() < length {
        fault(&mut cluster, round);
        std::thread::sleep(FAULT);
        end(&mut cluster);
        std::thread::sleep(CALM);
        round += 1;
    }
    cluster.ready();
    let before = registers.written();
    eventually("writes go on after the last fault", || (registers.written() >= before + 50).then_some(()));
    let seen = registers.end();
    let (gap, acknowledged) = (seen.longest_gap(), seen.acknowledged());
    figure(&format!("{name}: {round} faults, {acknowledged} operations, at most {gap:?} without a write"));
    assert!(seen.is_linearizable(), "{name}: no order explains what the clients saw");
    assert!(gap < GAP_MAX, "{name}: {gap:?} without a write");
}

fn in_a_network(test: impl FnOnce(&Network) + Send) {
    let _alone = machine_to_itself();
    match network::missing() {
        Some(reason) => machine::skip(reason),
        None => with_network(test),
    }
}

#[test]
fn r1_clients_see_one_history_while_nodes_are_cut_off() {
    in_a_network(|network| {
        let cut = |cluster: &mut Cluster, round: usize| {
            let leader = cluster.leader();
            network.isolate(if round.is_multiple_of(2) { leader } else { (leader + 1) % 3 });
        };
        under(network, "cut off", cut, |_| network.heal());
    });
}

#[test]
fn r1_clients_see_one_history_while_links_work_in_one_direction_only() {
    in_a_network(|network| {
        let cut = |cluster: &mut Cluster, round: usize| {
            let leader = cluster.leader();
            let [one, other] = [(leader + 1) % 3, (leader + 2) % 3];
            match round % 4 {
                // The leader is heard by nobody, and hears everybody.
                0 => [one, other].iter().for_each(|to| network.cut(leader, *to)),
                // The leader hears nobody.
                1 => [one, other].iter().for_each(|from| network.cut(*from, leader)),
                // One follower does not hear it; the other one is a bridge.
                2 => network.cut(leader, one),
                // A follower hears it and is not heard.
                _ => network.cut(one, leader),
            }
        };
        under(network, "one direction", cut, |_| network.heal());
    });
}

#[test]
fn r1_clients_see_one_history_while_nodes_are_killed() {
    in_a_network(|network| {
        let mut killed = 0;
        let kill = |cluster: &mut Cluster, round: usize| {
            let leader = cluster.leader();
            killed = if round % 3 == 2 { (leader + 1) % 3 } else { leader };
            cluster.nodes[killed].kill();
        };
        under(network, "kill -9", kill, |cluster| {
            cluster.nodes.iter_mut().filter(|node| !node.runs()).for_each(Node::start);
        });
    });
}

#[test]
fn r1_clients_see_one_history_while_nodes_are_paused() {
    in_a_network(|network| {
        let pause = |cluster: &mut Cluster, round: usize| {
            let leader = cluster.leader();
            cluster.nodes[if round % 3 == 2 { (leader + 1) % 3 } else { leader }].signal("STOP");
        };
        under(network, "pause", pause, |cluster| {
            cluster.nodes.iter().for_each(|node| node.signal("CONT"));
        });
    });
}

/// What makes the tests above worth anything: reads that promise nothing, while one node is cut off, are found out.
#[test]
fn r1_control_stale_reads_are_found_out() {
    in_a_network(|network| {
        let cluster = started(network);
        let registers = Registers::start(&cluster, Reads::Local, FAULT * 2);
        network.isolate(cluster.followers()[0]);
        std::thread::sleep(FAULT * 2);
        let seen = registers.end();
        assert!(seen.acknowledged() > 100);
        assert!(!seen.is_linearizable(), "the checker takes everything");
    });
}

/// Asks again and again for what only a leader with a quorum may answer; how often.
fn asks_in_vain(node: &Node, length: Duration) -> usize {
    let start = Instant::now();
    let body = json!({"address": "http://127.0.0.1:1"});
    let asks = [
        Ask::json("PUT", "/v1/workers/minority", &body),
        Ask::get("/v1/workers/minority?consistent=true"),
        Ask::json("PUT", "/v1/keyspaces/minority", &json!({"partitions": 3})),
        Ask::get("/v1/keyspaces?consistent=true"),
    ];
    std::thread::scope(|threads| {
        let asking = asks.iter().map(|ask| {
            threads.spawn(move || {
                let mut asked = 0;
                while start.elapsed() < length {
                    let answer = node.ask(ask);
                    assert_eq!(answer.status, 503, "{}", answer.text());
                    asked += 1;
                }
                asked
            })
        });
        let asking: Vec<_> = asking.collect();
        asking.into_iter().map(|thread| thread.join().expect("every answer was a refusal")).sum()
    })
}

fn metric(node: &Node, name: &str) -> f64 {
    let text = node.ask(&Ask::get("/metrics")).ok().text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
}

fn routes(node: &Node) {
    for (workspace, partition, _) in WORKSPACES {
        assert_eq!(node.route(workspace).worker(), format!("w{}", partition / 4 + 1), "{}", node.name);
    }
}

#[test]
fn r2_a_leader_that_was_cut_off_promises_nothing_and_routes_on() {
    in_a_network(|network| {
        let cluster = started(network);
        let _workers = ["w1", "w2", "w3"].map(|id| Worker::start_at(id, MIDDLE)).map(|worker| {
            let first = (worker.id.as_bytes()[1] - b'1') as u32 * 4;
            let partitions: Vec<_> = (first..first + 4).collect();
            cluster.nodes[0].register(&worker.id, &worker.url(), &partitions).ok();
            worker
        });
        cluster.catch_up();
        let old = cluster.leader();
        let [one, other] = [(old + 1) % 3, (old + 2) % 3].map(|place| &cluster.nodes[place]);
        let cut_off = &cluster.nodes[old];
        network.isolate(old);
        eventually("the others have a leader of their own", || {
            (one.register("majority", "http://127.0.0.1:1", &[]).status == 200).then_some(())
        });
        let asked = asks_in_vain(cut_off, Duration::from_secs(6));
        assert!(asked >= 4, "{asked}");
        // Its own table, and it says how old that is.
        routes(cut_off);
        let stale = |node: &Node| node.route("my-workspace").header("x-quorate-stale").map(str::to_owned);
        let seconds: u64 = stale(cut_off).expect("it says so").parse().expect("seconds");
        assert!((4..120).contains(&seconds), "{seconds}");
        assert!(metric(cut_off, "quorate_view_stale_seconds") >= 4.0);
        assert_eq!(metric(cut_off, "quorate_raft_is_leader"), 0.0, "it leads nobody");
        for node in [one, other] {
            routes(node);
            assert_eq!(stale(node), None);
            assert_eq!(metric(node, "quorate_view_stale_seconds"), 0.0);
        }
        assert_eq!(cut_off.ask(&Ask::get("/v1/workers/majority")).status, 404, "how could it know?");

        network.heal();
        let fresh = within(Duration::from_secs(10), || stale(cut_off).is_none().then_some(()));
        assert!(fresh.is_some(), "it is still stale ten seconds after the network is whole");
        cut_off.ask(&Ask::get("/v1/workers/majority?consistent=true")).ok();
        for node in &cluster.nodes {
            let lost = node.ask(&Ask::get("/v1/workers/minority?consistent=true"));
            assert_eq!(lost.status, 404, "a refused write came true at {}: {}", node.name, lost.text());
        }
    });
}
