//! Why bytes were not understood.

use quorate_model::Invalid;

/// Bytes that this version can't read. Never a panic: bytes come from disks and from the network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is not even a version.
    #[error("{what} is empty")]
    Empty {
        /// What was to be read.
        what: &'static str,
    },
    /// A version that this node does not know.
    #[error("{what} has format version {got}; this node knows version {known}: run a newer version of it")]
    UnknownVersion {
        /// What was to be read.
        what: &'static str,
        /// Its version.
        got: u32,
        /// The newest one that is known here.
        known: u32,
    },
    /// Not what an encoder of this format writes.
    #[error("{what} can't be read: {problem}")]
    Malformed {
        /// What was to be read.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Well-formed, but with a value that the model refuses.
    #[error("{what} holds a value that is not allowed: {source}")]
    Invalid {
        /// What was to be read.
        what: &'static str,
        /// The value and what would be allowed.
        source: Invalid,
    },
    /// A checksum does not fit: a damaged disk, or a message cut short.
    #[error("{what} is damaged: the checksum of {part} is {got:08x}, not {want:08x}")]
    Checksum {
        /// What was to be read.
        what: &'static str,
        /// Which part of it.
        part: String,
        /// The checksum of what is there.
        got: u32,
        /// The checksum of what was written.
        want: u32,
    },
    /// A part that a newer version wrote and that must not be left out.
    #[error("{what} has the part `{part}`, which this node does not know: run a newer version of it")]
    UnknownPart {
        /// What was to be read.
        what: &'static str,
        /// The part.
        part: String,
    },
    /// A part is not there.
    #[error("{what} lacks the part `{part}`")]
    MissingPart {
        /// What was to be read.
        what: &'static str,
        /// The part.
        part: &'static str,
    },
}

impl DecodeError {
    /// Bytes that end before the value does.
    pub fn truncated(what: &'static str) -> Self {
        Self::malformed(what, "it is cut short")
    }

    pub(crate) fn malformed(what: &'static str, problem: impl ToString) -> Self {
        Self::Malformed { what, problem: problem.to_string() }
    }

    /// For `map_err` on the model's constructors.
    pub(crate) fn invalid(what: &'static str) -> impl Fn(Invalid) -> Self {
        move |source| Self::Invalid { what, source }
    }
}
