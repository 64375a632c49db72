//! What users cost who come and go, and what the end of a gateway costs that holds 100,000 of them. The goal for that is
//! under 50 ms; it is one entry, and does not depend on how many there are.

#![expect(clippy::unwrap_used, reason = "a benchmark that can not be set up has to stop")]

use divan::{Bencher, counter::ItemsCount};
use quorate_model::{
    BootId, Command, ConnectionId, Entry, Epoch, GatewayEnd, LogIndex, LogTime, NodeName, Origin,
    PresenceCommand, Proposal, Reply, SecondLogin, SessionChange, UserId,
};
use quorate_state::{Applied, State};
use std::time::Instant;

const USERS: u64 = 100_000;
/// Changes of one command.
const AT_ONCE: u64 = 1_000;

fn main() {
    divan::main();
    the_end_and_all_that_is_cleared_up_after_it();
}

/// A gateway with 100,000 users ends, and its users are taken out with the entries after it, each of which publishes a
/// View, as on a node. What matters is the longest of them: apply is what every request for a change waits for. The last
/// View that others still read is dropped as the next one is published, within the time of that entry.
#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and says what it found"
)]
fn the_end_and_all_that_is_cleared_up_after_it() {
    const ROUNDS: usize = 20;
    let (full, epoch) = full();
    let (mut ends, mut longests, mut entries) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let (mut state, mut view) = (full.clone(), full.clone());
        let mut timed = |state: &mut State, proposals| {
            let index = LogIndex(state.index().0 + 1);
            let entry = Entry { at: LogTime(index.0), proposals };
            let begun = Instant::now();
            let applied = state.apply(index, &entry);
            view = state.clone();
            (begun.elapsed(), applied.events.len())
        };
        let ended =
            PresenceCommand::EndGateways(vec![GatewayEnd { node: NodeName::parse("n1").unwrap(), epoch }]);
        let origin = Origin { boot: BootId(1), sequence: u64::MAX };
        let proposals = vec![Proposal { origin, command: Command::Presence(ended) }];
        let (end, events) = timed(&mut state, proposals);
        assert_eq!((events, state.sessions().uncleared() as u64), (1, USERS));
        let mut after = Vec::new();
        while state.sessions().uncleared() > 0 {
            after.push(timed(&mut state, Vec::new()).0);
        }
        ends.push(end);
        longests.extend(after.iter().max().copied());
        entries = after.len();
    }
    ends.sort_unstable();
    longests.sort_unstable();
    println!("the end of a gateway with {USERS} users, {ROUNDS} times:");
    println!("  the entry itself:        median {:?}, most {:?}", ends[ROUNDS / 2], ends[ROUNDS - 1]);
    println!(
        "  the longest of the {entries} entries after it: median {:?}, most {:?}",
        longests[ROUNDS / 2],
        longests[ROUNDS - 1]
    );
}

fn apply(state: &mut State, command: PresenceCommand) -> Applied {
    let index = LogIndex(state.index().0 + 1);
    let origin = Origin { boot: BootId(1), sequence: index.0 };
    let proposals = vec![Proposal { origin, command: Command::Presence(command) }];
    state.apply(index, &Entry { at: LogTime(index.0), proposals })
}

fn open_gateway(state: &mut State, name: &str) -> Epoch {
    let command = PresenceCommand::OpenGateway { node: NodeName::parse(name).unwrap(), boot: BootId(1) };
    match apply(state, command).replies[..] {
        [Reply::Registered { epoch }] => epoch,
        ref other => panic!("{other:?}"),
    }
}

/// Spread over all names.
fn login(nth: u64) -> SessionChange {
    let user = UserId::parse(&format!("user-{}", nth.wrapping_mul(7_919) % USERS)).unwrap();
    let connection = ConnectionId::from_random(nth.into());
    SessionChange::Open { user, connection, second: SecondLogin::Replace }
}

fn logins(state: &mut State, gateway: Epoch, from: u64) -> Applied {
    apply(state, PresenceCommand::Sessions { gateway, changes: (from..from + AT_ONCE).map(login).collect() })
}

fn full() -> (State, Epoch) {
    let mut state = State::new();
    let gateway = open_gateway(&mut state, "n1");
    (0..USERS).step_by(AT_ONCE as usize).for_each(|from| drop(logins(&mut state, gateway, from)));
    assert_eq!(state.sessions().len() as u64, USERS);
    (state, gateway)
}

/// 1,000 logins in one entry, after which a View is published, as on a node.
#[divan::bench]
fn one_thousand_logins(bencher: Bencher<'_, '_>) {
    let (mut state, _) = full();
    let gateway = open_gateway(&mut state, "n2");
    let (mut from, mut view) = (0, state.clone());
    bencher.counter(ItemsCount::new(AT_ONCE)).bench_local(|| {
        from += AT_ONCE;
        let applied = logins(&mut state, gateway, from);
        view = state.clone();
        applied
    });
    drop(view);
}

#[divan::bench]
fn the_end_of_a_gateway_with_one_hundred_thousand_users(bencher: Bencher<'_, '_>) {
    let (full, epoch) = full();
    let ended =
        || PresenceCommand::EndGateways(vec![GatewayEnd { node: NodeName::parse("n1").unwrap(), epoch }]);
    bencher.with_inputs(|| full.clone()).bench_local_refs(|state| apply(state, ended()));
}

/// What each entry after that pays until all is cleared up.
#[divan::bench]
fn an_entry_that_clears_up(bencher: Bencher<'_, '_>) {
    let (mut state, epoch) = full();
    apply(
        &mut state,
        PresenceCommand::EndGateways(vec![GatewayEnd { node: NodeName::parse("n1").unwrap(), epoch }]),
    );
    bencher.with_inputs(|| state.clone()).bench_local_refs(|state| {
        let index = LogIndex(state.index().0 + 1);
        state.apply(index, &Entry { at: LogTime(index.0), proposals: Vec::new() })
    });
}
