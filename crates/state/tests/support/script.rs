//! The language of the test scripts.
//!
//! | command | options |
//! |---|---|
//! | `form <count or ?>` | `kafka` |
//! | `register <id> <partitions or ->` | `strict`, `if=<index>`, `ks=<keyspace>`, `svc=<service,...>`, `at=<host>`, `wants` (to be delegate), `group=<group>`, `sick=<service>` |
//! | `adopt <id> <partitions or ->` | as `register`, less `strict` and `if` |
//! | `unregister <id>` | `lease=<incarnation>`, `if=<index>` |
//! | `suspect`, `recover`, `expire`, `revive` `<id>` | `epoch=<n>`; else the epoch before this entry |
//! | `put <keyspace> <count or ?>` | `kafka`, `hold=<seconds>`, `if=<index>` |
//! | `drain`, `resume`, `offline` `<id>` | `if=<index>` |
//! | `weight <id> <weight or ->` | `if=<index>` |
//! | `service <name>` | `hold=<seconds>`, `if=<index>` |
//! | `delete-service <name>` | `if=<index>` |
//! | `observe <keyspace> <count>` | |
//! | `tick` (an entry without commands), `look` (print the state), `snapshot` (carry on from the parts) | |
//!
//! Each takes `as=<boot>/<sequence>`, its origin.

use quorate_model::{
    Address, BootId, Command, Duty, Epoch, Extras, Hold, KeyspaceName, KeyspaceSource, LeaseChange,
    LeaseEvent, LogIndex, LogTime, Origin, Partition, PartitionCount, PartitionRange, Registration,
    RegistrationParts, ServiceName, ServiceOffer, ServicePolicy, Ttl, WorkerId,
};
use quorate_state::State;
use std::{str::FromStr, time::Duration};

/// One step of a script.
pub enum Step {
    Entry { at: Option<LogTime>, commands: Vec<(Option<Origin>, Command)> },
    Look,
    Snapshot,
}

pub fn parse(line: &str, state: &State) -> Step {
    match line {
        "look" => return Step::Look,
        "snapshot" => return Step::Snapshot,
        _ => {}
    }
    let (at, rest) = match line.strip_prefix('@') {
        Some(timed) => {
            let (seconds, rest) = timed.split_once(' ').expect("`@<seconds> <commands>`");
            (Some(LogTime((number::<f64>(seconds) * 1_000.0) as u64)), rest)
        }
        None => (None, line),
    };
    let commands =
        rest.split('&').filter(|one| one.trim() != "tick").map(|one| command(one, state)).collect();
    Step::Entry { at, commands }
}

/// One command, with its origin where it names one.
pub fn command(text: &str, state: &State) -> (Option<Origin>, Command) {
    let words = Words(text.split_whitespace().collect());
    let command = match words.0[0] {
        "form" => super::form(words.count(1).map(PartitionCount::get), words.source()),
        "register" => Command::RegisterWorker {
            registration: registration(&words),
            range: if words.flag("strict") { PartitionRange::Strict } else { PartitionRange::Lenient },
            if_index: words.option("if").map(LogIndex),
        },
        "adopt" => Command::AdoptWorker { registration: registration(&words) },
        "unregister" => Command::UnregisterWorker {
            id: words.id(),
            epoch: words.option("lease").map(Epoch),
            if_index: words.option("if").map(LogIndex),
        },
        "put" => Command::PutKeyspace {
            name: keyspace(words.0[1]),
            partitions: words.count(2),
            source: words.source(),
            hold: words.hold(),
            if_index: words.option("if").map(LogIndex),
        },
        "drain" | "resume" | "offline" => Command::SetDuty {
            id: words.id(),
            duty: match words.0[0] {
                "drain" => Duty::Draining,
                "offline" => Duty::Offline,
                _ => Duty::InService,
            },
            if_index: words.option("if").map(LogIndex),
        },
        "weight" => Command::SetWeight {
            id: words.id(),
            weight: Some(words.0[2]).filter(|weight| *weight != "-").map(number),
            if_index: words.option("if").map(LogIndex),
        },
        "service" => Command::PutService {
            name: service(words.0[1]),
            policy: ServicePolicy { hold: words.hold(), ..ServicePolicy::default() },
            if_index: words.option("if").map(LogIndex),
        },
        "delete-service" => {
            Command::DeleteService { name: service(words.0[1]), if_index: words.option("if").map(LogIndex) }
        }
        "observe" => Command::ObservePartitions {
            keyspace: keyspace(words.0[1]),
            partitions: words.count(2).expect("a count"),
        },
        verb => Command::ChangeLeases(vec![lease_change(verb, &words, state)]),
    };
    let origin = words.option::<String>("as").map(|text| {
        let (boot, sequence) = text.split_once('/').expect("`as=<boot>/<sequence>`");
        Origin { boot: BootId(number(boot)), sequence: number(sequence) }
    });
    (origin, command)
}

fn lease_change(verb: &str, words: &Words, state: &State) -> LeaseChange {
    let event = match verb {
        "suspect" => LeaseEvent::Suspected,
        "recover" => LeaseEvent::Recovered,
        "expire" => LeaseEvent::Expired,
        "revive" => LeaseEvent::Revived,
        other => panic!("there is no command `{other}`"),
    };
    let standing = || state.worker(words.0[1]).expect("a known worker, or `epoch=`").epoch;
    LeaseChange { id: words.id(), epoch: words.option("epoch").map_or_else(standing, Epoch), event }
}

fn registration(words: &Words) -> Registration {
    let host = words.option::<String>("at").unwrap_or_else(|| words.0[1].to_owned());
    let address = Address::parse(&format!("http://{host}:80")).expect("a valid address");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("a valid TTL");
    let list = Some(words.0[2]).filter(|list| *list != "-");
    let partitions = list.into_iter().flat_map(|list| list.split(',')).map(|p| Partition(number(p)));
    let names = words.option::<String>("svc").unwrap_or_default();
    let names = names.split(',').filter(|name| !name.is_empty());
    let services = names.map(|name| ServiceOffer { name: service(name), version: "".into(), url: None });
    let group = words.option::<String>("group").map(|group| ("group".into(), group.into()));
    RegistrationParts {
        partitions: partitions.collect(),
        services: services.collect(),
        labels: group.into_iter().collect(),
        extras: Extras {
            wants_delegate: words.flag("wants"),
            unhealthy: words.option::<String>("sick").iter().map(|name| service(name)).collect(),
            ..Extras::default()
        }
        .boxed(),
        keyspace: keyspace(&words.option::<String>("ks").unwrap_or_else(|| "default".into())),
        ..RegistrationParts::new(words.id(), address, ttl)
    }
    .validate()
    .expect("a valid registration")
}

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).expect("a valid service")
}

fn keyspace(name: &str) -> KeyspaceName {
    KeyspaceName::parse(name).expect("a valid keyspace")
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

struct Words<'a>(Vec<&'a str>);

impl Words<'_> {
    fn id(&self) -> WorkerId {
        WorkerId::parse(self.0[1]).expect("a valid id")
    }

    fn hold(&self) -> Option<Hold> {
        let seconds = self.option("hold")?;
        Some(Hold::new(Duration::from_secs(seconds), Hold::WAITING_DEFAULT).expect("a valid hold"))
    }

    fn flag(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    fn option<T: FromStr>(&self, name: &str) -> Option<T> {
        let value = |word: &&str| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        self.0.iter().find_map(value).map(|text| number(&text))
    }

    fn count(&self, at: usize) -> Option<PartitionCount> {
        let text = Some(self.0[at]).filter(|text| *text != "?")?;
        Some(PartitionCount::new(number(text)).expect("a valid count"))
    }

    fn source(&self) -> KeyspaceSource {
        if self.flag("kafka") { KeyspaceSource::Kafka } else { KeyspaceSource::Static }
    }
}
