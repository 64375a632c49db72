//! Sandboxes: where the requests that carry a routing key go instead.
//!
//! A developer's own version of a service has no host and no path of its own: it is meant by whoever sends its key. A
//! sandbox is what a key stands for: rules, of which the first one decides that a request meets. What becomes of the
//! request then is what becomes of it by a route: a rule is made into one ([`SandboxRule::route`]), so there is one
//! way to forward a request and not two.
//!
//! A sandbox is made by [`SandboxParts::validate`] only, which lists every mistake with its place.

mod declared;
mod rule;
mod ttl;

pub use rule::{Fallback, Overlap, SandboxRule};
pub use ttl::SandboxTtl;

use crate::{
    limit,
    name::{Invalid, RoutingKey},
    number::{LogIndex, LogTime},
    ramp::{Ramp, RampState, RampSubject, Ramping},
    weight,
};
use std::{collections::BTreeMap, ops::Deref, sync::Arc};

/// What a sandbox says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxParts {
    /// The first one that a request meets decides.
    pub rules: Vec<SandboxRule>,
    /// How long it stands after it was set; `None`: until it is taken away.
    pub ttl: Option<SandboxTtl>,
}

/// A valid sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    parts: SandboxParts,
}

impl Deref for Sandbox {
    type Target = SandboxParts;

    fn deref(&self) -> &SandboxParts {
        &self.parts
    }
}

impl SandboxParts {
    /// Checks it as a whole and lists each mistake by the place that it has in a document.
    pub fn validate(self) -> Result<Sandbox, Vec<Invalid>> {
        let (count, max) = (self.rules.len(), limit::RULES_PER_SANDBOX_MAX);
        let mut wrong = Vec::new();
        if !(1..=max).contains(&count) {
            let problem = if count == 0 { "is empty".to_owned() } else { format!("has {count}") };
            wrong.push(Invalid::new("rules", problem, format!("1 to {max} rules")));
        }
        for (nth, rule) in self.rules.iter().take(max).enumerate() {
            wrong.extend(rule.mistakes().into_iter().map(|one| {
                let field = format!("rules[{nth}].{}", one.field);
                one.renamed(field)
            }));
        }
        if wrong.is_empty() { Ok(Sandbox { parts: self }) } else { Err(wrong) }
    }
}

impl Sandbox {
    /// Of rules that the cluster itself made, each of which is valid, however many.
    pub fn of_rules(rules: Vec<SandboxRule>) -> Self {
        Self { parts: SandboxParts { rules, ttl: None } }
    }

    /// About how many bytes it keeps in memory with what is made of it, for bounds: more than the truth.
    pub fn weight(&self) -> usize {
        /// What it takes in the tables by key, with what is made of its rules, but for those themselves.
        const TABLES: usize = 256;
        let rules = self.rules.iter().map(SandboxRule::weight).sum::<usize>();
        weight::STORED_SANDBOX + TABLES + limit::ROUTING_KEY_BYTES_MAX + rules
    }

    /// Whether the shares of some rule change by themselves.
    pub(crate) fn has_ramp(&self) -> bool {
        self.rules.iter().any(|rule| rule.ramp.is_some())
    }

    /// Checks that each ramp stands somewhere, and that nothing stands that is none. By the rule's place.
    pub fn check_ramps(&self, ramps: &BTreeMap<u16, RampState>) -> Result<(), Invalid> {
        let ramp = |rule: u16| self.rules.get(usize::from(rule))?.ramp.as_ref();
        for (rule, state) in ramps {
            let none = || Invalid::new("ramps", format!("names rule {rule}"), "rules that have a ramp");
            state.is_of(ramp(*rule).ok_or_else(none)?)?;
        }
        let count = self.rules.iter().filter(|rule| rule.ramp.is_some()).count();
        if count == ramps.len() {
            return Ok(());
        }
        Err(Invalid::new("ramps", format!("are {}", ramps.len()), format!("one for each of {count} ramps")))
    }

    /// Rules that no request can come to, as far as that can be told from the rules alone.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let earlier = |nth: usize| self.rules[..nth].iter().position(|one| one.covers(&self.rules[nth]));
        (0..self.rules.len()).filter_map(|rule| Some(Overlap { rule, by: earlier(rule)? })).collect()
    }
}

/// A sandbox as the cluster holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSandbox {
    /// What requests carry.
    pub key: RoutingKey,
    /// What it says.
    pub sandbox: Arc<Sandbox>,
    /// The log index at which it was made: its epoch. Another one of the same key has another.
    pub created: LogIndex,
    /// The log index of its last change, for `If-Match`.
    pub changed: LogIndex,
    /// When it ends; `None`: when it is taken away.
    pub ends: Option<LogTime>,
    /// Where the ramps of its rules stand, by the rule's place.
    pub ramps: BTreeMap<u16, RampState>,
}

impl StoredSandbox {
    /// The ramp of a rule, and where it stands.
    pub fn ramp(&self, rule: u16) -> Option<(&Ramp, &RampState)> {
        let ramp = self.sandbox.rules.get(usize::from(rule))?.ramp.as_ref()?;
        Some((ramp, self.ramps.get(&rule)?))
    }

    /// The ramps of its rules, with what is made of them.
    pub fn ramping(&self) -> impl Iterator<Item = Ramping> {
        self.ramps.iter().filter_map(|(rule, state)| {
            let this = self.sandbox.rules.get(usize::from(*rule))?;
            let subject = RampSubject::Rule { key: self.key.clone(), rule: *rule };
            Some(Ramping::new(subject, (this.ramp.as_ref()?, &this.destinations), *state))
        })
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: LogTime) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

/// One whose time is over, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxEnd {
    /// Which.
    pub key: RoutingKey,
    /// Its epoch ([`StoredSandbox::created`]); void if another one stands, or if it was given more time.
    pub created: LogIndex,
}

#[cfg(test)]
mod tests;
