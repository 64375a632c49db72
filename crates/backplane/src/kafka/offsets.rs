//! How far this gateway has read its topic, in a file: its next life goes on there.
//!
//! The original begins at the newest message each time, and loses what queued. A gateway that has never been here has
//! nothing that queued, and does begin there.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// See the module.
pub(super) struct Offsets {
    path: PathBuf,
    stand: Mutex<Stand>,
}

#[derive(Default)]
struct Stand {
    kept: Kept,
    is_written: bool,
}

/// What is in the file.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The next one to be read, by partition.
    next: BTreeMap<i32, i64>,
}

impl Offsets {
    /// As the file says, if there is one.
    pub async fn open(path: PathBuf) -> Result<Self, String> {
        let file = path.clone();
        let read = quorate_rt::blocking(move || read(&file)).await;
        let kept = read.map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(Self { path, stand: Mutex::new(Stand { kept, is_written: true }) })
    }

    /// Where a partition goes on; `None`: it was never read.
    pub fn next(&self, partition: i32) -> Option<i64> {
        self.lock().kept.next.get(&partition).copied()
    }

    /// A partition goes on here.
    pub fn set(&self, partition: i32, next: i64) {
        let mut stand = self.lock();
        if stand.kept.next.insert(partition, next) != Some(next) {
            stand.is_written = false;
        }
    }

    /// Writes it down, if anything has changed.
    pub async fn write(&self) {
        let kept = {
            let mut stand = self.lock();
            if stand.is_written {
                return;
            }
            stand.is_written = true;
            stand.kept.clone()
        };
        let path = self.path.clone();
        if let Err(error) = quorate_rt::blocking(move || write(&path, &kept)).await {
            self.lock().is_written = false;
            tracing::warn!(path = %self.path.display(), %error, "how far the topic is read can't be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Kept, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            format!("{error}; it is this gateway's own, and can be removed: what queued is lost")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whole or not at all. A power loss may take the last second of it: some messages are read twice then.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(kept)?)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_is_known_to_the_next_life() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("offsets.json");
        let offsets = Offsets::open(path.clone()).await.expect("there is none yet");
        assert_eq!(offsets.next(0), None);
        offsets.set(0, 7);
        offsets.set(2, 9);
        offsets.write().await;
        let again = Offsets::open(path.clone()).await.expect("our own");
        assert_eq!((again.next(0), again.next(1), again.next(2)), (Some(7), None, Some(9)));
        fs::write(&path, "{").expect("ours");
        let error = Offsets::open(path).await.err().expect("it is damaged");
        assert!(error.contains("offsets.json") && error.contains("removed"), "{error}");
    }
}
