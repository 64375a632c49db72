//! The registry as its contract tells it: one plain map says who owns what. Nothing of it is shared with the state
//! machine; in particular a worker has no list of partitions here, so there is none that could fail to shrink.

use quorate_model::{
    Command, Duty, Entry, LeaseChange, LeaseEvent, Partition, PartitionRange, Proposal, Refusal,
    Registration, Reply,
};
use std::collections::{BTreeMap, BTreeSet};

const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;

/// Who owns which partition of which keyspace.
pub type Owners = BTreeMap<(String, i32), String>;

/// A reply, less the reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Unchanged,
    Registered(u64),
    Refused,
}

impl From<&Reply> for Answer {
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::Done => Self::Done,
            Reply::Unchanged => Self::Unchanged,
            Reply::Registered { epoch } => Self::Registered(epoch.0),
            Reply::Refused(Refusal::Forgotten) => panic!("no test is long enough for that"),
            Reply::Sessions(_) => panic!("nobody is connected here"),
            Reply::Refused(_) => Self::Refused,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Live,
    Suspect,
    Expired,
    Displaced,
    Unregistered,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub life: Life,
    pub epoch: u64,
    pub incarnation: u64,
    pub changed: u64,
    pub address: String,
    /// All that its registration listed, whoever owns it by now; nothing once it departed.
    pub registered: BTreeSet<i32>,
    pub offers_services: bool,
    /// The group that it would be delegate of.
    pub wants: Option<String>,
    pub duty: Duty,
    pub weight: Option<u32>,
    /// When its life became what it is; 0 for a live one.
    pub since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    pub count: Option<u32>,
    pub kafka: bool,
    pub changed: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub owners: Owners,
    pub workers: BTreeMap<String, Record>,
    pub spaces: BTreeMap<String, Space>,
    pub now: u64,
    index: u64,
    last_epoch: u64,
    formed: bool,
    nodes: BTreeMap<String, String>,
    /// By service, when its policy changed and how long requests wait.
    pub policies: BTreeMap<String, (u64, u64)>,
    /// By group: who, by which registration, with which token.
    pub delegates: BTreeMap<String, (String, u64, u64)>,
    level: u16,
    answered: BTreeMap<(u64, u64), Answer>,
}

impl Model {
    /// Begins the entry at the next index.
    pub fn begin(&mut self, at: u64) {
        self.index += 1;
        self.now = self.now.max(at);
        let now = self.now;
        let over = |r: &Record| match r.life {
            Life::Live | Life::Suspect => false,
            Life::Expired | Life::Displaced => r.since + DAY_MS <= now,
            Life::Unregistered => r.since + MINUTE_MS <= now,
        };
        let gone: BTreeSet<_> =
            self.workers.iter().filter(|(_, r)| over(r)).map(|(id, _)| id.clone()).collect();
        self.workers.retain(|id, _| !gone.contains(id));
        self.owners.retain(|_, owner| !gone.contains(owner));
    }

    pub fn answer(&mut self, proposal: &Proposal) -> Answer {
        let key = (proposal.origin.boot.0, proposal.origin.sequence);
        if let Some(first) = self.answered.get(&key) {
            return *first;
        }
        let answer = self.execute(&proposal.command).unwrap_or(Answer::Refused);
        self.choose_delegates();
        self.answered.insert(key, answer);
        answer
    }

    /// The whole entry at once.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Answer> {
        self.begin(entry.at.0);
        entry.proposals.iter().map(|p| self.answer(p)).collect()
    }

    fn raise_level(&mut self, to: u16) -> Answer {
        let raised = to > self.level.max(1);
        self.level = self.level.max(to);
        if raised { Answer::Done } else { Answer::Unchanged }
    }

    /// `None`: refused.
    fn execute(&mut self, command: &Command) -> Option<Answer> {
        match command {
            Command::FormCluster { partitions, .. } => {
                if std::mem::replace(&mut self.formed, true) {
                    return None;
                }
                self.set_space("default", partitions.map(|p| p.get()), false);
                Some(Answer::Done)
            }
            Command::RegisterWorker { registration, range, if_index } => {
                self.require(if_index.map(|i| i.0), self.changed_of(registration.id.as_str()))?;
                self.register(registration, *range)
            }
            Command::AdoptWorker { registration } => match self.workers.get(registration.id.as_str()) {
                Some(Record { life: Life::Unregistered | Life::Displaced, .. }) => None,
                Some(r) => Some(Answer::Registered(r.epoch)),
                None => self.register(registration, PartitionRange::Lenient),
            },
            Command::UnregisterWorker { id, epoch, if_index } => {
                let Record { incarnation, changed, .. } = *self.standing(id.as_str())?;
                self.require(epoch.map(|e| e.0), incarnation)?;
                self.require(if_index.map(|i| i.0), changed)?;
                self.owners.retain(|_, owner| owner != id.as_str());
                self.depart(id.as_str(), Life::Unregistered);
                Some(Answer::Done)
            }
            Command::ChangeLeases(changes) => {
                let changed = changes.iter().filter(|c| self.change_lease(c).is_some()).count();
                Some(if changed > 0 { Answer::Done } else { Answer::Unchanged })
            }
            Command::PutKeyspace { name, partitions, source, if_index, .. } => {
                let standing = self.spaces.get(name.as_str());
                self.require(if_index.map(|i| i.0), standing.map_or(0, |s| s.changed))?;
                let kafka = *source == quorate_model::KeyspaceSource::Kafka;
                Some(self.set_space(name.as_str(), partitions.map(|p| p.get()), kafka))
            }
            Command::ObservePartitions { keyspace, partitions } => {
                if !self.spaces.get(keyspace.as_str())?.kafka {
                    return Some(Answer::Unchanged);
                }
                Some(self.set_space(keyspace.as_str(), Some(partitions.get()), true))
            }
            Command::DescribeNode(node) => {
                let before = self.nodes.insert(node.name.to_string(), node.version.to_string());
                let same = before.as_deref() == Some(&*node.version);
                Some(if same { Answer::Unchanged } else { Answer::Done })
            }
            Command::RaiseLevel { to } => Some(self.raise_level(to.get())),
            Command::HandOverLeases { .. } => Some(Answer::Done),
            Command::SetDuty { .. }
            | Command::SetWeight { .. }
            | Command::PutService { .. }
            | Command::DeleteService { .. } => self.operate(command),
            Command::PutRoute { .. }
            | Command::DeleteRoute { .. }
            | Command::PutSandbox { .. }
            | Command::DeleteSandbox { .. }
            | Command::ExtendSandbox { .. }
            | Command::EndSandboxes(_)
            | Command::Configure { .. }
            | Command::ChangeHealth(_)
            | Command::RollBack { .. }
            | Command::Presence(_)
            | Command::Ramp(_)
            | Command::Object(_)
            | Command::Restore { .. } => panic!("these have tests of their own"),
        }
    }

    /// What operators ask for.
    fn operate(&mut self, command: &Command) -> Option<Answer> {
        match command {
            Command::SetDuty { id, duty, if_index } => {
                self.decide(id.as_str(), if_index.map(|i| i.0), |record| record.duty = *duty)
            }
            Command::SetWeight { id, weight, if_index } => {
                self.decide(id.as_str(), if_index.map(|i| i.0), |record| record.weight = *weight)
            }
            Command::PutService { name, policy, if_index } => {
                let hold = policy.hold.map_or(0, |hold| hold.wait().as_secs());
                self.put_policy(name.as_str(), hold, if_index.map(|i| i.0))
            }
            Command::DeleteService { name, if_index } => {
                self.delete_policy(name.as_str(), if_index.map(|i| i.0))
            }
            other => panic!("{other:?} is none of theirs"),
        }
    }

    fn put_policy(&mut self, name: &str, hold: u64, if_index: Option<u64>) -> Option<Answer> {
        let standing = self.policies.get(name).copied();
        self.require(if_index, standing.map_or(0, |(changed, _)| changed))?;
        if standing.is_some_and(|(_, standing)| standing == hold) {
            return Some(Answer::Unchanged);
        }
        self.policies.insert(name.into(), (self.index, hold));
        Some(Answer::Done)
    }

    fn delete_policy(&mut self, name: &str, if_index: Option<u64>) -> Option<Answer> {
        let (changed, _) = *self.policies.get(name)?;
        self.require(if_index, changed)?;
        self.policies.remove(name);
        Some(Answer::Done)
    }

    /// What an operator decides about a worker.
    fn decide(&mut self, id: &str, if_index: Option<u64>, to: impl Fn(&mut Record)) -> Option<Answer> {
        // Who said goodbye under a decision that waits for its return can be decided about, too.
        let waits = |record: &&Record| record.duty != Duty::InService || record.weight.is_some();
        let before = self.standing(id).or_else(|| self.workers.get(id).filter(waits))?.clone();
        self.require(if_index, before.changed)?;
        let mut after = before.clone();
        to(&mut after);
        if after == before {
            return Some(Answer::Unchanged);
        }
        after.changed = self.index;
        self.workers.insert(id.into(), after);
        Some(Answer::Done)
    }

    /// Each group keeps its delegate for as long as that one could be chosen again; else its oldest registration
    /// gets the role.
    fn choose_delegates(&mut self) {
        let mut able: BTreeMap<String, BTreeSet<(u64, String)>> = BTreeMap::new();
        for (id, r) in &self.workers {
            let takes_requests = self.is_routable(id) && r.duty == Duty::InService;
            if let Some(group) = r.wants.as_ref().filter(|_| takes_requests && r.offers_services) {
                able.entry(group.clone()).or_default().insert((r.incarnation, id.clone()));
            }
        }
        self.delegates.retain(|group, (id, incarnation, _)| {
            able.get(group).is_some_and(|all| all.contains(&(*incarnation, id.clone())))
        });
        for (group, all) in able {
            if !self.delegates.contains_key(&group) {
                let (incarnation, id) = all.first().cloned().expect("a group has somebody");
                let epoch = self.grant();
                self.delegates.insert(group, (id, incarnation, epoch));
            }
        }
    }

    fn require(&self, wanted: Option<u64>, current: u64) -> Option<()> {
        wanted.is_none_or(|wanted| wanted == current).then_some(())
    }

    /// A worker as clients see it: one that departed is as good as unknown.
    pub fn standing(&self, id: &str) -> Option<&Record> {
        self.workers.get(id).filter(|r| !matches!(r.life, Life::Displaced | Life::Unregistered))
    }

    pub fn changed_of(&self, id: &str) -> u64 {
        self.standing(id).map_or(0, |r| r.changed)
    }

    /// What a heartbeat has to list that changes nothing.
    pub fn registered(&self, id: &str) -> Vec<Partition> {
        self.workers[id].registered.iter().copied().map(Partition).collect()
    }

    pub fn is_routable(&self, id: &str) -> bool {
        self.workers.get(id).is_some_and(|r| matches!(r.life, Life::Live | Life::Suspect))
    }

    fn register(&mut self, r: &Registration, range: PartitionRange) -> Option<Answer> {
        let count = self.spaces.get(r.keyspace.as_str())?.count;
        let fits = |p: i32| count.is_some_and(|c| (0..i64::from(c)).contains(&i64::from(p)));
        if range == PartitionRange::Strict && !r.partitions.iter().all(|p| fits(p.0)) {
            return None;
        }
        let epoch = self.grant();
        let id = r.id.to_string();
        self.owners.retain(|_, owner| *owner != id);
        let losers: BTreeSet<String> = r
            .partitions
            .iter()
            .filter_map(|p| self.owners.insert((r.keyspace.to_string(), p.0), id.clone()))
            .collect();
        for loser in losers {
            self.shrink(&loser);
        }
        let standing = self.workers.get(&id);
        let record = Record {
            duty: standing.map(|r| r.duty).unwrap_or_default(),
            weight: standing.and_then(|r| r.weight),
            wants: r.extras().wants_delegate.then(|| {
                let group = r.labels.get("group").map(ToString::to_string);
                group.unwrap_or_else(|| "default".into())
            }),
            life: Life::Live,
            epoch,
            incarnation: epoch,
            changed: self.index,
            address: r.address.to_string(),
            registered: r.partitions.iter().map(|p| p.0).collect(),
            offers_services: !r.services.is_empty(),
            since: 0,
        };
        self.workers.insert(id, record);
        Some(Answer::Registered(epoch))
    }

    fn shrink(&mut self, loser: &str) {
        let owns_something = self.owners.values().any(|owner| owner == loser);
        let record = self.workers.get_mut(loser).expect("an owner has a record");
        record.changed = self.index;
        if !owns_something && !record.offers_services {
            self.depart(loser, Life::Displaced);
        }
    }

    fn depart(&mut self, id: &str, life: Life) {
        let record = self.workers.get_mut(id).expect("who departs was there");
        (record.life, record.since, record.changed) = (life, self.now, self.index);
        record.registered.clear();
    }

    fn change_lease(&mut self, change: &LeaseChange) -> Option<()> {
        let id = change.id.as_str();
        let standing = self.standing(id).filter(|r| r.epoch == change.epoch.0)?;
        let life = match (change.event, standing.life) {
            (LeaseEvent::Suspected, Life::Live) => Life::Suspect,
            (LeaseEvent::Recovered, Life::Suspect) | (LeaseEvent::Revived, Life::Expired) => Life::Live,
            (LeaseEvent::Expired, Life::Live | Life::Suspect) => Life::Expired,
            _ => return None,
        };
        let revived = change.event == LeaseEvent::Revived;
        let epoch = if revived { self.grant() } else { change.epoch.0 };
        let since = if life == Life::Live { 0 } else { self.now };
        let record = self.workers.get_mut(id).expect("it stands");
        (record.life, record.epoch, record.since, record.changed) = (life, epoch, since, self.index);
        Some(())
    }

    fn grant(&mut self) -> u64 {
        self.last_epoch = self.index.max(self.last_epoch + 1);
        self.last_epoch
    }

    fn set_space(&mut self, name: &str, count: Option<u32>, kafka: bool) -> Answer {
        let standing = self.spaces.get(name);
        let count = count.or(standing.and_then(|s| s.count));
        if standing.is_some_and(|s| s.count == count && s.kafka == kafka) {
            return Answer::Unchanged;
        }
        self.spaces.insert(name.into(), Space { count, kafka, changed: self.index });
        Answer::Done
    }
}
