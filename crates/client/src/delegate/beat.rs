//! What members and delegates say to each other: one question, one answer, and refusals with a code.

use super::proof::{Prover, Said, Side};
use quorate_api::heartbeat;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Where a delegate takes heartbeats, behind its URL.
pub(super) const PATH: [&str; 3] = ["v1", "delegate", "heartbeat"];

/// A member's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beat {
    /// Who. One that no worker can have would spoil the call in which it is passed on.
    #[serde(deserialize_with = "worker_id")]
    pub worker: String,
    /// The epoch of the role, as the member knows it.
    pub epoch: u64,
    /// The member's lease.
    pub lease: u64,
    /// Larger with each heartbeat of this lease.
    pub sequence: u64,
    /// How often it has to be heard.
    pub interval_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

fn worker_id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let id = String::deserialize(from)?;
    heartbeat::check_id(&id).map_err(|wrong| D::Error::custom(wrong.renamed("worker")))?;
    Ok(id)
}

impl Beat {
    pub fn prove(&mut self, prover: &Prover) {
        self.proof = prover.prove(Side::Member, self.said());
    }

    pub fn is_proven(&self, prover: &Prover) -> bool {
        prover.accepts(Side::Member, self.said(), self.proof.as_deref())
    }

    /// What is answered once the routers have taken it.
    pub fn passed(&self, again_in_ms: u64, prover: &Prover) -> Passed {
        let proof = prover.prove(Side::Delegate, Said { ms: again_in_ms, ..self.said() });
        let Self { worker, epoch, lease, sequence, .. } = self;
        Passed {
            worker: worker.clone(),
            epoch: *epoch,
            lease: *lease,
            sequence: *sequence,
            again_in_ms,
            proof,
        }
    }

    /// Whether `passed` is the answer to this, by somebody who may give it.
    pub fn is_answered_by(&self, passed: &Passed, prover: &Prover) -> bool {
        let Passed { worker, epoch, lease, sequence, again_in_ms, proof } = passed;
        let same =
            (worker, epoch, lease, sequence) == (&self.worker, &self.epoch, &self.lease, &self.sequence);
        let said = Said { ms: *again_in_ms, ..self.said() };
        same && prover.accepts(Side::Delegate, said, proof.as_deref())
    }

    fn said(&self) -> Said<'_> {
        let Self { worker, epoch, lease, sequence, interval_ms, .. } = self;
        Said { worker, epoch: *epoch, lease: *lease, sequence: *sequence, ms: *interval_ms }
    }
}

/// The routers have taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Passed {
    pub worker: String,
    pub epoch: u64,
    pub lease: u64,
    pub sequence: u64,
    /// When the delegate's next call goes out. Who beats then, and not some time between, costs no call of its own.
    pub again_in_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// Why a heartbeat was not passed on. Whatever it is, the member beats to the routers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// The role is somebody else's by now.
    Stale,
    /// The role is not known to be here yet, or somebody else's.
    NotYet,
    /// The routers can't be reached, or are busy.
    CutOff,
    /// They have not taken this one: the worker is unknown there, or of another group.
    NotTaken,
    /// It was heard before, or is older than one that was.
    Replayed,
    /// It is not proven that the member may say so.
    Unproven,
    /// There are more members than are taken.
    Full,
}

impl Declined {
    pub fn status(self) -> u16 {
        match self {
            Self::Stale => 409,
            Self::NotYet | Self::CutOff | Self::NotTaken => 503,
            Self::Replayed => 400,
            Self::Unproven => 401,
            Self::Full => 429,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Stale => "delegate_stale",
            Self::NotYet => "delegate_not_yet",
            Self::CutOff => "delegate_cut_off",
            Self::NotTaken => "heartbeat_not_taken",
            Self::Replayed => "heartbeat_replayed",
            Self::Unproven => "proof_wrong",
            Self::Full => "delegate_full",
        }
    }
}
