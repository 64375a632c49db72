//! Bytes of version 1 as they were when they were frozen. A difference here means that nodes of two versions no
//! longer understand each other, or their own disks: make a new version instead.
//!
//! `UPDATE_GOLDEN=1 cargo test -p quorate-codec --test golden` writes files that are not there yet; it never changes
//! one.

mod support;

use quorate_codec::{
    Identity, identity,
    log::{
        LogId, Vote, Watermark, decode_log, decode_log_id, decode_vote, decode_watermark, encode_log,
        encode_log_id, encode_vote, encode_watermark,
    },
    proposal::{decode_proposals, encode_proposals, encoded_len},
    reply::{decode_replies, encode_replies},
    snapshot,
};
use quorate_model::{ClusterId, FeatureLevel, NodeId, NodeName};
use quorate_state::Parts;
use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/v1"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut text, line| {
        line.iter().for_each(|b| write!(text, "{b:02x}").expect("valid"));
        text + "\n"
    })
}

fn check(name: &str, bytes: &[u8]) {
    check_text(&format!("{name}.hex"), &hex(bytes));
}

fn check_text(name: &str, text: &str) {
    let path = folder().join(name);
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("valid");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, golden, "{name} has other bytes than those that were frozen");
}

#[test]
fn commands_keep_their_bytes() {
    for (sequence, (name, command)) in (1..).zip(support::commands()) {
        let proposals = vec![support::proposal(sequence, command)];
        let bytes = encode_proposals(&proposals);
        check(&format!("command-{name}"), &bytes);
        assert_eq!(decode_proposals(&bytes), Ok(proposals), "{name}");
    }
}

/// No member of an older version is ever sent one.
#[test]
fn what_came_with_sandboxes_needs_the_fifth_level() {
    for (name, command) in support::sandboxes::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::FIFTH, "{name}");
    }
}

/// No member of an older version is ever sent one.
#[test]
fn what_came_with_gateways_needs_the_sixth_level() {
    for (name, command) in support::presence::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::SIXTH, "{name}");
    }
}

/// No member of an older version is ever sent one.
#[test]
fn what_came_with_objects_needs_the_sixth_level() {
    for (name, command) in support::objects::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::SIXTH, "{name}");
    }
}

/// No member of an older version is ever sent one.
#[test]
fn what_came_with_ramps_needs_the_sixth_level() {
    for (name, command) in support::ramps::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::SIXTH, "{name}");
    }
}

/// No member of an older version is ever sent one.
#[test]
fn what_came_with_users_needs_the_seventh_level() {
    for (name, command) in support::sessions::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::SEVENTH, "{name}");
    }
}

#[test]
fn going_back_needs_the_sixth_level() {
    for (name, command) in support::past::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::SIXTH, "{name}");
    }
}

/// No member of an older version is ever sent one.
#[test]
fn what_came_with_versions_needs_the_sixth_level() {
    for (name, command) in support::versions::commands() {
        assert_eq!(command.feature_level(), FeatureLevel::SIXTH, "{name}");
    }
}

#[test]
fn snapshots_with_versions_keep_their_bytes() {
    let (meta, parts) = support::versions::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-versions", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_ramps_keep_their_bytes() {
    let (meta, parts) = support::ramps::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-ramps", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
    let (meta, parts) = support::ramps::history();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-config-history-ramps", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn replies_keep_their_bytes() {
    for (name, reply) in support::replies() {
        let replies = vec![reply];
        let bytes = encode_replies(&replies);
        check(&format!("reply-{name}"), &bytes);
        assert_eq!(decode_replies(&bytes), Ok(replies), "{name}");
    }
}

#[test]
fn log_records_keep_their_bytes() {
    for (name, record) in support::records() {
        let bytes = encode_log(&record);
        check(&format!("log-{name}"), &bytes);
        assert_eq!(decode_log(&bytes), Ok(record), "{name}");
    }
}

#[test]
fn votes_log_ids_and_watermarks_keep_their_bytes() {
    let vote = Vote { term: 3, node: 7, committed: true };
    check("vote", &encode_vote(&vote));
    assert_eq!(decode_vote(&encode_vote(&vote)), Ok(vote));
    let id = LogId { term: 2, leader: 7, index: 41 };
    check("log-id", &encode_log_id(&id));
    assert_eq!(decode_log_id(&encode_log_id(&id)), Ok(id));
    let mark = Watermark { log: Some(id), vote: Some(vote) };
    check("watermark", &encode_watermark(&mark));
    assert_eq!(decode_watermark(&encode_watermark(&mark)), Ok(mark));
}

#[test]
fn snapshots_keep_their_bytes() {
    let (meta, parts) = support::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot", &bytes);
    // The same bytes as people read them; a reviewer sees here which name changed.
    let text: String =
        String::from_utf8_lossy(&bytes).chars().map(|c| if c.is_control() { '.' } else { c }).collect();
    check_text("snapshot.txt", &text.replace('{', "{\n").replace("},", "},\n"));
    assert_eq!(snapshot::decode(&bytes), Ok((meta.clone(), parts)));
    assert_eq!(snapshot::verify(&bytes[..]).expect("sound"), meta);
}

#[test]
fn snapshots_in_the_middle_of_a_restore_keep_their_bytes() {
    let (meta, parts) = support::later_snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-restoring", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_services_keep_their_bytes() {
    let (meta, parts) = support::services::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-services", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_routes_keep_their_bytes() {
    let (meta, parts) = support::traffic::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-routes", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_sandboxes_keep_their_bytes() {
    let (meta, parts) = support::sandboxes::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-sandboxes", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_a_history_keep_their_bytes() {
    let (meta, parts) = support::past::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-config-history", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_tunnels_keep_their_bytes() {
    let (meta, parts) = support::presence::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-tunnels", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_users_keep_their_bytes() {
    let (meta, parts) = support::sessions::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-sessions", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn snapshots_with_objects_keep_their_bytes() {
    let (meta, parts) = support::objects::snapshot();
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-objects", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn a_snapshot_of_a_later_level_says_so_in_a_section_that_must_be_understood() {
    let (meta, parts) = support::snapshot();
    let first = snapshot::encode(&meta, &parts);
    let parts = Parts { level: FeatureLevel::SECOND, workers: Vec::new(), windows: Vec::new(), ..parts };
    let bytes = snapshot::encode(&meta, &parts);
    check("snapshot-level-2", &bytes);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
    assert_eq!(
        snapshot::decode(&first).map(|(_, parts)| parts.level),
        Ok(FeatureLevel::FIRST),
        "old ones have none"
    );
}

#[test]
fn identities_keep_their_bytes() {
    let name = NodeName::parse("n1").expect("valid");
    let level = FeatureLevel::FIRST;
    let identity = Identity { name, id: NodeId(0xfeed), cluster: Some(ClusterId(7)), level };
    let bytes = identity::encode(&identity);
    check_text("identity.json", std::str::from_utf8(&bytes).expect("valid"));
    assert_eq!(identity::decode(&bytes), Ok(identity));
}

#[test]
fn a_proposal_is_as_long_as_announced() {
    let empty = encode_proposals(&[]).len();
    for (_, command) in support::commands() {
        let proposal = support::proposal(1, command);
        assert_eq!(encode_proposals(std::slice::from_ref(&proposal)).len() - empty, encoded_len(&proposal));
    }
}

#[test]
fn no_golden_file_is_orphaned() {
    let mut expected: BTreeSet<String> = [
        "vote",
        "log-id",
        "watermark",
        "snapshot",
        "snapshot-level-2",
        "snapshot-restoring",
        "snapshot-services",
        "snapshot-routes",
        "snapshot-sandboxes",
        "snapshot-config-history",
        "snapshot-config-history-ramps",
        "snapshot-tunnels",
        "snapshot-ramps",
        "snapshot-objects",
        "snapshot-sessions",
        "snapshot-versions",
    ]
    .map(|n| format!("{n}.hex"))
    .into();
    expected.extend(["snapshot.txt", "identity.json"].map(String::from));
    expected.extend(support::commands().iter().map(|(n, _)| format!("command-{n}.hex")));
    expected.extend(support::replies().iter().map(|(n, _)| format!("reply-{n}.hex")));
    expected.extend(support::records().iter().map(|(n, _)| format!("log-{n}.hex")));
    let found: BTreeSet<String> = fs::read_dir(folder())
        .expect("valid")
        .map(|e| e.expect("valid").file_name().into_string().expect("valid"))
        .filter(|n| !n.starts_with("peer"))
        .collect();
    assert_eq!(found, expected);
}
