//! Who holds which tunnel: by log order, while the lease of its gateway stands, and at no cost when that one ends.

mod support;

use proptest::prelude::*;
use quorate_model::{
    BootId, Command, Entry, Epoch, Event, GatewayEnd, LogIndex, LogTime, NodeName, Origin, PresenceCommand,
    PresenceEvent, Proposal, Refusal, Reply, TunnelName, What, limit, reply::Bounded,
};
use quorate_state::{Applied, State, invariant};
use std::collections::BTreeMap;
use support::Scene;

fn node(n: u64) -> NodeName {
    NodeName::parse(&format!("n{n}")).expect("valid")
}

fn name(text: &str) -> TunnelName {
    TunnelName::parse(text).expect("valid")
}

fn open_gateway(n: u64) -> Command {
    Command::Presence(PresenceCommand::OpenGateway { node: node(n), boot: BootId(n) })
}

fn end(n: u64, epoch: Epoch) -> Command {
    Command::Presence(PresenceCommand::EndGateways(vec![GatewayEnd { node: node(n), epoch }]))
}

fn open(tunnel: &str, gateway: Epoch) -> Command {
    Command::Presence(PresenceCommand::OpenTunnel { name: name(tunnel), gateway })
}

fn close(tunnel: &str, epoch: Epoch) -> Command {
    Command::Presence(PresenceCommand::CloseTunnel { name: name(tunnel), epoch })
}

/// With a count of what was filled in.
struct Case(Scene, u64);

impl Case {
    fn new() -> Self {
        Self(Scene::formed(), 0)
    }

    fn run(&mut self, command: Command) -> Reply {
        self.0.apply(vec![(None, command)]).replies.remove(0)
    }

    fn granted(&mut self, command: Command) -> Epoch {
        match self.run(command) {
            Reply::Registered { epoch } => epoch,
            other => panic!("{other:?}"),
        }
    }

    fn holder(&self, tunnel: &str) -> Option<(String, Epoch)> {
        let holder = self.0.state.tunnels().get(tunnel)?;
        Some((holder.node.to_string(), holder.epoch))
    }

    /// With many tunnels, proposed as many as fit an entry.
    fn fill(&mut self, gateway: Epoch, names: impl Iterator<Item = String>) {
        let all: Vec<_> = names.collect();
        for some in all.chunks(limit::PROPOSALS_PER_ENTRY_MAX) {
            // Not by `Scene::apply`, which looks at everything after each entry.
            let proposal = |name: &String| {
                self.1 += 1;
                let origin = Origin { boot: BootId(77), sequence: self.1 };
                Proposal { origin, command: open(name, gateway) }
            };
            let proposals = some.iter().map(proposal).collect();
            let index = LogIndex(self.0.state.index().0 + 1);
            let replies = self.0.state.apply(index, &Entry { at: self.0.at, proposals }).replies;
            assert!(replies.iter().all(|reply| matches!(reply, Reply::Registered { .. })), "{replies:?}");
        }
    }
}

impl Case {
    /// One entry, not by `Scene::apply`, which looks at everything after each.
    fn quietly(&mut self, command: Option<Command>) -> Applied {
        self.1 += 1;
        let origin = Origin { boot: BootId(77), sequence: self.1 };
        let proposals = command.map(|command| Proposal { origin, command }).into_iter().collect();
        self.0.state.apply(LogIndex(self.0.state.index().0 + 1), &Entry { at: self.0.at, proposals })
    }
}

#[test]
fn the_later_one_of_two_holds_the_name_and_a_late_goodbye_takes_nothing() {
    let mut case = Case::new();
    let (one, two) = (case.granted(open_gateway(1)), case.granted(open_gateway(2)));
    let first = case.granted(open("laptop", one));
    assert_eq!(case.holder("laptop"), Some(("n1".into(), first)));
    let second = case.granted(open("laptop", two));
    assert!(second > first && case.holder("laptop") == Some(("n2".into(), second)));
    assert_eq!(case.run(close("laptop", first)), Reply::Unchanged, "the goodbye of the one before");
    assert_eq!(case.holder("laptop"), Some(("n2".into(), second)));
    assert_eq!((case.0.state.tunnels().count_of(one), case.0.state.tunnels().count_of(two)), (0, 1));
    assert_eq!(case.run(close("laptop", second)), Reply::Done);
    assert_eq!(case.run(close("laptop", second)), Reply::Unchanged);
    assert!(case.0.state.tunnels().is_empty());
}

#[test]
fn two_that_come_in_one_entry_have_an_order_too() {
    let mut case = Case::new();
    let (one, two) = (case.granted(open_gateway(1)), case.granted(open_gateway(2)));
    let applied = case.0.apply(vec![(None, open("x", one)), (None, open("x", two))]);
    let epochs: Vec<_> = applied
        .replies
        .iter()
        .map(|reply| match reply {
            Reply::Registered { epoch } => *epoch,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(epochs[0] < epochs[1]);
    assert_eq!(case.holder("x"), Some(("n2".into(), epochs[1])));
}

#[test]
fn a_gateway_that_ends_takes_its_tunnels_and_nothing_else() {
    let mut case = Case::new();
    let (one, two) = (case.granted(open_gateway(1)), case.granted(open_gateway(2)));
    for tunnel in ["a", "b", "c"] {
        case.run(open(tunnel, one));
    }
    let moved = case.granted(open("b", two));
    let applied = case.0.apply(vec![(None, end(1, one))]);
    assert_eq!(applied.replies, [Reply::Done]);
    let ended = PresenceEvent::GatewayEnded { node: node(1), epoch: one, tunnels: 2, sessions: 0 };
    assert_eq!(applied.events, [Event::Presence(ended)]);
    assert_eq!(case.0.state.changes(&applied.events)[0].what, What::Gateway { node: node(1), gateway: None });
    assert_eq!(["a", "b", "c"].map(|t| case.holder(t)), [None, Some(("n2".into(), moved)), None]);
    let listed: Vec<_> = case.0.state.tunnels().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((listed, case.0.state.tunnels().len()), (vec!["b"], 1));
    // Whoever hears of its end later than everybody else changes nothing any more.
    assert_eq!(case.run(open("a", one)), Reply::Refused(Refusal::GatewayEnded { epoch: one }));
    assert_eq!(case.run(end(1, one)), Reply::Unchanged);
}

#[test]
fn a_new_boot_ends_the_older_one_in_the_same_entry_and_a_late_end_is_void() {
    let mut case = Case::new();
    let old = case.granted(open_gateway(1));
    let tunnel = case.granted(open("a", old));
    let again = PresenceCommand::OpenGateway { node: node(1), boot: BootId(99) };
    let applied = case.0.apply(vec![(None, Command::Presence(again))]);
    let Reply::Registered { epoch: new } = applied.replies[0] else { panic!("{applied:?}") };
    let ended = PresenceEvent::GatewayEnded { node: node(1), epoch: old, tunnels: 1, sessions: 0 };
    let opened = PresenceEvent::GatewayOpened { node: node(1), epoch: new };
    assert_eq!(applied.events, [ended, opened].map(Event::Presence));
    assert_eq!(case.holder("a"), None);
    assert_eq!(case.run(end(1, old)), Reply::Unchanged, "the leader had found the old one silent");
    assert_eq!(case.run(close("a", tunnel)), Reply::Unchanged);
    let gateway = case.0.state.tunnels().gateway("n1").expect("it stands");
    assert_eq!((gateway.epoch, gateway.boot), (new, BootId(99)));
}

#[test]
fn a_name_may_come_back_before_its_former_holder_is_cleared_up() {
    let mut case = Case::new();
    let (one, two) = (case.granted(open_gateway(1)), case.granted(open_gateway(2)));
    let count = limit::PROPOSALS_PER_ENTRY_MAX * 2;
    case.fill(one, (0..count).map(|n| format!("t{n:05}")));
    assert_eq!(case.run(end(1, one)), Reply::Done);
    // Cleared up in the order of names: these are not, so soon.
    let back = case.granted(open("t01999", two));
    for _ in 0..4 {
        case.run(end(9, one));
    }
    assert_eq!(case.holder("t01999"), Some(("n2".into(), back)));
    assert_eq!(case.0.state.tunnels().len(), 1);
}

#[test]
fn leases_are_bounded_too() {
    let mut case = Case::new();
    let leases: Vec<_> = (0..limit::GATEWAYS_MAX as u64).map(|n| case.granted(open_gateway(n))).collect();
    let full = Refusal::Full { what: Bounded::Gateways, max: limit::GATEWAYS_MAX as u64 };
    assert_eq!(case.run(open_gateway(100)), Reply::Refused(full));
    assert!(case.granted(open_gateway(3)) > leases[3], "a known one may come anew");
    assert_eq!(case.run(end(0, leases[0])), Reply::Done);
    case.granted(open_gateway(100));
}

/// What it costs to end a gateway does not grow with what it holds: the entry is one event and touches no name, and
/// what is cleared up with the entries after it is bounded for each.
#[test]
fn the_end_of_a_full_gateway_is_one_event_and_makes_room_at_once() {
    let mut case = Case::new();
    let gateway = case.granted(open_gateway(1));
    case.fill(gateway, (0..limit::TUNNELS_MAX).map(|n| format!("t{n}")));
    let full = Refusal::Full { what: Bounded::Tunnels, max: limit::TUNNELS_MAX as u64 };
    assert_eq!(case.quietly(Some(open("one-more", gateway))).replies, [Reply::Refused(full)]);
    let known = case.quietly(Some(open("t7", gateway))).replies;
    assert!(matches!(known[..], [Reply::Registered { .. }]), "{known:?}");
    let before = case.0.state.clone();
    let applied = case.quietly(Some(end(1, gateway)));
    assert_eq!(applied.events.len(), 1);
    assert_eq!((before.tunnels().len(), case.0.state.tunnels().len()), (limit::TUNNELS_MAX, 0));
    assert!(before.tunnels().get("t5").is_some() && case.0.state.tunnels().get("t5").is_none());
    assert_eq!(case.0.state.tunnels().uncleared(), limit::TUNNELS_MAX, "the entry itself cleared up nothing");
    // There is room again, though nothing of it was cleared up yet; and no more is kept than that.
    let Reply::Registered { epoch: two } = case.quietly(Some(open_gateway(2))).replies[0] else {
        panic!("one of many has ended")
    };
    case.fill(two, (0..5_000).map(|n| format!("u{n}")));
    invariant::check(&case.0.state).expect("what is kept is bounded");
    let mut left = case.0.state.tunnels().uncleared();
    while left > 0 {
        case.quietly(None);
        let now = case.0.state.tunnels().uncleared();
        assert!((1..=limit::PROPOSALS_PER_ENTRY_MAX).contains(&(left - now)), "{left}, then {now}");
        left = now;
    }
    invariant::check(&case.0.state).expect("nothing is left");
    assert_eq!(case.0.state.tunnels().iter().count(), 5_000);
}

/// The same, thought of as plainly as can be.
#[derive(Default)]
struct Model {
    last: u64,
    gateways: BTreeMap<u64, u64>,
    tunnels: BTreeMap<u8, (u64, u64, u64)>,
}

#[derive(Clone, Debug)]
enum Act {
    OpenGateway(u64),
    /// The one that stands, or one that is so much older.
    End(u64, u64),
    Open(u8, u64, u64),
    Close(u8, u64),
}

fn act() -> impl Strategy<Value = Act> {
    let age = || prop_oneof![4 => Just(0u64), 1 => 1..9u64];
    prop_oneof![
        2 => (0..3u64).prop_map(Act::OpenGateway),
        2 => (0..3u64, age()).prop_map(|(n, age)| Act::End(n, age)),
        8 => (0..5u8, 0..3u64, age()).prop_map(|(t, n, age)| Act::Open(t, n, age)),
        4 => (0..5u8, age()).prop_map(|(t, age)| Act::Close(t, age)),
    ]
}

impl Model {
    fn grant(&mut self, index: u64) -> Reply {
        self.last = index.max(self.last + 1);
        Reply::Registered { epoch: Epoch(self.last) }
    }

    fn lease(&self, n: u64, age: u64) -> Epoch {
        Epoch(self.gateways.get(&n).copied().unwrap_or(self.last).saturating_sub(age))
    }

    fn end(&mut self, n: u64, epoch: u64) -> bool {
        if self.gateways.get(&n) != Some(&epoch) {
            return false;
        }
        self.gateways.remove(&n);
        self.tunnels.retain(|_, (_, gateway, _)| *gateway != epoch);
        true
    }

    /// The command that is meant, and what is to come of it.
    fn act(&mut self, act: &Act, index: u64) -> (Command, Reply) {
        let done = |was: bool| if was { Reply::Done } else { Reply::Unchanged };
        match act {
            Act::OpenGateway(n) => {
                let former = self.gateways.get(n).copied();
                if let Some(epoch) = former {
                    self.end(*n, epoch);
                }
                let reply = self.grant(index);
                self.gateways.insert(*n, self.last);
                (open_gateway(*n), reply)
            }
            Act::End(n, age) => {
                let epoch = self.lease(*n, *age);
                (end(*n, epoch), done(self.end(*n, epoch.0)))
            }
            Act::Open(t, n, age) => {
                let gateway = self.lease(*n, *age);
                let command = open(&format!("t{t}"), gateway);
                let Some((n, _)) = self.gateways.iter().find(|(_, epoch)| **epoch == gateway.0) else {
                    return (command, Reply::Refused(Refusal::GatewayEnded { epoch: gateway }));
                };
                let n = *n;
                let reply = self.grant(index);
                self.tunnels.insert(*t, (n, gateway.0, self.last));
                (command, reply)
            }
            Act::Close(t, age) => {
                let epoch =
                    self.tunnels.get(t).map_or(self.last, |(_, _, epoch)| *epoch).saturating_sub(*age);
                let stands = self.tunnels.get(t).is_some_and(|(_, _, standing)| *standing == epoch);
                if stands {
                    self.tunnels.remove(t);
                }
                (close(&format!("t{t}"), Epoch(epoch)), done(stands))
            }
        }
    }
}

fn shown(state: &State) -> BTreeMap<u8, (u64, u64, u64)> {
    let tunnels = state.tunnels();
    let one = |t: u8| {
        let holder = tunnels.get(&format!("t{t}"))?;
        let n = holder.node.as_str()[1..].parse().expect("a number");
        Some((t, (n, holder.gateway.0, holder.epoch.0)))
    };
    (0..5).filter_map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plain_model_agrees_on_every_answer_and_holder(
        log in prop::collection::vec(prop::collection::vec(act(), 1..4), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut state, mut model, mut sequence) = (State::new(), Model::default(), 0);
        let cut = cut.index(log.len());
        for (nth, acts) in log.iter().enumerate() {
            let index = nth as u64 + 1;
            let (commands, wanted): (Vec<_>, Vec<_>) =
                acts.iter().map(|act| model.act(act, index)).unzip();
            let proposals = commands.into_iter().map(|command| {
                sequence += 1;
                Proposal { origin: Origin { boot: BootId(1), sequence }, command }
            });
            let entry = Entry { at: LogTime(index), proposals: proposals.collect() };
            prop_assert_eq!(state.apply(LogIndex(index), &entry).replies, wanted, "{:?}", acts);
            prop_assert_eq!(shown(&state), model.tunnels.clone(), "{:?}", acts);
            prop_assert_eq!(state.tunnels().len(), model.tunnels.len());
            let leases: Vec<_> = state.tunnels().gateways().map(|g| g.epoch.0).collect();
            prop_assert_eq!(leases.len(), model.gateways.len());
            invariant::check(&state).map_err(|e| TestCaseError::fail(e.to_string()))?;
            if nth == cut {
                let again = State::from_parts(state.parts()).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(again.parts(), state.parts());
                state = again;
            }
        }
    }
}
