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
//!
//! Both ends work piece by piece: a writer holds one section's payload at most, and so does a reader. A length that
//! lies costs no memory: what is read grows with what is there.

use super::{ReadError, WHAT};
use crate::error::DecodeError;
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"QUORSNAP";
const VERSION: u32 = 1;
const END: &str = "end";
/// A reader that does not know the section may leave it out.
const FLAG_OPTIONAL: u8 = 1;
/// A longer section is refused. What is written stays far below it: see `LIST_BYTES` in the module above.
const SECTION_BYTES_MAX: u64 = 64 << 20;

/// A part of a snapshot.
pub(super) struct Section<'a> {
    pub name: &'a str,
    pub optional: bool,
    pub payload: &'a [u8],
}

pub(super) struct Writer<W> {
    out: W,
    sections: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        Ok(Self { out, sections: 0, bytes: (MAGIC.len() + size_of::<u32>()) as u64 })
    }

    /// A section that every reader must understand.
    pub fn section(&mut self, name: &str, payload: &[u8]) -> io::Result<()> {
        self.put(name, 0, payload)?;
        self.sections += 1;
        Ok(())
    }

    fn put(&mut self, name: &str, flags: u8, payload: &[u8]) -> io::Result<()> {
        let mut head = vec![u8::try_from(name.len()).expect("names of sections are short constants")];
        head.extend(name.as_bytes());
        head.push(flags);
        head.extend((payload.len() as u64).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
        head.extend(checksum.to_le_bytes());
        self.out.write_all(&head)?;
        self.out.write_all(payload)?;
        self.bytes += (head.len() + payload.len()) as u64;
        Ok(())
    }

    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Where it was written to, and how many bytes.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let sections = self.sections.to_le_bytes();
        self.put(END, 0, &sections)?;
        self.out.flush()?;
        Ok((self.out, self.bytes))
    }
}

/// A section as it lies there: what it says is not to be believed before [`Sealed::open`]. Filled again and again, so
/// that reading allocates once.
#[derive(Default)]
pub(super) struct Sealed {
    name: Vec<u8>,
    flags: u8,
    want: u32,
    payload: Vec<u8>,
}

impl Sealed {
    /// Verifies the checksum.
    pub fn open(&self) -> Result<Section<'_>, DecodeError> {
        let name_len = u8::try_from(self.name.len()).expect("it was read by a length of one byte");
        let length = (self.payload.len() as u64).to_le_bytes();
        let head = [&[name_len][..], &self.name, &[self.flags], &length].concat();
        let got = crc32c::crc32c_append(crc32c::crc32c(&head), &self.payload);
        if got != self.want {
            return Err(DecodeError::Checksum { what: WHAT, part: self.shown(), got, want: self.want });
        }
        let name = std::str::from_utf8(&self.name).map_err(|e| DecodeError::malformed(WHAT, e))?;
        Ok(Section { name, optional: self.flags & FLAG_OPTIONAL != 0, payload: &self.payload })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).chars().take(64).collect()
    }
}

pub(super) struct Reader<R> {
    input: R,
    sections: u64,
}

impl<R: Read> Reader<R> {
    pub fn begin(input: R) -> Result<Self, ReadError> {
        let mut reader = Self { input, sections: 0 };
        if &reader.array::<8>()? != MAGIC {
            return Err(DecodeError::malformed(WHAT, "it does not begin like one").into());
        }
        let got = u32::from_le_bytes(reader.array()?);
        if got != VERSION {
            return Err(DecodeError::UnknownVersion { what: WHAT, got, known: VERSION }.into());
        }
        Ok(reader)
    }

    /// The next section; `false` at the proper end.
    pub fn next(&mut self, into: &mut Sealed) -> Result<bool, ReadError> {
        let [name_len] = self.array()?;
        self.take(u64::from(name_len), &mut into.name)?;
        [into.flags] = self.array()?;
        let bytes = u64::from_le_bytes(self.array()?);
        into.want = u32::from_le_bytes(self.array()?);
        if bytes > SECTION_BYTES_MAX {
            let part = into.shown();
            let problem = format!("the section `{part}` has {bytes} bytes; at most {SECTION_BYTES_MAX}");
            return Err(DecodeError::malformed(WHAT, problem).into());
        }
        self.take(bytes, &mut into.payload)?;
        if into.name == END.as_bytes() {
            let counted = into.open()?.payload;
            return self.end(counted).map(|()| false);
        }
        self.sections += 1;
        Ok(true)
    }

    fn end(&mut self, counted: &[u8]) -> Result<(), ReadError> {
        if counted != self.sections.to_le_bytes() {
            let problem = format!("sections are missing; {} are there", self.sections);
            return Err(DecodeError::malformed(WHAT, problem).into());
        }
        match self.array::<1>() {
            Err(ReadError::Decode(_)) => Ok(()),
            Err(e @ ReadError::Io(_)) => Err(e),
            Ok(_) => Err(DecodeError::malformed(WHAT, "bytes follow its end").into()),
        }
    }

    /// Fills `into` with the next `len` bytes.
    fn take(&mut self, len: u64, into: &mut Vec<u8>) -> Result<(), ReadError> {
        into.clear();
        let taken = self.input.by_ref().take(len).read_to_end(into)?;
        if taken as u64 == len { Ok(()) } else { Err(DecodeError::truncated(WHAT).into()) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(DecodeError::truncated(WHAT).into()),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer<Vec<u8>> {
        Writer::begin(Vec::new()).expect("memory takes everything")
    }

    fn names(bytes: &[u8]) -> Result<Vec<(String, bool)>, ReadError> {
        let (mut reader, mut sealed) = (Reader::begin(bytes)?, Sealed::default());
        let mut names = Vec::new();
        while reader.next(&mut sealed)? {
            let section = sealed.open()?;
            names.push((section.name.to_owned(), section.optional));
        }
        Ok(names)
    }

    #[test]
    fn sections_come_back_with_their_flags() {
        let mut writer = writer();
        writer.section("a", b"1").expect("written");
        writer.put("b", FLAG_OPTIONAL, b"").expect("written");
        writer.sections += 1;
        let (bytes, counted) = writer.finish().expect("written");
        assert_eq!(counted, bytes.len() as u64);
        assert_eq!(names(&bytes).expect("sound"), [("a".into(), false), ("b".into(), true)]);
    }

    #[test]
    fn a_missing_section_is_noticed_though_each_that_is_there_is_sound() {
        let mut writer = writer();
        let before = writer.out.len();
        writer.section("a", b"1").expect("written");
        let after = writer.out.len();
        let (mut bytes, _) = writer.finish().expect("written");
        bytes.drain(before..after);
        assert!(matches!(names(&bytes), Err(ReadError::Decode(DecodeError::Malformed { .. }))));
    }

    #[test]
    fn what_follows_the_end_is_refused() {
        let (mut bytes, _) = writer().finish().expect("written");
        bytes.push(0);
        assert!(matches!(names(&bytes), Err(ReadError::Decode(DecodeError::Malformed { .. }))));
    }

    /// Scenario: a damaged length promises terabytes. A reader that believed it would allocate them.
    #[test]
    fn a_length_that_lies_costs_nothing() {
        let mut writer = writer();
        writer.section("a", b"1").expect("written");
        let (mut bytes, _) = writer.finish().expect("written");
        let length_at = MAGIC.len() + 4 + 1 + 1 + 1;
        bytes[length_at..length_at + 8].copy_from_slice(&(1u64 << 40).to_le_bytes());
        let refused = names(&bytes).expect_err("refused").to_string();
        assert!(refused.contains("`a` has 1099511627776 bytes"), "{refused}");
        bytes[length_at..length_at + 8].copy_from_slice(&SECTION_BYTES_MAX.to_le_bytes());
        let mut reader = Reader::begin(&bytes[..]).expect("its head is sound");
        let mut sealed = Sealed::default();
        assert!(reader.next(&mut sealed).is_err());
        assert!(sealed.payload.capacity() < 1 << 10, "{}", sealed.payload.capacity());
    }
}
