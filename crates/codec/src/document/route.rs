//! Routes.

use super::{action::Action, matching::RouteMatch, ramp::RampState};
use crate::v1::registration::first;
use quorate_model as model;
use quorate_model::{Invalid, LogIndex, RouteName};
use serde::{Deserialize, Serialize};

/// What a route says. Its name stands beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    #[serde(default, rename = "match", skip_serializing_if = "RouteMatch::is_empty")]
    matches: RouteMatch,
    action: Action,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: i32,
}

/// A route as the cluster holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRoute {
    name: String,
    created: u64,
    changed: u64,
    route: Route,
    /// Since the sixth level: where its ramp stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ramp: Option<RampState>,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl From<&model::Route> for Route {
    fn from(route: &model::Route) -> Self {
        let model::RouteParts { matches, action, priority } = &**route;
        Self { matches: matches.into(), action: action.into(), priority: *priority }
    }
}

impl Route {
    /// The route of this name.
    pub(crate) fn named(self, name: &str) -> Result<model::Route, Invalid> {
        let parts = model::RouteParts {
            matches: self.matches.try_into()?,
            action: self.action.try_into()?,
            priority: self.priority,
        };
        parts.validate(RouteName::parse(name)?).map_err(first)
    }
}

impl From<&model::StoredRoute> for StoredRoute {
    fn from(stored: &model::StoredRoute) -> Self {
        let model::StoredRoute { route, created, changed, ramp: _ } = stored;
        Self {
            name: route.name().to_string(),
            created: created.0,
            changed: changed.0,
            route: route.into(),
            ramp: stored.ramp_state().map(Into::into),
        }
    }
}

impl TryFrom<StoredRoute> for model::StoredRoute {
    type Error = Invalid;

    fn try_from(stored: StoredRoute) -> Result<Self, Invalid> {
        let route = stored.route.named(&stored.name)?;
        let at = (LogIndex(stored.created), LogIndex(stored.changed));
        Self::new(route, at, stored.ramp.map(Into::into))
    }
}
