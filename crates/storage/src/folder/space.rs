//! Room on the disk. sled's file grows with what was ever overwritten and gives little back, so a node that has
//! lived long is copied into a fresh folder when it starts.
//!
//! The copy is made in `log.new`; once it is whole and durable, `log` becomes `log.old` and `log.new` becomes
//! `log`. Whatever a crash leaves, exactly one of the folders is the log:
//!
//! | found | what happened | what is done |
//! |---|---|---|
//! | `log`, `log.new` | the copy was not finished | `log.new` is removed |
//! | `log.old`, `log.new` | between the two renames | `log.new` is whole: it becomes `log` |
//! | `log`, `log.old` | before the end | `log.old` is removed |

use super::files::sync_folder;
use crate::sled_engine::{SEGMENT_BYTES, SledEngine, Sync};
use std::{fs, io, path::Path, sync::Arc};

const LOG: &str = "log";
const NEW: &str = "log.new";
const OLD: &str = "log.old";

/// A log that takes more than this many times what lives in it is rewritten,
const WASTE_MAX: u64 = 8;
/// unless it is small anyway.
const SMALL_BYTES: u64 = 16 * SEGMENT_BYTES as u64;

pub(super) fn open_engine(folder: &Path, sync: Arc<dyn Sync>) -> io::Result<SledEngine> {
    settle(folder)?;
    let engine = SledEngine::open(&folder.join(LOG), sync.clone())?;
    let (used, live) = (engine.size_on_disk()?, engine.live_bytes()?);
    if used <= SMALL_BYTES.max(live.saturating_mul(WASTE_MAX)) {
        return Ok(engine);
    }
    tracing::info!(used, live, "the log takes much more room than it needs: it is rewritten");
    rewrite(folder, engine, &sync)?;
    SledEngine::open(&folder.join(LOG), sync)
}

/// Brings a rewrite that was interrupted to one of its ends.
fn settle(folder: &Path) -> io::Result<()> {
    let (log, new, old) = (folder.join(LOG), folder.join(NEW), folder.join(OLD));
    if !log.exists() && new.exists() && old.exists() {
        fs::rename(&new, &log)?;
        sync_folder(folder)?;
    }
    for leftover in [new, old] {
        if leftover.exists() {
            fs::remove_dir_all(leftover)?;
        }
    }
    Ok(())
}

fn rewrite(folder: &Path, engine: SledEngine, sync: &Arc<dyn Sync>) -> io::Result<()> {
    let (log, new, old) = (folder.join(LOG), folder.join(NEW), folder.join(OLD));
    let copy = SledEngine::open(&new, sync.clone())?;
    engine.copy_into(&copy)?;
    // Both are closed before they get other names.
    drop((engine, copy));
    sync_folder(&new)?;
    sync_folder(folder)?;
    fs::rename(&log, &old)?;
    sync_folder(folder)?;
    fs::rename(&new, &log)?;
    sync_folder(folder)?;
    fs::remove_dir_all(&old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Batch, Engine},
        sled_engine::Fsync,
    };

    fn engine(path: &Path) -> SledEngine {
        SledEngine::open(path, Arc::new(Fsync)).expect("opens")
    }

    fn write(engine: &SledEngine, key: u32, value: &[u8]) {
        let mut batch = Batch::default();
        batch.put(key.to_be_bytes(), value);
        engine.write(batch).expect("written");
    }

    fn content(engine: &SledEngine) -> Vec<(Vec<u8>, Vec<u8>)> {
        engine.range(&[0], &[0xff], usize::MAX).expect("readable")
    }

    #[test]
    fn a_rewrite_keeps_the_content_and_frees_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = engine(&folder.path().join(LOG));
        for round in 0..40u8 {
            (0..100).for_each(|key| write(&log, key, &[round; 20_000]));
        }
        (10..100u32).for_each(|key| {
            let mut batch = Batch::default();
            batch.delete(key.to_be_bytes());
            log.write(batch).expect("written");
        });
        log.copy_into(&engine(&folder.path().join("unused"))).expect("readable");
        let (before, used) = (content(&log), log.size_on_disk().expect("readable"));
        rewrite(folder.path(), log, &(Arc::new(Fsync) as Arc<dyn Sync>)).expect("rewritten");
        let log = open_engine(folder.path(), Arc::new(Fsync)).expect("opens");
        assert_eq!(content(&log), before);
        let now = log.size_on_disk().expect("readable");
        assert!(now < used / 2, "{now} of {used}");
        assert!(!folder.path().join(OLD).exists() && !folder.path().join(NEW).exists());
    }

    /// The table in the module's documentation, row by row.
    #[test]
    fn a_rewrite_that_was_cut_short_is_settled() {
        for (found, survivor) in [(vec![LOG, NEW], LOG), (vec![OLD, NEW], NEW), (vec![LOG, OLD], LOG)] {
            let folder = tempfile::tempdir().expect("a folder");
            for name in &found {
                write(&engine(&folder.path().join(name)), 1, name.as_bytes());
            }
            let log = open_engine(folder.path(), Arc::new(Fsync)).expect("opens");
            assert_eq!(
                content(&log),
                [(1u32.to_be_bytes().to_vec(), survivor.as_bytes().to_vec())],
                "{found:?}"
            );
            assert!(!folder.path().join(OLD).exists() && !folder.path().join(NEW).exists(), "{found:?}");
        }
    }
}
