//! A child that must not outlive its parent watches stdin: the parent holds the other end and never writes, so
//! the end of the stream is the end of the parent, however it died.

use std::io::Read as _;
use tokio::sync::oneshot;

/// Resolves when the process at the other end of stdin is gone.
pub async fn gone() {
    let (ended, wait) = oneshot::channel();
    // A thread of its own: a blocked read can't be cancelled, and would hold up the end of a runtime.
    std::thread::spawn(move || {
        let mut byte = [0];
        // What arrives means nothing, and an error is as good as the end.
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        let _ = ended.send(());
    });
    let _ = wait.await;
}
