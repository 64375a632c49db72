//! Commands that came with the second level.

use super::{ids, worker_id};
use proptest::{collection, prelude::*};
use quorate_model::{Command, Epoch, FeatureLevel, Silence};

pub fn commands() -> Vec<Command> {
    vec![
        Command::RaiseLevel { to: FeatureLevel::SECOND },
        Command::HandOverLeases {
            term: 3,
            silences: vec![Silence { id: worker_id("w1"), epoch: Epoch(5), silent_ms: 12_500 }],
        },
    ]
}

pub fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (1u16..).prop_map(|to| Command::RaiseLevel { to: FeatureLevel::new(to).expect("valid") }),
        (any::<u64>(), collection::vec((ids(), any::<(u64, u64)>()), 0..4)).prop_map(|(term, silent)| {
            let silence = |(id, (epoch, silent_ms))| Silence { id, epoch: Epoch(epoch), silent_ms };
            Command::HandOverLeases { term, silences: silent.into_iter().map(silence).collect() }
        }),
    ]
}
