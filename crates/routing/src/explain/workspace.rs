//! What a workspace's partition decides, in words.

use super::{Result, endpoints, text};
use crate::decide::{CountUnknown, Forward, Unserved};

pub(super) fn owned(result: Result, forward: &Forward<'_, '_>) -> Result {
    let why =
        format!("partition {} of the keyspace {} is its worker's", forward.partition, forward.keyspace.name);
    Result {
        action: "forward",
        why,
        keyspace: Some(forward.keyspace.name.to_string()),
        workspace: Some(text(forward.workspace.id())),
        partition: Some(forward.partition),
        endpoints: vec![endpoints::of_owner(forward.worker)],
        ..result
    }
}

pub(super) fn unserved(why: &Unserved<'_>, partition: u32) -> String {
    match why {
        Unserved::Unowned => format!("no worker owns partition {partition}"),
        Unserved::OwnerGone(worker) => {
            format!("the owner of partition {partition}, {}, is gone", worker.id())
        }
        Unserved::OwnerOut(worker) => {
            format!("the owner of partition {partition}, {}, was taken out of service", worker.id())
        }
    }
}

pub(super) fn count_unknown(why: CountUnknown) -> &'static str {
    match why {
        CountUnknown::NoCluster => "there is no such keyspace, or no cluster yet",
        CountUnknown::NotObserved => "the partition count is not known yet",
    }
}
