//! Sandboxes: requests that carry a routing key go to another version of what they ask for.
//!
//! | module | what |
//! |---|---|
//! | [`key`] | which key a request carries, and where it says so |
//! | [`propagate`](mod@propagate) | how whoever gets the request is told of the key |

pub mod key;
pub mod propagate;
