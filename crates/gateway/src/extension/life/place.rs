//! What a session does when its place in presence is lost, and when its client is back where the place is not.
//!
//! A place is lost in three ways, and presence tells which:
//!
//! - The node's lease is over: the session asks the log for another place, and gets it unless somebody else has come.
//! - Somebody else has it: the session is over.
//! - The same connection has it, on another node. If the session was promised to that node, it moves: what is here waits
//!   to be given. If it was not, the promise was taken back while that node was asking the log: the client is here, and
//!   the other node is not given anything any more. So the session takes its own place again. Were it to wait, it would
//!   wait for ever: in nobody's presence, with a client that is told that all is well.
//!
//! The two nodes can't take the place from each other in turn: only who has the session takes it back, one node has it,
//! and whoever asks for it opens a place once for each promise.
//!
//! A session that was promised may lose its lease and come back behind the other node's entry, which ends that one. By
//! then presence names this node as of a later entry than the one that the other node names: it is not given the session,
//! and asks again from the beginning.

use super::{Change, Finish, Life, Lost};
use crate::{cluster::Place, extension::home::Replaced, wire::End};
use quorate_model::NodeName;

impl Life {
    pub(super) fn change(&mut self, change: Change) -> Result<(), Finish> {
        match change {
            Change::Lost(Lost::LeaseOver) => self.home.lapse(),
            Change::Lost(Lost::Replaced) => match self.elsewhere() {
                Some(node) if self.is_promised_to(&node) => self.home.moved(),
                Some(_) => self.home.lapse(),
                None => return Err(Finish::Over(End::Replaced)),
            },
            Change::Asked(session, asked) => {
                self.home.back(session, asked).map_err(|Replaced| Finish::Over(End::Replaced))?;
            }
        }
        Ok(())
    }

    fn place(&self) -> Option<Place> {
        let own = self.extended.token().connection;
        self.desk.presence.find(self.extended.user()).into_iter().find(|place| place.connection == own)
    }

    /// The other node that has the place of this very connection.
    fn elsewhere(&self) -> Option<NodeName> {
        self.place().map(|place| place.node).filter(|node| *node != self.desk.node)
    }

    /// Whether the place is here by a later entry than that one, by which another node had it.
    pub(super) async fn is_back_since(&mut self, index: u64) -> bool {
        self.desk.presence.caught_up(index).await
            && self.place().is_some_and(|place| place.node == self.desk.node)
    }

    /// The client is here: it moves nowhere else.
    pub(super) fn stay(&mut self) {
        self.promised = None;
        self.home.take_back();
    }
}
