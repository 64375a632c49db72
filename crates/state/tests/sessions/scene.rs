//! Gateways and their users, entry by entry.

use quorate_model::{
    BootId, Command, ConnectionId, Entry, Epoch, GatewayEnd, LogIndex, LogTime, NodeName, Origin,
    PresenceCommand, Proposal, Reply, SecondLogin, SessionChange, SessionOutcome, UserId, limit,
};
use quorate_state::{Applied, State};
use std::ops::Range;

pub fn node(n: u64) -> NodeName {
    NodeName::parse(&format!("n{n}")).expect("valid")
}

pub fn user(n: usize) -> UserId {
    UserId::parse(&format!("u{n}")).expect("valid")
}

pub fn open(name: &str, connection: u128, second: SecondLogin) -> SessionChange {
    let user = UserId::parse(name).expect("valid");
    SessionChange::Open { user, connection: ConnectionId::from_random(connection), second }
}

pub fn close(epoch: Epoch) -> SessionChange {
    SessionChange::Close { epoch }
}

/// A state, and a log that many gateways write to.
pub struct Case {
    pub state: State,
    sequence: u64,
}

impl Case {
    pub fn new() -> Self {
        Self { state: State::new(), sequence: 0 }
    }

    pub fn run(&mut self, command: Option<Command>) -> Applied {
        self.sequence += 1;
        let origin = Origin { boot: BootId(77), sequence: self.sequence };
        let proposals = command.map(|command| Proposal { origin, command }).into_iter().collect();
        let index = LogIndex(self.state.index().0 + 1);
        self.state.apply(index, &Entry { at: LogTime(index.0), proposals })
    }

    /// An entry that says nothing.
    pub fn quiet(&mut self) {
        self.run(None);
    }

    pub fn presence(&mut self, command: PresenceCommand) -> Applied {
        self.run(Some(Command::Presence(command)))
    }

    /// A lease for a node.
    pub fn gateway(&mut self, n: u64) -> Epoch {
        let command = PresenceCommand::OpenGateway { node: node(n), boot: BootId(n) };
        match self.presence(command).replies[..] {
            [Reply::Registered { epoch }] => epoch,
            ref other => panic!("{other:?}"),
        }
    }

    pub fn end(&mut self, n: u64, epoch: Epoch) -> Applied {
        self.presence(PresenceCommand::EndGateways(vec![GatewayEnd { node: node(n), epoch }]))
    }

    pub fn apply(&mut self, gateway: Epoch, changes: Vec<SessionChange>) -> Applied {
        self.presence(PresenceCommand::Sessions { gateway, changes })
    }

    pub fn one(&mut self, gateway: Epoch, change: SessionChange) -> SessionOutcome {
        match &self.apply(gateway, vec![change]).replies[..] {
            [Reply::Sessions(outcomes)] if outcomes.len() == 1 => outcomes[0],
            other => panic!("{other:?}"),
        }
    }

    pub fn granted(&mut self, gateway: Epoch, change: SessionChange) -> Epoch {
        match self.one(gateway, change) {
            SessionOutcome::Opened { epoch } => epoch,
            other => panic!("{other:?}"),
        }
    }

    /// By the policy of the original.
    pub fn opened(&mut self, gateway: Epoch, name: &str, connection: u128) -> Epoch {
        self.granted(gateway, open(name, connection, SecondLogin::Replace))
    }

    pub fn fill(&mut self, gateway: Epoch, users: Range<usize>) {
        let all: Vec<_> = users.collect();
        for some in all.chunks(limit::SESSION_CHANGES_MAX) {
            let changes = some.iter().map(|n| open(user(*n).as_str(), *n as u128, SecondLogin::Replace));
            let changes = changes.collect();
            let applied = self.apply(gateway, changes);
            assert!(matches!(applied.replies[..], [Reply::Sessions(_)]), "{:?}", applied.replies);
        }
    }

    /// Where a user is, the newest first.
    pub fn found(&self, user: &str) -> Vec<(NodeName, Epoch)> {
        let one =
            |session: &std::sync::Arc<quorate_model::Session>| (session.gateway.node.clone(), session.epoch);
        self.state.sessions().of(user).map(one).collect()
    }
}
