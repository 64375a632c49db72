//! What happened lately, for those who watch: read from this node's memory, whoever leads.

use crate::consensus::Consensus;
use quorate_model::{Kind, LogIndex, Position};
use quorate_state::{Forgotten, Since};

impl Consensus {
    /// What came after `position`, at most `max` changes of it.
    pub fn changes_after(&self, position: Position, max: usize) -> Result<Since, Forgotten> {
        self.changes_about(None, position, max)
    }

    /// The same for somebody who wants to hear of these kinds only; `None`: of all. Others may be among them.
    pub fn changes_about(
        &self,
        kinds: Option<&[Kind]>,
        position: Position,
        max: usize,
    ) -> Result<Since, Forgotten> {
        self.shared().applied.history().about(kinds, position, max)
    }

    /// Where one of `kinds` changed last, or may have.
    pub fn changed(&self, kinds: &[Kind]) -> LogIndex {
        self.shared().applied.history().changed(kinds)
    }
}
