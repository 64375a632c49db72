//! One lease as its leader remembers it, and when its silence has a consequence.

use quorate_model::{Epoch, LeaseEvent, NodeId, Ttl};

/// Suspect after this part of the TTL. Not one half, as workers of the original systems beat every 15 s with a
/// TTL of 30 s: they would flap at each beat, and each flap is a log entry.
const SUSPECT_AFTER: (i64, i64) = (2, 3);
/// A moment of the leader's monotonic clock, in milliseconds from any origin.
pub type Millis = i64;

/// How long a worker may be silent before it is suspect.
pub fn suspect_after(ttl: Ttl) -> Millis {
    part_of(ttl, SUSPECT_AFTER)
}

/// A part of the TTL, in milliseconds.
pub(crate) fn part_of(ttl: Ttl, (of, parts): (i64, i64)) -> Millis {
    Millis::try_from(ttl.as_ms()).unwrap_or(Millis::MAX / of) * of / parts
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Live,
    Suspect,
    Expired,
}

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub epoch: Epoch,
    pub incarnation: Epoch,
    pub ttl: Ttl,
    pub phase: Phase,
    /// When it was last heard, or granted.
    pub heard: Millis,
    /// By way of which node.
    pub via: Option<NodeId>,
    /// A change of it was proposed, and it is not known yet what became of that.
    pub pending: bool,
    pub sequence: Option<u64>,
    /// Where it stands in `due`; `None` once expired.
    pub queued: Option<Millis>,
}

impl Lease {
    pub fn ttl_ms(&self) -> Millis {
        part_of(self.ttl, (1, 1))
    }

    /// When its silence has a consequence, and which.
    pub fn deadline(&self) -> Option<(Millis, LeaseEvent)> {
        match self.phase {
            Phase::Live => Some((self.heard + suspect_after(self.ttl), LeaseEvent::Suspected)),
            Phase::Suspect => Some((self.heard + self.ttl_ms(), LeaseEvent::Expired)),
            Phase::Expired => None,
        }
    }

    /// What its return is; `None`: it was never away.
    pub fn comeback(&self) -> Option<LeaseEvent> {
        match self.phase {
            Phase::Expired => Some(LeaseEvent::Revived),
            Phase::Suspect => Some(LeaseEvent::Recovered),
            // A suspicion is under way. Behind it in the log this undoes it; if it never arrives, this is void.
            Phase::Live if self.pending => Some(LeaseEvent::Recovered),
            Phase::Live => None,
        }
    }
}
