//! More than the origins can do: what is too much is refused quickly, what is not goes on, and the cluster stays as it
//! is. How much goes on is measured by `bin/bench/overload.sh`; here it must not collapse.

use crate::{
    load::Wrk,
    router::{put, worker},
    support::{cluster::Cluster, eventually, figure, machine_to_itself},
    tools,
};
use serde_json::json;
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the origin works on each request.
const WORK: Duration = Duration::from_millis(20);
/// How many requests of a node it gets at once.
const AT_ONCE: u64 = 16;
/// How long is measured.
const SPAN: Duration = Duration::from_secs(3);
/// Counts answers by status, and refusals that say no time. It names what `load` reads.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() good, refused, untold, other = 0, 0, 0, 0 end
function response(status, headers)
  if status == 200 then good = good + 1
  elseif status == 503 then
    refused = refused + 1
    local told = false
    for name, value in pairs(headers) do told = told or (name:lower() == "retry-after" and tonumber(value) >= 1) end
    if not told then untold = untold + 1 end
  else other = other + 1 end
end
function done()
  for _, name in ipairs({"good", "refused", "untold", "other"}) do
    local sum = 0
    for _, thread in ipairs(threads) do sum = sum + thread:get(name) end
    print("counted " .. name .. " " .. sum)
  end
end
"#;

/// An origin that takes its time, and counts.
#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
}

fn origin() -> (SocketAddr, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, counts) = (listener.local_addr().expect("bound"), Arc::<Counts>::default());
    let shared = counts.clone();
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let counts = shared.clone();
            // An error is the other side going away.
            std::thread::spawn(move || serve(tcp, &counts));
        }
    });
    (address, counts)
}

fn serve(tcp: TcpStream, counts: &Counts) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::new(tcp);
    let mut line = String::new();
    loop {
        line.clear();
        if tcp.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            let now = counts.now.fetch_add(1, Ordering::Relaxed) + 1;
            counts.most.fetch_max(now, Ordering::Relaxed);
            std::thread::sleep(WORK);
            counts.now.fetch_sub(1, Ordering::Relaxed);
            tcp.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")?;
            counts.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many requests a second the origin answers, while wrk loads.
fn goodput(wrk: &mut Wrk, counts: &Counts) -> f64 {
    let begin = counts.answered.load(Ordering::Relaxed);
    eventually("the load has begun", || (counts.answered.load(Ordering::Relaxed) > begin + 50).then_some(()));
    let (before, start) = (counts.answered.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(SPAN);
    let (after, took) = (counts.answered.load(Ordering::Relaxed), start.elapsed());
    assert!(wrk.is_running());
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let answered = (after - before) as f64;
    answered / took.as_secs_f64()
}

#[test]
fn too_much_is_refused_with_a_time_and_neither_the_origin_nor_the_leader_is_lost() {
    if !tools::has(&["wrk", "setpriv"]) {
        return;
    }
    let _alone = machine_to_itself();
    // A machine of tests gives three nodes, their clients and the origin two cores.
    let cluster = Cluster::formed_with(&["--threads", "2", "--election-timeout", "2s"]);
    let (leader, folder) = (cluster.leader(), tempfile::tempdir().expect("a folder"));
    let node = &cluster.nodes[leader];
    let (address, counts) = origin();
    put(node, "/v1/services/slow", &json!({"limits": {"in_flight_max": AT_ONCE}}));
    worker(node, "w1", "slow", address);
    let term = || node.get("/v1/cluster")["term"].clone();
    let before = term();
    assert!(before.is_u64());
    let url = format!("http://{}/api/service/slow/", node.routing);
    let script = folder.path().join("count.lua");
    std::fs::write(&script, SCRIPT).expect("written");
    // As many as may be under way, and then each of many more that are refused comes again at once.
    let [peak, over] = [AT_ONCE as usize, 4 * AT_ONCE as usize].map(|connections| {
        let mut wrk =
            Wrk::start_with(folder.path(), connections, &["-s", script.to_str().expect("UTF-8")], &url);
        let goodput = goodput(&mut wrk, &counts);
        (goodput, wrk.stop())
    });
    for (_, seen) in [&peak, &over] {
        assert_eq!(
            (seen.counted("untold"), seen.counted("other"), seen.socket_errors),
            (0, 0, 0),
            "{seen:?}"
        );
    }
    assert!(over.1.counted("refused") > over.1.counted("good"), "{over:?}: it was too much");
    assert!(counts.most.load(Ordering::Relaxed) <= AT_ONCE, "the limit holds");
    figure(&format!("goodput of an origin: {:.0}/s at its limit, {:.0}/s far beyond", peak.0, over.0));
    assert!(over.0 >= peak.0 / 2.0, "{} of {} a second", over.0, peak.0);
    assert_eq!((term(), cluster.leader()), (before, leader), "the leader is still the same");
}
