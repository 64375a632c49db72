//! The data plane alone, for measurements: twelve partitions, owned in turn by the workers in `BACKENDS`.
//!
//! Environment: `LISTEN` (`127.0.0.1:8080`), `BACKENDS` (`127.0.0.1:9001,...`), `THREADS` (1). Requests need an
//! `X-Workspace-ID`.
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, KeyspaceSource, LogIndex, LogTime, NodeName, Origin,
    Partition, PartitionCount, PartitionRange, Proposal, Ttl, WorkerId, worker::RegistrationParts,
};
use quorate_proxy::{Config, Feeds, Proxy};
use quorate_rt::published::Published;
use quorate_state::State;
use std::{env::var, sync::Arc, time::Duration};

const PARTITIONS: usize = 12;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn state(backends: &[&str]) -> State {
    let mut state = State::new();
    let partitions = Some(PartitionCount::new(PARTITIONS as u32).expect("twelve"));
    let form = Command::FormCluster { cluster: ClusterId(1), partitions, source: KeyspaceSource::Static };
    let register = backends.iter().enumerate().map(|(i, backend)| {
        let mut parts = RegistrationParts::new(
            WorkerId::parse(&format!("w{i}")).expect("a short name"),
            Address::parse(&format!("http://{backend}")).expect("BACKENDS: host:port,..."),
            Ttl::new(Duration::from_secs(30)).expect("in range"),
        );
        parts.partitions = (i..PARTITIONS).step_by(backends.len()).map(|p| Partition(p as i32)).collect();
        let registration = parts.validate().expect("few partitions");
        Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
    });
    for (i, command) in std::iter::once(form).chain(register).enumerate() {
        let index = LogIndex(i as u64 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        state.apply(index, &Entry { at: LogTime(1), proposals: vec![Proposal { origin, command }] });
    }
    state
}

fn main() {
    let listen = var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".into());
    let backends = var("BACKENDS").unwrap_or_else(|_| "127.0.0.1:9001".into());
    let state = state(&backends.split(',').collect::<Vec<_>>());
    let mut config =
        Config::new(listen.parse().expect("LISTEN: ip:port"), NodeName::parse("bare").expect("a short name"));
    config.threads = var("THREADS").map_or(1, |n| n.parse().expect("THREADS: a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let view = Published::new(Arc::new(state));
        let proxy = Proxy::start(config, Feeds::new(view)).await.expect("start");
        eprintln!("listening on {}", proxy.local_addr());
        std::future::pending::<()>().await;
    });
}
