//! Sections in a file.
//!
//! ```text
//! file    = magic "QUORSNAP", version u32, section*, end section
//! section = name length u8, name, flags u8, payload length u64, crc32c u32, payload
//! ```
//!
//! Numbers are little-endian. The checksum covers everything in the section but itself, the head included: a
//! flipped bit in a length or a name is as fatal as one in the payload. The end section counts the sections, so
//! that a file that was cut between two of them is not taken for a whole one.

use super::WHAT;
use crate::error::DecodeError;

const MAGIC: &[u8; 8] = b"QUORSNAP";
const VERSION: u32 = 1;
const END: &str = "end";
/// A reader that does not know the section may leave it out.
const FLAG_OPTIONAL: u8 = 1;

/// A part of a snapshot.
pub(super) struct Section<'a> {
    pub name: &'a str,
    pub optional: bool,
    pub payload: &'a [u8],
}

pub(super) struct Writer {
    bytes: Vec<u8>,
    sections: u64,
}

impl Writer {
    pub fn new() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        Self { bytes, sections: 0 }
    }

    /// A section that every reader must understand.
    pub fn section(&mut self, name: &str, payload: &[u8]) {
        self.put(name, 0, payload);
        self.sections += 1;
    }

    fn put(&mut self, name: &str, flags: u8, payload: &[u8]) {
        let start = self.bytes.len();
        self.bytes.push(u8::try_from(name.len()).expect("names of sections are short constants"));
        self.bytes.extend(name.as_bytes());
        self.bytes.push(flags);
        self.bytes.extend((payload.len() as u64).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&self.bytes[start..]), payload);
        self.bytes.extend(checksum.to_le_bytes());
        self.bytes.extend(payload);
    }

    pub fn finish(mut self) -> Vec<u8> {
        let sections = self.sections.to_le_bytes();
        self.put(END, 0, &sections);
        self.bytes
    }
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    sections: u64,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Self { rest: bytes, sections: 0 };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(DecodeError::malformed(WHAT, "it does not begin like one"));
        }
        let got = u32::from_le_bytes(reader.array()?);
        if got != VERSION {
            return Err(DecodeError::UnknownVersion { what: WHAT, got, known: VERSION });
        }
        Ok(reader)
    }

    /// The next section, its checksum verified; `None` at the proper end.
    pub fn next(&mut self) -> Result<Option<Section<'a>>, DecodeError> {
        let head = self.rest;
        let name_len = usize::from(self.array::<1>()?[0]);
        let name = self.take(name_len)?;
        let [flags] = self.array()?;
        let len = usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX);
        let head = &head[..head.len() - self.rest.len()];
        let want = u32::from_le_bytes(self.array()?);
        let payload = self.take(len)?;
        let got = crc32c::crc32c_append(crc32c::crc32c(head), payload);
        if got != want {
            let part = String::from_utf8_lossy(name).chars().take(64).collect();
            return Err(DecodeError::Checksum { what: WHAT, part, got, want });
        }
        let name = std::str::from_utf8(name).map_err(|e| DecodeError::malformed(WHAT, e))?;
        if name == END {
            return self.end(payload).map(|()| None);
        }
        self.sections += 1;
        Ok(Some(Section { name, optional: flags & FLAG_OPTIONAL != 0, payload }))
    }

    fn end(&self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload != self.sections.to_le_bytes() {
            return Err(DecodeError::malformed(
                WHAT,
                format!("sections are missing; {} are there", self.sections),
            ));
        }
        if !self.rest.is_empty() {
            return Err(DecodeError::malformed(WHAT, format!("{} bytes follow its end", self.rest.len())));
        }
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| DecodeError::malformed(WHAT, "it is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` gives as many bytes as it was asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Result<Vec<(String, bool)>, DecodeError> {
        let mut reader = Reader::new(bytes)?;
        let mut names = Vec::new();
        while let Some(section) = reader.next()? {
            names.push((section.name.to_owned(), section.optional));
        }
        Ok(names)
    }

    #[test]
    fn sections_come_back_with_their_flags() {
        let mut writer = Writer::new();
        writer.section("a", b"1");
        writer.put("b", FLAG_OPTIONAL, b"");
        writer.sections += 1;
        assert_eq!(names(&writer.finish()), Ok(vec![("a".into(), false), ("b".into(), true)]));
    }

    #[test]
    fn a_missing_section_is_noticed_though_each_that_is_there_is_sound() {
        let mut writer = Writer::new();
        let before = writer.bytes.len();
        writer.section("a", b"1");
        let after = writer.bytes.len();
        let mut bytes = writer.finish();
        bytes.drain(before..after);
        assert!(matches!(names(&bytes), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn what_follows_the_end_is_refused() {
        let mut bytes = Writer::new().finish();
        bytes.push(0);
        assert!(matches!(names(&bytes), Err(DecodeError::Malformed { .. })));
    }
}
