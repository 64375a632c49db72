//! Chunked bodies of answers (RFC 9112, 7.1).

use super::{WireError, head};
use bytes::{Buf, Bytes};
use http::HeaderMap;

/// Most bytes of all extensions of a body. Nobody reads them.
const EXTENSIONS_MAX: usize = 16 << 10;
/// Most bytes of the fields after the last chunk.
const TRAILERS_MAX: usize = 16 << 10;
/// A size has no more digits.
const DIGITS_MAX: u8 = 16;

/// Where in the body the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        size: u64,
        digits: u8,
    },
    /// Spaces after a size, or an extension.
    Extension {
        size: u64,
        is_named: bool,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataEndLf,
    Trailers,
    End,
}

/// A reader of chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// How many bytes of extensions there were.
    extensions: usize,
}

/// What was read.
#[derive(Debug)]
pub(super) enum Read {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// There must be more of it first.
    Nothing,
}

impl Chunks {
    pub fn new() -> Self {
        Self { at: At::Size { size: 0, digits: 0 }, extensions: 0 }
    }

    /// Reads on in `input`.
    pub fn read(&mut self, input: &mut Bytes) -> Result<Read, WireError> {
        loop {
            match self.at {
                At::Data { left } => {
                    if input.is_empty() {
                        return Ok(Read::Nothing);
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let left = left - length as u64;
                    self.at = if left > 0 { At::Data { left } } else { At::DataEnd };
                    return Ok(Read::Data(input.split_to(length)));
                }
                At::Trailers => return self.trailers(input),
                At::End => return Ok(Read::End),
                at => match input.first() {
                    None => return Ok(Read::Nothing),
                    Some(byte) => {
                        self.at = self.step(at, *byte)?;
                        input.advance(1);
                    }
                },
            }
        }
    }

    /// One byte of what is between the data.
    fn step(&mut self, at: At, byte: u8) -> Result<At, WireError> {
        Ok(match (at, byte) {
            (At::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                At::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::Size { size, digits: 1.. } | At::Extension { size, .. }, b'\r') => At::SizeEnd { size },
            (At::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => {
                self.extended(At::Extension { size, is_named: byte == b';' })?
            }
            (At::Extension { size, is_named: false }, b';') => {
                self.extended(At::Extension { size, is_named: true })?
            }
            (At::Extension { is_named: false, .. }, b' ' | b'\t') => self.extended(at)?,
            (At::Extension { is_named: true, .. }, byte) if byte != b'\n' => self.extended(at)?,
            (At::SizeEnd { size: 0 }, b'\n') => At::Trailers,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataEnd, b'\r') => At::DataEndLf,
            (At::DataEndLf, b'\n') => At::Size { size: 0, digits: 0 },
            (At::DataEnd | At::DataEndLf, _) => return Err(WireError::ChunkEnd),
            _ => return Err(WireError::ChunkSize),
        })
    }

    fn extended(&mut self, at: At) -> Result<At, WireError> {
        self.extensions += 1;
        if self.extensions > EXTENSIONS_MAX {
            return Err(WireError::ExtensionsTooLarge { bytes_max: EXTENSIONS_MAX });
        }
        Ok(at)
    }

    fn trailers(&mut self, input: &mut Bytes) -> Result<Read, WireError> {
        let before = input.len();
        let too_large = WireError::TrailersTooLarge { bytes_max: TRAILERS_MAX };
        match head::take_trailers(input)? {
            None if before > TRAILERS_MAX => Err(too_large),
            None => Ok(Read::Nothing),
            Some(_) if before - input.len() > TRAILERS_MAX => Err(too_large),
            Some(trailers) => {
                self.at = At::End;
                Ok(if trailers.is_empty() { Read::End } else { Read::Trailers(trailers) })
            }
        }
    }
}
