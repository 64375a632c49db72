//! Ramps that go on, pause, or end.
//!
//! The leader proposes a step once its clock is past the step's time, and the step stands where its entry stands. A
//! proposal names the epoch and the step: one that comes late, or twice, or after a pause, changes nothing.

mod former_rules;

use super::require_index;
use crate::state::State;
use former_rules::Before;
use quorate_model::{
    Event, LogIndex, OnErrorsThen, Ramp, RampAdvance, RampCommand, RampErrors, RampOrder, RampState,
    RampSubject, Refusal, Reply, Route, Sandbox, StoredRoute, StoredSandbox, route::Destination,
};
use std::{collections::BTreeMap, sync::Arc};

impl State {
    pub(super) fn change_ramp(
        &mut self,
        command: &RampCommand,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        match command {
            RampCommand::Advance(advances) => {
                let count = advances.iter().filter(|one| self.advance_ramp(one, events)).count();
                Ok(if count == 0 { Reply::Unchanged } else { Reply::Done })
            }
            RampCommand::Errors(errors) => Ok(self.ramp_fails(errors, events)),
            RampCommand::Order { subject, order, if_index } => {
                self.order_ramp((subject, *order), *if_index, events)
            }
        }
    }

    /// The ramp of a new route, which goes on with the one that stands where they say the same. One that comes back
    /// stands where it stood: neither does it send requests again to what they had left, nor to what failed.
    pub(super) fn ramp_of_route(
        &self,
        route: &Route,
        standing: Option<&StoredRoute>,
        earlier: Option<&StoredRoute>,
    ) -> Option<RampState> {
        let ramp = route.ramp()?;
        let before = standing.filter(|stored| ramped(&stored.route) == ramped(route));
        let before = before.and_then(StoredRoute::ramp_state);
        let came_back = || Some(earlier?.ramp_state()?.restored(self.index, self.now));
        Some(before.or_else(came_back).unwrap_or_else(|| self.begin_ramp(ramp)))
    }

    /// The same of the rules of a sandbox. A rule that stands at another place than before keeps where its ramp stood:
    /// somebody who puts a rule in before it sends no requests again to what failed.
    pub(super) fn ramps_of_sandbox(
        &self,
        sandbox: &Sandbox,
        standing: Option<&StoredSandbox>,
        earlier: Option<&BTreeMap<u16, RampState>>,
    ) -> BTreeMap<u16, RampState> {
        let mut before = Before::of(standing);
        let went_on = before.each_of(&sandbox.rules);
        let ramps = (0u16..).zip(&sandbox.rules).zip(went_on).filter_map(|((nth, rule), was)| {
            let ramp = rule.ramp.as_ref()?;
            let came_back = || Some(earlier?.get(&nth)?.restored(self.index, self.now));
            let state = match was {
                Some((place, state)) if place == nth => state,
                // Ramps are known by their places: what is on its way about another one there is not about this one.
                Some((_, state)) => RampState { epoch: self.index, ..state },
                None => came_back().unwrap_or_else(|| self.begin_ramp(ramp)),
            };
            Some((nth, state))
        });
        ramps.collect()
    }

    fn begin_ramp(&self, ramp: &Ramp) -> RampState {
        RampState::begin(ramp, self.index, self.now)
    }

    fn advance_ramp(&mut self, advance: &RampAdvance, events: &mut Vec<Event>) -> bool {
        let Some((ramp, state)) = self.standing_ramp(&advance.subject) else { return false };
        let is_next = state.epoch == advance.epoch && state.entered.checked_add(1) == Some(advance.entered);
        if !is_next || state.due(ramp).is_none_or(|due| due > self.now) {
            return false;
        }
        let next = state.advanced(self.now);
        self.store_ramp(&advance.subject, next, events);
        true
    }

    fn ramp_fails(&mut self, errors: &RampErrors, events: &mut Vec<Event>) -> Reply {
        let Some((ramp, state)) = self.standing_ramp(&errors.subject) else { return Reply::Unchanged };
        let is_this = state.epoch == errors.epoch && state.entered == errors.entered;
        let Some(on_errors) = ramp.on_errors.filter(|_| is_this && state.due(ramp).is_some()) else {
            return Reply::Unchanged;
        };
        let next = state.failed(on_errors.then, errors.seen, self.now);
        let aborts = on_errors.then == OnErrorsThen::Abort;
        self.store_ramp(&errors.subject, next, events);
        events.push(Event::RampFailed { subject: errors.subject.clone(), seen: errors.seen, aborts });
        Reply::Done
    }

    fn order_ramp(
        &mut self,
        (subject, order): (&RampSubject, RampOrder),
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        require_index(if_index, self.ramps_holder(subject)?)?;
        let none = || Refusal::NoRamp { subject: subject.clone() };
        let (ramp, state) = self.standing_ramp(subject).ok_or_else(none)?;
        let over = || Refusal::RampOver { subject: subject.clone() };
        let next = state.ordered(order, ramp, self.now).ok_or_else(over)?;
        if next == *state {
            return Ok(Reply::Unchanged);
        }
        self.store_ramp(subject, next, events);
        Ok(Reply::Done)
    }

    /// Where the route or sandbox changed last.
    fn ramps_holder(&self, subject: &RampSubject) -> Result<LogIndex, Refusal> {
        match subject {
            RampSubject::Route(name) => {
                let stored = self.routes.get(name.as_str());
                Ok(stored.ok_or_else(|| Refusal::UnknownRoute { name: name.clone() })?.changed)
            }
            RampSubject::Rule { key, .. } => {
                let compiled = self.sandboxes.get(key.as_str());
                let compiled = compiled.ok_or_else(|| Refusal::UnknownSandbox { key: key.clone() })?;
                Ok(compiled.stored().changed)
            }
        }
    }

    fn standing_ramp(&self, subject: &RampSubject) -> Option<(&Ramp, &RampState)> {
        match subject {
            RampSubject::Route(name) => {
                let stored = self.routes.get(name.as_str())?;
                Some((stored.route.ramp()?, &stored.ramp.as_ref()?.state))
            }
            RampSubject::Rule { key, rule } => self.sandboxes.get(key.as_str())?.stored().ramp(*rule),
        }
    }

    /// What operators declare is as it was: only the record has changed.
    fn store_ramp(&mut self, subject: &RampSubject, state: RampState, events: &mut Vec<Event>) {
        match subject {
            RampSubject::Route(name) => {
                let Some(stored) = self.routes.get(name.as_str()).cloned() else { return };
                let again = StoredRoute::new(stored.route.clone(), (stored.created, self.index), Some(state));
                // It has a ramp, and the state is one of it.
                let Ok(again) = again else { return };
                self.routes.insert(Arc::new(again));
                events.push(Event::RouteChanged { name: name.clone() });
            }
            RampSubject::Rule { key, rule } => {
                let Some(stored) = self.sandboxes.get(key.as_str()).map(|one| one.stored().clone()) else {
                    return;
                };
                let mut again = StoredSandbox { changed: self.index, ..(*stored).clone() };
                again.ramps.insert(*rule, state);
                self.sandboxes.insert(Arc::new(again));
                events.push(Event::SandboxChanged { key: key.clone() });
            }
        }
    }
}

fn ramped(route: &Route) -> Option<(&Ramp, &[Destination])> {
    route.forwarding().and_then(|forwarding| forwarding.ramped())
}
