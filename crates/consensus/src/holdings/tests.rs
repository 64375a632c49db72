//! What one node makes of what the log says, entry by entry.

use super::*;
use quorate_model::{
    BootId, Command, Entry, GatewayEnd, LogIndex, LogTime, NodeName, Origin, PresenceCommand, Proposal, Reply,
};
use quorate_state::{Applied, State};

/// A node, and a log that other nodes write to as well.
pub(super) struct Case {
    pub(super) state: State,
    pub(super) view: Arc<Published<View>>,
    pub(super) holdings: Arc<Holdings>,
}

pub(super) fn node(n: u64) -> NodeName {
    NodeName::parse(&format!("n{n}")).expect("valid")
}

fn name(text: &str) -> TunnelName {
    TunnelName::parse(text).expect("valid")
}

impl Case {
    fn new() -> Self {
        Self { state: State::new(), view: Published::new(Arc::default()), holdings: Arc::default() }
    }

    /// The node has a lease.
    pub(super) fn with_lease() -> (Self, Epoch) {
        let mut case = Self::new();
        let lease = case.open_gateway(1);
        assert!(case.holdings.stand(&case.view, lease));
        (case, lease)
    }

    /// In the log, and not seen yet.
    pub(super) fn apply(&mut self, command: PresenceCommand) -> Applied {
        let index = LogIndex(self.state.index().0 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        let proposals = vec![Proposal { origin, command: Command::Presence(command) }];
        self.state.apply(index, &Entry { at: LogTime(0), proposals })
    }

    pub(super) fn run(&mut self, command: PresenceCommand) -> Reply {
        let mut applied = self.apply(command);
        self.view.store(Arc::new(self.state.clone()));
        self.holdings.observe(&self.state, &applied.events);
        applied.replies.remove(0)
    }

    fn granted(&mut self, command: PresenceCommand) -> Epoch {
        match self.run(command) {
            Reply::Registered { epoch } => epoch,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn open_gateway(&mut self, n: u64) -> Epoch {
        self.granted(PresenceCommand::OpenGateway { node: node(n), boot: BootId(n) })
    }

    pub(super) fn end_gateway(&mut self, n: u64, epoch: Epoch) {
        self.run(PresenceCommand::EndGateways(vec![GatewayEnd { node: node(n), epoch }]));
    }

    fn open_by(&mut self, gateway: Epoch, tunnel: &str) -> Epoch {
        self.granted(PresenceCommand::OpenTunnel { name: name(tunnel), gateway })
    }

    /// This node opens a tunnel.
    fn hold(&mut self, gateway: Epoch, tunnel: &str) -> TunnelHold {
        let opening = self.holdings.begin(&self.view, &name(tunnel));
        let epoch = self.open_by(gateway, tunnel);
        opening.granted(gateway, epoch)
    }
}

#[test]
fn whoever_comes_later_takes_the_name_and_the_former_one_is_told() {
    let (mut case, lease) = Case::with_lease();
    let (one, other) = (case.hold(lease, "a"), case.hold(lease, "b"));
    assert!(!one.is_lost() && !other.is_lost());
    let elsewhere = case.open_gateway(2);
    case.open_by(elsewhere, "a");
    assert!(one.is_lost() && !other.is_lost());
    // Its goodbye would be somebody else's: nothing is left to say.
    drop(one);
    assert_eq!(case.holdings.take_orphans(9), []);
}

#[test]
fn the_same_name_anew_on_the_same_node_is_another_one() {
    let (mut case, lease) = Case::with_lease();
    let one = case.hold(lease, "a");
    let two = case.hold(lease, "a");
    assert!(one.is_lost() && !two.is_lost() && two.epoch() > one.epoch());
    drop(one);
    assert!(!two.is_lost() && case.holdings.take_orphans(9).is_empty());
}

/// Two of one name come to one node at once, and the answer to the first comes after the second was applied.
#[test]
fn one_that_was_replaced_before_its_asker_heard_of_it_is_lost_from_the_start() {
    let (mut case, lease) = Case::with_lease();
    let (first, second) =
        (case.holdings.begin(&case.view, &name("a")), case.holdings.begin(&case.view, &name("a")));
    let (one, two) = (case.open_by(lease, "a"), case.open_by(lease, "a"));
    let two = second.granted(lease, two);
    let one = first.granted(lease, one);
    assert!(one.is_lost() && !two.is_lost());
    assert_eq!(case.holdings.take_orphans(9), []);
}

#[test]
fn the_end_of_the_lease_is_the_end_of_all_that_it_holds() {
    let (mut case, lease) = Case::with_lease();
    let (one, two) = (case.hold(lease, "a"), case.hold(lease, "b"));
    let elsewhere = case.open_gateway(2);
    case.end_gateway(2, elsewhere);
    assert!(!one.is_lost(), "that was another one's");
    case.end_gateway(1, lease);
    assert!(one.is_lost() && two.is_lost());
    assert_eq!(case.holdings.standing(), None);
    assert!(!case.holdings.stand(&case.view, lease), "it has ended");
}

/// Scenario: the answer to an opening comes after the node has let everything go, or after its lease has ended.
#[test]
fn what_is_granted_by_a_lease_that_is_gone_is_lost() {
    let (mut case, lease) = Case::with_lease();
    let opening = case.holdings.begin(&case.view, &name("a"));
    let epoch = case.open_by(lease, "a");
    case.holdings.let_go();
    assert!(opening.granted(lease, epoch).is_lost());
    let next = case.open_gateway(1);
    assert!(case.holdings.stand(&case.view, next));
    let opening = case.holdings.begin(&case.view, &name("a"));
    let epoch = case.open_by(next, "a");
    case.end_gateway(1, next);
    assert!(opening.granted(next, epoch).is_lost());
}

#[test]
fn what_nobody_has_is_an_orphan_and_what_somebody_is_about_to_have_is_none() {
    let (mut case, lease) = Case::with_lease();
    // Its asker gave up before it was applied.
    drop(case.holdings.begin(&case.view, &name("late")));
    let late = case.open_by(lease, "late");
    assert_eq!(case.holdings.take_orphans(9), [(name("late"), late)]);
    // Its asker gives up after it was applied, and before it heard so.
    let opening = case.holdings.begin(&case.view, &name("a"));
    let epoch = case.open_by(lease, "a");
    assert_eq!(case.holdings.take_orphans(9), [], "it may still be heard");
    drop(opening);
    assert_eq!(case.holdings.take_orphans(9), [(name("a"), epoch)]);
    // Nobody closed what was held.
    let hold = case.hold(lease, "b");
    let epoch = hold.epoch();
    drop(hold);
    assert_eq!(case.holdings.take_orphans(9), [(name("b"), epoch)]);
    // Another node's are its own to close.
    let elsewhere = case.open_gateway(2);
    case.open_by(elsewhere, "c");
    assert_eq!(case.holdings.take_orphans(9), []);
}

#[test]
fn a_goodbye_that_failed_is_said_again_while_the_lease_stands() {
    let (mut case, lease) = Case::with_lease();
    drop(case.hold(lease, "a"));
    let (orphan, epoch) = case.holdings.take_orphans(9).remove(0);
    case.holdings.put_back(orphan.clone(), epoch);
    assert_eq!(case.holdings.take_orphans(9), [(orphan.clone(), epoch)]);
    case.end_gateway(1, lease);
    case.holdings.put_back(orphan, epoch);
    assert_eq!(case.holdings.take_orphans(9), [], "it went with the lease");
}

/// Scenario: the node was behind, and was sent a snapshot instead of entries.
#[test]
fn what_was_missed_in_a_snapshot_is_noticed() {
    let (mut case, lease) = Case::with_lease();
    let (one, two) = (case.hold(lease, "a"), case.hold(lease, "b"));
    let elsewhere = case.open_gateway(2);
    // The entries go by unseen.
    let apply = |case: &mut Case, command| {
        let index = LogIndex(case.state.index().0 + 1);
        let origin = Origin { boot: BootId(2), sequence: index.0 };
        let proposals = vec![Proposal { origin, command: Command::Presence(command) }];
        case.state.apply(index, &Entry { at: LogTime(0), proposals });
    };
    apply(&mut case, PresenceCommand::OpenTunnel { name: name("a"), gateway: elsewhere });
    apply(&mut case, PresenceCommand::OpenTunnel { name: name("z"), gateway: lease });
    let show = |case: &Case| {
        case.view.store(Arc::new(case.state.clone()));
        case.holdings.replaced();
        case.holdings.observe(&case.state, &[]);
    };
    show(&case);
    assert!(one.is_lost() && !two.is_lost());
    let orphans = case.holdings.take_orphans(9);
    assert_eq!(orphans.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["z"]);
    let ended = vec![GatewayEnd { node: node(1), epoch: lease }];
    apply(&mut case, PresenceCommand::EndGateways(ended));
    show(&case);
    assert!(two.is_lost() && case.holdings.standing().is_none());
}

#[test]
fn a_node_that_is_about_to_end_takes_no_lease() {
    let (mut case, lease) = Case::with_lease();
    assert_eq!(case.holdings.close(), Some(lease));
    let next = case.open_gateway(1);
    assert!(case.holdings.is_closed() && !case.holdings.stand(&case.view, next));
}
