//! Origins that are slow, silent, cut off or stingy: what the client is told, and when; that nothing is done twice; and
//! that the requests after it are well.

use crate::{
    router::{Router, counted},
    support::{
        eventually,
        http::{Ask, Connection},
        machine_shared,
    },
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What the service's policy allows until the head of an answer. Nobody who is well takes so long, on any machine.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Far more than the timeout: the machine is busy.
const LATEST: Duration = Duration::from_secs(15);
/// How many requests must be right after each trouble.
const AFTER: u32 = 1_000;

/// An origin that misbehaves as the path says, and counts who was asked for what.
struct Origin {
    address: SocketAddr,
    heard: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Origin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let heard = Arc::<Mutex<BTreeMap<String, u32>>>::default();
        let counts = heard.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let counts = counts.clone();
                // An error is the other side going away.
                std::thread::spawn(move || serve(tcp, &counts));
            }
        });
        Self { address, heard }
    }

    /// How often something was asked of it.
    fn heard(&self, what: &str) -> u32 {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(what).copied().unwrap_or_default()
    }
}

fn serve(tcp: TcpStream, heard: &Mutex<BTreeMap<String, u32>>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::new(tcp);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if tcp.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            let mut field = String::new();
            tcp.read_line(&mut field)?;
            if field.trim().is_empty() {
                break;
            }
            if let Some(value) = field.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        tcp.read_exact(&mut vec![0; length])?;
        let what = line.rsplit_once(' ').map_or_else(String::new, |(what, _)| what.to_owned());
        let nth = {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let count = heard.entry(what.clone()).or_default();
            *count += 1;
            *count
        };
        if !answer(&mut tcp, what.split('/').nth(1).unwrap_or_default(), nth)? {
            return Ok(());
        }
    }
}

/// Whether the connection is kept.
fn answer(tcp: &mut BufReader<TcpStream>, how: &str, nth: u32) -> io::Result<bool> {
    let out = tcp.get_mut();
    match how {
        // Until the other side has had enough.
        "never" => return tcp.read(&mut [0]).map(|_| false),
        "reset" => return Ok(false),
        "half-a-head" => return out.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").map(|()| false),
        "nonsense" => return out.write_all(b"\x16\x03\x01 what?\r\n\r\n").map(|()| false),
        "cut" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this")?;
            return Ok(false);
        }
        "cut-chunk" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\nonly this")?;
            return Ok(false);
        }
        "trickle" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")?;
            for byte in b"slow" {
                std::thread::sleep(TIMEOUT / 3);
                out.write_all(&[*byte])?;
            }
        }
        // More than it said, which a pool must not take for the next answer.
        "more" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmoreHTTP/1.1 200 OK\r\n\r\n")?
        }
        "close" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell")?;
            // Under the next request, which may be on its way already.
            return Ok(!nth.is_multiple_of(3));
        }
        _ => {
            let said = format!("well {nth}");
            write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len())?;
        }
    }
    Ok(true)
}

struct Trouble {
    router: Router,
    origins: [Origin; 2],
}

impl Trouble {
    fn ready() -> Self {
        let router = Router::ready();
        let origins = [(); 2].map(|()| Origin::start());
        for (id, origin) in ["o1", "o2"].iter().zip(&origins) {
            router.worker(id, "bad", origin.address);
        }
        router.policy("bad", &json!({"timeout": format!("{}s", TIMEOUT.as_secs())}));
        let to_the_same = json!([{"service": "bad"}]);
        router.route(
            "bad",
            &json!({"match": {"path_prefix": "/bad"}, "destinations": to_the_same, "rewrite": {"path_prefix": "/"}}),
        );
        Self { router, origins }
    }

    fn ask(&self, method: &str, path: &str) -> Ask {
        let target = format!("/api/service/bad/{path}");
        if method == "GET" { Ask::get(&target) } else { Ask::json(method, &target, &json!("some of it")) }
    }

    fn heard(&self, what: &str) -> u32 {
        self.origins.iter().map(|origin| origin.heard(what)).sum()
    }

    /// The next requests on one connection, each answered with its own answer.
    fn goes_on(&self, after: &str) {
        let mut connection = Connection::open(self.router.node.routing).expect("it listens");
        let path = format!("well-after-{after}");
        let mut said = Vec::new();
        for nth in 0..AFTER {
            let answer = connection.exchange(&self.ask("GET", &path)).expect("it answers");
            assert_eq!(answer.status, 200, "{after}: request {nth}: {}", answer.text());
            said.push(answer.text());
        }
        // Each origin has counted for itself, and nobody got what was another's.
        let each = self.origins.each_ref().map(|origin| origin.heard(&format!("GET /{path}")));
        let mut expected: Vec<_> =
            each.iter().flat_map(|count| (1..=*count).map(|nth| format!("well {nth}"))).collect();
        said.sort();
        expected.sort();
        assert_eq!(said, expected, "{after}");
    }
}

#[test]
fn whoever_never_answers_costs_its_client_the_timeout_and_nobody_else_anything() {
    let _shared = machine_shared();
    let trouble = Trouble::ready();
    for method in ["GET", "POST"] {
        let start = Instant::now();
        let answer = trouble.ask(method, "never").send(trouble.router.node.routing).expect("it answers");
        let took = start.elapsed();
        // As the coordinator's dialect has it while another origin is left.
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("2")),
            "{method}: {}",
            answer.text()
        );
        // A core that got no processor for a moment is wrong by that moment.
        assert!(took > TIMEOUT / 2 && took < LATEST, "{method}: after {took:?}");
        assert_eq!(
            trouble.heard(&format!("{method} /never")),
            1,
            "{method}: the time is over for all attempts"
        );
        let answer = Ask::new(method, "/bad/never").send(trouble.router.node.routing).expect("it answers");
        assert_eq!(answer.status, 504, "{method} by a route: {}", answer.text());
        assert_eq!(trouble.heard(&format!("{method} /never")), 2);
    }
    let answer = Ask::new("POST", "/bad/reset").send(trouble.router.node.routing).expect("it answers");
    assert_eq!((answer.status, trouble.heard("POST /reset")), (502, 1), "by a route: {}", answer.text());
    trouble.goes_on("never");
}

#[test]
fn a_request_that_may_not_be_repeated_reaches_one_origin_once() {
    let _shared = machine_shared();
    let trouble = Trouble::ready();
    for how in ["reset", "half-a-head", "nonsense"] {
        let start = Instant::now();
        let answer = trouble.ask("POST", how).send(trouble.router.node.routing).expect("it answers");
        assert!((502..=503).contains(&answer.status), "{how}: {} {}", answer.status, answer.text());
        assert!(start.elapsed() < LATEST, "{how}");
        assert_eq!(trouble.heard(&format!("POST /{how}")), 1, "{how}");
        // What may be repeated is given to the other one too, and to each once.
        let answer = trouble.ask("GET", how).send(trouble.router.node.routing).expect("it answers");
        assert!((502..=503).contains(&answer.status), "{how}: {} {}", answer.status, answer.text());
        let each = trouble.origins.each_ref().map(|origin| origin.heard(&format!("GET /{how}")));
        assert!(each.iter().all(|count| (1..=2).contains(count)), "{how}: {each:?}");
        trouble.goes_on(how);
    }
    // The same on connections that were kept, which is when one dials anew.
    let mut connection = Connection::open(trouble.router.node.routing).expect("it listens");
    let answer = connection.exchange(&trouble.ask("POST", "reset/again")).expect("it answers");
    assert!((502..=503).contains(&answer.status), "{}", answer.text());
    assert_eq!(trouble.heard("POST /reset/again"), 1);
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let _shared = machine_shared();
    let trouble = Trouble::ready();
    for how in ["cut", "cut-chunk"] {
        let cut = || counted(&trouble.router.node, "quorate_proxy_answers_cut_total", "");
        let before = cut();
        let ended = trouble.ask("GET", how).send(trouble.router.node.routing);
        assert!(ended.is_err(), "{how}: {ended:?}");
        eventually("it is counted", || (cut() > before).then_some(()));
        assert_eq!(trouble.heard(&format!("GET /{how}")), 1, "{how}: its answer had begun");
        trouble.goes_on(how);
    }
}

#[test]
fn a_slow_answer_arrives_whole_and_surplus_bytes_do_not() {
    let _shared = machine_shared();
    let trouble = Trouble::ready();
    // Longer than the timeout in all, which is for its head.
    let answer = trouble.ask("GET", "trickle").send(trouble.router.node.routing).expect("it answers").ok();
    assert_eq!(answer.text(), "slow");
    let mut connection = Connection::open(trouble.router.node.routing).expect("it listens");
    for _ in 0..20 {
        let answer = connection.exchange(&trouble.ask("GET", "more")).expect("it answers").ok();
        assert_eq!(answer.text(), "more");
    }
    trouble.goes_on("more");
}

#[test]
fn kept_connections_that_an_origin_closes_fail_no_request_that_may_be_repeated() {
    let _shared = machine_shared();
    let trouble = Trouble::ready();
    let mut connection = Connection::open(trouble.router.node.routing).expect("it listens");
    for nth in 0..AFTER {
        let answer = connection.exchange(&trouble.ask("GET", "close")).expect("it answers");
        assert_eq!((answer.status, answer.text().as_str()), (200, "well"), "request {nth}");
    }
    let opened = || counted(&trouble.router.node, "quorate_proxy_upstream_connections_total", "opened");
    assert!(opened() >= u64::from(AFTER / 3), "{}: they were closed", opened());
    trouble.goes_on("close");
}
