//! How a gateway ends: nobody new, and those who are here leave one after the other.
//!
//! All at once they would all come back at once, elsewhere. So each socket picks a moment of its own within the spread, and
//! its client is told to wait a moment of its own again.

use quorate_rt::{
    rng,
    time::{self, Duration, Instant},
};
use tokio::sync::watch;

/// A client is told to come back within this time.
const RETURN_WITHIN: Duration = Duration::from_secs(3);

/// Whether the node is about to end. Clones share it.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<Option<Begun>>);

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    spread: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Drain {
    /// Asks all to leave, over `spread`.
    pub fn begin(&self, spread: Duration) {
        self.0.send_replace(Some(Begun { at: Instant::now(), spread }));
    }

    /// Whether they were asked.
    pub fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Resolves when it is one socket's turn to leave. Whoever asks late has the same spread, not another one.
    pub async fn turn(self) {
        let mut watched = self.0.subscribe();
        // This holds the sender.
        let begun = watched.wait_for(Option::is_some).await.map_or(None, |begun| *begun);
        let Some(Begun { at, spread }) = begun else { return };
        time::sleep_until(at + random_within(spread)).await;
    }
}

/// The reason that a client reads when it is sent away because the node ends.
pub fn hint() -> String {
    format!("reconnect in {} ms", random_within(RETURN_WITHIN).as_millis())
}

/// Evenly spread.
pub fn random_within(spread: Duration) -> Duration {
    let most = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis(rng::random_u64() % most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    /// A session that comes while the node ends must be gone with the others: the node does not wait for it.
    #[tokio::test(start_paused = true)]
    async fn whoever_comes_late_leaves_with_the_others() {
        let (drain, begun) = (Drain::default(), Instant::now());
        drain.begin(Duration::from_secs(5));
        time::sleep(Duration::from_secs(4)).await;
        join_all((0..100).map(|_| drain.clone().turn())).await;
        let last = begun.elapsed();
        assert!(last <= Duration::from_millis(5_100), "{last:?}");
    }
}
