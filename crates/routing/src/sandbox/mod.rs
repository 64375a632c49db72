//! Sandboxes: requests that carry a routing key go to another version of what they ask for.
//!
//! The key names the sandbox, and of its rules the first one decides that the request meets, in the order in which they
//! were written. No such sandbox, or no such rule: the request goes where it would go without the key. So does one whose
//! rule leads to nobody, where the rule wants that; who is there the caller knows, who sees also what the View does not
//! ([`Sandboxed::falls_back`]).
//!
//! A rule may hold only for requests that would go to a service without their key. For that, and only then, the request
//! is decided without it first.
//!
//! | module | what |
//! |---|---|
//! | [`key`] | which key a request carries, and where it says so |
//! | [`condition`] | what a rule asks for |
//! | [`propagate`](mod@propagate) | how whoever gets the request is told of the key |

pub mod condition;
pub mod key;
pub mod propagate;

pub use propagate::propagate;

use crate::{
    decide::{Decision, RequestHead, base},
    route::{self, AmbiguousPath, Sent, path},
};
use condition::{Facts, conditions};
use quorate_model::{StoredRoute, sandbox::Fallback};
use quorate_state::View;
use std::sync::Arc;

/// A request that a rule of a sandbox is for.
#[derive(Debug)]
pub struct Sandboxed<'v, 'h> {
    /// The place of the rule, from 0.
    pub nth: usize,
    /// When it goes where it would go without its key, after all.
    pub fallback: Fallback,
    /// What it is forwarded by.
    pub route: &'v Arc<StoredRoute>,
    /// Where it goes.
    pub sent: Sent<'v, 'h>,
}

impl Sandboxed<'_, '_> {
    /// Whether it goes where it would go without its key, if so many endpoints of its target get requests.
    pub fn falls_back(&self, serving: usize) -> bool {
        self.fallback.missing && serving == 0
    }
}

/// Decides for a request that carries a key.
pub(crate) fn decide<'v, 'h>(view: &'v View, head: &RequestHead<'h>, key: &str) -> Decision<'v, 'h> {
    let Some(sandbox) = view.sandboxes().of_requests(key) else { return base(view, head) };
    let facts = Facts::of(view, head);
    for (nth, one) in sandbox.rules().enumerate() {
        if !conditions(one).all(|condition| condition.holds(&facts)) {
            continue;
        }
        // What is put before the path, of an address, is not to be left.
        if path::leads_out(head.path) {
            return Decision::AmbiguousPath(AmbiguousPath);
        }
        let sent = match one.only() {
            // A rule has no mirror, so nothing else of the route has to be read.
            Some(target) => {
                let aim = route::aim(view, target, head);
                Sent { forwarding: one.forwarding(), nth: 0, aim, mirror: None }
            }
            None => route::sent(view, one.forwarding(), head),
        };
        return Decision::Sandbox(Sandboxed { nth, fallback: one.fallback(), route: one.route(), sent });
    }
    facts.into_base()
}
