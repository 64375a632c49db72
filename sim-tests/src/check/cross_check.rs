//! Our search and another implementation of the same idea (`todc-utils`) agree on thousands of small histories.

use super::history::{Event, Op, is_linearizable};
use todc_utils::{Action, History, Specification, WGLChecker};

/// The register, as the other implementation is told.
struct Register;

impl Specification for Register {
    type State = Option<u64>;
    type Operation = Op;

    fn init() -> Self::State {
        None
    }

    fn apply(operation: &Op, state: &Self::State) -> (bool, Self::State) {
        match operation {
            Op::Write(value) => (true, Some(*value)),
            Op::Read(value) => (value == state, *state),
        }
    }
}

/// Numbers without a pattern that matters here (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Three clients, each of which does one thing after the other; no two moments are the same.
fn history(numbers: &mut Numbers) -> Vec<(usize, Event)> {
    let mut events = Vec::new();
    for client in 0..3usize {
        let mut now = 0;
        for _ in 0..3 {
            let start = now + u128::from(numbers.below(4));
            let end = start + 1 + u128::from(numbers.below(30));
            now = end + 1;
            let value = 1 + numbers.below(2);
            let op = match numbers.below(12) {
                0..=7 => Op::Write(value),
                8 => Op::Read(None),
                _ => Op::Read(Some(value)),
            };
            let unique = |moment: u128| moment * 3 + client as u128;
            events.push((client, Event { start: unique(start), end: Some(unique(end)), op }));
        }
    }
    events
}

fn judged_elsewhere(events: &[(usize, Event)]) -> bool {
    let mut actions = Vec::new();
    for (client, event) in events {
        actions.push((event.start, *client, Action::Call(event.op.clone())));
        actions.push((event.end.expect("answered"), *client, Action::Response(event.op.clone())));
    }
    actions.sort_by_key(|(at, ..)| *at);
    let actions = actions.into_iter().map(|(_, client, action)| (client, action)).collect();
    WGLChecker::<Register>::is_linearizable(History::from_actions(actions))
}

#[test]
fn another_implementation_agrees() {
    let (mut numbers, mut linearizable) = (Numbers(0x9e37_79b9_7f4a_7c15), 0);
    for n in 0..2_000 {
        let events = history(&mut numbers);
        let ours = is_linearizable(events.iter().map(|(_, event)| event.clone()).collect());
        assert_eq!(ours, judged_elsewhere(&events), "history {n}: {events:#?}");
        linearizable += usize::from(ours);
    }
    assert!((200..1_800).contains(&linearizable), "{linearizable} of 2000 say too little");
}
