//! Who of the users of the WebSocket gateway is connected where.
//!
//! Who comes later in the log is newer, whatever the clocks of the gateways say. Who goes names the session that it was,
//! so a clean-up that comes late takes nothing from one that came since.

use crate::state::State;
use quorate_model::{
    ConnectionId, Epoch, Event, Gateway, PresenceEvent, Refusal, Reply, SecondLogin, Session, SessionChange,
    SessionOutcome, SessionsChanged, UserId, limit,
};
use std::sync::Arc;

/// What one command has changed so far.
#[derive(Default)]
struct Changed {
    opened: Vec<Arc<Session>>,
    closed: Vec<Arc<Session>>,
}

impl State {
    pub(super) fn change_sessions(
        &mut self,
        gateway: Epoch,
        changes: &[SessionChange],
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let Some(lease) = self.presence.lease(gateway).cloned() else {
            return Err(Refusal::GatewayEnded { epoch: gateway });
        };
        let mut changed = Changed::default();
        let outcomes = changes.iter().map(|change| match change {
            SessionChange::Open { user, connection, second } => {
                self.open_session(&lease, (user, *connection), *second, &mut changed)
            }
            SessionChange::Close { epoch } => {
                let closed = self.presence.sessions_mut().close(gateway, *epoch);
                let outcome = if closed.is_some() { SessionOutcome::Closed } else { SessionOutcome::Void };
                changed.closed.extend(closed);
                outcome
            }
        });
        let outcomes = outcomes.collect();
        if !changed.opened.is_empty() || !changed.closed.is_empty() {
            let Changed { opened, closed } = changed;
            let changed = SessionsChanged { gateway, opened: opened.into(), closed: closed.into() };
            events.push(Event::Presence(PresenceEvent::Sessions(changed)));
        }
        Ok(Reply::Sessions(outcomes))
    }

    fn open_session(
        &mut self,
        gateway: &Arc<Gateway>,
        (user, connection): (&UserId, ConnectionId),
        second: SecondLogin,
        changed: &mut Changed,
    ) -> SessionOutcome {
        // One session of a connection at a time, whichever gateway it has: where it comes again, it takes its own place.
        let is_same = |other: &Session| other.connection == connection;
        let standing = self.presence.sessions().standing(user.as_str());
        let (mut others, mut is_known) = (0, false);
        for other in standing.iter() {
            if is_same(other) {
                is_known = true;
            } else {
                others += 1;
            }
        }
        let grows = match second {
            SecondLogin::Reject if others > 0 => return SessionOutcome::Taken,
            SecondLogin::Many if !is_known && others >= limit::SESSIONS_PER_USER_MAX => {
                return SessionOutcome::Full { stand: bounded(others) };
            }
            SecondLogin::Many => !is_known,
            SecondLogin::Replace | SecondLogin::Reject => others == 0 && !is_known,
        };
        let stand = self.presence.sessions().len();
        if grows && stand >= limit::SESSIONS_MAX {
            return SessionOutcome::Full { stand: bounded(stand) };
        }
        let (epoch, since) = (self.next_epoch(), self.now);
        let session = Session { user: user.clone(), gateway: gateway.clone(), connection, epoch, since };
        let session = Arc::new(session);
        let stays = |other: &Session| second == SecondLogin::Many && !is_same(other);
        changed.closed.extend(self.presence.sessions_mut().open(&session, standing, stays));
        changed.opened.push(session);
        SessionOutcome::Opened { epoch }
    }
}

fn bounded(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
