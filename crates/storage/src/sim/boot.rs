//! What one boot of a simulated node sees of its disk.

use super::{SimDisk, State, carry_out, full};
use crate::{
    disk::{Disk, with_cluster, with_level},
    engine::{Batch, Engine, Pair, check_sizes},
    snapshots::{Draft, SnapshotFile, SnapshotFiles},
    watermark::MarkFile,
};
use futures_util::future::BoxFuture;
use quorate_codec::Identity;
use quorate_model::{ClusterId, FeatureLevel};
use quorate_rt::{rng, time};
use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

/// A handle that dies with its boot. Clones are the same.
#[derive(Clone)]
pub struct SimBoot {
    disk: SimDisk,
    epoch: u64,
}

impl SimBoot {
    pub(super) fn new(disk: SimDisk, epoch: u64) -> Self {
        Self { disk, epoch }
    }

    /// Works on the disk, if this boot may.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.epoch != self.epoch {
            return Err(io::Error::other("this handle belongs to an earlier boot"));
        }
        if state.poisoned {
            return Err(io::Error::other("an earlier flush failed"));
        }
        work(&mut state)
    }

    fn finish_flush(&self, upto: u64) -> io::Result<()> {
        self.with(|state| {
            if state.fail_flush {
                state.poisoned = true;
                return Err(io::Error::other("a flush failed, as asked for"));
            }
            state.stats.flushes += 1;
            if state.lying_fsync {
                return Ok(());
            }
            // Everything that was accepted before the call; a flush that began later may have finished first.
            let since = usize::try_from(state.stats.writes - upto).unwrap_or(usize::MAX);
            let count = state.pending.len().saturating_sub(since);
            let durable: Vec<Batch> = state.pending.drain(..count).collect();
            durable.iter().for_each(|batch| carry_out(&mut state.durable, &batch.ops));
            Ok(())
        })
    }
}

impl Engine for SimBoot {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.with(|state| Ok(state.visible.get(key).cloned()))
    }

    fn range(&self, from: &[u8], to: &[u8], pairs_max: usize) -> io::Result<Vec<Pair>> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.with(|state| {
            let range = state.visible.range(from.to_vec()..to.to_vec());
            Ok(range.take(pairs_max).map(|(k, v)| (k.clone(), v.clone())).collect())
        })
    }

    fn last_before(&self, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        if from >= to {
            return Ok(None);
        }
        self.with(|state| {
            let last = state.visible.range(from.to_vec()..to.to_vec()).next_back();
            Ok(last.map(|(k, v)| (k.clone(), v.clone())))
        })
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        check_sizes(&batch)?;
        self.with(|state| {
            if state.full {
                return Err(full());
            }
            carry_out(&mut state.visible, &batch.ops);
            state.pending.push(batch);
            state.stats.writes += 1;
            Ok(())
        })
    }

    fn flush(&self) -> BoxFuture<'static, io::Result<()>> {
        let boot = self.clone();
        let begun = self.with(|state| Ok((state.stats.writes, state.latency)));
        Box::pin(async move {
            let (upto, (min, max)) = begun?;
            if max > Duration::ZERO {
                let spread = u64::try_from((max - min).as_micros()).unwrap_or(u64::MAX - 1);
                time::sleep(min + Duration::from_micros(rng::random_u64() % (spread + 1))).await;
            }
            boot.finish_flush(upto)
        })
    }
}

impl SnapshotFiles for SimBoot {
    fn begin(&self) -> io::Result<Box<dyn Draft>> {
        Ok(Box::new(SimDraft { boot: self.clone(), bytes: Vec::new() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn SnapshotFile>> {
        let bytes = self.with(|state| state.files.get(name).cloned().ok_or(io::ErrorKind::NotFound.into()));
        Ok(Arc::new(SimFile(bytes?)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.with(|state| Ok(state.files.keys().cloned().collect()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|state| {
            state.files.remove(name);
            state.files_durable.remove(name);
            Ok(())
        })
    }
}

/// A file that no power cut leaves anything of.
struct SimDraft {
    boot: SimBoot,
    bytes: Vec<u8>,
}

impl Write for SimDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.boot.with(|state| if state.full { Err(full()) } else { Ok(()) })?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for SimDraft {
    fn sync(&mut self) -> io::Result<()> {
        self.boot.with(|_| Ok(()))
    }

    fn read(&self) -> io::Result<Arc<dyn SnapshotFile>> {
        Ok(Arc::new(SimFile(self.bytes.clone())))
    }

    fn keep(self: Box<Self>, name: &str) -> io::Result<()> {
        self.boot.with(|state| {
            if state.full {
                return Err(full());
            }
            state.files.insert(name.into(), self.bytes.clone());
            if !state.lying_fsync {
                state.files_durable.insert(name.into(), self.bytes.clone());
            }
            state.stats.snapshots += 1;
            Ok(())
        })
    }
}

struct SimFile(Vec<u8>);

impl SnapshotFile for SimFile {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

impl MarkFile for SimBoot {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        self.with(|state| Ok(state.mark.clone()))
    }

    fn write(&self, value: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.mark = Some(value.into());
            Ok(())
        })
    }

    fn write_durably(&self, value: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.mark = Some(value.into());
            if !state.lying_fsync {
                state.mark_durable = Some(value.into());
            }
            Ok(())
        })
    }
}

impl Disk for SimBoot {
    fn identity(&self) -> Identity {
        self.disk.state().identity.clone().expect("it was made when this boot was opened")
    }

    fn set_cluster(&self, cluster: ClusterId) -> io::Result<()> {
        self.with(|state| {
            let Some(identity) = &state.identity else { return Err(io::ErrorKind::NotFound.into()) };
            if let Some(changed) = with_cluster(identity, cluster)? {
                state.identity = Some(changed);
            }
            Ok(())
        })
    }

    fn set_level(&self, level: FeatureLevel) -> io::Result<()> {
        self.with(|state| {
            let Some(identity) = &state.identity else { return Err(io::ErrorKind::NotFound.into()) };
            if let Some(changed) = with_level(identity, level) {
                state.identity = Some(changed);
            }
            Ok(())
        })
    }

    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    fn mark(&self) -> Arc<dyn MarkFile> {
        Arc::new(self.clone())
    }

    fn snapshots(&self) -> Arc<dyn SnapshotFiles> {
        Arc::new(self.clone())
    }
}
