//! What an answer means for a worker. No clock, no chance, no socket: the table in the tests is all there is.

use super::WhenDisplaced;
use crate::{Error, nodes::Doubt};
use quorate_api::Code;

/// How sure the session is that it holds the newest registration under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// Every attempt was answered.
    Certain,
    /// An attempt to register was sent and not answered: it may have been applied, and even later than the one
    /// that was answered.
    OwnMayBeNewer,
}

impl From<Doubt> for Certainty {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::None => Self::Certain,
            Doubt::MayHaveHappened => Self::OwnMayBeNewer,
        }
    }
}

/// What follows from the answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterHeartbeat {
    /// The lease goes on.
    Alive,
    /// Nobody could say; the same heartbeat again, soon.
    AskAgain,
    /// The cluster does not know the worker: register.
    Register,
    /// Newer registrations took everything.
    Displaced,
    /// Another process has the id.
    Superseded,
}

pub(super) fn after_heartbeat(
    answer: Result<(), &Error>,
    when_displaced: WhenDisplaced,
    certainty: Certainty,
) -> AfterHeartbeat {
    let problem = match answer {
        Ok(()) => return AfterHeartbeat::Alive,
        Err(Error::Refused(problem)) => problem,
        Err(Error::Unreachable(_) | Error::Answer { .. } | Error::Invalid(_) | Error::Setup(_)) => {
            return AfterHeartbeat::AskAgain;
        }
    };
    match (problem.status, problem.code.as_str()) {
        (404, code) if code == Code::WorkerDisplaced.as_str() => match when_displaced {
            WhenDisplaced::Rest => AfterHeartbeat::Displaced,
            WhenDisplaced::Reclaim => AfterHeartbeat::Register,
        },
        (404, _) => AfterHeartbeat::Register,
        // The newest registration may be our own, the one whose answer was lost. If it was somebody else's, the
        // next conflict is certain, so this can't go back and forth.
        (409, code) if code == Code::LeaseStale.as_str() => match certainty {
            Certainty::OwnMayBeNewer => AfterHeartbeat::Register,
            Certainty::Certain => AfterHeartbeat::Superseded,
        },
        // The leader has heard a later heartbeat of this lease already.
        (409, _) => AfterHeartbeat::Alive,
        _ => AfterHeartbeat::AskAgain,
    }
}

/// What follows from the answer to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterRegister {
    /// Nobody could say: again.
    AskAgain,
    /// No. Again all the same, since what it was refused for may change, but whoever waits is told.
    Refused,
}

pub(super) fn after_failed_register(error: &Error) -> AfterRegister {
    match error {
        Error::Refused(problem) if problem.status < 500 && problem.status != 429 => AfterRegister::Refused,
        Error::Refused(_) | Error::Unreachable(_) | Error::Answer { .. } => AfterRegister::AskAgain,
        Error::Invalid(_) | Error::Setup(_) => AfterRegister::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Problem;

    fn refused(status: u16, code: &str) -> Error {
        Error::Refused(Problem { status, code: code.into(), detail: String::new(), errors: Vec::new() })
    }

    fn beat(error: &Error) -> AfterHeartbeat {
        after_heartbeat(Err(error), WhenDisplaced::Rest, Certainty::Certain)
    }

    #[test]
    fn each_answer_to_a_heartbeat_has_one_meaning() {
        let (rest, certain) = (WhenDisplaced::Rest, Certainty::Certain);
        assert_eq!(after_heartbeat(Ok(()), rest, certain), AfterHeartbeat::Alive);
        assert_eq!(beat(&Error::Unreachable(Vec::new())), AfterHeartbeat::AskAgain);
        assert_eq!(beat(&refused(503, "no_quorum")), AfterHeartbeat::AskAgain);
        assert_eq!(beat(&refused(404, "worker_unknown")), AfterHeartbeat::Register);
        assert_eq!(beat(&refused(404, "")), AfterHeartbeat::Register);
        assert_eq!(beat(&refused(409, "heartbeat_replayed")), AfterHeartbeat::Alive);
        assert_eq!(beat(&refused(409, "lease_stale")), AfterHeartbeat::Superseded);
        assert_eq!(beat(&refused(404, "worker_displaced")), AfterHeartbeat::Displaced);
    }

    #[test]
    fn a_displaced_worker_registers_again_only_where_it_was_told_to() {
        let error = refused(404, "worker_displaced");
        let after = after_heartbeat(Err(&error), WhenDisplaced::Reclaim, Certainty::Certain);
        assert_eq!(after, AfterHeartbeat::Register);
    }

    #[test]
    fn a_conflict_with_ones_own_lost_registration_is_no_other_process() {
        let error = refused(409, "lease_stale");
        let after = after_heartbeat(Err(&error), WhenDisplaced::Rest, Certainty::OwnMayBeNewer);
        assert_eq!(after, AfterHeartbeat::Register);
    }

    #[test]
    fn only_a_refusal_that_time_alone_does_not_cure_is_told_as_one() {
        assert_eq!(after_failed_register(&refused(422, "invalid")), AfterRegister::Refused);
        assert_eq!(after_failed_register(&refused(429, "busy")), AfterRegister::AskAgain);
        assert_eq!(after_failed_register(&refused(503, "no_quorum")), AfterRegister::AskAgain);
        assert_eq!(after_failed_register(&Error::Unreachable(Vec::new())), AfterRegister::AskAgain);
    }
}
