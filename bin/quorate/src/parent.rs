//! A child that must not outlive its parent watches stdin: the parent holds the other end and never writes, so
//! the end of the stream is the end of the parent, however it died.

use std::{
    fs::File,
    io::Read as _,
    os::{fd::AsFd as _, unix::fs::FileTypeExt as _},
};
use tokio::sync::oneshot;

/// As [`gone`], where stdin is a pipe. A container's is `/dev/null`, which is at its end from the start and tells
/// of nobody.
pub async fn gone_if_it_watches() {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
    match stdin.and_then(|stdin| stdin.metadata()) {
        Ok(stdin) if stdin.file_type().is_fifo() => gone().await,
        Ok(_) | Err(_) => std::future::pending().await,
    }
}

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
