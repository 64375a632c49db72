//! A file of fixed size in front of the engine: what makes a write durable is one `pwrite` and one `fdatasync`.
//!
//! sled's own flush wakes seven threads, waits for `sync_file_range`, and still needs an `fdatasync` behind it: at
//! one writer more than a third of a node's CPU (docs/performance.md). With the journal sled is flushed only when
//! the journal is full.
//!
//! **Layout.** Records one after the other from the file's beginning, each
//! `length u32 | checksum u32 | sequence u64 | operations`, little-endian. The first record of a run has no
//! operations but the format's version and a random number. Checksums (CRC-32C) are chained: each covers the one before it, the first one
//! the random number. So the run ends where the chain breaks, and what an earlier run left behind can never be
//! taken for its continuation, not even where a torn record of it was overwritten by one of the same length.
//!
//! **The file is zeroed when it is made**, since only then an overwrite changes nothing but data, and `fdatasync`
//! waits for one write and not for the file system's own journal.

use crate::engine::{Batch, Op};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// Size of the file. A larger one is emptied less often and takes longer to replay.
pub const JOURNAL_BYTES: u64 = 8 << 20;

/// Length, checksum, sequence.
const HEAD_BYTES: usize = 4 + 4 + 8;
/// What the first record of a run begins with; its last byte is the version of all that follows.
const MAGIC: [u8; 8] = *b"QUORJNL\x01";
const PUT: u8 = 1;
const DELETE: u8 = 0;

/// Where the next record goes, and what it is chained to.
#[derive(Clone, Copy, Debug)]
struct Tail {
    offset: u64,
    chain: u32,
}

/// The file, open for appending.
pub struct Journal {
    file: File,
    /// `None`: the next write begins a run.
    tail: Option<Tail>,
}

/// A batch and its place in the history of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Grows by one from batch to batch, over all runs.
    pub sequence: u64,
    /// What was written.
    pub batch: Batch,
}

impl Journal {
    /// Opens the file, or makes it, and reads the run that it holds.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Numbered>)> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        if file.metadata()?.len() < JOURNAL_BYTES {
            zero(&file)?;
        }
        let mut bytes = vec![0; usize::try_from(JOURNAL_BYTES).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok((Self { file, tail: None }, run(&bytes)?))
    }

    /// Writes records of encoded batches behind the last one; false, and nothing is written, if they don't fit.
    /// They are durable once [`Journal::file`] is synced.
    pub fn append(&mut self, pending: &Pending) -> io::Result<bool> {
        let mut bytes = Vec::with_capacity(pending.bytes + HEAD_BYTES * (pending.records.len() + 1) + 8);
        let mut tail = self.tail.unwrap_or_else(|| {
            let nonce = quorate_rt::rng::random_u64().to_le_bytes();
            Tail { offset: 0, chain: push(&mut bytes, 0, 0, &[&MAGIC[..], &nonce].concat()) }
        });
        for (sequence, ops) in &pending.records {
            tail.chain = push(&mut bytes, tail.chain, *sequence, ops);
        }
        if tail.offset + bytes.len() as u64 > JOURNAL_BYTES {
            return Ok(false);
        }
        self.file.write_all_at(&bytes, tail.offset)?;
        tail.offset += bytes.len() as u64;
        self.tail = Some(tail);
        Ok(true)
    }

    /// From here on the next write begins a run. Only after everything in the journal is durable elsewhere.
    pub fn restart(&mut self) {
        self.tail = None;
    }

    /// What has to be synced.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Batches that wait for the next flush.
#[derive(Debug, Default)]
pub struct Pending {
    records: Vec<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Pending {
    /// Adds one, as [`encode`] made it.
    pub fn push(&mut self, sequence: u64, ops: Vec<u8>) {
        self.bytes += ops.len();
        self.records.push((sequence, ops));
    }

    /// Whether there is nothing to flush.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

fn zero(file: &File) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    for offset in (0..JOURNAL_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()
}

/// Appends a record to `bytes`; gives the checksum that the next one is chained to.
fn push(bytes: &mut Vec<u8>, chain: u32, sequence: u64, payload: &[u8]) -> u32 {
    let checksum = checksum(chain, sequence, payload);
    // A payload is a batch, which is far smaller than 4 GiB; a longer one would fail to fit the file.
    bytes.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(payload);
    checksum
}

fn checksum(chain: u32, sequence: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &sequence.to_le_bytes()), payload)
}

/// The records of the run that begins at the file's beginning, up to where the chain breaks.
fn run(bytes: &[u8]) -> io::Result<Vec<Numbered>> {
    let mut numbered = Vec::new();
    let Some((mut chain, 0, first, mut rest)) = record(bytes, 0) else { return Ok(numbered) };
    if !first.starts_with(&MAGIC) {
        let problem = "the journal is of a format that this version does not know";
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    while let Some((next, sequence, payload, behind)) = record(rest, chain) {
        // The checksum fits, so these are the bytes that were written; what they say is then ours.
        let Some(batch) = decode(payload) else { break };
        numbered.push(Numbered { sequence, batch });
        (chain, rest) = (next, behind);
    }
    Ok(numbered)
}

/// Checksum, sequence, payload and what follows; `None`: no record of this chain.
fn record(bytes: &[u8], chain: u32) -> Option<(u32, u64, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let (length, head) = head.split_first_chunk::<4>()?;
    let (stored, sequence) = head.split_first_chunk::<4>()?;
    let sequence = u64::from_le_bytes(sequence.try_into().ok()?);
    let (payload, behind) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let fits = !payload.is_empty() && checksum(chain, sequence, payload) == u32::from_le_bytes(*stored);
    fits.then(|| (u32::from_le_bytes(*stored), sequence, payload, behind))
}

/// A batch's bytes in a record.
pub fn encode(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let field = |bytes: &mut Vec<u8>, field: &[u8]| {
        bytes.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(field);
    };
    for op in &batch.ops {
        match op {
            Op::Put(key, value) => {
                bytes.push(PUT);
                field(&mut bytes, key);
                field(&mut bytes, value);
            }
            Op::Delete(key) => {
                bytes.push(DELETE);
                field(&mut bytes, key);
            }
        }
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Batch> {
    fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *bytes = rest;
        Some(field)
    }
    let mut batch = Batch::default();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        let key = field(&mut bytes)?;
        match *tag {
            PUT => batch.put(key, field(&mut bytes)?),
            DELETE => batch.delete(key),
            _ => return None,
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a folder of an earlier version must open.
    #[test]
    fn a_record_keeps_its_bytes() {
        let mut batch = Batch::default();
        batch.put("k", "value");
        batch.delete("gone");
        let mut bytes = Vec::new();
        let chain = push(&mut bytes, 0, 0, &[&MAGIC[..], &7u64.to_le_bytes()].concat());
        push(&mut bytes, chain, 9, &encode(&batch));
        let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect_test::expect!["100000006fa6a26a000000000000000051554f524a4e4c0107000000000000001800000027b4276c090000000000000001010000006b0500000076616c75650004000000676f6e65"].assert_eq(&shown);
        assert_eq!(run(&bytes).expect("ours"), [Numbered { sequence: 9, batch }]);
    }

    #[test]
    fn another_version_is_refused_and_not_taken_for_an_empty_journal() {
        let mut bytes = Vec::new();
        push(&mut bytes, 0, 0, b"QUORJNL\x02 and a number");
        assert!(run(&bytes).is_err());
    }
}
