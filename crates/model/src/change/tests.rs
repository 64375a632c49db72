use super::*;
use crate::{
    name::NodeName,
    number::{BootId, Epoch, LogTime, NodeId, Ttl},
    service::{Extras, Intent},
    worker::{Lifecycle, RegistrationParts, ServiceOffer},
};
use std::time::Duration;

#[test]
fn the_last_change_of_an_entry_is_named_by_its_index_alone() {
    let shown = |nth, count| Position::of(LogIndex(57), nth, count).to_string();
    assert_eq!(shown(0, 1), "57");
    assert_eq!([shown(0, 3), shown(1, 3), shown(2, 3)], ["57.0", "57.1", "57"]);
}

#[test]
fn positions_are_ordered_as_told_and_read_back() {
    let at = |nth| Position::of(LogIndex(57), nth, 3);
    let ordered = [Position::end_of(LogIndex(56)), at(0), at(1), at(2), Position::of(LogIndex(58), 0, 2)];
    assert!(ordered.is_sorted() && at(2) == Position::end_of(LogIndex(57)), "{ordered:?}");
    for position in ordered {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    for bad in ["", "x", "+5", "-1", "5.", ".5", "5.x", "5.1.2", "99999999999999999999", "5.4294967296"] {
        assert!(bad.parse::<Position>().is_err(), "{bad}");
    }
}

/// Scenario: ten thousand workers describe themselves with long texts, and flap. What the history keeps of them
/// must be within its bound, whichever field the texts are in.
#[test]
fn a_change_weighs_at_least_as_much_as_the_texts_that_it_keeps() {
    const LONG: usize = 250;
    let text = || Box::<str>::from("x".repeat(LONG));
    let address = |host: &str| Address::parse(&format!("http://{host}/{}", text())).expect("valid");
    let name = |name: &str| ServiceName::parse(name).expect("valid");
    let parts = || {
        RegistrationParts::new(
            WorkerId::parse("w1").expect("valid"),
            Address::parse("http://h:1").expect("valid"),
            Ttl::new(Duration::from_secs(30)).expect("valid"),
        )
    };
    let weight = |parts: RegistrationParts| {
        let record = Arc::new(Worker {
            registration: Arc::new(parts.validate().expect("valid")),
            lost: Vec::new(),
            epoch: Epoch(1),
            incarnation: Epoch(1),
            registered_at: LogTime(0),
            lifecycle: Lifecycle::Live,
            intent: Intent::default(),
            changed: LogIndex(1),
        });
        What::Worker { record, count: None, how: WorkerChange::Registered }.weight()
    };
    let offer = |version, url| vec![ServiceOffer { name: name("upload"), version, url }];
    let plain = weight(parts());
    let with_service = weight(RegistrationParts { services: offer("".into(), None), ..parts() });
    let tunnel = Extras { tunnel: Some(address("t")), ..Extras::default() };
    let pair = |fact| [(Box::from("k"), fact)].into_iter().collect();
    let longer = [
        (plain, RegistrationParts { address: address("h"), ..parts() }),
        (plain, RegistrationParts { extras: tunnel.boxed(), ..parts() }),
        (plain, RegistrationParts { labels: [("k".into(), text())].into_iter().collect(), ..parts() }),
        (plain, RegistrationParts { capabilities: pair(Capability::Text(text())), ..parts() }),
        (with_service, RegistrationParts { services: offer("".into(), Some(address("s"))), ..parts() }),
    ];
    for (nth, (before, parts)) in longer.into_iter().enumerate() {
        assert!(weight(parts) >= before + LONG - 20, "number {nth}");
    }
    let version = "1".repeat(60).into_boxed_str();
    let versioned = weight(RegistrationParts { services: offer(version, None), ..parts() });
    assert_eq!(versioned, with_service + 60);
    let node = |version: &str| NodeRecord {
        id: NodeId(1),
        name: NodeName::parse("n1").expect("valid"),
        boot: BootId(1),
        peer: "h:1".into(),
        management: "h:2".into(),
        version: version.into(),
    };
    let weight = |version| What::Node(Arc::new(node(version))).weight();
    assert_eq!(weight("1.0"), weight("") + 3);
}
