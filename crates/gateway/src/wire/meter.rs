//! Counts frames as they come in, by their heads alone.
//!
//! The library below hands over whole messages: a message of a million empty parts would be read without anybody above
//! having a say. Here each part is seen when its head has arrived.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// RFC 6455, 5.2: two bytes, eight of an extended length, four of a mask.
const HEAD_BYTES_MAX: usize = 14;

/// Sees each byte once.
#[derive(Debug)]
pub(super) struct Scanner {
    head: [u8; HEAD_BYTES_MAX],
    known: usize,
    payload: u64,
    /// Parts of the message that is under way.
    fragments: u32,
    fragments_max: u32,
    /// Not asked for yet.
    frames: u32,
}

impl Scanner {
    pub fn new(fragments_max: u32) -> Self {
        Self { head: [0; HEAD_BYTES_MAX], known: 0, payload: 0, fragments: 0, fragments_max, frames: 0 }
    }

    pub fn see(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let skipped = bytes.len().min(usize::try_from(self.payload).unwrap_or(usize::MAX));
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.known] = *first;
            self.known += 1;
            bytes = rest;
            if self.known >= 2 && self.known == self.head_bytes() {
                self.begin();
            }
        }
    }

    /// Frames since the last time.
    pub fn take_frames(&mut self) -> u32 {
        std::mem::take(&mut self.frames)
    }

    pub fn is_exceeded(&self) -> bool {
        self.fragments > self.fragments_max
    }

    fn length_bytes(&self) -> usize {
        match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn head_bytes(&self) -> usize {
        2 + self.length_bytes() + if self.head[1] & 0x80 == 0 { 0 } else { 4 }
    }

    /// A head is whole.
    fn begin(&mut self) {
        let extended = &self.head[2..2 + self.length_bytes()];
        self.payload = match extended {
            [] => u64::from(self.head[1] & 0x7f),
            extended => extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.known = 0;
        self.frames = self.frames.saturating_add(1);
        let (is_final, opcode) = (self.head[0] & 0x80 != 0, self.head[0] & 0x0f);
        let is_control = opcode >= 8;
        if is_control || self.is_exceeded() {
            return;
        }
        let nth = if opcode == 0 { self.fragments.saturating_add(1) } else { 1 };
        self.fragments = if is_final && nth <= self.fragments_max { 0 } else { nth };
    }
}

/// A connection whose frames are counted.
#[derive(Debug)]
pub(super) struct Metered<S> {
    io: S,
    pub scanner: Scanner,
}

impl<S> Metered<S> {
    pub fn new(io: S, scanner: Scanner) -> Self {
        Self { io, scanner }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.scanner.see(&buf.filled()[before..]);
        if this.scanner.is_exceeded() {
            return Poll::Ready(Err(io::Error::other("a message has too many parts")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame.
    fn frame(head: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![head];
        match length {
            0..126 => bytes.push(0x80 | u8::try_from(length).expect("short")),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(length).expect("short").to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        // Payloads that look like heads must not be taken for such.
        bytes.extend(std::iter::repeat_n(0x01, length));
        bytes
    }

    #[test]
    fn frames_are_counted_however_their_bytes_are_cut() {
        let all: Vec<u8> =
            [frame(0x81, 5), frame(0x89, 0), frame(0x82, 300), frame(0x81, 70_000), frame(0x8a, 125)]
                .concat();
        for step in [1, 2, 3, 7, 64, 4_096, all.len()] {
            let mut scanner = Scanner::new(4);
            all.chunks(step).for_each(|chunk| scanner.see(chunk));
            assert_eq!(scanner.take_frames(), 5, "in steps of {step}");
            assert!(!scanner.is_exceeded());
            assert_eq!(scanner.take_frames(), 0, "each once");
        }
    }

    #[test]
    fn parts_of_one_message_are_bounded_and_control_frames_between_them_are_none() {
        let mut scanner = Scanner::new(3);
        for _ in 0..100 {
            for head in [0x01, 0x89, 0x00, 0x8a, 0x80] {
                scanner.see(&frame(head, 1));
            }
        }
        assert!(!scanner.is_exceeded(), "three parts each");
        for head in [0x01, 0x00, 0x00] {
            scanner.see(&frame(head, 0));
        }
        assert!(!scanner.is_exceeded());
        scanner.see(&frame(0x80, 0));
        assert!(scanner.is_exceeded(), "the fourth, though the last");
    }
}
