//! What a core does so that a failing worker harms few requests: balancing, breakers, ejections, bounds and retries, as
//! a service's policy has them.
//!
//! | file | what is there |
//! |---|---|
//! | `rules` | a policy, in the terms of `quorate_routing`, and what a route says instead |
//! | `manner` | how workers are chosen, and among whom: requests that want the same share one table |
//! | `conduct` | how one worker has behaved for one service, as this core saw it |
//! | `book` | all of a service's workers, and what of its requests may be retried |
//! | `care` | one request's part in it: whatever becomes of the request, the worker's record gets to know |
//! | `told` | which breakers opened on other cores and nodes, and who is told of this core's |
//! | `key` | what of a request says which worker it belongs to |
//!
//! All of it belongs to one core. What a node has learnt of a worker is so divided by its cores: each ejects it after
//! its own failures. In return no request writes where another core reads. What is told of breakers where a policy
//! wants that is looked at with each tick, not with each request.

mod book;
mod care;
mod conduct;
mod key;
mod manner;
mod rules;
mod told;

pub(crate) use book::Book;
pub(crate) use care::Care;
pub(crate) use conduct::Conduct;
pub(crate) use key::key_of;
pub(crate) use manner::{KeptManner, Manner};
pub(crate) use rules::{Again, Here, Rules};
pub use told::Breakers;
pub(crate) use told::{Told, ToldOpening};
