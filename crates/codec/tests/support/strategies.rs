//! Strategies for more than one sample.

use super::*;

pub fn name_strategy() -> impl Strategy<Value = String> {
    "[a-z日é]([a-z0-9 ._/日-]{0,20}[a-z0-9])?"
}

pub fn ids() -> impl Strategy<Value = WorkerId> {
    name_strategy().prop_map(|text| worker_id(&text))
}

pub fn keyspaces() -> impl Strategy<Value = KeyspaceName> {
    name_strategy().prop_map(|text| keyspace(&text))
}

pub fn addresses() -> impl Strategy<Value = Address> {
    ("https?", "[a-z][a-z0-9-]{0,10}[a-z0-9]", option::of(1u16..), "(/[a-z]{0,4}){0,2}").prop_map(
        |(scheme, host, port, path)| {
            let port = port.map_or(String::new(), |p| format!(":{p}"));
            Address::parse(&format!("{scheme}://{host}{port}{path}")).expect("valid")
        },
    )
}

pub fn text() -> impl Strategy<Value = Box<str>> {
    "[ -~é日]{0,30}".prop_map(Into::into)
}

pub fn capabilities() -> impl Strategy<Value = Capability> {
    prop_oneof![
        any::<bool>().prop_map(Capability::Flag),
        any::<f64>()
            .prop_map(|n| Capability::Number(n.to_string().chars().take(200).collect::<String>().into())),
        text().prop_map(Capability::Text),
    ]
}

pub fn offers() -> impl Strategy<Value = ServiceOffer> {
    (name_strategy(), text(), option::of(addresses())).prop_map(|(name, version, url)| ServiceOffer {
        name: ServiceName::parse(&name).expect("valid"),
        version,
        url,
    })
}

pub fn registrations() -> impl Strategy<Value = Registration> {
    let who = (ids(), addresses(), keyspaces(), 1_000u64..86_400_000, 0u32..1_000_001);
    let what = (
        collection::vec(any::<i32>(), 0..50),
        collection::vec(offers(), 0..4),
        collection::btree_map(text(), text(), 0..4),
        collection::btree_map(text(), capabilities(), 0..4),
    );
    (who, what).prop_map(
        |((id, address, keyspace, ttl, weight), (partitions, services, labels, capabilities))| {
            RegistrationParts {
                id,
                address,
                keyspace,
                partitions: partitions.into_iter().map(Partition).collect(),
                services,
                labels: labels.into(),
                capabilities: capabilities.into(),
                ttl: Ttl::new(Duration::from_millis(ttl)).expect("valid"),
                weight,
                extras: None,
            }
            .validate()
            .expect("valid")
        },
    )
}

pub fn counts() -> impl Strategy<Value = PartitionCount> {
    (1u32..=100_000).prop_map(|n| PartitionCount::new(n).expect("valid"))
}

pub fn sources() -> impl Strategy<Value = KeyspaceSource> {
    prop_oneof![Just(KeyspaceSource::Static), Just(KeyspaceSource::Kafka)]
}

pub fn indexes() -> impl Strategy<Value = Option<LogIndex>> {
    option::of(any::<u64>().prop_map(LogIndex))
}

pub fn lease_changes() -> impl Strategy<Value = LeaseChange> {
    let events = prop_oneof![
        Just(LeaseEvent::Suspected),
        Just(LeaseEvent::Recovered),
        Just(LeaseEvent::Expired),
        Just(LeaseEvent::Revived)
    ];
    (ids(), any::<u64>(), events).prop_map(|(id, epoch, event)| LeaseChange {
        id,
        epoch: Epoch(epoch),
        event,
    })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let ranges = prop_oneof![Just(PartitionRange::Strict), Just(PartitionRange::Lenient)];
    prop_oneof![
        (any::<u128>(), option::of(counts()), sources()).prop_map(|(cluster, partitions, source)| {
            Command::FormCluster { cluster: ClusterId(cluster), partitions, source }
        }),
        (registrations(), ranges, indexes()).prop_map(|(registration, range, if_index)| {
            Command::RegisterWorker { registration, range, if_index }
        }),
        registrations().prop_map(|registration| Command::AdoptWorker { registration }),
        (ids(), option::of(any::<u64>()), indexes()).prop_map(|(id, epoch, if_index)| {
            Command::UnregisterWorker { id, epoch: epoch.map(Epoch), if_index }
        }),
        collection::vec(lease_changes(), 0..5).prop_map(Command::ChangeLeases),
        (keyspaces(), option::of(counts()), sources(), indexes()).prop_map(
            |(name, partitions, source, if_index)| {
                Command::PutKeyspace { name, partitions, source, hold: None, if_index }
            }
        ),
        (keyspaces(), counts())
            .prop_map(|(keyspace, partitions)| Command::ObservePartitions { keyspace, partitions }),
        (any::<(u64, u64)>(), name_strategy(), text(), text(), text()).prop_map(
            |((id, boot), name, peer, management, version)| {
                let name = NodeName::parse(&name).expect("valid");
                Command::DescribeNode(NodeRecord {
                    id: NodeId(id),
                    name,
                    boot: BootId(boot),
                    peer,
                    management,
                    version,
                })
            }
        ),
        later::any_command(),
        services::any_command(),
        any_traffic::any_command(),
        sandboxes::any_command(),
        past::any_command(),
        presence::any_command(),
        sessions::any_command(),
        ramps::any_command(),
        objects::any_command(),
    ]
}

pub fn any_proposal() -> impl Strategy<Value = Proposal> {
    (any::<u64>(), any::<u64>(), any_command()).prop_map(|(boot, sequence, command)| Proposal {
        origin: Origin { boot: BootId(boot), sequence },
        command,
    })
}
