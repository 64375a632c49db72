//! The same, thought of as plainly as can be.

use super::scene::{Case, close, open};
use proptest::prelude::*;
use quorate_model::{ConnectionId, Epoch, Refusal, Reply, SecondLogin, SessionChange, SessionOutcome};
use quorate_state::{State, invariant};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plain {
    node: u64,
    gateway: u64,
    connection: u128,
}

#[derive(Default)]
struct Model {
    last: u64,
    gateways: BTreeMap<u64, u64>,
    /// By user and epoch.
    sessions: BTreeMap<(u8, u64), Plain>,
}

#[derive(Clone, Debug)]
enum Act {
    OpenGateway(u64),
    /// The one that stands, or one that is so much older.
    End(u64, u64),
    /// At the gateway of a node, or by a lease that is so much older.
    Sessions(u64, u64, Vec<Move>),
}

#[derive(Clone, Debug)]
enum Move {
    Open(u8, u128, SecondLogin),
    /// The newest session of the user, or one that is so much older.
    Close(u8, u64),
}

fn age() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(0u64), 1 => 1..9u64]
}

fn moves() -> impl Strategy<Value = Move> {
    let seconds = prop::sample::select(vec![SecondLogin::Replace, SecondLogin::Reject, SecondLogin::Many]);
    prop_oneof![
        3 => (0..5u8, 0..8u128, seconds).prop_map(|(user, connection, second)| Move::Open(user, connection, second)),
        2 => (0..5u8, age()).prop_map(|(user, age)| Move::Close(user, age)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..3u64).prop_map(Act::OpenGateway),
        2 => (0..3u64, age()).prop_map(|(n, age)| Act::End(n, age)),
        9 => (0..3u64, age(), prop::collection::vec(moves(), 0..5))
            .prop_map(|(n, age, moves)| Act::Sessions(n, age, moves)),
    ]
}

impl Model {
    fn grant(&mut self, index: u64) -> u64 {
        self.last = index.max(self.last + 1);
        self.last
    }

    fn lease(&self, n: u64, age: u64) -> u64 {
        self.gateways.get(&n).copied().unwrap_or(self.last).saturating_sub(age)
    }

    fn end(&mut self, n: u64, epoch: u64) {
        if self.gateways.get(&n) == Some(&epoch) {
            self.gateways.remove(&n);
            self.sessions.retain(|_, session| session.gateway != epoch);
        }
    }

    fn of(&self, user: u8) -> Vec<(u64, Plain)> {
        let range = self.sessions.range((user, 0)..=(user, u64::MAX));
        range.map(|((_, epoch), session)| (*epoch, *session)).collect()
    }

    fn moved(&mut self, (n, gateway): (u64, u64), act: &Move, index: u64) -> (SessionChange, SessionOutcome) {
        match act {
            Move::Open(user, connection, second) => {
                let bits = ConnectionId::from_random(*connection).bits();
                let change = open(&format!("u{user}"), *connection, *second);
                let others: Vec<_> = self.of(*user);
                let same = |plain: &Plain| plain.connection == bits;
                if *second == SecondLogin::Reject && others.iter().any(|(_, plain)| !same(plain)) {
                    return (change, SessionOutcome::Taken);
                }
                for (epoch, plain) in others {
                    if *second != SecondLogin::Many || same(&plain) {
                        self.sessions.remove(&(*user, epoch));
                    }
                }
                let epoch = self.grant(index);
                self.sessions.insert((*user, epoch), Plain { node: n, gateway, connection: bits });
                (change, SessionOutcome::Opened { epoch: Epoch(epoch) })
            }
            Move::Close(user, age) => {
                let newest = self.of(*user).last().map_or(self.last, |(epoch, _)| *epoch);
                let epoch = newest.saturating_sub(*age);
                let ours =
                    self.sessions.iter().find(|((_, e), plain)| *e == epoch && plain.gateway == gateway);
                let outcome = match ours.map(|(key, _)| *key) {
                    Some(key) => {
                        self.sessions.remove(&key);
                        SessionOutcome::Closed
                    }
                    None => SessionOutcome::Void,
                };
                (close(Epoch(epoch)), outcome)
            }
        }
    }
}

fn shown(state: &State) -> BTreeMap<(u8, u64), Plain> {
    let one = |session: &std::sync::Arc<quorate_model::Session>| {
        let number = |text: &str| text[1..].parse::<u64>().expect("a number");
        let plain = Plain {
            node: number(session.gateway.node.as_str()),
            gateway: session.gateway.epoch.0,
            connection: session.connection.bits(),
        };
        ((u8::try_from(number(session.user.as_str())).expect("few"), session.epoch.0), plain)
    };
    let found =
        (0..5u8).flat_map(|user| state.sessions().of(&format!("u{user}")).map(one).collect::<Vec<_>>());
    let found: BTreeMap<_, _> = found.collect();
    let listed: BTreeMap<_, _> = state.sessions().iter().map(one).collect();
    let gateways = state.tunnels().gateways();
    let held: BTreeMap<_, _> =
        gateways.flat_map(|gateway| state.sessions().held_by(gateway.epoch, Epoch(0)).map(one)).collect();
    assert_eq!((&found, &found), (&listed, &held), "three ways to the same sessions");
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plain_model_agrees_on_every_outcome_and_session(
        log in prop::collection::vec(act(), 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut case, mut model) = (Case::new(), Model::default());
        let cut = cut.index(log.len());
        for (nth, act) in log.iter().enumerate() {
            let index = nth as u64 + 1;
            match act {
                Act::OpenGateway(n) => {
                    if let Some(former) = model.gateways.get(n).copied() {
                        model.end(*n, former);
                    }
                    let granted = model.grant(index);
                    model.gateways.insert(*n, granted);
                    prop_assert_eq!(case.gateway(*n), Epoch(granted));
                }
                Act::End(n, age) => {
                    let epoch = model.lease(*n, *age);
                    model.end(*n, epoch);
                    case.end(*n, Epoch(epoch));
                }
                Act::Sessions(n, age, moves) => {
                    let gateway = model.lease(*n, *age);
                    let stands = model.gateways.iter().find(|(_, epoch)| **epoch == gateway).map(|(n, _)| *n);
                    let (changes, outcomes): (Vec<_>, Vec<_>) = match stands {
                        Some(n) => moves.iter().map(|one| model.moved((n, gateway), one, index)).unzip(),
                        None => Default::default(),
                    };
                    let wanted = match stands {
                        Some(_) => Reply::Sessions(outcomes.into()),
                        None => Reply::Refused(Refusal::GatewayEnded { epoch: Epoch(gateway) }),
                    };
                    prop_assert_eq!(&case.apply(Epoch(gateway), changes).replies[..], &[wanted], "{:?}", act);
                }
            }
            prop_assert_eq!(shown(&case.state), model.sessions.clone(), "after {:?}", act);
            prop_assert_eq!(case.state.sessions().len(), model.sessions.len());
            invariant::check(&case.state).map_err(|e| TestCaseError::fail(e.to_string()))?;
            if nth == cut {
                let again = State::from_parts(case.state.parts());
                case.state = again.map_err(|e| TestCaseError::fail(e.to_string()))?;
            }
        }
    }
}
