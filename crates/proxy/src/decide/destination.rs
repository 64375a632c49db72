//! Who a request is sent to, and by what.

use crate::{
    destination::Ticket,
    pool::Endpoint,
    resilience::Care,
    routes::{Finish, Plan},
};
use quorate_routing::{RequestHead, service::ServicePath};
use quorate_state::ServiceView;
use std::{sync::Arc, time::Duration};

/// Where a request is sent.
pub(crate) struct Destination {
    pub endpoint: Arc<Endpoint>,
    pub ticket: Ticket,
    pub by: By,
    /// Of a service: what becomes of it there.
    pub care: Option<Care>,
}

/// By which rule.
#[derive(Clone)]
pub(crate) enum By {
    /// It owns the workspace's partition. The worker gets the path as it came.
    Workspace,
    /// It offers the service. It gets what follows the service's name.
    Service {
        /// Where that begins in the path.
        rest_at: usize,
        /// How long it may take, if the service's policy says.
        timeout: Option<Duration>,
    },
    /// A route says so.
    Route(Arc<Plan>),
}

impl By {
    /// It offers the service of this path.
    pub fn service(head: &RequestHead<'_>, path: &ServicePath<'_>, service: &ServiceView) -> Self {
        let timeout = service.stored_policy().and_then(|stored| stored.policy.timeout());
        Self::Service { rest_at: head.path.len() - path.rest.len(), timeout }
    }
}

impl By {
    /// How long a request may take, if the rule says so.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Service { timeout, .. } => *timeout,
            Self::Workspace => None,
            Self::Route(plan) => plan.timeout,
        }
    }

    /// How the answer is finished.
    pub fn finish(&self) -> Finish {
        match self {
            Self::Route(plan) => Finish::ByRoute(plan.clone()),
            Self::Workspace | Self::Service { .. } => Finish::ByPath,
        }
    }

    /// How long nothing may pass of its bodies, in ticks, if the rule says so.
    pub fn idle(&self) -> Option<u32> {
        match self {
            Self::Route(plan) => plan.idle(),
            Self::Workspace | Self::Service { .. } => None,
        }
    }
}
