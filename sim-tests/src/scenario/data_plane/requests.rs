//! What clients ask for.

use super::{Kind, Run, routed};
use crate::world::line::{Asked, Wire};
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};

/// So many different clients.
pub const KEYS: u64 = 16;

impl Run<'_> {
    /// One of those that answer.
    pub(super) fn any_port(&self) -> u16 {
        match self.kind {
            // Services are answered for on both listeners.
            Kind::Services if thread_rng().gen_bool(0.2) => 9090,
            Kind::Services | Kind::Routes | Kind::Http2 => 8080,
        }
    }

    pub(super) fn any_request(&self, wire: Wire) -> Asked {
        self.asked.set(self.asked.get() + 1);
        let mut random = thread_rng();
        let is_call = wire == Wire::Http2 && self.is_shared && random.gen_bool(0.3);
        let methods = ["GET", "GET", "PUT", "DELETE", "POST", "POST", "PATCH"];
        let method = if is_call { "POST" } else { methods.choose(&mut random).expect("there are some") };
        let body_bytes = match (method, random.gen_range(0..20)) {
            ("GET" | "DELETE", _) => 0,
            // More than a router keeps.
            (_, 0) => 100_000,
            (_, 1..=4) => random.gen_range(10_000..40_000),
            _ => random.gen_range(0..500),
        };
        let answer_bytes =
            if random.gen_bool(0.2) { random.gen_range(10_000..60_000) } else { random.gen_range(20..600) };
        Asked {
            id: self.asked.get(),
            method,
            path: match self.kind {
                Kind::Services | Kind::Http2 => "/api/service/s/x",
                Kind::Routes => routed::any_path(),
            },
            port: self.any_port(),
            body_bytes,
            answer_bytes,
            in_chunks: random.gen_bool(0.5),
            key: random.gen_range(0..KEYS),
            is_call,
        }
    }
}
