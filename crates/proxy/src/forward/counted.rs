//! What of a request counts for the ramp of its route, while somebody watches that.

use super::{Arrived, Forwarding};
use crate::{
    decide::By,
    ramps::{CountedCall, is_failure},
    serve::GRPC_STATUS,
};
use http::{HeaderMap, StatusCode};
use quorate_routing::grpc;
use quorate_telemetry::label::CallCode;

/// What an answer says.
enum Said {
    /// All there is to know.
    Failed(bool),
    /// That it is one to a call whose code is behind its body.
    Later,
}

impl Forwarding<'_> {
    /// An attempt is over.
    pub(super) fn count(&self, failed: bool) {
        if let By::Route(plan) = &self.to.by {
            plan.known.count(plan.nth, failed);
        }
    }

    /// An attempt has an answer. One to a call may count later, when it is [passed on](Self::counted_call).
    pub(super) fn count_answer(&self, arrived: &Arrived) {
        let By::Route(plan) = &self.to.by else { return };
        if plan.known.tally().is_none() {
            return;
        }
        match self.said(arrived) {
            Said::Failed(failed) => self.count(failed),
            Said::Later => {}
        }
    }

    /// An answer that is passed on, if it counts by what is behind it.
    pub(super) fn counted_call(&self, arrived: &Arrived) -> Option<CountedCall> {
        let By::Route(plan) = &self.to.by else { return None };
        let tally = plan.known.tally()?;
        matches!(self.said(arrived), Said::Later).then(|| CountedCall::new(tally, plan.nth))
    }

    fn said(&self, arrived: &Arrived) -> Said {
        let status = arrived.status();
        if status != StatusCode::OK || !grpc::is_call(&self.outbound.headers) {
            return Said::Failed(status.is_server_error());
        }
        match arrived.headers().get(GRPC_STATUS) {
            Some(code) => Said::Failed(is_failure(CallCode::of(code.as_bytes()))),
            None => Said::Later,
        }
    }
}

impl Arrived {
    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Own(response, _) => response.headers(),
            Self::Shared(response) => response.headers(),
            Self::Tunnel(response) => response.headers(),
        }
    }
}
