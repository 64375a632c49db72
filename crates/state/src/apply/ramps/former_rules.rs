//! Which rule of a sandbox was which, when the sandbox is set anew.
//!
//! Rules have no names. One that says all that it said is the same rule, wherever it stands now; what is left is known by
//! its place, and then by where it leads, as long as its ramp says the same. Each ramp goes on in one rule at most.

use quorate_model::{RampState, SandboxRule, StoredSandbox};

/// The ramps that stood, and their rules.
pub(super) struct Before<'s>(Vec<(u16, &'s SandboxRule, RampState)>);

/// How likely two rules are one, the likeliest first.
const SIGNS: [fn(&Pair<'_>) -> bool; 3] =
    [|pair| pair.new == pair.old, |pair| pair.is_in_place && pair.leads_alike(), |pair| pair.leads_alike()];

struct Pair<'r> {
    old: &'r SandboxRule,
    new: &'r SandboxRule,
    is_in_place: bool,
}

impl Pair<'_> {
    fn leads_alike(&self) -> bool {
        self.old.ramp == self.new.ramp && self.old.destinations == self.new.destinations
    }
}

impl<'s> Before<'s> {
    pub(super) fn of(standing: Option<&'s StoredSandbox>) -> Self {
        let ramps = standing.into_iter().flat_map(|stored| {
            let rule = |nth: u16| stored.sandbox.rules.get(usize::from(nth));
            stored.ramps.iter().filter_map(move |(nth, state)| Some((*nth, rule(*nth)?, *state)))
        });
        Self(ramps.collect())
    }

    /// Of each of the new rules, where its ramp stood, and at which place; `None`: it had none.
    pub(super) fn each_of(&mut self, rules: &[SandboxRule]) -> Vec<Option<(u16, RampState)>> {
        let mut found = vec![None; rules.len()];
        for sign in SIGNS {
            for ((nth, new), found) in (0u16..).zip(rules).zip(&mut found) {
                if found.is_none() && new.ramp.is_some() {
                    *found = self.take(|place, old| sign(&Pair { old, new, is_in_place: place == nth }));
                }
            }
        }
        found
    }

    fn take(&mut self, is_it: impl Fn(u16, &SandboxRule) -> bool) -> Option<(u16, RampState)> {
        let at = self.0.iter().position(|(place, old, _)| is_it(*place, old))?;
        let (place, _, state) = self.0.remove(at);
        Some((place, state))
    }
}
