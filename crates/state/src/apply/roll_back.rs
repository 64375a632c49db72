//! Back to what was declared at an earlier index, in one entry. It is a change like any other: it can be undone too.

use super::require_index;
use crate::{config_history::Earlier, state::State};
use quorate_model::{Event, KeyspaceConfig, KeyspaceSource, LogIndex, Refusal, Reply};

impl State {
    /// All of it, or nothing: what is refused half-way leaves no trace.
    pub(super) fn roll_back(
        &mut self,
        to: LogIndex,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        require_index(if_index, self.config_changed)?;
        let earlier = self.earlier(to)?;
        let (mut next, mut caused) = (self.clone(), Vec::new());
        // What goes makes room for what comes.
        let gone = next.drop_later(&earlier, &mut caused)?;
        if !(gone | next.bring_back(&earlier, &mut caused)?) {
            return Ok(Reply::Unchanged);
        }
        *self = next;
        events.append(&mut caused);
        Ok(Reply::Done)
    }

    /// Takes away what did not stand then. Keyspaces stay: workers' claims hang on them.
    fn drop_later(&mut self, earlier: &Earlier<'_>, events: &mut Vec<Event>) -> Result<bool, Refusal> {
        let mut changed = false;
        for (name, _) in earlier.routes.iter().filter(|(_, was)| was.is_none()) {
            if self.routes.get(name.as_str()).is_some() {
                self.delete_route(name, None, events)?;
                changed = true;
            }
        }
        for (key, _) in earlier.sandboxes.iter().filter(|(_, was)| was.is_none()) {
            if self.sandboxes.get(key.as_str()).is_some() {
                self.delete_sandbox(key, None, events)?;
                changed = true;
            }
        }
        for (name, _) in earlier.services.iter().filter(|(_, was)| was.is_none()) {
            if self.service(name.as_str()).is_some_and(|service| service.stored_policy().is_some()) {
                self.delete_service(name, None, events)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    fn bring_back(&mut self, earlier: &Earlier<'_>, events: &mut Vec<Event>) -> Result<bool, Refusal> {
        let mut changed = false;
        for stored in earlier.routes.values().flatten() {
            // With its age: it decides between routes that ask for equally much.
            changed |= self.set_route(&stored.route, Some(stored), events)? != Reply::Unchanged;
        }
        for (key, was) in &earlier.sandboxes {
            // One that stands so keeps its time; one that comes back gets all of it anew.
            if let Some(former) = was {
                changed |= self.declare_sandbox(key, (&former.sandbox, Some(&former.ramps)), events)?;
            }
        }
        for (name, was) in &earlier.services {
            if let Some(policy) = was {
                changed |= self.put_service(name, policy, None, events)? != Reply::Unchanged;
            }
        }
        for (name, was) in &earlier.keyspaces {
            let Some(KeyspaceConfig { partitions, source, hold }) = *was else { continue };
            // What Kafka said later is nearer to the truth than what it said then.
            let partitions = partitions.filter(|_| source == KeyspaceSource::Static);
            changed |= self.put_keyspace(name, (partitions, source, hold), None, events)? != Reply::Unchanged;
        }
        Ok(changed)
    }
}
