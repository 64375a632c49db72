//! The labels of the metrics that have the names of the sandbox proxy.

use super::{Label, Outcome};

label! {
    /// What a request's path is counted as: by what it was decided, never the path itself.
    PathTemplate as "path" {
        /// By a sandbox's rule.
        Sandbox = "{sandbox}",
        /// By a route.
        Route = "{route}",
        /// By the service that it names.
        Service = "/api/service/{service}",
        /// By the workspace that it names.
        Workspace = "/workspaces/{workspace}",
        /// By nothing: it is for the default target.
        Default = "{default}",
        /// By nothing at all, or refused before anything was decided.
        Other = "{other}",
    }
}

label! {
    /// What becomes of a call of gRPC, as gRPC has it.
    CallCode as "code" {
        /// It has succeeded.
        Ok = "OK",
        /// The client does not want it any more.
        Cancelled = "CANCELLED",
        /// Nobody said, or something else.
        Unknown = "UNKNOWN",
        /// As gRPC has it.
        InvalidArgument = "INVALID_ARGUMENT",
        /// As gRPC has it.
        DeadlineExceeded = "DEADLINE_EXCEEDED",
        /// As gRPC has it.
        NotFound = "NOT_FOUND",
        /// As gRPC has it.
        AlreadyExists = "ALREADY_EXISTS",
        /// As gRPC has it.
        PermissionDenied = "PERMISSION_DENIED",
        /// As gRPC has it.
        ResourceExhausted = "RESOURCE_EXHAUSTED",
        /// As gRPC has it.
        FailedPrecondition = "FAILED_PRECONDITION",
        /// As gRPC has it.
        Aborted = "ABORTED",
        /// As gRPC has it.
        OutOfRange = "OUT_OF_RANGE",
        /// As gRPC has it.
        Unimplemented = "UNIMPLEMENTED",
        /// As gRPC has it.
        Internal = "INTERNAL",
        /// As gRPC has it.
        Unavailable = "UNAVAILABLE",
        /// As gRPC has it.
        DataLoss = "DATA_LOSS",
        /// As gRPC has it.
        Unauthenticated = "UNAUTHENTICATED",
    }
}

impl CallCode {
    /// Of what `grpc-status` says: its values are numbered in the order of gRPC's codes.
    pub fn of(status: &[u8]) -> Self {
        let number = std::str::from_utf8(status).ok().and_then(|text| text.parse::<usize>().ok());
        number.and_then(|number| Self::ALL.get(number).copied()).unwrap_or(Self::Unknown)
    }
}

label! {
    /// How a request came to no answer of somebody who was meant to answer it.
    RoutingError as "error_type" {
        /// It names no workspace, and there is no default target.
        NoWorkspace = "no_workspace",
        /// The keyspace's partition count is not known yet.
        PartitionCountUnknown = "partition_count_unknown",
        /// Nobody gets requests there.
        NoWorker = "no_worker",
        /// All who could take it have as much as they may have.
        Overloaded = "overloaded",
        /// There is no such service.
        NoService = "no_service",
        /// Who was to answer refused, reset or garbled.
        WorkerUnavailable = "worker_unavailable",
        /// No answer in time.
        Timeout = "timeout",
        /// Malformed, ambiguous or not allowed.
        BadRequest = "bad_request",
        /// Its head is too large.
        TooLarge = "too_large",
        /// It goes in circles.
        Loop = "loop",
        /// Our fault.
        Internal = "internal",
    }
}

impl RoutingError {
    /// As it is counted among all outcomes.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::NoWorkspace => Outcome::NoWorkspace,
            Self::PartitionCountUnknown => Outcome::PartitionCountUnknown,
            Self::NoWorker => Outcome::NoWorker,
            Self::Overloaded => Outcome::Overloaded,
            Self::NoService => Outcome::NoService,
            Self::WorkerUnavailable => Outcome::WorkerUnavailable,
            Self::Timeout => Outcome::Timeout,
            Self::BadRequest => Outcome::BadRequest,
            Self::TooLarge => Outcome::TooLarge,
            Self::Loop => Outcome::Loop,
            Self::Internal => Outcome::Internal,
        }
    }
}
