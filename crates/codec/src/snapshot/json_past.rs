//! What came with the history of what operators declare, at the sixth level.

use quorate_model::LogIndex;
use quorate_state::HistoryParts;
use serde::{Deserialize, Serialize};

/// Where the history begins; its changes are in sections of their own.
#[derive(Serialize, Deserialize)]
pub(super) struct History {
    begins: u64,
}

impl From<&HistoryParts> for History {
    fn from(history: &HistoryParts) -> Self {
        Self { begins: history.begins.0 }
    }
}

impl From<History> for HistoryParts {
    fn from(history: History) -> Self {
        Self { begins: LogIndex(history.begins), changes: Vec::new() }
    }
}
