//! Why a connection ends, and what its client is told.

use quorate_rt::time::Duration;
use quorate_telemetry::gateway::Closed;
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client has said goodbye.
    Left,
    /// The connection broke.
    Reset,
    /// The client breaks the rules of RFC 6455.
    Protocol,
    /// What it calls text is none.
    NotText,
    /// A frame or a message is too large.
    TooLarge,
    /// A message has too many parts.
    Fragments,
    /// Too many frames in too short a time.
    Flood,
    /// No ping for too long.
    NoPing(Duration),
    /// It takes nothing, and a write stands still.
    Stalled,
    /// It takes its messages too slowly.
    Slow,
    /// The user has logged in elsewhere.
    Replaced,
    /// The node is about to end.
    Draining,
    /// The gateway refuses to go on, in its dialect's words.
    Refused(Closing),
}

/// The code and the reason of a goodbye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// RFC 6455, 7.4.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

impl End {
    /// What the client is told; `None`: it has left, or nothing can be told.
    pub fn closing(&self) -> Option<Closing> {
        let (code, reason) = match self {
            Self::Left | Self::Reset => return None,
            Self::Protocol => (1002, "protocol error".to_owned()),
            Self::NotText => (1007, "text is not UTF-8".to_owned()),
            Self::TooLarge => (1009, "message too big".to_owned()),
            Self::Fragments => (1008, "too many fragments".to_owned()),
            Self::Flood => (1008, "too many frames".to_owned()),
            Self::NoPing(timeout) => (1008, format!("no ping for {timeout:?}")),
            Self::Stalled | Self::Slow => (1013, "messages are taken too slowly".to_owned()),
            Self::Replaced => (4001, "replaced".to_owned()),
            Self::Draining => (1012, crate::drain::hint()),
            Self::Refused(closing) => return Some(closing.clone()),
        };
        Some(Closing { code, reason })
    }

    /// As it is counted.
    pub fn label(&self) -> Closed {
        match self {
            Self::Left => Closed::Client,
            Self::Reset => Closed::Reset,
            Self::Protocol | Self::NotText => Closed::Protocol,
            Self::TooLarge | Self::Fragments => Closed::TooLarge,
            Self::Flood => Closed::Flood,
            Self::NoPing(_) => Closed::NoPing,
            Self::Stalled | Self::Slow => Closed::Slow,
            Self::Replaced => Closed::Replaced,
            Self::Draining => Closed::Drain,
            Self::Refused(_) => Closed::Refused,
        }
    }

    /// Whether what the client sends after it is still understood.
    pub(super) fn leaves_frames_whole(&self) -> bool {
        !matches!(self, Self::Protocol | Self::NotText | Self::TooLarge | Self::Fragments | Self::Reset)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => Self::TooLarge,
            Error::Utf8(_) => Self::NotText,
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Left,
            Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
            ) => Self::Reset,
            Error::Protocol(_) => Self::Protocol,
            // Breaks of the connection; the rest is of handshakes, which are not the library's here.
            _ => Self::Reset,
        }
    }
}
