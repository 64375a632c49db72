//! A request's routing key: taken once, before anything is decided, and given on to whoever gets the request.

use crate::core::Core;
use http::{HeaderMap, Request};
use quorate_routing::sandbox::propagate;
use quorate_telemetry::label::KeyUse;

/// The key that a request carries. It goes with the request, as an extension: nearly none has one.
#[derive(Clone, Debug)]
pub(crate) struct RouteKey(Box<str>);

impl RouteKey {
    /// Of a request that was looked at.
    pub fn of<B>(request: &Request<B>) -> Option<&str> {
        request.extensions().get::<Self>().map(|key| &*key.0)
    }

    /// Tells whoever gets the request.
    pub fn propagate(&self, headers: &mut HeaderMap, core: &Core) {
        propagate(headers, &self.0, &core.config.key_forms);
    }
}

/// Looks for a request's key.
pub(crate) fn take<B>(core: &Core, request: &mut Request<B>) {
    let found = core.config.key_forms.find(request.headers(), request.uri().query().unwrap_or_default());
    for _ in 0..found.invalid {
        core.counters.key(KeyUse::Invalid);
    }
    if let Some(key) = found.key {
        let key = RouteKey(key.text.into());
        request.extensions_mut().insert(key);
    }
}
