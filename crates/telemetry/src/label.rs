//! Closed label sets. A label that a stranger can invent is a series that a stranger can make.

use quorate_model::{HeartbeatOutcome, LeaseEvent};

/// A closed set of label values.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Each value, in the order of [`Label::position`].
    const ALL: &'static [Self];
    /// The value as it is rendered.
    fn as_str(self) -> &'static str;
    /// Where it stands in [`Label::ALL`].
    fn position(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident as $label:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// How many values there are.
            pub const COUNT: usize = [$($text),+].len();
        }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
            fn position(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) mod gateway;
mod sandbox_proxy;

pub use sandbox_proxy::{CallCode, PathTemplate, RoutingError};

label! {
    /// What a health check's probe found.
    ProbeResult as "result" {
        /// The endpoint is well.
        Passed = "passed",
        /// It is not, or could not be reached.
        Failed = "failed",
    }
}

label! {
    /// How a request on the routing listener ended, as far as its head goes.
    Outcome as "outcome" {
        /// The worker answered.
        Forwarded = "forwarded",
        /// The worker agreed to an upgrade; a tunnel began.
        Upgraded = "upgraded",
        /// `OPTIONS`, answered here.
        Preflight = "preflight",
        /// A route tells its client to ask elsewhere.
        Redirected = "redirected",
        /// It names no workspace.
        NoWorkspace = "no_workspace",
        /// The keyspace's partition count is not known yet.
        PartitionCountUnknown = "partition_count_unknown",
        /// Nobody routable holds the partition, or serves the service.
        NoWorker = "no_worker",
        /// All who could take it have as many requests or connections as they may have.
        Overloaded = "overloaded",
        /// There is no service of that name.
        NoService = "no_service",
        /// The worker refused, reset or garbled.
        WorkerUnavailable = "worker_unavailable",
        /// The worker sent no response head in time.
        Timeout = "timeout",
        /// Malformed, ambiguous or not allowed.
        BadRequest = "bad_request",
        /// Its head is larger than allowed.
        TooLarge = "too_large",
        /// It went through routers too often: it goes in circles.
        Loop = "loop",
        /// The client went away before the head of an answer.
        Abandoned = "abandoned",
        /// Our fault.
        Internal = "internal",
    }
}

label! {
    /// The first digit of a status code.
    StatusClass as "class" {
        /// 1xx: 101 only.
        Informational = "1xx",
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        ClientError = "4xx",
        /// 5xx, and whatever else a worker may have sent.
        ServerError = "5xx",
    }
}

impl StatusClass {
    /// The class of a status code.
    pub fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

label! {
    /// Where a request's upstream connection came from.
    UpstreamUse as "use" {
        /// Dialled for it.
        Opened = "opened",
        /// Taken from the pool.
        Reused = "reused",
        /// Dialled in vain.
        Failed = "failed",
    }
}

label! {
    /// What a circuit breaker did.
    BreakerChange as "change" {
        /// It lets nothing through.
        Opened = "opened",
        /// It lets a few through.
        HalfOpened = "half_opened",
        /// It lets all through again.
        Closed = "closed",
    }
}

label! {
    /// Why a worker was ejected.
    Ejection as "cause" {
        /// 5xx answers in a row.
        Errors = "errors",
        /// 502, 503, 504 or no answer, in a row.
        GatewayErrors = "gateway_errors",
        /// It could not be reached.
        ConnectFailures = "connect_failures",
        /// Far fewer good answers than the others.
        SuccessRate = "success_rate",
    }
}

label! {
    /// Why a request that had failed was not tried again.
    RetryRefusal as "reason" {
        /// It may have had an effect, and must not have two.
        Unrepeatable = "unrepeatable",
        /// Its time was over.
        Overdue = "overdue",
        /// It was tried as often as it may be.
        Tried = "tried",
        /// The service's budget was spent.
        BudgetSpent = "budget_spent",
        /// There was nobody else.
        NobodyElse = "nobody_else",
    }
}

label! {
    /// Where a routing key led a request, or what there was in the place of one.
    KeyUse as "result" {
        /// To its sandbox.
        Sandboxed = "sandboxed",
        /// Where it would have gone without: there is no such sandbox, or none of its rules is for it.
        Unmatched = "unmatched",
        /// The same: nobody gets requests at the rule's target.
        Missing = "missing",
        /// The same, after the rule's target had failed.
        FailedOver = "failed_over",
        /// Nowhere: it was none, as too long a one is.
        Invalid = "invalid",
    }
}

label! {
    /// What became of the copy of a request that a route wants somebody to have.
    Mirrored as "result" {
        /// It was answered.
        Answered = "answered",
        /// It could not be sent, or was not answered in time.
        Failed = "failed",
        /// The request's body was not at hand, or it was no plain request.
        NotKept = "not_kept",
        /// Too many copies were under way.
        TurnedAway = "turned_away",
    }
}

label! {
    /// How a request for a service ended.
    ServiceResult as "result" {
        /// A worker answered.
        Answered = "answered",
        /// The workers that were tried failed.
        Failed = "failed",
        /// No worker takes requests for it.
        Unserved = "unserved",
    }
}

label! {
    /// How the waiting of a request for a next owner ended.
    HoldEnd as "end" {
        /// There is one.
        Served = "served",
        /// There was none in time.
        InVain = "in_vain",
        /// Too many waited already.
        TurnedAway = "turned_away",
        /// The client went away.
        Abandoned = "abandoned",
    }
}

label! {
    /// How far a command came that was proposed on this node. What was neither applied nor refused was not
    /// answered in time.
    CommandStage as "stage" {
        /// Handed to consensus.
        Proposed = "proposed",
        /// Applied.
        Applied = "applied",
        /// Answered with a refusal.
        Refused = "refused",
        /// Not taken: too many waited already.
        TurnedAway = "turned_away",
    }
}

label! {
    /// What happened to a lease.
    LeaseTransition as "event" {
        /// A new lease.
        Registered = "registered",
        /// Half its TTL without a heartbeat.
        Suspected = "suspected",
        /// A suspect one was heard again.
        Recovered = "recovered",
        /// Its TTL ran out.
        Expired = "expired",
        /// An expired one was heard again.
        Revived = "revived",
        /// Unregistered, or displaced by newer registrations.
        Departed = "departed",
        /// Its record was dropped for good.
        Forgotten = "forgotten",
    }
}

label! {
    /// What became of a ramp at which too many requests failed.
    RampStop as "result" {
        /// It stays where it is.
        Paused = "paused",
        /// The destinations have their own weights again.
        Aborted = "aborted",
    }
}

impl From<LeaseEvent> for LeaseTransition {
    fn from(event: LeaseEvent) -> Self {
        match event {
            LeaseEvent::Suspected => Self::Suspected,
            LeaseEvent::Recovered => Self::Recovered,
            LeaseEvent::Expired => Self::Expired,
            LeaseEvent::Revived => Self::Revived,
        }
    }
}

label! {
    /// What the leader made of a heartbeat.
    HeartbeatResult as "outcome" {
        /// The lease goes on.
        Ok = "ok",
        /// Not registered.
        Unknown = "unknown",
        /// Newer registrations took all its partitions.
        Displaced = "displaced",
        /// About an earlier life.
        Superseded = "superseded",
        /// Heard before.
        Replayed = "replayed",
        /// No leader could be asked.
        Unavailable = "unavailable",
        /// Not taken: too many waited already.
        Busy = "busy",
    }
}

impl From<&HeartbeatOutcome> for HeartbeatResult {
    fn from(outcome: &HeartbeatOutcome) -> Self {
        match outcome {
            HeartbeatOutcome::Ok { .. } => Self::Ok,
            HeartbeatOutcome::Unknown => Self::Unknown,
            HeartbeatOutcome::Displaced => Self::Displaced,
            HeartbeatOutcome::Superseded { .. } => Self::Superseded,
            HeartbeatOutcome::Replayed { .. } => Self::Replayed,
        }
    }
}

label! {
    /// [`quorate_model::worker::Status`], as a label.
    WorkerStatus as "status" {
        /// Heartbeats arrive.
        Live = "live",
        /// Late heartbeats.
        Suspect = "suspect",
        /// Lease over, record kept.
        Expired = "expired",
        /// Said goodbye or was displaced; remembered for a moment.
        Departed = "departed",
    }
}

impl From<quorate_model::worker::Status> for WorkerStatus {
    fn from(status: quorate_model::worker::Status) -> Self {
        use quorate_model::worker::Status;
        match status {
            Status::Live => Self::Live,
            Status::Suspect => Self::Suspect,
            Status::Expired => Self::Expired,
            Status::Departed => Self::Departed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: Label>() {
        for (i, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.position(), i, "{}", value.as_str());
        }
    }

    #[test]
    fn positions_follow_the_order() {
        check::<Outcome>();
        check::<StatusClass>();
        check::<UpstreamUse>();
        check::<ServiceResult>();
        check::<HoldEnd>();
        check::<CommandStage>();
        check::<LeaseTransition>();
        check::<RampStop>();
        check::<HeartbeatResult>();
        check::<WorkerStatus>();
        check::<PathTemplate>();
        check::<CallCode>();
        check::<RoutingError>();
        assert_eq!(Outcome::ALL.len(), Outcome::COUNT);
    }

    #[test]
    fn a_status_code_has_a_class() {
        let classes = [101, 204, 302, 404, 503, 999].map(|s| StatusClass::of(s).as_str());
        assert_eq!(classes, ["1xx", "2xx", "3xx", "4xx", "5xx", "5xx"]);
    }
}
