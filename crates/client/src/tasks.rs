//! This library's own seam to tokio: the only place that starts a task or looks at the clock.
#![expect(
    clippy::disallowed_methods,
    reason = "no simulated node links this library; see the crate's first page"
)]

use std::{future::Future, sync::LazyLock, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future)
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// `None`: the time is over.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

/// A moment, since the first one that was asked for.
pub(crate) fn now() -> Duration {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed()
}

/// A number in [0, 1).
pub(crate) fn random() -> f64 {
    rand::random()
}
