//! Why an attempt failed, in words.

use crate::{
    answer::{self, Own},
    dial,
    http1::WireError,
    upgrade,
};
use quorate_routing::retry::{Connection, Failure};
use quorate_telemetry::label::Outcome;
use std::{io, sync::Arc, time::Duration};

/// An attempt that failed.
pub(super) struct Failed {
    pub failure: Failure,
    pub connection: Connection,
    pub error: Error,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error("{authority}: the connection was closed")]
    Closed { authority: String },
    #[error("{authority}: {}", chain(source))]
    Died { authority: String, source: WireError },
    #[error("{authority}: no room on its connections within {after:?}")]
    NoRoom { authority: String, after: Duration },
    #[error("{authority}: its connections are full, and {waiting_max} requests wait already")]
    Crowded { authority: String, waiting_max: usize },
    #[error("{0}")]
    Unreachable(Arc<dial::Error>),
    #[error("{authority}: {}", chain(source))]
    Stream { authority: String, source: Box<h2::Error> },
    #[error(
        "{authority}: it has no WebSockets in HTTP/2, and the upgrade in HTTP/1.1 failed: {}",
        chain(source)
    )]
    NoTunnel { authority: String, source: WireError },
    #[error("{authority}: no answer within {after:?}")]
    TimedOut { authority: String, after: Duration },
    #[error("{authority}: {reason}")]
    Switched { authority: String, reason: upgrade::Refused },
    #[error("the address's path makes no request target")]
    BadTarget,
}

impl Error {
    fn dial(&self) -> Option<&dial::Error> {
        match self {
            Self::Dial(error) => Some(error),
            Self::Unreachable(error) => Some(error),
            _ => None,
        }
    }

    pub fn is_bad_address(&self) -> bool {
        matches!(self, Self::BadTarget) || matches!(self.dial(), Some(dial::Error::BadName { .. }))
    }

    /// Whether it says nothing about the worker: it was not even asked, or for what it does not have.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::NoRoom { .. } | Self::Crowded { .. } | Self::BadTarget | Self::NoTunnel { .. } => true,
            Self::Dial(_) | Self::Unreachable(_) => matches!(
                self.dial(),
                Some(dial::Error::Full { .. } | dial::Error::BadName { .. } | dial::Error::Authorities(_))
            ),
            Self::Closed { .. }
            | Self::Died { .. }
            | Self::Stream { .. }
            | Self::TimedOut { .. }
            | Self::Switched { .. } => false,
        }
    }

    /// Whether nobody was found at the end of a tunnel.
    pub fn is_of_tunnel(&self) -> bool {
        match self.dial() {
            Some(dial::Error::Tunnel { source, .. }) => source.kind() != io::ErrorKind::WouldBlock,
            Some(dial::Error::TooSlow { .. }) => true,
            _ => false,
        }
    }

    /// Whether there are only too many others.
    pub fn is_crowd(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::Crowded { .. })
            || matches!(self.dial(), Some(dial::Error::Full { .. }))
    }
}

/// As the gateway's contract has it.
pub(super) fn destination_failed(failed: &Failed) -> Own {
    match failed.failure {
        _ if failed.error.is_crowd() => answer::route::overloaded(),
        Failure::TimedOut | Failure::TryTimedOut => answer::route::timed_out(),
        Failure::Refused | Failure::Unsent | Failure::Died | Failure::BadAnswer => answer::route::failed(),
    }
}

/// As the sandbox proxy's contract has it.
pub(super) fn sandbox_failed(failed: &Failed) -> Own {
    match failed.failure {
        _ if failed.error.is_bad_address() => answer::sandbox::not_asked(),
        _ if failed.error.is_crowd() => answer::sandbox::failed(Outcome::Overloaded).retry_after(1),
        Failure::TimedOut | Failure::TryTimedOut => answer::sandbox::failed(Outcome::Timeout),
        Failure::Refused | Failure::Unsent | Failure::Died | Failure::BadAnswer => {
            answer::sandbox::failed(Outcome::WorkerUnavailable)
        }
    }
}

/// As the workspace router's contract has it.
pub(super) fn worker_failed(failed: &Failed) -> Own {
    match (&failed.error, failed.failure) {
        (error, _) if error.is_bad_address() => answer::invalid_worker_url(),
        (error, _) if error.is_crowd() => {
            answer::worker_unavailable(Outcome::Overloaded, &error.to_string()).retry_after(1)
        }
        (error, Failure::TimedOut) => answer::worker_unavailable(Outcome::Timeout, &error.to_string()),
        (error, _) => answer::worker_unavailable(Outcome::WorkerUnavailable, &error.to_string()),
    }
}

/// An error and its causes, which its own text leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_that_fails_is_told_as_its_contract_has_it() {
        let check = |failure, error, status: u16, outcome, body: &str| {
            let own = sandbox_failed(&Failed { failure, connection: Connection::Fresh, error });
            let got = (own.status.as_u16(), own.outcome, own.body().as_ref());
            assert_eq!(got, (status, outcome, body.as_bytes()));
        };
        let (authority, failed) = (|| "a:1".to_owned(), "Error proxying request");
        let closed = || Error::Closed { authority: authority() };
        check(Failure::Died, closed(), 502, Outcome::WorkerUnavailable, failed);
        check(Failure::Refused, closed(), 502, Outcome::WorkerUnavailable, failed);
        let late = Error::TimedOut { authority: authority(), after: Duration::from_secs(1) };
        check(Failure::TimedOut, late, 502, Outcome::Timeout, failed);
        let crowded = Error::Crowded { authority: authority(), waiting_max: 1 };
        check(Failure::Refused, crowded, 502, Outcome::Overloaded, failed);
        check(Failure::TimedOut, Error::BadTarget, 500, Outcome::Internal, "Error creating proxy request");
    }
}
