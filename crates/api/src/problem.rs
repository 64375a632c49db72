//! What clients are told when something is refused: RFC 9457 documents with a stable code.
//!
//! People read `detail`, programs read `code`. Each code has a paragraph in `docs/errors.md`, with what to do;
//! a test ties the two. Causes inside of the cluster (who did not answer, which file failed) belong to the logs.

use crate::{Wrong, delegate::HeartbeatDelegate};
use quorate_model::{Invalid, LogIndex, MemberRefusal, ObjectRefusal, Refusal};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Most entries of `errors[]`; a body of a megabyte can have a hundred thousand wrong fields.
const ERRORS_MAX: usize = 100;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// All of them, by status.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// As in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that it usually comes with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The same for each occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// Fields, parameters or headers that are wrong; each is listed.
    InvalidRequest = "invalid_request", 400, "The request is not valid";
    /// The body is no JSON object.
    BodyNotJson = "body_not_json", 400, "The body is no JSON object";
    /// No token, or one that is not known.
    TokenUnknown = "token_unknown", 401, "The token is not known";
    /// Who shows this token, or comes from there, may not open this tunnel.
    TunnelForbidden = "tunnel_forbidden", 403, "The tunnel may not be opened";
    /// No such path.
    PathUnknown = "path_unknown", 404, "There is no such path";
    /// No such worker.
    WorkerUnknown = "worker_unknown", 404, "The worker is not registered";
    /// Newer registrations took all its partitions.
    WorkerDisplaced = "worker_displaced", 404, "Newer registrations took all partitions of the worker";
    /// No such keyspace.
    KeyspaceUnknown = "keyspace_unknown", 404, "There is no such keyspace";
    /// The service has no policy, or nobody offers it.
    ServiceUnknown = "service_unknown", 404, "There is no such service";
    /// No such route.
    RouteUnknown = "route_unknown", 404, "There is no such route";
    /// No such sandbox.
    SandboxUnknown = "sandbox_unknown", 404, "There is no such sandbox";
    /// Nobody holds a tunnel of this name.
    TunnelUnknown = "tunnel_unknown", 404, "There is no such tunnel";
    /// The user has no session at any gateway.
    UserNotConnected = "user_not_connected", 404, "The user is not connected";
    /// The route or the rule has no ramp.
    RampUnknown = "ramp_unknown", 404, "There is no such ramp";
    /// No such node in the cluster.
    NodeUnknown = "node_unknown", 404, "There is no such node in the cluster";
    /// What was declared at an index is not known.
    NotInHistory = "not_in_history", 404, "What was declared then is not known";
    /// The path does not have this method.
    MethodNotAllowed = "method_not_allowed", 405, "The path does not have this method";
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", 408, "The body did not arrive in time";
    /// Another life of the worker stands.
    LeaseStale = "lease_stale", 409, "Another lease of the worker stands";
    /// The ramp has ended.
    RampOver = "ramp_over", 409, "The ramp is over";
    /// The sequence did not grow.
    HeartbeatReplayed = "heartbeat_replayed", 409, "This heartbeat was heard before";
    /// A cluster is formed once.
    AlreadyFormed = "already_formed", 409, "The cluster is already formed";
    /// Another delegate of the group stands, or none.
    DelegateStale = "delegate_stale", 409, "Another delegate of the group stands";
    /// A delegate speaks for its own group only.
    NotInGroup = "not_in_group", 409, "The worker is of another group";
    /// Some node runs an older version.
    FeatureLevel = "feature_level", 409, "Some node of the cluster can't do this yet";
    /// Another node is a member under this name.
    NodeNameTaken = "node_name_taken", 409, "Another node has this name";
    /// The node at the address is not one that may join.
    NodeNotJoinable = "node_not_joinable", 409, "The node can't join";
    /// Too few voters would be left.
    NoMajority = "no_majority", 409, "Too few nodes would be left";
    /// A snapshot is restored only where there is nothing to lose.
    ClusterNotEmpty = "cluster_not_empty", 409, "The cluster is not empty";
    /// Another restore took its place, or it rested for too long.
    RestoreSuperseded = "restore_superseded", 409, "The restore is no longer under way";
    /// `If-Match` named another index.
    PreconditionFailed = "precondition_failed", 412, "The record has changed";
    /// More than a body may have.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// Not JSON.
    ContentTypeUnsupported = "content_type_unsupported", 415, "The content type is not supported";
    /// A partition that the keyspace does not have.
    PartitionOutOfRange = "partition_out_of_range", 422, "The keyspace has no such partition";
    /// Damaged, cut short, or something else.
    SnapshotUnsound = "snapshot_unsound", 422, "The snapshot can't be used";
    /// A bound of the cluster is reached.
    LimitReached = "limit_reached", 422, "A limit of the cluster is reached";
    /// Nobody answers at the address of the node that is to join.
    NodeNotReachable = "node_not_reachable", 422, "The node does not answer";
    /// The node can't lead.
    NodeNotEligible = "node_not_eligible", 422, "The node can't lead";
    /// What is asked for is not HTTP any more, and the request does not say so.
    UpgradeRequired = "upgrade_required", 426, "The connection has to be upgraded";
    /// Something that should never happen.
    Internal = "internal", 500, "The node is at fault";
    /// No leader, or the leader hears no majority.
    NoQuorum = "no_quorum", 503, "The cluster has no quorum";
    /// It is not known whether it was done.
    OutcomeUnknown = "outcome_unknown", 503, "It is not known whether this was carried out";
    /// Too much waits already.
    Busy = "busy", 503, "The node is busy";
    /// The leader has no room left for changes.
    DiskFull = "disk_full", 503, "The disk is full";
    /// The node is about to end.
    ShuttingDown = "shutting_down", 503, "The node is shutting down";
    /// Kafka has not answered yet.
    PartitionCountUnknown = "partition_count_unknown", 503, "The partition count is not known yet";
    /// This node did not get as far as `min_index` in time.
    IndexNotReached = "index_not_reached", 504, "The node did not reach the index in time";
    /// The disk of this node is full.
    NoRoom = "no_room", 507, "The node has no room";
}

/// A field, parameter or header that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// As the caller spells it, such as `partitions[3]`, `query.limit` or `If-Match`.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub detail: String,
}

impl From<Invalid> for FieldError {
    fn from(wrong: Invalid) -> Self {
        Self { detail: format!("{}; allowed: {}", wrong.problem, wrong.allowed), field: wrong.field }
    }
}

/// Where the leader is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeaderBody {
    /// Its node name.
    pub name: String,
    /// `host:port` of its management listener.
    pub management: String,
}

/// An RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:quorate:error:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for each occurrence of the code.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// For programs.
    pub code: Code,
    /// Each wrong field, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// With status 503: the leader as this node knows it, or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LeaderBody>)]
    pub leader: Option<Option<LeaderBody>>,
    /// With `delegate_stale`: the delegate that stands, with `not_in_group` that of the worker's group; or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HeartbeatDelegate>)]
    pub delegate: Option<Option<HeartbeatDelegate>>,
}

impl Problem {
    /// One without a list of fields.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:quorate:error:{}", code.as_str()),
            title: code.title().into(),
            status: code.status(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
            leader: None,
            delegate: None,
        }
    }

    /// One about wrong fields; at least one is expected.
    pub fn of_fields(mut wrong: Wrong) -> Self {
        // Once for each field: what was found first caused the rest.
        let mut seen = BTreeSet::new();
        wrong.retain(|one| seen.insert(one.field.clone()));
        let detail = match &wrong[..] {
            [one] => one.to_string(),
            all => format!("{} fields are wrong", all.len()),
        };
        let errors = wrong.into_iter().take(ERRORS_MAX).map(FieldError::from).collect();
        Self { errors, ..Self::new(Code::InvalidRequest, detail) }
    }

    /// One about a single wrong field, parameter or header.
    pub fn of_field(field: &str, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::of_fields(vec![Invalid::new(field, problem, allowed)])
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownWorker { .. } => Self::new(Code::WorkerUnknown, detail),
            Refusal::StaleEpoch { .. } => Self::new(Code::LeaseStale, detail),
            // The path was found; it is the body that names a keyspace which does not exist.
            Refusal::UnknownKeyspace { .. } => {
                Self { status: 422, ..Self::new(Code::KeyspaceUnknown, detail) }
            }
            Refusal::PartitionOutOfRange { .. } => {
                let errors = vec![FieldError { field: "partitions".into(), detail: detail.clone() }];
                Self { errors, ..Self::new(Code::PartitionOutOfRange, detail) }
            }
            Refusal::PartitionCountUnknown { .. } => Self::new(Code::PartitionCountUnknown, detail),
            Refusal::PreconditionFailed { current, .. } => {
                Self::new(Code::PreconditionFailed, anew(&detail, *current))
            }
            Refusal::Full { .. } => Self::new(Code::LimitReached, detail),
            Refusal::AlreadyFormed => Self::new(Code::AlreadyFormed, detail),
            Refusal::Forgotten => Self::new(Code::OutcomeUnknown, detail),
            Refusal::UnknownService { .. } => Self::new(Code::ServiceUnknown, detail),
            Refusal::UnknownRoute { .. } => Self::new(Code::RouteUnknown, detail),
            Refusal::UnknownSandbox { .. } => Self::new(Code::SandboxUnknown, detail),
            Refusal::Object(refusal) => Self::new(code_of(refusal), detail),
            Refusal::NotEmpty { .. }
            | Refusal::HasPolicies { .. }
            | Refusal::HasRoutes { .. }
            | Refusal::HasSandboxes { .. } => Self::new(Code::ClusterNotEmpty, detail),
            Refusal::NotInHistory { .. } => Self::new(Code::NotInHistory, detail),
            // Nobody asks for it over HTTP: a node opens another lease by itself.
            Refusal::GatewayEnded { .. } => Self::new(Code::LeaseStale, detail),
            Refusal::RestoreVoid => Self::new(Code::RestoreSuperseded, detail),
            Refusal::RestoreUnsound { .. } => Self::new(Code::SnapshotUnsound, detail),
            Refusal::NoRamp { .. } => Self::new(Code::RampUnknown, detail),
            Refusal::RampOver { .. } => Self::new(Code::RampOver, detail),
        }
    }
}

/// Objects have an API of their own, which tells its refusals in other words: here only a restore meets one.
fn code_of(refusal: &ObjectRefusal) -> Code {
    match refusal {
        ObjectRefusal::NotEmpty { .. } => Code::ClusterNotEmpty,
        ObjectRefusal::Full { .. } => Code::LimitReached,
        ObjectRefusal::Changed { .. } | ObjectRefusal::Other { .. } => Code::PreconditionFailed,
        ObjectRefusal::Unknown { .. } | ObjectRefusal::Exists { .. } => Code::SnapshotUnsound,
    }
}

impl From<&MemberRefusal> for Problem {
    fn from(refusal: &MemberRefusal) -> Self {
        let code = match refusal {
            MemberRefusal::NameTaken { .. } => Code::NodeNameTaken,
            MemberRefusal::NotReachable { .. } => Code::NodeNotReachable,
            MemberRefusal::OtherName { .. }
            | MemberRefusal::OtherCluster { .. }
            | MemberRefusal::OwnLog { .. }
            | MemberRefusal::NotWaiting { .. } => Code::NodeNotJoinable,
            MemberRefusal::Unknown { .. } => Code::NodeUnknown,
            MemberRefusal::PreconditionFailed { .. } => Code::PreconditionFailed,
            MemberRefusal::NoMajority { .. } => Code::NoMajority,
            MemberRefusal::Full { .. } => Code::LimitReached,
        };
        let detail = refusal.to_string();
        if let MemberRefusal::PreconditionFailed { current } = refusal {
            return Self::new(code, anew(&detail, *current));
        }
        Self::new(code, detail)
    }
}

/// What to do about a condition that does not hold: the index that is told is no reason to send the same once more.
fn anew(detail: &str, current: LogIndex) -> String {
    let condition = match current {
        LogIndex(0) => "If-None-Match: * sets it where there is none".to_owned(),
        current => format!("read it anew and decide, then repeat with If-Match: \"{current}\""),
    };
    format!("{detail}; {condition}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_is_an_rfc_9457_document() {
        let problem = Problem::of_field("ttl", "is 0 ms", "1s to 24h");
        assert_eq!(
            serde_json::to_value(problem).expect("serialises"),
            json!({
                "type": "urn:quorate:error:invalid_request",
                "title": "The request is not valid",
                "status": 400,
                "detail": "ttl: is 0 ms; allowed: 1s to 24h",
                "code": "invalid_request",
                "errors": [{"field": "ttl", "detail": "is 0 ms; allowed: 1s to 24h"}],
            })
        );
    }

    #[test]
    fn a_body_full_of_errors_does_not_make_an_answer_full_of_errors() {
        let wrong =
            (0..100_000).map(|i| Invalid::new(format!("partitions[{i}]"), "is null", "numbers")).collect();
        let problem = Problem::of_fields(wrong);
        assert_eq!(problem.detail, "100000 fields are wrong");
        assert_eq!(problem.errors.len(), ERRORS_MAX);
    }

    #[test]
    fn a_field_is_listed_once() {
        let wrong = |field: &str, problem: &str| Invalid::new(field, problem, "x");
        let all =
            vec![wrong("query.limit", "is there twice"), wrong("b", "is 0"), wrong("query.limit", "is 0")];
        let problem = Problem::of_fields(all);
        let shown: Vec<_> = problem.errors.iter().map(|e| format!("{}: {}", e.field, e.detail)).collect();
        assert_eq!(shown, ["query.limit: is there twice; allowed: x", "b: is 0; allowed: x"]);
        assert_eq!(problem.detail, "2 fields are wrong");
    }

    /// The index that a 412 tells is what stands now, not what the caller has seen.
    #[test]
    fn a_condition_that_does_not_hold_says_to_read_anew() {
        let failed =
            |current| Refusal::PreconditionFailed { current: LogIndex(current), wanted: LogIndex(3) };
        assert_eq!(
            Problem::from(&failed(8)).detail,
            "the record last changed at index 8, not at 3; read it anew and decide, then repeat with If-Match: \"8\""
        );
        assert!(Problem::from(&failed(0)).detail.ends_with("; If-None-Match: * sets it where there is none"));
        let members = MemberRefusal::PreconditionFailed { current: LogIndex(9) };
        assert!(Problem::from(&members).detail.contains("; read it anew and decide"));
    }

    #[test]
    fn codes_are_written_as_they_are_named_and_listed_by_status() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).expect("serialises"), json!(code.as_str()));
        }
        assert!(Code::ALL.windows(2).all(|two| two[0].status() <= two[1].status()));
    }

    /// Each code has its section `### <code>` in docs/errors.md, with its status and a paragraph, and nothing
    /// there is about a code that does not exist.
    #[test]
    fn every_code_has_its_paragraph_in_the_docs() {
        let page = include_str!("../../../docs/errors.md");
        let sections: Vec<_> = page.split("\n### ").skip(1).collect();
        let documented: Vec<_> = sections.iter().filter_map(|s| s.lines().next()).collect();
        assert_eq!(documented, Code::ALL.iter().map(|c| format!("`{}`", c.as_str())).collect::<Vec<_>>());
        for (section, code) in sections.iter().zip(Code::ALL) {
            let text: Vec<_> = section.lines().skip(1).filter(|line| !line.is_empty()).collect();
            let first = text.first().copied().unwrap_or_default();
            assert!(first.starts_with(&format!("Status {}", code.status())), "{}: {first}", code.as_str());
            assert!(text.join(" ").len() > 80, "{}: a paragraph says what to do", code.as_str());
        }
    }
}
