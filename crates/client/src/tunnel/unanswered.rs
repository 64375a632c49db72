//! Streams that nothing answers at the tunnel's end: people are told, and not once for each of a thousand.

use super::News;
use crate::tasks;
use std::{future::Future, time::Duration};
use tokio::sync::mpsc;

/// What is told again is told so seldom.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// More at once are not counted.
const WAITING_MAX: usize = 1_024;

/// All of a tunnel's.
pub(super) struct Unanswered {
    teller: Teller,
    told: mpsc::Receiver<String>,
    /// When that was, last.
    last: Option<Duration>,
    /// How many since.
    count: u64,
}

/// Tells of one stream.
#[derive(Clone)]
pub(super) struct Teller(mpsc::Sender<String>);

impl Teller {
    pub fn tell(&self, why: String) {
        // Full: people are told anyway.
        let _ = self.0.try_send(why);
    }
}

impl Default for Unanswered {
    fn default() -> Self {
        let (teller, told) = mpsc::channel(WAITING_MAX);
        Self { teller: Teller(teller), told, last: None, count: 0 }
    }
}

impl Unanswered {
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// What `during` resolves to; meanwhile the news is told.
    pub async fn told_during<T>(
        &mut self,
        during: impl Future<Output = T>,
        tell: &mut impl FnMut(News),
    ) -> T {
        tokio::pin!(during);
        loop {
            tokio::select! {
                biased;
                done = &mut during => return done,
                Some(why) = self.told.recv() => {
                    if let Some(news) = self.news(why, tasks::now()) {
                        tell(news);
                    }
                }
            }
        }
    }

    fn news(&mut self, why: String, now: Duration) -> Option<News> {
        self.count += 1;
        if self.last.is_some_and(|last| now.saturating_sub(last) < TOLD_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(News::NotAnswered { why, count: std::mem::take(&mut self.count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_a_thousand_others_in_one_line() {
        let mut unanswered = Unanswered::default();
        let mut at = |ms: u64| match unanswered.news("refused".into(), Duration::from_millis(ms)) {
            Some(News::NotAnswered { count, .. }) => count,
            Some(_) | None => 0,
        };
        assert_eq!(at(0), 1);
        assert_eq!((1..1_000).map(&mut at).sum::<u64>(), 0);
        assert_eq!(at(9_999), 0);
        assert_eq!(at(10_000), 1_001);
        assert_eq!((at(10_001), at(20_000)), (0, 2));
    }

    /// Whoever tells never waits, and whoever hears does not miss the end of what goes on meanwhile.
    #[tokio::test]
    async fn what_is_told_meanwhile_is_heard() {
        let mut unanswered = Unanswered::default();
        (0..2 * WAITING_MAX).for_each(|_| unanswered.teller().tell("refused".into()));
        let (heard, is_heard) = tokio::sync::oneshot::channel();
        let mut heard = Some(heard);
        let mut tell = |news| {
            if let Some(heard) = heard.take() {
                heard.send(news).expect("it waits");
            }
        };
        let news = unanswered.told_during(is_heard, &mut tell).await.expect("told");
        assert_eq!(news, News::NotAnswered { why: "refused".into(), count: 1 });
    }
}
