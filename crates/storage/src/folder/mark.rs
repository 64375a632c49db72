//! The watermark in a file: two slots, written in turn, so that a torn write spoils the older one only.

use crate::watermark::MarkFile;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Apart by more than a sector, so that one torn sector spoils one slot.
const SLOT_STRIDE: u64 = 4_096;
const SLOTS: u64 = 2;
/// Checksum, sequence, length.
const HEAD_BYTES: usize = 4 + 8 + 2;
const VALUE_BYTES_MAX: usize = 256;

/// A [`MarkFile`] on a real disk.
pub struct RealMark {
    file: File,
    /// Of the newest slot.
    sequence: Mutex<u64>,
}

impl RealMark {
    /// Opens or makes it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mark = Self { file, sequence: Mutex::new(0) };
        let sequence = mark.newest()?.map_or(0, |(sequence, _)| sequence);
        *mark.lock() = sequence;
        Ok(mark)
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut newest = None;
        for slot in 0..SLOTS {
            newest = newest.max(self.read_slot(slot)?);
        }
        Ok(newest)
    }

    /// `None` if it was never written, or is spoilt.
    fn read_slot(&self, slot: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut bytes = vec![0; HEAD_BYTES + VALUE_BYTES_MAX];
        let read = read_at(&self.file, &mut bytes, slot * SLOT_STRIDE)?;
        bytes.truncate(read);
        Ok(parse(&bytes))
    }

    fn write_slot(&self, sequence: u64, value: &[u8]) -> io::Result<()> {
        let length = u16::try_from(value.len()).ok().filter(|_| value.len() <= VALUE_BYTES_MAX);
        let length =
            length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the watermark is too long"))?;
        let body = [&sequence.to_le_bytes()[..], &length.to_le_bytes(), value].concat();
        let slot = [&crc32c::crc32c(&body).to_le_bytes()[..], &body].concat();
        self.file.write_all_at(&slot, sequence % SLOTS * SLOT_STRIDE)
    }
}

fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

fn parse(bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (checksum, body) = bytes.split_first_chunk::<4>()?;
    let (sequence, rest) = body.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let value = rest.get(..length)?;
    let whole = &body[..8 + 2 + length];
    let sequence = u64::from_le_bytes(*sequence);
    // A slot of zeros was never written: sequences begin at 1.
    (sequence > 0 && crc32c::crc32c(whole) == u32::from_le_bytes(*checksum))
        .then(|| (sequence, value.to_vec()))
}

impl MarkFile for RealMark {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.newest()?.map(|(_, value)| value))
    }

    fn write(&self, value: &[u8]) -> io::Result<()> {
        let mut sequence = self.lock();
        self.write_slot(*sequence + 1, value)?;
        *sequence += 1;
        Ok(())
    }

    fn write_durably(&self, value: &[u8]) -> io::Result<()> {
        // Both slots: should the newer one be spoilt some day, the other must not say more than this.
        for _ in 0..SLOTS {
            self.write(value)?;
        }
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(path: &Path, slot: u64) {
        let file = OpenOptions::new().write(true).open(path).expect("opens");
        file.write_all_at(&[0xff], slot * SLOT_STRIDE + 20).expect("written");
    }

    #[test]
    fn the_newest_value_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mark");
        assert_eq!(RealMark::open(&path).and_then(|m| m.read()).expect("readable"), None);
        for round in 0..5u8 {
            RealMark::open(&path).and_then(|m| m.write(&[round; 30])).expect("written");
            let read = RealMark::open(&path).and_then(|m| m.read()).expect("readable");
            assert_eq!(read, Some(vec![round; 30]));
        }
    }

    #[test]
    fn a_spoilt_slot_gives_the_value_before_unless_that_was_forbidden() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mark");
        let mark = RealMark::open(&path).expect("opens");
        mark.write(&[1; 30]).expect("written"); // sequence 1, slot 1
        mark.write(&[2; 30]).expect("written"); // sequence 2, slot 0
        damage(&path, 0);
        assert_eq!(mark.read().expect("readable"), Some(vec![1; 30]));
        mark.write_durably(&[3; 30]).expect("written");
        for slot in 0..SLOTS {
            damage(&path, slot);
            let wanted = if slot == 0 { Some(vec![3; 30]) } else { None };
            assert_eq!(mark.read().expect("readable"), wanted);
        }
    }

    #[test]
    fn a_value_that_does_not_fit_its_slot_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = RealMark::open(&folder.path().join("mark")).expect("opens");
        mark.write(&[0; VALUE_BYTES_MAX + 1]).expect_err("too long");
    }
}
