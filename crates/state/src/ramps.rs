//! Whose ramp goes on when. Derived from the routes and the sandboxes.

use imbl::{OrdMap, OrdSet};
use quorate_model::{LogTime, RampAdvance, RampSubject, Ramping};
use std::sync::Arc;

/// The ramps of routes, or of sandboxes. Cloning costs O(1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RampIndex {
    /// All of them.
    all: OrdMap<RampSubject, Arc<Ramping>>,
    /// Those that wait for their next step, by its time.
    due: OrdSet<(LogTime, RampSubject)>,
    /// How many are watched for errors.
    watched: usize,
}

impl RampIndex {
    /// One of them.
    pub fn get(&self, subject: &RampSubject) -> Option<&Arc<Ramping>> {
        self.all.get(subject)
    }

    /// How many are watched for errors.
    pub fn watched(&self) -> usize {
        self.watched
    }

    /// Steps whose time has come at `now`, the longest waiting first.
    pub fn over(&self, now: LogTime) -> impl Iterator<Item = RampAdvance> {
        let over = self.due.iter().take_while(move |(due, _)| *due <= now);
        over.filter_map(|(_, subject)| {
            let state = &self.get(subject)?.state;
            Some(RampAdvance { subject: subject.clone(), epoch: state.epoch, entered: state.entered + 1 })
        })
    }

    /// One of a route or rule that is there now.
    pub(crate) fn add(&mut self, ramping: &Arc<Ramping>) {
        if let Some(due) = ramping.due {
            self.due.insert((due, ramping.subject.clone()));
        }
        self.watched += usize::from(ramping.watch.is_some());
        self.all.insert(ramping.subject.clone(), ramping.clone());
    }

    /// One of a route or rule that goes.
    pub(crate) fn forget(&mut self, ramping: &Ramping) {
        if let Some(due) = ramping.due {
            self.due.remove(&(due, ramping.subject.clone()));
        }
        self.watched -= usize::from(ramping.watch.is_some());
        self.all.remove(&ramping.subject);
    }
}

impl crate::State {
    /// A ramp that stands.
    pub fn ramp(&self, subject: &RampSubject) -> Option<&Arc<Ramping>> {
        match subject {
            RampSubject::Route(_) => self.routes().ramps().get(subject),
            RampSubject::Rule { .. } => self.sandboxes().ramps().get(subject),
        }
    }
}

#[cfg(test)]
impl RampIndex {
    /// A step of nobody.
    pub(crate) fn due_raw(&mut self) {
        let name = quorate_model::RouteName::parse("ghost").expect("valid");
        self.due.insert((LogTime(1), RampSubject::Route(name)));
    }
}

#[cfg(test)]
mod tests {
    /// One that would be proposed for ever, and void each time, must be noticed.
    #[test]
    fn a_step_of_nobody_is_noticed() {
        let mut table = crate::RouteTable::default();
        let empty = table.clone();
        assert_eq!(table.difference(&empty), None);
        table.ramp_raw();
        assert!(table.difference(&empty).is_some());
    }
}
