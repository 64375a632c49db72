//! Watching a cluster of real nodes: what is told, by whom, and what survives the loss of the one who tells it.

use crate::support::{
    PATIENCE,
    cluster::Cluster,
    eventually,
    http::Ask,
    machine_shared,
    node::{Node, quorate},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
};

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    kind: String,
    id: Option<String>,
    data: Value,
}

/// An open watch: chunks off the socket, blocks out of the chunks.
struct Watcher {
    tcp: BufReader<TcpStream>,
    text: String,
}

/// How a stream ended.
#[derive(Debug, PartialEq)]
enum End {
    /// The node said that this was all.
    InOrder,
    /// The connection broke.
    Broken,
}

impl Watcher {
    fn open(node: &Node, target: &str, last: Option<&str>) -> Self {
        let mut tcp = TcpStream::connect(node.management).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let last = last.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        write!(tcp, "GET {target} HTTP/1.1\r\nhost: test\r\n{last}\r\n").expect("sent");
        let mut watcher = Self { tcp: BufReader::new(tcp), text: String::new() };
        let status = watcher.line().expect("an answer");
        assert!(status.contains(" 200 "), "{status}");
        while !watcher.line().expect("a head").is_empty() {}
        watcher
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.tcp.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event, or how the stream ended.
    fn next(&mut self) -> Result<Event, End> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = event(block);
                self.text = rest.to_owned();
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            let size = self.line().ok_or(End::Broken)?;
            let size = usize::from_str_radix(&size, 16).expect("a chunk's size");
            let mut chunk = vec![0; size + 2];
            self.tcp.read_exact(&mut chunk).map_err(|_| End::Broken)?;
            if size == 0 {
                return Err(End::InOrder);
            }
            self.text.push_str(std::str::from_utf8(&chunk[..size]).expect("text"));
        }
    }

    /// Up to `synced`, which is left out.
    fn until_synced(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().expect("not the end");
            if event.kind == "synced" {
                return events;
            }
            events.push(event);
        }
    }
}

fn event(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let value = block.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim_start().to_owned())
    };
    let data = serde_json::from_str(&field("data:")?).expect("JSON");
    Some(Event { kind: field("event:").expect("a kind"), id: field("id:"), data })
}

fn register(node: &Node, id: &str) {
    let body = json!({"address": "http://127.0.0.1:1", "partitions": [0]});
    // A leader may just have been lost.
    eventually("a registration is taken", || {
        let answer = Ask::json("PUT", &format!("/v1/workers/{id}"), &body).send(node.management).ok()?;
        (answer.status == 200).then_some(())
    });
}

fn index(node: &Node) -> u64 {
    node.get("/v1/cluster?consistent=true")["applied_index"].as_u64().expect("an index")
}

#[test]
fn a_watch_of_a_node_that_is_killed_goes_on_at_another_one_without_loss_or_repeat() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let leader = cluster.leader();
    let [other, third] = cluster.followers()[..] else { panic!("two followers") };
    let from = index(&cluster.nodes[leader]);
    let mut watcher = Watcher::open(&cluster.nodes[leader], &format!("/v1/watch?from={from}"), None);
    let mut heard = watcher.until_synced();
    // Each takes partition 0 from the one before: entries with several changes.
    (0..10).for_each(|nth| register(&cluster.nodes[other], &format!("w{nth}")));
    // In the middle of an entry's changes.
    heard.extend((0..8).map(|_| watcher.next().expect("not the end")));
    let last = heard.last().and_then(|event| event.id.clone()).expect("changes have ids");
    cluster.nodes[leader].kill();
    (10..20).for_each(|nth| register(&cluster.nodes[other], &format!("w{nth}")));
    let mut watcher = Watcher::open(&cluster.nodes[third], "/v1/watch", Some(&last));
    while heard.last().is_none_or(|event| event.data["name"] != "w19") {
        heard.push(watcher.next().expect("not the end"));
        heard.retain(|event| event.kind != "synced");
    }
    let upto = heard.last().and_then(|event| event.id.clone());
    cluster.nodes[leader].start();
    cluster.ready();
    cluster.catch_up();
    // Also by the one that was killed, which has it all from its log.
    for node in &cluster.nodes {
        let mut told = Watcher::open(node, &format!("/v1/watch?from={from}"), None).until_synced();
        let end = told.iter().position(|event| event.id == upto).expect("the last one that was heard");
        told.truncate(end + 1);
        assert_eq!(told, heard, "{}", node.name);
    }
    let registered = heard.iter().filter(|event| event.data["change"] == "registered");
    assert!(registered.count() >= 20, "all that was acknowledged is among it");
}

#[test]
fn a_node_that_ends_in_order_ends_its_watches_so() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let mut watcher = Watcher::open(&cluster.nodes[0], "/v1/watch", None);
    assert_eq!(watcher.next().map(|event| event.kind), Ok("reset".into()));
    // Each node describes itself once it has a leader: it stands already, or comes now.
    let mut described = BTreeSet::new();
    while described.len() < 3 {
        let event = watcher.next().expect("not the end");
        if event.kind == "node" {
            described.insert(event.data["name"].to_string());
        }
    }
    cluster.nodes[0].signal("TERM");
    let end = loop {
        if let Err(end) = watcher.next() {
            break end;
        }
    };
    assert_eq!(end, End::InOrder);
    assert!(cluster.nodes[0].ended().0.success());
}

#[test]
fn a_write_that_waits_for_all_is_there_on_each_and_names_who_is_away() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let body = json!({"address": "http://127.0.0.1:1", "partitions": [0]});
    let put = |node: &Node, id: &str| {
        node.ask(&Ask::json("PUT", &format!("/v1/workers/{id}?visible=all&wait=10s"), &body)).ok().json()
    };
    for (nth, node) in cluster.nodes.iter().enumerate() {
        let written = put(node, &format!("w{nth}"));
        let expected = json!({"all": true, "applied": ["n1", "n2", "n3"], "missing": []});
        assert_eq!(written["visible"], expected);
        for other in &cluster.nodes {
            other.ask(&Ask::get(&format!("/v1/workers/w{nth}"))).ok();
        }
    }
    let gone = cluster.followers()[0];
    let (name, asked) = (cluster.nodes[gone].name.clone(), cluster.leader());
    cluster.nodes[gone].kill();
    let visible = put(&cluster.nodes[asked], "w9")["visible"].clone();
    assert_eq!((&visible["all"], visible["applied"].as_array().map(Vec::len)), (&json!(false), Some(2)));
    assert_eq!(visible["missing"], json!([{"node": name, "why": "it does not answer"}]));
}

/// A `quorate watch`, killed when it goes.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone, where it ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_goes_on_when_the_node_that_it_watches_is_killed() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    register(&cluster.nodes[0], "w0");
    cluster.catch_up();
    let servers: Vec<_> = cluster.nodes.iter().map(|node| format!("http://{}", node.management)).collect();
    let once = cluster.nodes[1].operate(&["watch", "--kinds", "worker", "--until-synced"]);
    assert!(once.out.contains("worker    stands      w0 live http://127.0.0.1:1\n"), "{}", once.out);
    let mut command =
        quorate(&["watch", "--kinds", "worker", "--output", "json", "--server", &servers.join(",")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = Program(command.spawn().expect("it starts"));
    let mut lines = BufReader::new(program.0.stdout.take().expect("piped")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("not the end").expect("text");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    };
    let names = |event: &Value| (event["event"].clone(), event["data"]["name"].clone());
    assert_eq!(names(&next()), (json!("reset"), Value::Null));
    assert_eq!(names(&next()), (json!("worker"), json!("w0")));
    assert_eq!(names(&next()).0, "synced");
    cluster.nodes[0].kill();
    register(&cluster.nodes[1], "w1");
    let mut told = Vec::new();
    while told.last().is_none_or(|(_, name)| name != "w1") {
        told.push(names(&next()));
        told.retain(|(kind, _)| kind != "synced");
    }
    // w0 lost its only partition to it, and is gone.
    let expected = ["w0", "w0", "w1"].map(|name| (json!("worker"), json!(name)));
    assert_eq!(told, expected);
    // A person who looks on is told why it was quiet, and that it is over.
    program.0.kill().expect("it runs");
    let mut said = String::new();
    program.0.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    let (before, after) = said.split_once("; going on at the next node that answers\n").expect("the loss");
    assert!(before.contains(&servers[0]) && after.contains("the watch goes on at http://"), "{said}");
}
