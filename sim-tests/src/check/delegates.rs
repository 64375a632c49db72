//! A group has at most one delegate for each epoch of the role, ever, and a role's epoch is nobody else's.

use super::Look;
use std::collections::BTreeMap;

/// Whose each epoch is: group and worker.
#[derive(Debug, Default)]
pub struct Delegates {
    granted: BTreeMap<u64, (String, String)>,
    /// The last epoch of each group, and at which index it was seen.
    last: BTreeMap<String, (u64, u64)>,
}

impl Delegates {
    /// A node shows a state that nobody has shown before.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let index = look.view.index().0;
        for delegate in look.view.delegates() {
            let (epoch, group) = (delegate.epoch.0, delegate.group.to_string());
            let holder = (group.clone(), delegate.worker.to_string());
            let known = self.granted.entry(epoch).or_insert_with(|| holder.clone());
            if *known != holder {
                return Err(format!("{}: epoch {epoch} is of {holder:?}, and was of {known:?}", look.node));
            }
            if look.view.workers().any(|worker| worker.epoch == delegate.epoch) {
                return Err(format!("{}: epoch {epoch} of {holder:?} is also a lease's", look.node));
            }
            let (last, at) = *self.last.get(&group).unwrap_or(&(0, 0));
            if index > at && epoch < last {
                return Err(format!("{}: group {group} went back from epoch {last} to {epoch}", look.node));
            }
            if index > at {
                self.last.insert(group, (epoch, index));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::look, *};
    use quorate_model::{
        Address, BootId, ClusterId, Command, Entry, Extras, KeyspaceSource, LogIndex, LogTime, Origin,
        PartitionRange, Proposal, RegistrationParts, ServiceName, ServiceOffer, Ttl, WorkerId,
    };
    use quorate_state::State;
    use std::time::Duration;

    /// A state where `worker` was the first at `index` to want the role.
    fn led_by(worker: &str, index: u64) -> State {
        let mut state = State::new();
        let mut apply = |index, command| {
            let origin = Origin { boot: BootId(1), sequence: index };
            let entry = Entry { at: LogTime(index), proposals: vec![Proposal { origin, command }] };
            state.apply(LogIndex(index), &entry);
        };
        let source = KeyspaceSource::Static;
        apply(1, Command::FormCluster { cluster: ClusterId(1), partitions: None, source });
        let id = WorkerId::parse(worker).expect("a name");
        let address = Address::parse("http://h:1").expect("an address");
        let ttl = Ttl::new(Duration::from_secs(3)).expect("within bounds");
        let name = ServiceName::parse("upload").expect("a name");
        let mut parts = RegistrationParts::new(id, address, ttl);
        parts.services = vec![ServiceOffer { name, version: "".into(), url: None }];
        parts.extras = Extras { wants_delegate: true, ..Extras::default() }.boxed();
        let registration = parts.validate().expect("valid");
        apply(index, Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None });
        assert_eq!(state.delegates().count(), 1);
        state
    }

    #[test]
    fn two_delegates_of_one_epoch_are_noticed() {
        let mut check = Delegates::default();
        assert!(check.looked(&look("n1", &led_by("w1", 2), 0)).is_ok());
        assert!(check.looked(&look("n2", &led_by("w1", 2), 0)).is_ok());
        assert!(check.looked(&look("n3", &led_by("w2", 2), 0)).is_err(), "the same epoch, another worker");
    }

    #[test]
    fn a_role_that_goes_back_is_noticed() {
        let mut check = Delegates::default();
        assert!(check.looked(&look("n1", &led_by("w1", 5), 0)).is_ok());
        let mut later = led_by("w2", 3);
        later.skip(LogIndex(6));
        assert!(check.looked(&look("n1", &later, 0)).is_err());
        assert!(check.looked(&look("n2", &led_by("w2", 3), 0)).is_ok(), "an older state is no step back");
    }
}
