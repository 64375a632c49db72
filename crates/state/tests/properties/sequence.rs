//! Random sequences of entries. What is "the right epoch" is known only while a sequence is played, so a strategy
//! makes intents, and the model turns each into a command at the moment that it is applied.

use crate::model::Model;
use proptest::prelude::*;
use quorate_model::{
    Address, BootId, ClusterId, Command, Duty, Entry, Epoch, Extras, Hold, KeyspaceName, KeyspaceSource,
    LeaseChange, LeaseEvent, LogIndex, LogTime, NodeId, NodeName, NodeRecord, Origin, Partition,
    PartitionCount, PartitionRange, Proposal, Registration, RegistrationParts, ServiceName, ServiceOffer,
    ServicePolicy, Ttl, WorkerId,
};
use std::time::Duration;

/// Which version a command names.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    Nothing,
    Standing,
    Older(u64),
}

#[derive(Clone, Debug)]
pub struct Offer {
    id: u8,
    keyspace: u8,
    partitions: Vec<i32>,
    serves: bool,
    moved: bool,
    /// The group that it would be delegate of.
    wants: Option<u8>,
}

#[derive(Clone, Debug)]
pub enum Intent {
    Form,
    Register(Offer, PartitionRange, Named),
    Adopt(Offer),
    Unregister(u8, Named, Named),
    Leases(Vec<(u8, Named, LeaseEvent)>),
    Put(u8, Option<u32>, KeyspaceSource, Named),
    Observe(u8, u32),
    Describe(u8, u8),
    Duty(u8, Duty, Named),
    Weight(u8, Option<u32>, Named),
    PutService(u8, (u64, Option<u8>), Named),
    DeleteService(u8, Named),
    /// The origin of an earlier proposal, with another command.
    Repeat(prop::sample::Index),
}

/// Entries: by how much the leader's clock moved, and what was proposed.
pub type Intents = Vec<(i64, Vec<Intent>)>;

pub fn intents() -> impl Strategy<Value = Intents> {
    let moves = prop_oneof![
        6 => Just(0),
        6 => 1..5_000i64,
        1 => Just(-90_000),
        2 => 59_000..62_000i64,
        1 => Just(86_400_000),
    ];
    prop::collection::vec((moves, prop::collection::vec(intent(), 0..5)), 1..40)
}

fn intent() -> impl Strategy<Value = Intent> {
    let range = prop_oneof![Just(PartitionRange::Strict), Just(PartitionRange::Lenient)];
    let source = prop_oneof![Just(KeyspaceSource::Static), Just(KeyspaceSource::Kafka)];
    let count = prop::option::of(1..9u32);
    let duty = prop_oneof![3 => Just(Duty::InService), 2 => Just(Duty::Draining), 1 => Just(Duty::Offline)];
    prop_oneof![
        1 => Just(Intent::Form),
        10 => (offer(), range, named()).prop_map(|(o, r, n)| Intent::Register(o, r, n)),
        4 => offer().prop_map(Intent::Adopt),
        4 => (0..6u8, named(), named()).prop_map(|(id, e, i)| Intent::Unregister(id, e, i)),
        10 => prop::collection::vec((0..6u8, named(), event()), 1..4).prop_map(Intent::Leases),
        2 => (0..2u8, count, source, named()).prop_map(|(k, c, s, n)| Intent::Put(k, c, s, n)),
        3 => (0..3u8, 1..9u32).prop_map(|(k, c)| Intent::Observe(k, c)),
        1 => (0..2u8, 0..2u8).prop_map(|(n, v)| Intent::Describe(n, v)),
        4 => (0..6u8, duty, named()).prop_map(|(id, duty, n)| Intent::Duty(id, duty, n)),
        1 => (0..6u8, prop::option::of(0..3u32), named()).prop_map(|(id, w, n)| Intent::Weight(id, w, n)),
        2 => (0..2u8, (0..3u64, prop::option::of(0..3u8)), named())
            .prop_map(|(s, says, n)| Intent::PutService(s, says, n)),
        1 => (0..2u8, named()).prop_map(|(s, n)| Intent::DeleteService(s, n)),
        3 => any::<prop::sample::Index>().prop_map(Intent::Repeat),
    ]
}

fn offer() -> impl Strategy<Value = Offer> {
    let keyspace = prop_oneof![8 => Just(0u8), 3 => Just(1), 1 => Just(2)];
    let partitions = prop::collection::vec(-1..10i32, 0..4);
    let wants = prop::option::of(0..2u8);
    (0..6u8, keyspace, partitions, prop::bool::weighted(0.4), any::<bool>(), wants).prop_map(
        |(id, keyspace, partitions, serves, moved, wants)| Offer {
            id,
            keyspace,
            partitions,
            serves,
            moved,
            wants,
        },
    )
}

fn event() -> impl Strategy<Value = LeaseEvent> {
    prop_oneof![
        3 => Just(LeaseEvent::Expired),
        2 => Just(LeaseEvent::Revived),
        1 => Just(LeaseEvent::Suspected),
        1 => Just(LeaseEvent::Recovered),
    ]
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![4 => Just(Named::Nothing), 4 => Just(Named::Standing), 1 => (1..9u64).prop_map(Named::Older)]
}

/// Plays the intents and returns the log that they make. The first entry forms the cluster.
pub fn log(intents: &Intents) -> Vec<Entry> {
    let mut player = Player { model: Model::default(), origins: Vec::new() };
    let mut at = 1_000_000i64;
    let mut log = vec![player.entry(at, &[Intent::Form])];
    for (moved, intents) in intents {
        at += moved;
        log.push(player.entry(at, intents));
    }
    log
}

struct Player {
    model: Model,
    origins: Vec<Origin>,
}

impl Player {
    fn entry(&mut self, at: i64, intents: &[Intent]) -> Entry {
        let at = LogTime(u64::try_from(at).expect("the clock stays above 0"));
        self.model.begin(at.0);
        let proposals = intents.iter().map(|intent| self.proposal(intent)).collect();
        Entry { at, proposals }
    }

    fn proposal(&mut self, intent: &Intent) -> Proposal {
        let origin = match intent {
            Intent::Repeat(which) if !self.origins.is_empty() => *which.get(&self.origins),
            _ => self.next_origin(),
        };
        let proposal = Proposal { origin, command: self.command(intent) };
        self.model.answer(&proposal);
        proposal
    }

    fn next_origin(&mut self) -> Origin {
        let count = self.origins.len() as u64;
        let origin = Origin { boot: BootId(count % 3), sequence: count / 3 + 1 };
        self.origins.push(origin);
        origin
    }

    fn command(&self, intent: &Intent) -> Command {
        match intent {
            Intent::Form => Command::FormCluster {
                cluster: ClusterId(1),
                partitions: Some(count(6)),
                source: KeyspaceSource::Static,
            },
            Intent::Register(offer, range, named) => Command::RegisterWorker {
                registration: registration(offer),
                range: *range,
                if_index: self.index(*named, self.model.changed_of(id(offer.id).as_str())),
            },
            Intent::Adopt(offer) => Command::AdoptWorker { registration: registration(offer) },
            Intent::Unregister(who, epoch, if_index) => Command::UnregisterWorker {
                id: id(*who),
                epoch: self.lease(*who, *epoch),
                if_index: self.index(*if_index, self.model.changed_of(id(*who).as_str())),
            },
            Intent::Leases(changes) => Command::ChangeLeases(
                changes.iter().map(|(who, n, e)| self.lease_change(*who, *n, *e)).collect(),
            ),
            Intent::Put(name, partitions, source, named) => Command::PutKeyspace {
                name: keyspace(*name),
                partitions: partitions.map(count),
                source: *source,
                hold: None,
                if_index: self.index(*named, self.space_changed(*name)),
            },
            Intent::Observe(name, partitions) => {
                Command::ObservePartitions { keyspace: keyspace(*name), partitions: count(*partitions) }
            }
            Intent::Describe(name, version) => Command::DescribeNode(node(*name, *version)),
            Intent::Duty(who, duty, named) => Command::SetDuty {
                id: id(*who),
                duty: *duty,
                if_index: self.index(*named, self.model.changed_of(id(*who).as_str())),
            },
            Intent::Weight(who, weight, named) => Command::SetWeight {
                id: id(*who),
                weight: *weight,
                if_index: self.index(*named, self.model.changed_of(id(*who).as_str())),
            },
            Intent::PutService(name, says, named) => Command::PutService {
                name: service(*name),
                policy: policy(*says),
                if_index: self.index(*named, self.policy_changed(*name)),
            },
            Intent::DeleteService(name, named) => Command::DeleteService {
                name: service(*name),
                if_index: self.index(*named, self.policy_changed(*name)),
            },
            // Never applied, but for the very first proposal.
            Intent::Repeat(_) => Command::UnregisterWorker { id: id(0), epoch: None, if_index: None },
        }
    }

    fn lease_change(&self, who: u8, named: Named, event: LeaseEvent) -> LeaseChange {
        let standing = self.epoch(who);
        LeaseChange { id: id(who), epoch: Epoch(version(named, standing).unwrap_or(standing)), event }
    }

    /// A worker says goodbye by the id of its lease. Its token, which is newer after a revival, is as wrong there
    /// as the id of an older lease.
    fn lease(&self, who: u8, named: Named) -> Option<Epoch> {
        let incarnation = self.model.workers.get(id(who).as_str()).map_or(0, |r| r.incarnation);
        match named {
            Named::Older(by) if by % 2 == 0 => Some(Epoch(self.epoch(who))),
            Named::Nothing | Named::Standing | Named::Older(_) => version(named, incarnation).map(Epoch),
        }
    }

    fn epoch(&self, who: u8) -> u64 {
        self.model.workers.get(id(who).as_str()).map_or(0, |r| r.epoch)
    }

    fn space_changed(&self, name: u8) -> u64 {
        self.model.spaces.get(keyspace(name).as_str()).map_or(0, |s| s.changed)
    }

    fn policy_changed(&self, name: u8) -> u64 {
        self.model.policies.get(service(name).as_str()).map_or(0, |(changed, _)| *changed)
    }

    fn index(&self, named: Named, standing: u64) -> Option<LogIndex> {
        version(named, standing).map(LogIndex)
    }
}

fn version(named: Named, standing: u64) -> Option<u64> {
    match named {
        Named::Nothing => None,
        Named::Standing => Some(standing),
        Named::Older(by) => Some(standing.saturating_sub(by)),
    }
}

fn registration(offer: &Offer) -> Registration {
    let address = if offer.moved { "http://moved:1" } else { "http://here:1" };
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let version = VERSIONS[1 + usize::from(offer.moved)].into();
    let service = ServiceOffer { name: service(offer.id % 2), version, url: None };
    let group = offer.wants.filter(|group| *group > 0).map(|_| ("group".into(), "b".into()));
    RegistrationParts {
        keyspace: keyspace(offer.keyspace),
        partitions: offer.partitions.iter().map(|p| Partition(*p)).collect(),
        services: if offer.serves { vec![service] } else { Vec::new() },
        labels: group.into_iter().collect(),
        extras: Extras { wants_delegate: offer.wants.is_some(), ..Extras::default() }.boxed(),
        ..RegistrationParts::new(id(offer.id), Address::parse(address).expect("valid"), ttl)
    }
    .validate()
    .expect("valid")
}

fn node(name: u8, version: u8) -> NodeRecord {
    NodeRecord {
        id: NodeId(u64::from(name)),
        name: NodeName::parse(&format!("n{name}")).expect("valid"),
        boot: BootId(u64::from(name)),
        peer: "n:7000".into(),
        management: "n:9090".into(),
        version: version.to_string().into(),
    }
}

fn service(n: u8) -> ServiceName {
    ServiceName::parse(["chat", "echo"][usize::from(n)]).expect("valid")
}

fn policy((hold, version): (u64, Option<u8>)) -> ServicePolicy {
    let hold = (hold > 0).then(|| Hold::new(Duration::from_secs(hold), 1).expect("valid"));
    let default_version = version.map(|n| VERSIONS[usize::from(n)].into());
    ServicePolicy { hold, default_version, ..ServicePolicy::default() }
}

const VERSIONS: [&str; 3] = ["", "1", "2"];

fn id(n: u8) -> WorkerId {
    WorkerId::parse(&format!("w{n}")).expect("valid")
}

/// The third is never made.
fn keyspace(n: u8) -> KeyspaceName {
    KeyspaceName::parse(["default", "orders", "nowhere"][usize::from(n)]).expect("valid")
}

fn count(n: u32) -> PartitionCount {
    PartitionCount::new(n).expect("valid")
}
