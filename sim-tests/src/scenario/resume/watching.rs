//! What a client that watches others was told of them: who comes and who goes take turns, and of one user the index of the
//! log only grows, through lost sockets and on whichever node.

use std::collections::BTreeMap;

/// By user, what was told last, and as of which entry.
#[derive(Clone, Debug, Default)]
pub struct Watching(BTreeMap<String, Told>);

#[derive(Clone, Copy, Debug)]
struct Told {
    presence: Presence,
    index: u64,
    /// An answer says how it is, whatever was told before.
    by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Online,
    Offline,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Answer,
    Change,
}

impl Watching {
    /// An error: that can't be, behind what was told.
    pub fn told(&mut self, user: &str, presence: Presence, index: u64, by: By) -> Result<(), String> {
        let new = Told { presence, index, by };
        let Some(old) = self.0.insert(user.to_owned(), new) else { return Ok(()) };
        let is_turn = by == By::Answer || presence != old.presence;
        // Two answers, or a change and an answer, may be of one entry.
        let is_later =
            index > old.index || (index == old.index && (by == By::Answer || old.by == By::Answer));
        if is_turn && is_later {
            return Ok(());
        }
        Err(format!(
            "{user} is told to be {presence:?} as of {index} behind {:?} as of {}",
            old.presence, old.index
        ))
    }

    /// Whom it takes for offline, of those that it watches.
    pub fn offline(&self) -> Vec<String> {
        let offline = self.0.iter().filter(|(_, told)| told.presence == Presence::Offline);
        offline.map(|(user, _)| user.clone()).collect()
    }

    /// Of how many it was told.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
