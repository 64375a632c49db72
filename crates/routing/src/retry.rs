//! What next when a worker could not be reached.
//!
//! Two things can be wrong, and each is worth one more attempt. A pooled connection may have died while it was
//! idle, which says nothing about the worker: dial it anew. Or the worker itself is gone, and then its partition
//! may have a new owner by now: look once more. Beyond that the cluster does not know better either, and the
//! client is told.
//!
//! A request is sent a second time only if no byte of it can have had an effect, or if its method promises that
//! twice is as good as once (RFC 9110, 9.2.2) and all of it is still at hand.

use std::time::Duration;

/// How many workers of a service one request is given to, at most.
pub const ENDPOINTS_MAX: usize = 3;

/// How an attempt failed before the first byte of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unreachable, or not in time.
    Refused,
    /// There was a connection, but it was found dead before anything was written to it.
    Unsent,
    /// It died after something may have been written.
    Died,
    /// No head of an answer in time. The worker may still be at it.
    TimedOut,
}

/// Where the connection of the failed attempt came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// From the pool.
    Pooled,
    /// Dialled for this attempt.
    Fresh,
}

/// Whether the request may be sent again after some of it may have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Idempotent, and a copy is at hand.
    Safe,
    /// Not so.
    Unsafe,
}

/// Whether the owner was looked up again within this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It may be looked up once more.
    Once,
    /// As often as one request may: twice for a partition, [`ENDPOINTS_MAX`] times for a service.
    Again,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same worker on another connection.
    Reconnect,
    /// Ask the View who owns the partition now; try that worker, unless it is the one that failed. Of a service: the
    /// next best of its workers that has not been tried.
    LookAgain,
    /// Tell the client.
    GiveUp,
}

/// What next after a failure.
pub fn next(failure: Failure, connection: Connection, replay: Replay, lookup: Lookup) -> Next {
    let resendable = match failure {
        Failure::Refused | Failure::Unsent => true,
        Failure::Died => replay == Replay::Safe,
        Failure::TimedOut => false,
    };
    match (resendable, connection, lookup) {
        (false, _, _) => Next::GiveUp,
        (true, Connection::Pooled, _) => Next::Reconnect,
        (true, Connection::Fresh, Lookup::Once) => Next::LookAgain,
        (true, Connection::Fresh, Lookup::Again) => Next::GiveUp,
    }
}

/// When a client should try again whose request one worker of a service failed: in whole seconds.
///
/// With another live worker the next try most likely meets that one: 2 seconds, as the contract has it. With none
/// but suspect ones it depends on their leases: within a third of its TTL each of them has either been heard again
/// or is out. Never longer than the failed one's lease can last.
pub fn retry_after(ttl: Duration, others: Others) -> u64 {
    let verdict = ttl.div_f64(3.0).as_secs_f64().ceil();
    let wait = match others {
        Others::Live => verdict.min(2.0),
        Others::SuspectOnly => verdict,
    };
    (wait as u64).clamp(1, ttl.as_secs().max(1))
}

/// Who is left when a worker of a service has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// At least one whose heartbeats arrive.
    Live,
    /// Some, all of them late.
    SuspectOnly,
}

/// Whether a method promises that sending it twice is as good as once.
pub fn is_idempotent(method: &http::Method) -> bool {
    use http::Method;
    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for failure in [Failure::Refused, Failure::Unsent, Failure::Died, Failure::TimedOut] {
            for connection in [Connection::Pooled, Connection::Fresh] {
                for replay in [Replay::Safe, Replay::Unsafe] {
                    for lookup in [Lookup::Once, Lookup::Again] {
                        let then = next(failure, connection, replay, lookup);
                        table += &format!("{failure:?} {connection:?} {replay:?} {lookup:?}: {then:?}\n");
                    }
                }
            }
        }
        expect![[r#"
            Refused Pooled Safe Once: Reconnect
            Refused Pooled Safe Again: Reconnect
            Refused Pooled Unsafe Once: Reconnect
            Refused Pooled Unsafe Again: Reconnect
            Refused Fresh Safe Once: LookAgain
            Refused Fresh Safe Again: GiveUp
            Refused Fresh Unsafe Once: LookAgain
            Refused Fresh Unsafe Again: GiveUp
            Unsent Pooled Safe Once: Reconnect
            Unsent Pooled Safe Again: Reconnect
            Unsent Pooled Unsafe Once: Reconnect
            Unsent Pooled Unsafe Again: Reconnect
            Unsent Fresh Safe Once: LookAgain
            Unsent Fresh Safe Again: GiveUp
            Unsent Fresh Unsafe Once: LookAgain
            Unsent Fresh Unsafe Again: GiveUp
            Died Pooled Safe Once: Reconnect
            Died Pooled Safe Again: Reconnect
            Died Pooled Unsafe Once: GiveUp
            Died Pooled Unsafe Again: GiveUp
            Died Fresh Safe Once: LookAgain
            Died Fresh Safe Again: GiveUp
            Died Fresh Unsafe Once: GiveUp
            Died Fresh Unsafe Again: GiveUp
            TimedOut Pooled Safe Once: GiveUp
            TimedOut Pooled Safe Again: GiveUp
            TimedOut Pooled Unsafe Once: GiveUp
            TimedOut Pooled Unsafe Again: GiveUp
            TimedOut Fresh Safe Once: GiveUp
            TimedOut Fresh Safe Again: GiveUp
            TimedOut Fresh Unsafe Once: GiveUp
            TimedOut Fresh Unsafe Again: GiveUp
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn the_time_to_try_again_comes_from_the_lease() {
        let table = [(30, 2, 10), (90, 2, 30), (6, 2, 2), (3, 1, 1), (1, 1, 1), (100_000, 2, 33_334)];
        for (ttl, live, suspect) in table {
            let ttl = Duration::from_secs(ttl);
            assert_eq!(retry_after(ttl, Others::Live), live, "{ttl:?}");
            assert_eq!(retry_after(ttl, Others::SuspectOnly), suspect, "{ttl:?}");
        }
    }

    #[test]
    fn a_post_is_not_idempotent() {
        for (method, is) in
            [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)]
        {
            assert_eq!(is_idempotent(&method.parse().expect("a method")), is, "{method}");
        }
        assert!(!is_idempotent(&"FROBNICATE".parse().expect("a method")), "the unknown is not safe");
    }
}
