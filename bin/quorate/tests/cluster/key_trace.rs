//! A routing key is lost inside of an application: every node can tell which one it was.

use crate::support::{cluster::Cluster, eventually, http::Ask, machine_shared};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const KEY: &str = "dev-1";

/// What an application passes on, of what it got, to the next one.
#[derive(Clone)]
struct Next {
    /// A node, and what is asked for.
    to: (SocketAddr, &'static str),
    headers: &'static [&'static str],
    /// Its own span: whoever makes a request names it.
    span: &'static str,
}

/// An application that asks the next one before it answers.
fn application(next: Option<Next>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let next = next.clone();
            // An error is the other side going away.
            std::thread::spawn(move || serve(next.as_ref(), tcp));
        }
    });
    address
}

fn serve(next: Option<&Next>, tcp: TcpStream) -> io::Result<()> {
    let mut tcp = BufReader::new(tcp);
    loop {
        let Some(head) = head_of(&mut tcp)? else { return Ok(()) };
        if let Some(Next { to: (node, path), headers, span }) = next {
            // Longer than a millisecond, as work is: what comes meanwhile comes later by every clock.
            std::thread::sleep(Duration::from_millis(5));
            let passed_on = head.iter().filter_map(|line| line.split_once(':'));
            let passed_on = passed_on.filter(|(name, _)| headers.contains(name));
            let mut lines: String = passed_on.map(|(name, value)| format!("{name}:{value}\r\n")).collect();
            lines += &format!("traceparent: 00-{TRACE}-{span}-01\r\n");
            ask(*node, path, &lines)?;
        }
        write!(tcp.get_mut(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

/// The lines of a head, in lower case.
fn head_of(tcp: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<String>>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if tcp.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => return Ok(Some(head)),
            line => head.push(line.to_lowercase()),
        }
    }
}

/// Asks a node for something, and waits until it is answered.
fn ask(node: SocketAddr, path: &str, lines: &str) -> io::Result<()> {
    let mut tcp = TcpStream::connect(node)?;
    write!(tcp, "GET {path} HTTP/1.1\r\nhost: shop.example\r\n{lines}connection: close\r\n\r\n")?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer)?;
    let is_well = answer.starts_with("HTTP/1.1 200");
    if is_well { Ok(()) } else { Err(io::Error::other(answer)) }
}

/// Three services on three applications: the first one passes its baggage on, the second one only its trace.
fn deploy(cluster: &Cluster) {
    let [n1, n2, n3] = &cluster.nodes;
    let stock = application(None);
    let price = application(Some(Next {
        to: (n3.routing, "/stock/17?secret=x"),
        headers: &[],
        span: "000000000000000b",
    }));
    let (to, headers) = ((n2.routing, "/price"), &["baggage"][..]);
    let cart = application(Some(Next { to, headers, span: "000000000000000a" }));
    for (service, version, address) in [("cart", "v2", cart), ("price", "v1", price), ("stock", "v1", stock)]
    {
        let worker = json!({"address": format!("http://{address}"), "services": [{"name": service, "version": version}]});
        n1.ask(&Ask::json("PUT", &format!("/v1/workers/{service}-1"), &worker)).ok();
        let route =
            json!({"match": {"path_prefix": format!("/{service}")}, "destinations": [{"service": service}]});
        n1.ask(&Ask::json("PUT", &format!("/v1/routes/{service}"), &route)).ok();
    }
    let sandbox = json!({"rules": [{"service": "cart", "target": "cart@v2"}]});
    n1.ask(&Ask::json("PUT", &format!("/v1/sandboxes/{KEY}"), &sandbox)).ok();
    cluster.catch_up();
}

/// What a node tells of the trace, once all three hops are told.
fn whole_trace(cluster: &Cluster, node: usize) -> Value {
    eventually("all hops are told", || {
        let told = cluster.nodes[node].get(&format!("/v1/sandboxes/{KEY}/trace"));
        let traces = told["traces"].as_array()?;
        let trace = traces.iter().find(|trace| trace["ids"] == json!([TRACE]))?;
        (trace["hops"].as_array()?.len() == 3).then(|| trace.clone())
    })
}

#[test]
fn every_node_tells_which_application_lost_the_key() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    deploy(&cluster);
    let first = |lines: &str| {
        let trace = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
        ask(cluster.nodes[0].routing, "/cart", &format!("x-route-key: {KEY}\r\n{lines}{trace}"))
            .expect("answered");
    };
    first("");
    let nothing = cluster.nodes[1].get(&format!("/v1/sandboxes/{KEY}/trace"));
    assert_eq!(nothing["traces"], json!([]), "nobody follows it");
    let followed = cluster.nodes[2].ask(&Ask::json(
        "POST",
        &format!("/v1/sandboxes/{KEY}/trace"),
        &json!({"for": "10m"}),
    ));
    let nodes = followed.ok().json()["nodes"].as_array().expect("a list").clone();
    assert!(nodes.len() == 3 && nodes.iter().all(|node| node["following"] == true), "{nodes:?}");
    first("");
    for node in 0..3 {
        let trace = whole_trace(&cluster, node);
        assert_eq!(trace["lost"], true, "{trace}");
        let hops = trace["hops"].as_array().expect("a list");
        let shown: Vec<_> = hops
            .iter()
            .map(|hop| {
                json!([
                    hop["node"],
                    hop["path"],
                    hop["key"],
                    hop["inside"],
                    hop["decided_by"],
                    hop["service"],
                    hop["status"]
                ])
            })
            .collect();
        let expected = [
            json!(["n1", "/cart", "present", null, "sandbox", "cart@v2", 200]),
            json!(["n2", "/price", "present", 0, "route price", "price", 200]),
            json!(["n3", "/stock/{}", "lost", 1, "route stock", "stock", 200]),
        ];
        assert_eq!(shown, expected, "{trace}");
        assert_eq!((&hops[2]["lost_after"], &hops[2]["parent"]), (&json!(1), &json!("000000000000000b")));
        assert_eq!((&hops[0]["forms"], &hops[1]["forms"]), (&json!(["x-route-key"]), &json!(["baggage"])));
    }
    // Without a trace id each request is alone, and it is said that nobody can tell more.
    ask(cluster.nodes[1].routing, "/stock", &format!("x-route-key: {KEY}\r\n")).expect("answered");
    let told = cluster.nodes[0].operate(&["sandboxes", "trace", KEY, "--now"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(told.out.contains("no trace id: what the application does"), "{}", told.out);
    let summary = "1 trace; the key was lost in 1; 1 request without a trace id\n";
    assert!(told.err.starts_with(summary), "{}", told.err);
    as_in_the_docs(&told.out);
    assert!(!told.out.contains("secret"), "{}", told.out);
    for node in &cluster.nodes {
        assert!(!node.log().contains(KEY), "a key is in the log of {}", node.name);
    }
    cluster.nodes[2].kill();
    eventually("n3 is told apart", || {
        let told = cluster.nodes[0].get(&format!("/v1/sandboxes/{KEY}/trace"));
        (told["nodes"][2]["why"] == "it does not answer").then_some(())
    });
}

/// The example on the page is what this prints, but for `…`: ports, and how long it took.
fn as_in_the_docs(printed: &str) {
    let page = include_str!("../../../../docs/routing-keys.md");
    let (_, after) = page.split_once("$ quorate sandboxes trace dev-1").expect("the example");
    let (_, example) = after.split_once('\n').expect("what it prints");
    let (example, _) = example.split_once("\n```").expect("its end");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (shown, printed) = (words(example), words(printed));
    let is_alike = |shown: &String, printed: &String| match shown.split_once('…') {
        Some((before, after)) => printed.starts_with(before) && printed.ends_with(after),
        None => shown == printed,
    };
    let pairs = shown.iter().zip(&printed);
    let differs = pairs.clone().find(|(shown, printed)| !is_alike(shown, printed));
    assert!(
        differs.is_none() && shown.len() <= printed.len(),
        "{differs:?}\n{example}\n{}",
        printed.join(" ")
    );
}
