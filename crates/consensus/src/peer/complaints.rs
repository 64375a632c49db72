//! Says what is wrong with a peer without saying it all day: a node with a wrong secret tries again and again.

use quorate_rt::time::{Duration, Instant};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A peer is complained about once in this time.
const EVERY: Duration = Duration::from_secs(60);
/// Peers remembered. When full, and none can be forgotten, further ones are passed over: strangers may come from
/// any number of addresses, and the log is no place for all of them.
const PEERS_MAX: usize = 256;

/// When each peer was complained about last. Clones share it. `None`: nothing is ever complained about.
#[derive(Clone, Debug)]
pub struct Complaints(Option<Arc<Mutex<BTreeMap<String, Instant>>>>);

impl Default for Complaints {
    fn default() -> Self {
        Self(Some(Arc::default()))
    }
}

impl Complaints {
    /// For who expects to be refused.
    pub fn muted() -> Self {
        Self(None)
    }

    /// Whether it is time for a line in the log about `peer`; counts as one.
    pub fn due(&self, peer: &str) -> bool {
        self.due_at(peer, Instant::now())
    }

    fn due_at(&self, peer: &str, now: Instant) -> bool {
        let Some(last) = &self.0 else { return false };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= PEERS_MAX {
            last.retain(|_, at| now.duration_since(*at) < EVERY);
        }
        let recent = last.get(peer).is_some_and(|at| now.duration_since(*at) < EVERY);
        if recent || (last.len() >= PEERS_MAX && !last.contains_key(peer)) {
            return false;
        }
        last.insert(peer.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_is_complained_about_once_a_minute() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        assert!(complaints.due_at("a", start));
        assert!(!complaints.due_at("a", start + Duration::from_secs(59)));
        assert!(complaints.due_at("b", start + Duration::from_secs(59)));
        assert!(complaints.due_at("a", start + Duration::from_secs(60)));
    }

    #[test]
    fn who_is_muted_complains_about_nobody() {
        assert!(!Complaints::muted().due("a"));
    }

    #[test]
    fn the_memory_is_bounded_and_makes_room_by_time() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        for nth in 0..PEERS_MAX {
            assert!(complaints.due_at(&nth.to_string(), start));
        }
        assert!(!complaints.due_at("one more", start));
        assert!(complaints.due_at("one more", start + EVERY));
    }
}
