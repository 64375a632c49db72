//! A choice by each strategy among 3, 100 and 10,000 endpoints, and what a core does when a service has changed.

use divan::{Bencher, black_box};
use quorate_model::Verdict;
use quorate_routing::{
    balance::{Ask, Member, Options, Standing, State, Strategy, Table, key},
    pick::Rank,
};

const REQUESTS: u64 = 1_024;
const SIZES: [u32; 3] = [3, 100, 10_000];

fn main() {
    divan::main();
}

fn members(count: u32) -> Vec<Member<u32>> {
    let member = |nth: u32| Member {
        who: nth,
        id: key::hash(format!("worker-{nth}").as_bytes()),
        rank: Rank::Live,
        weight: [100, 100, 50][nth as usize % 3],
        zone: None,
        verdict: Verdict::Healthy,
        since_ms: None,
    };
    (0..count).map(member).collect()
}

/// Figures are per 1,024 choices; the item rate is per choice.
fn run(bencher: Bencher<'_, '_>, strategy: Strategy, count: u32) {
    let table = Table::new(members(count), Options { strategy, ..Options::default() });
    let mut state = State::new(1);
    // Each has a little to do, and none is as fast as another.
    let in_flight: Vec<u32> = (0..count).map(|nth| nth.wrapping_mul(0x9e37_79b9) >> 30).collect();
    let latency: Vec<u32> = (0..count).map(|nth| 1_000 + nth % 7 * 500).collect();
    let keys: Vec<u64> = (0..REQUESTS).map(|nth| key::hash(&nth.to_le_bytes())).collect();
    bencher.counter(REQUESTS).bench_local(|| {
        let pick = |key: &u64| {
            let ask = Ask { entropy: *key, key: *key, now_ms: 1, ..Ask::default() };
            let standing = |who: &u32| Standing::Open { in_flight: in_flight[*who as usize] };
            let latency = |who: &u32| Some(latency[*who as usize]);
            table
                .pick(black_box(&ask), &mut state, standing, latency)
                .map_or(0, |member| u64::from(member.who))
        };
        keys.iter().map(pick).sum::<u64>()
    });
}

#[divan::bench(args = SIZES)]
fn round_robin(bencher: Bencher<'_, '_>, count: u32) {
    run(bencher, Strategy::RoundRobin, count);
}

#[divan::bench(args = SIZES)]
fn least_connections(bencher: Bencher<'_, '_>, count: u32) {
    run(bencher, Strategy::LeastConnections, count);
}

#[divan::bench(args = SIZES)]
fn consistent_hash(bencher: Bencher<'_, '_>, count: u32) {
    run(bencher, Strategy::ConsistentHash, count);
}

#[divan::bench(args = SIZES)]
fn peak_ewma(bencher: Bencher<'_, '_>, count: u32) {
    run(bencher, Strategy::PeakEwma, count);
}

/// Making the table and choosing once, which makes the rest of it.
fn make(bencher: Bencher<'_, '_>, strategy: Strategy, count: u32) {
    let members = members(count);
    bencher.bench_local(|| {
        let table = Table::new(members.clone(), Options { strategy, ..Options::default() });
        let standing = |_: &u32| Standing::Open { in_flight: 0 };
        table.pick(&Ask::default(), &mut State::new(1), standing, |_| None).map(|member| member.who)
    });
}

#[divan::bench(args = SIZES)]
fn make_peak_ewma(bencher: Bencher<'_, '_>, count: u32) {
    make(bencher, Strategy::PeakEwma, count);
}

#[divan::bench(args = SIZES)]
fn make_round_robin(bencher: Bencher<'_, '_>, count: u32) {
    make(bencher, Strategy::RoundRobin, count);
}

#[divan::bench(args = SIZES)]
fn make_consistent_hash(bencher: Bencher<'_, '_>, count: u32) {
    make(bencher, Strategy::ConsistentHash, count);
}
