//! What others publish, read no faster than it is taken.
//!
//! The client library reads whatever Redis has to say, and keeps it in a queue without a bound. So the stream beneath it
//! stands still while much of what came is not taken yet. Redis keeps what is behind that, and ends the connection of a
//! subscriber who is too slow, by its own limits: then what is published meanwhile is lost, and the log says so.

use futures_util::task::AtomicWaker;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may be read beyond those that are known to be taken.
const AHEAD_MAX: u64 = 8 << 20;

/// A stream that stands still while too much of it waits.
pub(super) struct Inlet<S> {
    stream: S,
    level: Arc<Level>,
}

/// How much of a stream was read, and how much of that is known to be taken.
pub(super) struct Level {
    read: AtomicU64,
    taken: AtomicU64,
    /// Nothing waits. Then it is read without a bound: one message may be longer than any.
    is_idle: AtomicBool,
    reader: AtomicWaker,
}

impl<S> Inlet<S> {
    /// Nothing is read yet.
    pub fn new(stream: S) -> (Self, Arc<Level>) {
        let (read, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        let level = Level { read, taken, is_idle: AtomicBool::new(true), reader: AtomicWaker::new() };
        let level = Arc::new(level);
        (Self { stream, level: level.clone() }, level)
    }
}

impl Level {
    /// How many bytes were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// Nothing waits, as seen after so many bytes were read.
    pub fn is_empty_since(&self, read: u64) {
        self.taken.store(read, Ordering::Release);
        self.is_idle.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Something was taken, and more may wait.
    pub fn is_busy(&self) {
        self.is_idle.store(false, Ordering::Release);
    }

    fn is_full(&self) -> bool {
        !self.is_idle.load(Ordering::Acquire)
            && self.read().saturating_sub(self.taken.load(Ordering::Acquire)) >= AHEAD_MAX
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inlet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.level.is_full() {
            self.level.reader.register(cx.waker());
            // It may have been emptied just before.
            if self.level.is_full() {
                return Poll::Pending;
            }
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len().saturating_sub(before);
        self.level.read.fetch_add(bytes as u64, Ordering::AcqRel);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inlet<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    /// `None`: it stands still.
    fn read(inlet: &mut Inlet<tokio::io::Repeat>, bytes: u64) -> Option<usize> {
        let mut piece = vec![0; usize::try_from(bytes).expect("small")];
        inlet.read_exact(&mut piece).now_or_never().map(|read| read.expect("it never ends"))
    }

    #[tokio::test]
    async fn a_stream_stands_still_while_much_waits_and_goes_on_once_nothing_does() {
        let (mut inlet, level) = Inlet::new(tokio::io::repeat(7));
        assert!(read(&mut inlet, 2 * AHEAD_MAX).is_some(), "nothing waits: one message may be as long");
        level.is_busy();
        assert!(read(&mut inlet, 1).is_none());
        let reading = quorate_rt::spawn(async move { inlet.read_u8().await.map(|byte| (byte, inlet)) });
        tokio::task::yield_now().await;
        assert!(!reading.is_finished());
        level.is_empty_since(level.read());
        let (byte, mut inlet) = reading.await.expect("no panic").expect("it never ends");
        assert_eq!(byte, 7);
        level.is_busy();
        assert!(read(&mut inlet, AHEAD_MAX / 2).is_some(), "little waits");
        assert!(read(&mut inlet, AHEAD_MAX).is_some(), "what is read at once is not cut");
        assert!(read(&mut inlet, 1).is_none());
    }
}
