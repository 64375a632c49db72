//! What can go wrong with a worker's connection.

use std::io;

/// Why a connection to a worker was given up.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It ended, and there was no answer.
    #[error("the connection was closed before the head of an answer was complete")]
    NoAnswer,
    /// It ended within an answer's body.
    #[error("the connection was closed in the middle of the answer's body")]
    Cut,
    /// The socket says so.
    #[error("reading the answer failed")]
    Read(#[source] io::Error),
    /// The socket says so.
    #[error("writing the request failed")]
    Write(#[source] io::Error),
    /// Whoever sends the request's body broke it off, or garbled it.
    #[error("the request's body broke off")]
    Upload(#[source] hyper::Error),
    /// The request's body is not as long as it was said to be.
    #[error("the request's body is not as long as its Content-Length said: {missing} bytes are missing")]
    TooShort {
        /// How much more there should have been.
        missing: u64,
    },
    /// The same, the other way round.
    #[error("the request's body is longer than its Content-Length said, by {surplus} bytes or more")]
    TooLong {
        /// How much more there was.
        surplus: u64,
    },
    /// The answer's head, or what follows the last chunk, is no HTTP.
    #[error("the answer is not HTTP/1.1: {0}")]
    Garbled(httparse::Error),
    /// A line of it ends in another way than by CR LF, or stands before the status line.
    #[error("the answer has a line that CR LF does not end")]
    LineEnd,
    /// Its head is larger than is accepted.
    #[error("the answer's head has more than {bytes_max} bytes")]
    HeadTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// Interim answers without end.
    #[error("more than {max} interim answers came before the final one")]
    TooManyInterim {
        /// The bound.
        max: u8,
    },
    /// A status that is none, or a field that can't be one.
    #[error("the answer's `{field}` is not valid")]
    BadField {
        /// What it is.
        field: &'static str,
    },
    /// It is coded in a way that nobody asked for.
    #[error("the answer's Transfer-Encoding is not `chunked` alone")]
    TransferEncoding,
    /// The size of a chunk is none.
    #[error("a chunk of the answer has no valid size")]
    ChunkSize,
    /// A chunk is not followed by a line's end.
    #[error("a chunk of the answer is longer or shorter than its size")]
    ChunkEnd,
    /// What chunks carry besides data.
    #[error("the extensions of the answer's chunks have more than {bytes_max} bytes")]
    ExtensionsTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The fields after the last chunk.
    #[error("the answer's trailers have more than {bytes_max} bytes")]
    TrailersTooLarge {
        /// The bound.
        bytes_max: usize,
    },
}
