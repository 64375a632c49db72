//! What a node keeps, and how it gets it back.
//!
//! | module | what |
//! |---|---|
//! | [`disk`] | what a node finds when it starts; [`disk::open`] makes log and state of it |
//! | [`folder`] | the data folder on a real disk: identity, lock, files |
//! | [`sim`] | a disk for the simulator, with every fault that a disk can have |
//! | [`engine`] | ordered keys and values with a prefix-of-history promise |
//! | [`sled_engine`] | sled as an engine, with syncs of our own |
//! | [`journaled`], [`journal`] | the engine of a real disk: sled behind a journal that makes a flush one sync |
//! | [`record`] | values of any size over an engine, each with a checksum |
//! | [`log_store`] | Raft's log, vote and commit index |
//! | [`growth`] | how many bytes were appended |
//! | [`watermark`] | what was certainly promised, beside the log |
//! | [`machine`], [`snapshots`] | the replicated state behind openraft's interface, its snapshot files |
//! | [`types`], [`convert`] | openraft's configuration, and the way to the plain values of `codec` |

pub mod convert;
pub mod disk;
pub mod engine;
pub mod error;
#[cfg(not(madsim))]
pub mod folder;
pub mod growth;
#[cfg(not(madsim))]
pub mod journal;
#[cfg(not(madsim))]
pub mod journaled;
pub mod log_store;
pub mod machine;
pub mod record;
pub mod sim;
#[cfg(not(madsim))]
pub mod sled_engine;
pub mod snapshots;
mod tampering;
pub mod types;
pub mod watermark;

pub use disk::{Disk, Space, open};
pub use error::OpenError;
#[cfg(not(madsim))]
pub use folder::FolderDisk;
pub use growth::LogGrowth;
pub use log_store::LogStore;
pub use machine::{Machine, News, Observer};
pub use quorate_codec::Identity;
pub use sim::{CrashMode, SimDisk};
pub use snapshots::{Draft, SnapshotData, Snapshots};
pub use types::{LogEntry, Member, RaftReply, TypeConfig};
