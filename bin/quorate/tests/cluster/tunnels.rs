//! Tunnels: what hangs on one node is reached by all of them, whatever becomes of that node.

use crate::support::{
    PATIENCE,
    cluster::Cluster,
    eventually,
    http::{Answer, Ask, Connection},
    machine_shared,
    node::{Node, quorate},
    within,
    worker::Worker,
};
use serde_json::json;
use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub const KEY: &str = "dev-1";
/// As `sandboxes local` names it.
const TUNNEL: &str = "local_upload_dev-1";

/// `quorate sandboxes local`, running. Dropping it kills it.
pub struct Local {
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Drop for Local {
    fn drop(&mut self) {
        // Already gone, where it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the tunnel's client:\n{}", self.said());
        }
    }
}

impl Local {
    pub fn start(nodes: &[&Node], to: SocketAddr, more: &[&str]) -> Self {
        let server: Vec<_> = nodes.iter().map(|node| format!("http://{}", node.management)).collect();
        let (server, to) = (server.join(","), to.to_string());
        // What is answered for is named by its key, or by the object that says so.
        let key: &[_] = if more.contains(&"--workload") { &[] } else { &["--key", KEY] };
        let args = [&["sandboxes", "local", "--to", &to, "--server", &server], key].concat();
        let mut command = quorate(&[&args[..], more].concat());
        let said = tempfile::NamedTempFile::new().expect("a file");
        let end = || OpenOptions::new().append(true).open(said.path()).expect("a file");
        let child = command.stdout(end()).stderr(end()).stdin(Stdio::null()).spawn().expect("it starts");
        Self { child, said }
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.said.path()).expect("UTF-8")
    }

    pub fn says(&self, words: &str) {
        eventually(&format!("the client says `{words}`"), || self.said().contains(words).then_some(()));
    }

    /// The management address that it hangs on, by what it said last.
    fn hangs_on(&self) -> String {
        let said = self.said();
        let last = said.lines().rfind(|line| line.contains(" hangs on http://")).expect("it hangs");
        let at = last.split(" hangs on http://").nth(1).and_then(|rest| rest.split('/').next());
        at.expect("an address").to_owned()
    }

    pub fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", "INT", &pid]).status();
        assert!(sent.expect("there is a kill").success());
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        eventually("the client ends", || self.child.try_wait().expect("it is ours")).code()
    }
}

fn keyed() -> Ask {
    Ask::get("/api/service/upload/x").header("x-route-key", KEY)
}

pub fn asked(node: &Node) -> Answer {
    keyed().send(node.routing).unwrap_or_else(|error| panic!("{} does not answer: {error}", node.name))
}

/// A service that everybody uses, at another machine.
pub fn with_base(node: &Node) -> Worker {
    let base = Worker::start("base");
    let body = json!({"address": base.url(), "services": [{"name": "upload"}]});
    node.ask(&Ask::json("PUT", "/v1/workers/base", &body)).ok();
    base
}

/// Everybody knows the way to the tunnel.
pub fn reaches(cluster: &Cluster, worker: &str) {
    for node in cluster.running() {
        eventually(&format!("{} reaches {worker}", node.name), || {
            (asked(node).worker() == worker).then_some(())
        });
    }
}

pub fn all(cluster: &Cluster) -> Vec<&Node> {
    cluster.nodes.iter().collect()
}

#[test]
fn a_machine_that_nobody_dials_answers_on_every_node_and_outlives_the_one_that_it_hangs_on() {
    let _machine = machine_shared();
    let mut cluster = Cluster::formed();
    let (_base, laptop) = (with_base(&cluster.nodes[0]), Worker::start("laptop"));
    let mut local = Local::start(&all(&cluster), laptop.address, &["--service", "upload"]);
    local.says("requests for upload with the key dev-1 come to");
    reaches(&cluster, "laptop");
    // Who has no key notices nothing.
    let plain = Ask::get("/api/service/upload/x").send(cluster.nodes[1].routing).expect("an answer");
    assert_eq!(plain.worker(), "base");

    // A worker registers the tunnel in the place of an address.
    let body = json!({"address": format!("tunnel://{TUNNEL}"), "partitions": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]});
    cluster.nodes[0].ask(&Ask::json("PUT", "/v1/workers/w9", &body)).ok();
    cluster.catch_up();
    for node in &cluster.nodes {
        assert_eq!(node.route("workspace-1").worker(), "laptop", "{}", node.name);
    }

    let holder = local.hangs_on();
    let place = |at: &str| cluster.nodes.iter().position(|node| node.management.to_string() == at);
    let holder = place(&holder).expect("a node");
    cluster.nodes[holder].kill();
    // Meanwhile those requests go where they would go without their key: nobody gets an error.
    for node in cluster.running() {
        eventually(&format!("{} reaches the laptop again", node.name), || {
            let answer = asked(node);
            let worker = answer.worker();
            assert!(["laptop", "base"].contains(&&*worker), "{worker}");
            (worker == "laptop").then_some(())
        });
    }

    // Somebody takes its sandbox away, as `apply --prune` does: people are told, and it is there again.
    let left = cluster.running().next().expect("two run");
    left.ask(&Ask::new("DELETE", &format!("/v1/sandboxes/{KEY}"))).ok();
    local.says("sandbox dev-1 is gone: it was taken away, or its time was over; put it in again");
    reaches(&cluster, "laptop");
    local.interrupt();
    assert_eq!(local.exit_code(), Some(0), "{}", local.said());
    assert!(!local.said().contains('\u{fffd}'), "{}", local.said());
    local.says("took the rule of dev-1 out: the sandbox is gone\n");
    for node in cluster.running() {
        eventually("the rule is gone", || (asked(node).worker() == "base").then_some(()));
    }
    let left = cluster.running().next().expect("two run");
    assert_eq!(left.ask(&Ask::get(&format!("/v1/sandboxes/{KEY}"))).status, 404, "it made the sandbox");

    // Nothing is at the end of this one: requests leave the sandbox, and people are told why.
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let silent = Local::start(&cluster.running().collect::<Vec<_>>(), nobody, &["--service", "upload"]);
    silent.says("nothing answers at 127.0.0.1:1 yet");
    eventually("people are told of a request", || {
        assert_eq!(asked(left).worker(), "base");
        silent.said().contains("nothing answers at 127.0.0.1:1: ").then_some(())
    });
}

#[test]
fn a_node_that_ends_sends_its_tunnels_elsewhere_and_no_request_fails() {
    let _machine = machine_shared();
    let mut cluster = Cluster::formed();
    let (_base, laptop) = (with_base(&cluster.nodes[0]), Worker::start("laptop"));
    let local = Local::start(&all(&cluster), laptop.address, &["--service", "upload"]);
    local.says("requests for upload with the key dev-1 come to");
    reaches(&cluster, "laptop");
    let at = local.hangs_on();
    let holder = cluster.nodes.iter().position(|node| node.management.to_string() == at).expect("a node");
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .filter(|place| *place != holder)
        .map(|place| {
            let (stop, to) = (stop.clone(), cluster.nodes[place].routing);
            std::thread::spawn(move || {
                let mut workers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    workers.push(keyed().send(to).expect("an answer").worker());
                    std::thread::sleep(Duration::from_millis(5));
                }
                workers
            })
        })
        .collect();
    cluster.nodes[holder].signal("TERM");
    let (status, took) = cluster.nodes[holder].ended();
    stop.store(true, Ordering::Relaxed);
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(28), "it waited for its tunnels as long as it may: {took:?}");
    for client in clients {
        let workers = client.join().expect("no panic");
        assert!(!workers.is_empty() && workers.iter().all(|worker| worker == "laptop"), "{workers:?}");
    }
    assert!(local.said().contains("is about to end: hanging on another node"), "{}", local.said());
}

#[test]
fn the_later_one_of_a_name_holds_it_and_the_other_ends() {
    let _machine = machine_shared();
    let cluster = Cluster::formed();
    let (first, second) = (Worker::start("first"), Worker::start("second"));
    let mut former = Local::start(&[&cluster.nodes[0]], first.address, &["--name", "mine"]);
    former.says("requests with the key dev-1 come to");
    reaches(&cluster, "first");
    let mut latter = Local::start(&[&cluster.nodes[1]], second.address, &["--name", "mine"]);
    latter.says("a sandbox that was there");
    assert_eq!(former.exit_code(), Some(1));
    assert!(former.said().contains("another machine has opened the tunnel mine"), "{}", former.said());
    assert!(former.said().contains("the rule of dev-1 stays, and leads there"), "{}", former.said());
    reaches(&cluster, "second");
    // One for something else under that name gets its own requests, and no others.
    let third = Worker::start("third");
    let more = ["--name", "mine", "--service", "upload", "-o", "json"];
    let mut other = Local::start(&[&cluster.nodes[2]], third.address, &more);
    assert_eq!(latter.exit_code(), Some(1));
    latter.says("holds the tunnel mine for something else: took the rule of dev-1 out");
    reaches(&cluster, "third");
    let told = "\"sandbox\": \"joined\"";
    assert!(other.said().contains(told), "{}", other.said());
    let rules = cluster.nodes[0].get(&format!("/v1/sandboxes/{KEY}"))["rules"].clone();
    let rules = rules.as_array().expect("rules");
    assert!(rules.len() == 1 && rules[0]["service"] == "upload", "{rules:?}");
    other.interrupt();
    assert_eq!(other.exit_code(), Some(0), "{}", other.said());
}

/// What is at the end of the tunnel: `/pour` is a large answer, `/sink` counts a large body, `/ws` agrees to leave HTTP
/// and says everything again.
fn origin(poured: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let poured = poured.clone();
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let poured = poured.clone();
            // An error is the other side going away.
            std::thread::spawn(move || serve(tcp, &poured));
        }
    });
    address
}

const LARGE: usize = 32 << 20;

fn serve(tcp: TcpStream, poured: &AtomicUsize) -> std::io::Result<()> {
    let mut tcp = BufReader::new(tcp);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if tcp.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_lowercase());
        }
        let length =
            head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let path = head[0].split(' ').nth(1).unwrap_or_default();
        match path {
            "/ws" => {
                let answer =
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                tcp.get_mut().write_all(answer.as_bytes())?;
                let mut piece = [0; 1 << 10];
                loop {
                    let read = tcp.read(&mut piece)?;
                    if read == 0 {
                        return Ok(());
                    }
                    tcp.get_mut().write_all(&piece[..read])?;
                }
            }
            "/pour" => {
                write!(tcp.get_mut(), "HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")?;
                let mut left = LARGE;
                while left > 0 {
                    let piece = [b'x'; 16 << 10];
                    tcp.get_mut().write_all(&piece)?;
                    left -= piece.len();
                    poured.fetch_add(piece.len(), Ordering::Relaxed);
                }
            }
            _ => {
                let mut counted = 0;
                let mut piece = [0; 16 << 10];
                while counted < length.unwrap_or_default() {
                    counted += tcp.read(&mut piece)?;
                }
                let said = counted.to_string();
                write!(tcp.get_mut(), "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len())?;
            }
        }
    }
}

#[test]
fn bodies_of_any_size_and_what_is_not_http_pass_and_nobody_is_sent_more_than_he_takes() {
    let _machine = machine_shared();
    let cluster = Cluster::formed();
    let poured = Arc::new(AtomicUsize::new(0));
    let to = origin(&poured);
    let local = Local::start(&[&cluster.nodes[0]], to, &[]);
    local.says("requests with the key dev-1 come to");
    cluster.catch_up();
    for node in &cluster.nodes {
        let body = vec![b'y'; LARGE];
        let mut sink = TcpStream::connect(node.routing).expect("it listens");
        sink.set_read_timeout(Some(PATIENCE)).expect("a socket");
        write!(sink, "POST /sink HTTP/1.1\r\nhost: t\r\nconnection: close\r\nx-route-key: {KEY}\r\ncontent-length: {LARGE}\r\n\r\n")
            .and_then(|()| sink.write_all(&body))
            .expect("it takes the body");
        let mut answer = String::new();
        sink.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with(&LARGE.to_string()), "{}: {answer}", node.name);

        let mut upgraded = TcpStream::connect(node.routing).expect("it listens");
        upgraded.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
        write!(upgraded, "GET /ws HTTP/1.1\r\nhost: t\r\nx-route-key: {KEY}\r\nconnection: upgrade\r\nupgrade: websocket\r\n{key}\r\n\r\n")
            .expect("it takes the request");
        let mut upgraded = BufReader::new(upgraded);
        let mut line = String::new();
        upgraded.read_line(&mut line).expect("an answer");
        assert!(line.starts_with("HTTP/1.1 101"), "{}: {line}", node.name);
        while line.trim_end() != "" {
            line.clear();
            upgraded.read_line(&mut line).expect("a head");
        }
        for word in [&b"hello"[..], b"and again"] {
            upgraded.get_mut().write_all(word).expect("it takes bytes");
            let mut back = vec![0; word.len()];
            upgraded.read_exact(&mut back).expect("they come back");
            assert_eq!(back, word);
        }
    }
    // By way of a node that has to ask another one: three connections lie between the two.
    let (node, before) = (&cluster.nodes[1], poured.load(Ordering::Relaxed));
    let mut slow = Connection::open_within(node.routing, PATIENCE).expect("it listens");
    slow.send(&Ask::get("/pour").header("x-route-key", KEY).header("connection", "close")).expect("sent");
    let stands = within(PATIENCE, || {
        let so_far = poured.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
        (so_far > before && poured.load(Ordering::Relaxed) == so_far).then_some(so_far - before)
    });
    let stood = stands.expect("it stands still while the client takes nothing");
    assert!(stood < LARGE, "all of it lies somewhere: {stood}");
    assert_eq!(slow.answer().expect("an answer").body.len(), LARGE);
}
