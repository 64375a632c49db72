//! Calls of gRPC, for the ramp that has led them somewhere.
//!
//! HTTP says 200 to a call that has failed: what became of it stands in `grpc-status`, in the head of an answer that is no
//! more than that, or behind its body. So a call counts once its code is known, which for one that streams is at its
//! end. A ramp that looked at HTTP alone would give all of its requests to a version that fails each of them.

use super::Tally;
use quorate_telemetry::label::CallCode;
use std::sync::Arc;

/// A call that is under way. It is counted when this is gone, whatever ended it.
#[derive(Debug)]
pub(crate) struct CountedCall {
    tally: Arc<Tally>,
    destination: usize,
    /// `None`: its client has gone away, which says nothing of the destination.
    code: Option<CallCode>,
}

impl CountedCall {
    pub fn new(tally: &Arc<Tally>, destination: usize) -> Self {
        Self { tally: tally.clone(), destination, code: None }
    }

    /// What becomes of it, as it seems now.
    pub fn says(&mut self, code: CallCode) {
        self.code = Some(code);
    }

    /// It is over, and nobody said how: to its client that is a failure.
    pub fn ends(&mut self) {
        self.code.get_or_insert(CallCode::Unknown);
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.tally.count(self.destination, self.code.is_some_and(is_failure));
    }
}

/// Whether whoever answers is to blame: the codes that gRPC's own mapping, and gateways with it, have as 500 and above,
/// and that OpenTelemetry calls errors of a server. The others say something of the call: that it was wrong, not
/// allowed, too much, or given up.
pub(crate) fn is_failure(code: CallCode) -> bool {
    match code {
        CallCode::Unknown
        | CallCode::DeadlineExceeded
        | CallCode::Unimplemented
        | CallCode::Internal
        | CallCode::Unavailable
        | CallCode::DataLoss => true,
        CallCode::Ok
        | CallCode::Cancelled
        | CallCode::InvalidArgument
        | CallCode::NotFound
        | CallCode::AlreadyExists
        | CallCode::PermissionDenied
        | CallCode::ResourceExhausted
        | CallCode::FailedPrecondition
        | CallCode::Aborted
        | CallCode::OutOfRange
        | CallCode::Unauthenticated => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_call_is_counted_once_by_its_code() {
        let failures = |of: &dyn Fn(&mut CountedCall)| {
            let tally = Arc::new(Tally::of(2));
            of(&mut CountedCall::new(&tally, 1));
            let counts = &tally.0[1];
            assert_eq!(counts.requests.load(Ordering::Relaxed), 1);
            counts.failures.load(Ordering::Relaxed)
        };
        let failed: Vec<usize> = (0..=17)
            .filter(|number: &usize| {
                failures(&|call| call.says(CallCode::of(number.to_string().as_bytes()))) > 0
            })
            .collect();
        assert_eq!(failed, [2, 4, 12, 13, 14, 15, 17], "17 is none of gRPC's");
        assert_eq!(failures(&|_| {}), 0, "the client went away");
        assert_eq!(failures(&CountedCall::ends), 1, "nobody said how it ended");
        let told = |call: &mut CountedCall| {
            call.says(CallCode::Ok);
            call.ends();
        };
        assert_eq!(failures(&told), 0);
    }
}
