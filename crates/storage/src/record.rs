//! Values of any size over an engine that takes small ones, each with a checksum.
//!
//! A record is cut into chunks under consecutive keys (its key, then the chunk's number). The first begins with a
//! checksum of key and value and with the value's length, so that a flipped bit, a missing chunk, or a value under
//! another's key is noticed when it is read, whatever the engine itself checks.

use crate::engine::{Batch, Engine, Pair, VALUE_BYTES_MAX};
use std::io;

/// Bytes in front of a value: checksum and length, little-endian.
const HEAD_BYTES: usize = 8;
/// Bytes behind a key: the chunk's number, big-endian so that keys sort by it.
const NUMBER_BYTES: usize = 2;
/// Pairs that are read at once: with full chunks two megabytes.
const PAGE_PAIRS: usize = 64;
/// Pairs that are deleted at once.
const DELETE_PAIRS: usize = 512;

/// A record that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record {key} is damaged: {problem}", key = show(.key))]
pub struct Damage {
    /// Its key.
    pub key: Vec<u8>,
    /// What is wrong.
    pub problem: String,
}

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The engine failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::new(io::ErrorKind::InvalidData, damage),
            ReadError::Io(e) => e,
        }
    }
}

fn show(key: &[u8]) -> String {
    key.iter()
        .map(|b| if b.is_ascii_graphic() { char::from(*b).to_string() } else { format!("\\x{b:02x}") })
        .collect()
}

fn chunk_key(key: &[u8], number: u16) -> Vec<u8> {
    [key, &number.to_be_bytes()].concat()
}

/// Where a record that fits one chunk lies, to delete it.
pub fn first_chunk(key: &[u8]) -> Vec<u8> {
    chunk_key(key, 0)
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

/// Adds a record to a batch. A record under the same key must have been deleted, unless both fit one chunk.
pub fn put(batch: &mut Batch, key: &[u8], value: &[u8]) -> io::Result<()> {
    let too_large =
        || io::Error::new(io::ErrorKind::InvalidInput, format!("a record of {} bytes", value.len()));
    let length = u32::try_from(value.len()).map_err(|_| too_large())?;
    let mut whole = Vec::with_capacity(HEAD_BYTES + value.len());
    whole.extend(checksum(key, value).to_le_bytes());
    whole.extend(length.to_le_bytes());
    whole.extend(value);
    for (number, chunk) in whole.chunks(VALUE_BYTES_MAX).enumerate() {
        batch.put(chunk_key(key, u16::try_from(number).map_err(|_| too_large())?), chunk);
    }
    Ok(())
}

/// Reads a record.
pub fn get(engine: &dyn Engine, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    let (from, to) = (chunk_key(key, 0), chunk_key(key, u16::MAX));
    let mut records = Records::new(engine, from, to);
    match records.read_next()? {
        Some((found, value)) if found == key => Ok(Some(value)),
        // Another record, whose key begins like this one.
        Some(_) | None => Ok(None),
    }
}

/// Deletes all records from `from` (inclusive) to `to` (exclusive), the first ones first, in batches.
pub fn delete_up(engine: &dyn Engine, from: &[u8], to: &[u8]) -> io::Result<()> {
    loop {
        let pairs = engine.range(from, to, DELETE_PAIRS)?;
        if pairs.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        pairs.into_iter().for_each(|(key, _)| batch.delete(key));
        engine.write(batch)?;
    }
}

/// Deletes all records from `from` (inclusive) to `to` (exclusive), the last ones first, in batches: whenever it
/// is interrupted, what is left has no hole.
pub fn delete_down(engine: &dyn Engine, from: &[u8], to: &[u8]) -> io::Result<()> {
    let mut keys = Vec::new();
    let mut cursor = from.to_vec();
    loop {
        let pairs = engine.range(&cursor, to, DELETE_PAIRS)?;
        let Some((last, _)) = pairs.last() else { break };
        cursor = [last, &[0][..]].concat();
        keys.extend(pairs.into_iter().map(|(key, _)| key));
    }
    for some in keys.rchunks(DELETE_PAIRS) {
        let mut batch = Batch::default();
        some.iter().for_each(|key| batch.delete(key.as_slice()));
        engine.write(batch)?;
    }
    Ok(())
}

/// Records of a range, one after the other.
pub struct Records<'a> {
    engine: &'a dyn Engine,
    cursor: Vec<u8>,
    to: Vec<u8>,
    page: std::vec::IntoIter<Pair>,
}

impl<'a> Records<'a> {
    /// From `from` (inclusive) to `to` (exclusive); neither may lie within a record.
    pub fn new(engine: &'a dyn Engine, from: Vec<u8>, to: Vec<u8>) -> Self {
        Self { engine, cursor: from, to, page: Vec::new().into_iter() }
    }

    /// The next one.
    pub fn read_next(&mut self) -> Result<Option<Pair>, ReadError> {
        let Some((chunk, first)) = self.pair()? else { return Ok(None) };
        let key = chunk[..chunk.len().saturating_sub(NUMBER_BYTES)].to_vec();
        let damaged = |problem: &str| Damage { key: key.clone(), problem: problem.into() };
        if chunk != chunk_key(&key, 0) {
            return Err(damaged("its beginning is missing").into());
        }
        let (head, start) = first.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("it has no head"))?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (want, length) = (number(0), number(4) as usize);
        let chunks = (HEAD_BYTES + length).div_ceil(VALUE_BYTES_MAX);
        let mut value = start.to_vec();
        for number in 1..chunks {
            let expected = u16::try_from(number).map(|n| chunk_key(&key, n)).ok();
            match self.pair()? {
                Some((chunk, part)) if Some(&chunk) == expected.as_ref() => value.extend(part),
                Some(_) | None => return Err(damaged("a part of it is missing").into()),
            }
        }
        if value.len() != length || checksum(&key, &value) != want {
            return Err(damaged("its checksum does not fit").into());
        }
        Ok(Some((key, value)))
    }

    fn pair(&mut self) -> Result<Option<Pair>, ReadError> {
        if let Some(pair) = self.page.next() {
            return Ok(Some(pair));
        }
        if self.cursor >= self.to {
            return Ok(None);
        }
        let page = self.engine.range(&self.cursor, &self.to, PAGE_PAIRS)?;
        self.cursor = match page.last() {
            Some((last, _)) => [last.as_slice(), &[0]].concat(),
            None => self.to.clone(),
        };
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}
