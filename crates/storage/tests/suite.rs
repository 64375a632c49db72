//! openraft's own suite for stores, on both engines.
#![cfg(not(madsim))]

mod support;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
};
use quorate_storage::{FolderDisk, LogStore, Machine, SimDisk, TypeConfig};
use std::sync::Arc;
use support::{Silent, name};

struct OnSim;

impl StoreBuilder<TypeConfig, LogStore, Machine, ()> for OnSim {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<TypeConfig>> {
        let (log, machine) = support::boot(&SimDisk::new()).await.expect("an empty disk opens");
        Ok(((), log, machine))
    }
}

struct OnSled;

impl StoreBuilder<TypeConfig, LogStore, Machine, (tempfile::TempDir, FolderDisk)> for OnSled {
    async fn build(
        &self,
    ) -> Result<((tempfile::TempDir, FolderDisk), LogStore, Machine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = FolderDisk::open(folder.path(), &name("n1")).expect("an empty folder opens");
        let (log, machine) = quorate_storage::open(&disk, Arc::new(Silent), Arc::default())
            .await
            .expect("an empty folder opens");
        Ok(((folder, disk), log, machine))
    }
}

#[test]
fn openrafts_suite_passes_on_the_simulated_disk() {
    TypeConfig::run(async { Suite::test_all(OnSim).await.expect("the suite passes") });
}

#[test]
fn openrafts_suite_passes_on_sled() {
    TypeConfig::run(async { Suite::test_all(OnSled).await.expect("the suite passes") });
}
