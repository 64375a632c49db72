//! Other ways between gateways than the cluster's own: Redis and Kafka, as the original gateways speak them.
//!
//! They are for a fleet that has gateways of the original in it, while it is moved: a node finds the users of those, and
//! is found by them. Neither acknowledges: a message that was published may be lost on its way, as in the original. What
//! Redis does say is heard: a message that nobody listened for has failed.
//!
//! | module | what |
//! |---|---|
//! | [`redis`] | Redis: the original's channels, and its presence |
//! | [`kafka`] | Kafka: the original's topics |
//! | [`envelope`] | the original's JSON |

pub mod envelope;
pub mod kafka;
mod published;
pub mod redis;

use quorate_rt::rest::Bounds;
use std::time::Duration;

/// How long a server that does not answer is left alone.
const RESTS: Bounds = Bounds { shortest: Duration::from_millis(100), longest: Duration::from_secs(2) };
