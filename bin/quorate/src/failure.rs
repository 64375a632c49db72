//! How a command ends when it does not end well: one sentence on stderr and one of five exit codes, on which
//! scripts may rely.

use quorate_client::Error;
use std::{fmt::Display, io::Write as _, process::ExitCode};

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The server refused, or something broke. Code 1.
    Failed(String),
    /// Bad usage or bad configuration. Code 2.
    Usage(String),
    /// No node answers. Code 3.
    NotReachable(String),
    /// There is no such thing. Code 4.
    NotFound(String),
    /// A second signal. Code 128 and the signal's number.
    Signal(u8),
    /// Whoever reads our output went away: nobody needs to be told. Code 0.
    NobodyReads,
}

impl Failure {
    /// Something broke; `what` says what was tried.
    pub fn failed(what: impl Display, why: impl Display) -> Self {
        Self::Failed(format!("{what}: {why}"))
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NobodyReads => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotReachable(_) => 3,
            Self::NotFound(_) => 4,
            Self::Signal(number) => 128 + number,
        })
    }

    /// Says it on stderr.
    pub fn tell(&self) {
        let text = match self {
            Self::Failed(text) | Self::Usage(text) | Self::NotReachable(text) | Self::NotFound(text) => text,
            Self::Signal(_) | Self::NobodyReads => return,
        };
        // Nothing can be said about a stderr that does not take anything.
        let _ = anstream::stderr().write_all(each_line(text).as_bytes());
    }
}

/// Each line is a mistake of its own, also to whoever looks for the word with grep.
fn each_line(text: &str) -> String {
    text.lines().map(|line| format!("error: {line}\n")).collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Invalid(_) => Self::Usage(text),
            Error::Unreachable(_) => Self::NotReachable(text),
            Error::Refused(problem) if problem.status == 404 => Self::NotFound(text),
            Error::Refused(_) | Error::Answer { .. } | Error::Setup(_) => Self::Failed(text),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_mistakes_is_called_one() {
        assert_eq!(each_line("a: is wrong"), "error: a: is wrong\n");
        assert_eq!(each_line("a: is wrong\nb: too"), "error: a: is wrong\nerror: b: too\n");
    }
}
