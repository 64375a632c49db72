use super::*;
use crate::raft::{LogId, LogRecord, Payload, Vote};
use quorate_model::{
    BootId, ClusterId, Entry, Epoch, ErrorsSeen, FeatureLevel, Heartbeat, HeartbeatOutcome, LeaseInfo, Load,
    LoadReport, LogIndex, LogTime, Milli, NodeId, NodeLevels, NodeName, Opening, RampCounted, RampSubject,
    Reply, RouteName, RoutingKey, ServiceName, Status, Ttl, WorkerId,
};
use std::{fmt::Write as _, sync::Arc, time::Duration};

const VOTE: Vote = Vote { term: 3, node: 7, committed: true };
const ID: LogId = LogId { term: 2, leader: 7, index: 41 };

fn name(text: &str) -> NodeName {
    NodeName::parse(text).expect("valid")
}

fn hello() -> Hello {
    Hello {
        cluster: Some(ClusterId(0xfeed)),
        id: NodeId(7),
        name: name("n1"),
        boot: BootId(9),
        initialized: true,
        members: vec![name("n1"), name("n2")],
        applied: LogIndex(41),
    }
}

fn beat() -> Heartbeat {
    Heartbeat { id: WorkerId::parse("w1").expect("valid"), incarnation: Some(Epoch(5)), sequence: Some(6) }
}

fn lease() -> LeaseInfo {
    LeaseInfo {
        id: WorkerId::parse("w1").expect("valid"),
        epoch: Epoch(8),
        incarnation: Epoch(5),
        ttl: Ttl::new(Duration::from_secs(30)).expect("valid"),
        status: Status::Suspect,
        remaining: Duration::from_millis(1_250),
    }
}

fn load() -> LoadReport {
    let load = Load {
        load: Milli::new(300),
        active: 5,
        gpu: Milli::ONE,
        models: vec!["m1".into(), "m2".into()],
        specialization: Some("ocr".into()),
        memory: Some("12.3GB".into()),
        unwell: None,
        unhealthy: vec![ServiceName::parse("rag").expect("valid")],
    };
    LoadReport { id: WorkerId::parse("w1").expect("valid"), ago_ms: 250, load: Arc::new(load) }
}

fn append() -> Append {
    let entry = Entry { at: LogTime(1_000), proposals: Vec::new() };
    let records = vec![
        LogRecord { term: 3, leader: 7, index: 42, payload: Payload::Blank },
        LogRecord { term: 3, leader: 7, index: 43, payload: Payload::Normal(entry) },
    ];
    Append { vote: VOTE, previous: Some(ID), records, committed: None }
}

const INTRODUCTION: Introduction = Introduction {
    from: NodeId(7),
    to: Some(NodeId(8)),
    cluster: Some(ClusterId(0xfeed)),
    nonce: [0x11; 32],
};

const CHALLENGE: Challenge = Challenge { id: NodeId(8), cluster: None, nonce: [0x22; 32] };

/// The bytes of each message of version 1. They never change: a node of this version reads them.
const GOLDEN: &str = include_str!("../../golden/v1/peer.txt");

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("hello", encode_hello(&hello())),
        ("proposed", encode_proposed(&Forwarded::Done((LogIndex(43), vec![Reply::Done])))),
        ("index", encode_index(&Forwarded::NotLeader)),
        ("heartbeats", encode_heartbeats(&[beat()])),
        (
            "outcomes",
            encode_outcomes(&Forwarded::Done(vec![
                HeartbeatOutcome::Unknown,
                HeartbeatOutcome::Replayed { last: 4 },
            ])),
        ),
        ("leases", encode_leases(&Forwarded::Done(vec![lease()]))),
        ("hand-over", encode_hand_over(Some(NodeId(7)))),
        ("append", encode_append(&append())),
        ("appended", encode_appended(&Appended::Conflict(ID))),
        ("vote-asked", encode_vote_asked(&VoteAsked { vote: VOTE, last: Some(ID), transfer: true })),
        ("vote-given", encode_vote_given(&VoteGiven { vote: VOTE, granted: true, last: None })),
        ("transfer", encode_transfer(&Transfer { from: VOTE, to: NodeId(7), last: Some(ID) })),
        ("transferred", encode_transferred(&Err("no".into()))),
        ("introduction", encode_introduction(&INTRODUCTION)),
        ("challenge", encode_challenge(&CHALLENGE)),
        ("proof", encode_proof(&[0x33; 32])),
    ]
}

#[test]
fn the_bytes_of_version_1_are_frozen() {
    let mut text = String::new();
    for (name, bytes) in samples() {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "{name} {hex}").expect("a string takes everything");
    }
    assert_eq!(text, GOLDEN);
}

#[test]
fn every_message_reads_back() {
    assert_eq!(decode_hello(&encode_hello(&hello())), Ok(hello()));
    assert_eq!(decode_append(&encode_append(&append())), Ok(append()));
    assert_eq!(decode_heartbeats(&encode_heartbeats(&[beat()])), Ok(vec![beat()]));
    let leases = Forwarded::Done(vec![lease()]);
    assert_eq!(decode_leases(&encode_leases(&leases)), Ok(leases));
    let proposed = Forwarded::Done((LogIndex(43), vec![Reply::Registered { epoch: Epoch(43) }]));
    assert_eq!(decode_proposed(&encode_proposed(&proposed)), Ok(proposed));
    for appended in [Appended::Matched(Some(ID)), Appended::HigherVote(VOTE), Appended::Failed("disk".into())]
    {
        assert_eq!(decode_appended(&encode_appended(&appended)), Ok(appended));
    }
    for index in [
        Forwarded::Done(LogIndex(1)),
        Forwarded::NotLeader,
        Forwarded::Busy,
        Forwarded::Unsure,
        Forwarded::DiskFull,
    ] {
        assert_eq!(decode_index(&encode_index(&index)), Ok(index));
    }
    assert_eq!(decode_hand_over(&encode_hand_over(None)), Ok(None));
    assert_eq!(decode_introduction(&encode_introduction(&INTRODUCTION)), Ok(INTRODUCTION));
    let nobody = Introduction { to: None, cluster: None, ..INTRODUCTION };
    assert_eq!(decode_introduction(&encode_introduction(&nobody)), Ok(nobody));
    assert_eq!(decode_challenge(&encode_challenge(&CHALLENGE)), Ok(CHALLENGE));
    assert_eq!(decode_proof(&encode_proof(&[0x33; 32])), Ok([0x33; 32]));
}

#[test]
fn what_is_cut_short_or_too_long_is_refused() {
    for (name, bytes) in samples() {
        assert!(decode_append(&bytes[..bytes.len() - 1]).is_err(), "{name}");
        assert!(decode_hello(&[&bytes[..], &[0]].concat()).is_err(), "{name} with a byte more");
    }
}

/// A message that came after the first ones, in a file of its own: theirs never changes.
#[test]
fn levels_keep_their_bytes() {
    let levels = NodeLevels { max: FeatureLevel::SECOND, cluster: FeatureLevel::FIRST };
    let bytes = encode_levels(&levels);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(format!("levels {hex}\n"), include_str!("../../golden/v1/peer-levels.txt"));
    assert_eq!(decode_levels(&bytes), Ok(levels));
    assert!(decode_levels(&[1, 0, 0, 1, 0]).is_err(), "there is no level 0");
}

#[test]
fn loads_keep_their_bytes() {
    let nothing = LoadReport { load: Arc::default(), ..load() };
    let bytes = encode_loads(&[load(), nothing.clone()]);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(format!("loads {hex}\n"), include_str!("../../golden/v1/peer-loads.txt"));
    assert_eq!(decode_loads(&bytes), Ok(vec![load(), nothing]));
    assert!(decode_loads(&bytes[..bytes.len() - 1]).is_err(), "cut short");
    let too_long = Load { specialization: Some("x".repeat(257).into()), ..Load::default() };
    let hostile = encode_loads(&[LoadReport { load: Arc::new(too_long), ..load() }]);
    assert!(decode_loads(&hostile).is_err(), "a peer is held to the same bounds as a worker");
}

#[test]
fn openings_keep_their_bytes() {
    let opening = |worker: &str, left_ms| Opening {
        service: ServiceName::parse("rag").expect("valid"),
        worker: WorkerId::parse(worker).expect("valid"),
        epoch: Epoch(8),
        left_ms,
    };
    let told = OpeningsTold { asks: false, openings: vec![opening("w1", 59_750), opening("w2", 3_600_000)] };
    let asked = OpeningsTold { asks: true, openings: Vec::new() };
    let mut text = String::new();
    for (name, message) in [("openings", &told), ("openings-asked", &asked)] {
        let bytes = encode_openings(message);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "{name} {hex}").expect("a string takes everything");
        assert_eq!(decode_openings(&bytes).as_ref(), Ok(message));
        assert!(decode_openings(&bytes[..bytes.len() - 1]).is_err(), "cut short");
    }
    assert_eq!(text, include_str!("../../golden/v1/peer-openings.txt"));
    let for_ever = OpeningsTold { openings: vec![opening("w1", 3_600_001)], ..asked };
    assert!(decode_openings(&encode_openings(&for_ever)).is_err(), "longer than any policy may say");
}

#[test]
fn what_is_said_of_full_disks_keeps_its_bytes() {
    let samples = [("full", encode_index(&Forwarded::DiskFull)), ("has-room", encode_has_room(true))];
    let mut text = String::new();
    for (name, bytes) in samples {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "{name} {hex}").expect("a string takes everything");
    }
    assert_eq!(text, include_str!("../../golden/v1/peer-room.txt"));
    for has_room in [true, false] {
        assert_eq!(decode_has_room(&encode_has_room(has_room)), Ok(has_room));
    }
    assert!(decode_has_room(&[1, 2]).is_err(), "neither yes nor no");
}

#[test]
fn what_is_asked_and_said_of_applied_indexes_keeps_its_bytes() {
    let asked = AppliedAsked { index: LogIndex(57), within: Duration::from_millis(2_000) };
    let samples =
        [("applied-asked", encode_applied_asked(&asked)), ("applied", encode_applied(LogIndex(58)))];
    let mut text = String::new();
    for (name, bytes) in &samples {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "{name} {hex}").expect("a string takes everything");
        assert!(decode_applied_asked(&bytes[..bytes.len() - 1]).is_err(), "{name} cut short");
    }
    assert_eq!(text, include_str!("../../golden/v1/peer-applied.txt"));
    assert_eq!(decode_applied_asked(&samples[0].1), Ok(asked));
    assert_eq!(decode_applied(&samples[1].1), Ok(LogIndex(58)));
}

#[test]
fn counted_ramps_keep_their_bytes() {
    let seen = |destination, failures, requests| ErrorsSeen { destination, failures, requests };
    let counted = |subject, seen| RampCounted { subject, epoch: LogIndex(33), entered: 2, seen };
    let key = RoutingKey::parse("dev-1").expect("valid");
    let message = [
        counted(
            RampSubject::Route(RouteName::parse("r").expect("valid")),
            vec![seen(0, 0, 95), seen(1, 3, 5)],
        ),
        counted(RampSubject::Rule { key, rule: 1 }, Vec::new()),
    ];
    let bytes = encode_ramps(&message);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(format!("ramps {hex}\n"), include_str!("../../golden/v1/peer-ramps.txt"));
    assert_eq!(decode_ramps(&bytes).as_deref(), Ok(&message[..]));
    assert!(decode_ramps(&bytes[..bytes.len() - 1]).is_err(), "cut short");
}
