//! A request that a sandbox's rule is for, or nothing at all.

use super::{Case, Verdict, route::Ruled};
use crate::{resilience::Manner, routes::Known};
use quorate_routing::{
    RequestHead,
    route::Aim,
    sandbox::{Sandboxed, is_there},
};
use quorate_state::ServiceView;
use quorate_telemetry::label::KeyUse;
use std::sync::Arc;

impl Case<'_> {
    /// It goes where the rule says; where nobody is there, and the rule wants it, where it would go without its key.
    pub(super) fn sandboxed(&mut self, head: &RequestHead<'_>, met: &Sandboxed<'_, '_>) -> Ruled {
        let known = self.routes.known((met.route, Some(met.fallback)), self.now);
        if met.falls_back(self.serving(&known, &met.sent.aim)) {
            self.count_key(KeyUse::Missing);
            let base = self.sight.base(head);
            return self.ruled(head, base);
        }
        self.count_key(KeyUse::Sandboxed);
        self.told_as_the_original(head, known, met)
    }

    /// Nothing else is for it.
    pub(super) fn by_default(&mut self, head: &RequestHead<'_>, met: &Sandboxed<'_, '_>) -> Ruled {
        let known = self.routes.known((met.route, Some(met.fallback)), self.now);
        self.told_as_the_original(head, known, met)
    }

    /// Sent on. Where nobody gets it, that is told as the sandbox proxy tells it.
    fn told_as_the_original(
        &mut self,
        head: &RequestHead<'_>,
        known: Arc<Known>,
        met: &Sandboxed<'_, '_>,
    ) -> Ruled {
        let (verdict, finish, counters) = self.send(head, known, &met.sent);
        let verdict = match verdict {
            Verdict::Answer(own) => Verdict::Answer(own.of_sandbox()),
            other @ (Verdict::Forward(_) | Verdict::Hold(_)) => other,
        };
        (verdict, finish, counters)
    }

    /// How many endpoints of the target get requests.
    fn serving(&mut self, known: &Known, aim: &Aim<'_, '_>) -> usize {
        let mut of = |service: &Arc<ServiceView>, manner: Manner<'_>| {
            self.services.choice(service, self.workers, (manner, self.now)).count()
        };
        match aim {
            Aim::Service(_, Some(service)) => of(service, known.manner()),
            Aim::Version(_, version, Some(service)) => of(service, known.manner().of_version(version)),
            Aim::Service(_, None) | Aim::Version(_, _, None) | Aim::Nobody | Aim::Owner(_, Err(_)) => 0,
            Aim::Url(address, _) => usize::from(is_there(self.sight.view, address)),
            Aim::Owner(_, Ok(_)) => 1,
        }
    }
}
