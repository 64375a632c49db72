//! Looks at the free room of the data folder, and gives up leadership before the disk is full.

use quorate_consensus::{Consensus, Room};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_storage::{Disk, Space};
use quorate_telemetry::Control;
use std::{io, sync::Arc, time::Duration};

/// At a gigabyte a second a disk can lose 256 MiB meanwhile; our own writes are far slower than the margin.
const EVERY: Duration = Duration::from_millis(250);
/// Where nobody has room, or a transfer comes to nothing, it is not tried again at once.
const HAND_OVER_EVERY: Duration = Duration::from_secs(2);

/// Watches until the shutdown, beside all else.
pub(crate) fn keep_up(
    consensus: &Consensus,
    disk: &Arc<dyn Disk>,
    control: &Arc<Control>,
    shutdown: &Shutdown,
) {
    quorate_rt::spawn(watch(consensus.clone(), disk.clone(), control.clone(), shutdown.clone()));
}

/// A disk without bounds is looked at once.
async fn watch(consensus: Consensus, disk: Arc<dyn Disk>, control: Arc<Control>, mut shutdown: Shutdown) {
    let (mut room, mut tried, mut known) = (Room::Plenty, None::<time::Instant>, true);
    loop {
        match look(&disk).await {
            Ok(None) => return,
            Ok(Some(Space { free, total })) => {
                control.set_disk_free_bytes(free);
                let (before, now) = (room, room.after(free, total));
                (room, known) = (now, true);
                tell(before, room, free);
            }
            // The disk itself says more with the next append.
            Err(error) if known => {
                known = false;
                tracing::warn!(%error, "the free room of the data folder is not known");
            }
            Err(_) => {}
        }
        if room == Room::Exhausted {
            // There is no room to wait for anybody.
            consensus.set_room(room);
        }
        let again = tried.is_none_or(|at| at.elapsed() >= HAND_OVER_EVERY);
        if room > Room::Plenty && again && consensus.is_leader() {
            tried = Some(time::Instant::now());
            consensus.hand_over_to_one_with_room().await;
        }
        // Scarce only now: what a leader tells its successor about its workers is a command, too.
        consensus.set_room(room);
        if time::timeout(EVERY, shutdown.wait()).await.is_ok() {
            return;
        }
    }
}

async fn look(disk: &Arc<dyn Disk>) -> io::Result<Option<Space>> {
    let disk = disk.clone();
    quorate_rt::blocking(move || disk.space()).await
}

fn tell(before: Room, room: Room, free: u64) {
    match room {
        _ if room == before => {}
        Room::Plenty => tracing::info!(free, "the disk has room again"),
        Room::Scarce => tracing::warn!(free, "the disk is nearly full: this node does not lead"),
        Room::Exhausted => {
            tracing::error!(free, "the disk is full: this node takes no records, and falls behind")
        }
    }
}
