//! Routes, as they are shown and as a body may say them.

use super::parts::{CorsBody, DestinationBody, EditsBody, MatchBody, MirrorBody, RedirectBody, RewriteBody};
use crate::{
    policy::{BalancingBody, KeyBody, RetriesBody, span},
    ramp::{RampBody, RampStatusBody},
};
use quorate_model::{
    Route, StoredRoute,
    route::{Action, Forwarding},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The fields of a route, which a body that may have no others and a body that says more share.
macro_rules! route_body {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$head_meta:meta])* $head:ident: $head_type:ty = $value:expr,)* }
        of $from:ident: $source:ty => $route:expr
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$head_meta])* pub $head: $head_type,)*
            /// Which requests it is for; `{}`: all.
            #[serde(rename = "match")]
            pub matches: MatchBody,
            /// Where they go, by weight; either this or `redirect`.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            #[schema(required = false, min_items = 1, max_items = 64)]
            pub destinations: Vec<DestinationBody>,
            /// Where the client is told to ask instead; either this or `destinations`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub redirect: Option<RedirectBody>,
            /// How the weights of the destinations change by themselves.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub ramp: Option<RampBody>,
            /// What keeps requests at one of the destinations, on every node.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub sticky: Option<KeyBody>,
            /// Which endpoint of a destination; as the service's policy says if not said, else p2c.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub balancing: Option<BalancingBody>,
            /// With `consistent-hash`: by what.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub hash_on: Option<KeyBody>,
            /// Until the head of an answer, all attempts together, 10ms to 1h; as the service's policy says, else the node, if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(examples("30s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
            pub timeout: Option<String>,
            /// Between two pieces of a body.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(examples("1m"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
            pub idle_timeout: Option<String>,
            /// Until the head of an answer, for one attempt.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(examples("5s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
            pub per_try_timeout: Option<String>,
            /// When a request is given to another endpoint; as the service's policy says if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub retries: Option<RetriesBody>,
            /// What browsers of other origins are allowed; `{}`: nothing is answered for the destinations.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub cors: Option<CorsBody>,
            /// What a destination sees instead of the path and host that were asked for.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub rewrite: Option<RewriteBody>,
            /// On the request's headers: removed first, then set, then added.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub request_headers: Option<EditsBody>,
            /// On the answer's headers.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub response_headers: Option<EditsBody>,
            /// Who gets a copy, whose answers are thrown away; `{}`: nobody.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mirror: Option<MirrorBody>,
            /// Before more specific routes that have less of it; 0 if not said.
            #[schema(required = false)]
            pub priority: i32,
        }

        impl From<&$source> for $name {
            fn from($from: &$source) -> Self {
                let route: &Route = $route;
                let nothing = Forwarding::default();
                let (forwarding, redirect) = match &route.action {
                    Action::Forward(forwarding) => (&**forwarding, None),
                    Action::Redirect(redirect) => (&nothing, Some(redirect)),
                };
                Self {
                    $($head: $value,)*
                    matches: (&route.matches).into(),
                    destinations: forwarding.destinations.iter().map(Into::into).collect(),
                    redirect: redirect.map(Into::into),
                    ramp: forwarding.ramp.as_ref().map(Into::into),
                    sticky: forwarding.sticky.as_ref().map(Into::into),
                    balancing: forwarding.balancing.map(Into::into),
                    hash_on: forwarding.hash_on.as_ref().map(Into::into),
                    timeout: forwarding.timeouts.total_ms.map(span),
                    idle_timeout: forwarding.timeouts.idle_ms.map(span),
                    per_try_timeout: forwarding.timeouts.per_try_ms.map(span),
                    retries: forwarding.retries.as_ref().map(Into::into),
                    cors: forwarding.cors.as_ref().map(Into::into),
                    rewrite: RewriteBody::of(&forwarding.rewrite),
                    request_headers: EditsBody::of(&forwarding.request_headers),
                    response_headers: EditsBody::of(&forwarding.response_headers),
                    mirror: forwarding.mirror.as_ref().map(Into::into),
                    priority: route.priority,
                }
            }
        }
    };
}

route_body! {
    /// `PUT /v1/routes/{name}`: a route as a whole.
    #[derive(Clone, Debug, Serialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    RoutePut {}
    of route: Route => route
}

route_body! {
    /// A route, as it is shown. What was not said is not there; what was begun is there with its defaults.
    #[derive(Clone, Debug, Serialize, ToSchema)]
    RouteBody {
        /// Its name.
        name: String = stored.route.name().to_string(),
        /// The log index at which it was made: of two that are alike specific, the older one is taken.
        created_index: u64 = stored.created.0,
        /// The log index of its last change, for `If-Match`.
        changed_index: u64 = stored.changed.0,
        /// Where its ramp stands, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        ramp_status: Option<RampStatusBody> = stored.ramp.as_deref().map(Into::into),
    }
    of stored: StoredRoute => &stored.route
}
