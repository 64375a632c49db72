//! How many users may come and go in a second: `bin/bench/presence.sh` runs three of these.
//!
//! Each process is a whole node, with its disk, its peers and its log. Its users are inside of it, so that what is
//! measured is presence and not sockets: every one logs in under a name that is drawn from all names of all nodes, and
//! says goodbye in half of the cases; in the others whoever comes next under that name takes its place. Each coming and
//! each going waits until the node has applied it.
//!
//! Says `ready`, waits for a line on its input, and prints one line of JSON at the end.
#![cfg(not(madsim))]
#![expect(clippy::print_stdout, reason = "a program for programs")]

use quorate_consensus::{Consensus, SessionHold};
use quorate_model::{ConnectionId, FeatureLevel, SecondLogin, UserId};
use quorate_node::{
    Node, Platform,
    config::{Config, LogTo, Machine, Sources},
};
use quorate_rt::{rng, time};
use quorate_storage::FolderDisk;
use std::{collections::BTreeMap, error::Error, io::BufRead as _, sync::Arc, time::Duration};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is looked for among those who stayed, once there are so many.
const KEPT: usize = 64;

/// The flags that are not the node's own.
#[derive(Clone, Copy)]
struct Load {
    /// How many come and go at once.
    users: usize,
    /// Of how many names.
    names: u64,
    seconds: u64,
}

/// What one user has seen.
#[derive(Default)]
struct Seen {
    changes: u64,
    failed: u64,
    /// How long each coming took, in microseconds.
    took: Vec<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let pair = |arg: String| {
        let (name, value) = arg.strip_prefix("--")?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let mut flags: BTreeMap<String, String> = std::env::args().skip(1).filter_map(pair).collect();
    let mut own = |name: &str, default: u64| flags.remove(name).map_or(Ok(default), |text| text.parse());
    let load = Load {
        users: usize::try_from(own("users", 4_000)?)?,
        names: own("names", 100_000)?,
        seconds: own("seconds", 10)?,
    };
    let machine = Machine { host_name: String::new(), cores: 1, log_to: LogTo::Machine };
    let config = Config::load(&Sources { flags, env: BTreeMap::new(), file: None, machine })
        .map_err(|wrong| wrong.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(config, load))
}

async fn run(config: Config, load: Load) -> Result<(), Box<dyn Error>> {
    let disk = Arc::new(FolderDisk::open(&config.data_dir, &config.node_name)?);
    let node =
        Node::start(config, Platform { disk, partition_source: None, secret: None, detour: None }).await?;
    let consensus = node.consensus().clone();
    while consensus.leader().is_none() || consensus.feature_level() < FeatureLevel::SEVENTH {
        time::sleep(Duration::from_millis(50)).await;
    }
    println!("ready");
    line().await?;
    let began = time::Instant::now();
    let until = began + Duration::from_secs(load.seconds);
    let user = |_| {
        let consensus = consensus.clone();
        quorate_rt::spawn(async move { come_and_go(&consensus, load.names, until).await })
    };
    let users: Vec<_> = (0..load.users).map(user).collect();
    let mut all = Seen::default();
    for user in users {
        let seen = user.await?;
        all.changes += seen.changes;
        all.failed += seen.failed;
        all.took.extend(seen.took);
    }
    let seconds = began.elapsed().as_secs_f64();
    all.took.sort_unstable();
    let quantile = |share: usize| all.took.get(all.took.len() * share / 100).copied().unwrap_or_default();
    let view = consensus.view().get();
    println!(
        r#"{{"changes": {}, "failed": {}, "seconds": {seconds:.3}, "p50_us": {}, "p99_us": {}, "index": {}, "standing": {}}}"#,
        all.changes,
        all.failed,
        quantile(50),
        quantile(99),
        view.index(),
        view.sessions().len(),
    );
    // The others still need it.
    line().await?;
    Ok(())
}

/// Waits for a line of the input, or for its end.
async fn line() -> Result<(), Box<dyn Error>> {
    quorate_rt::blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await?;
    Ok(())
}

async fn come_and_go(consensus: &Consensus, names: u64, until: time::Instant) -> Seen {
    let (mut seen, mut kept) = (Seen::default(), Vec::<SessionHold>::new());
    while time::Instant::now() < until {
        let name = format!("user-{}", rng::random_u64() % names);
        let Ok(name) = UserId::parse(&name) else { return seen };
        let random = u128::from(rng::random_u64()) << 64 | u128::from(rng::random_u64());
        let (connection, began) = (ConnectionId::from_random(random), time::Instant::now());
        let Ok(hold) = consensus.open_session(name, connection, SecondLogin::Replace).await else {
            seen.failed += 1;
            continue;
        };
        seen.changes += 1;
        seen.took.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        if rng::random_u64().is_multiple_of(2) {
            kept.push(hold);
            if kept.len() > KEPT {
                kept.retain(|hold| hold.is_lost().is_none());
            }
        } else if hold.is_lost().is_none() {
            match consensus.close_session(hold).await {
                Ok(()) => seen.changes += 1,
                Err(_) => seen.failed += 1,
            }
        }
    }
    seen
}
