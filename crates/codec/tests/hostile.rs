//! Bytes that no encoder wrote: an error each time, never a panic, never another value.

mod support;

use proptest::{collection, prelude::*};
use quorate_codec::{
    DecodeError, identity,
    log::{decode_log, decode_log_id, decode_vote, decode_watermark, encode_log},
    peer,
    proposal::{decode_proposals, encode_proposals},
    reply::{decode_replies, encode_replies},
    snapshot,
};
use quorate_model::Proposal;

type Decoder = fn(&[u8]) -> bool;

/// Every decoder; whether it took the bytes.
fn decoders() -> Vec<(&'static str, Decoder)> {
    vec![
        ("log", |b| decode_log(b).is_ok()),
        ("log id", |b| decode_log_id(b).is_ok()),
        ("vote", |b| decode_vote(b).is_ok()),
        ("watermark", |b| decode_watermark(b).is_ok()),
        ("proposals", |b| decode_proposals(b).is_ok()),
        ("replies", |b| decode_replies(b).is_ok()),
        ("snapshot", |b| snapshot::decode(b).is_ok()),
        ("snapshot head", |b| snapshot::verify(b).is_ok()),
        ("identity", |b| identity::decode(b).is_ok()),
        ("introduction", |b| peer::decode_introduction(b).is_ok()),
        ("challenge", |b| peer::decode_challenge(b).is_ok()),
        ("proof", |b| peer::decode_proof(b).is_ok()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn random_bytes_never_panic(bytes in collection::vec(any::<u8>(), 0..300)) {
        for (_, decode) in decoders() {
            decode(&bytes);
            decode(&[&[1], &bytes[..]].concat());
        }
    }

    #[test]
    fn changed_bytes_never_panic(at: prop::sample::Index, value: u8) {
        for (_, record) in support::records() {
            let mut bytes = encode_log(&record);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = decode_log(&bytes);
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    let (meta, parts) = support::snapshot();
    let mut samples = vec![snapshot::encode(&meta, &parts)];
    samples.extend(support::records().iter().map(|(_, r)| encode_log(r)));
    samples
        .extend(support::commands().into_iter().map(|(_, c)| encode_proposals(&[support::proposal(1, c)])));
    samples.extend(support::replies().into_iter().map(|(_, r)| encode_replies(&[r])));
    let all = |bytes: &[u8]| decoders().iter().map(|(_, decode)| decode(bytes)).collect::<Vec<_>>();
    for whole in samples {
        let own = all(&whole).iter().position(|ok| *ok).expect("the whole is readable");
        for length in 0..whole.len() {
            assert!(!all(&whole[..length])[own], "{} of {} bytes", length, whole.len());
        }
        assert!(!all(&[&whole[..], &[0]].concat())[own], "with a byte behind it");
    }
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_noticed() {
    let (meta, mut parts) = support::snapshot();
    parts.workers.truncate(1);
    parts.windows.clear();
    let whole = snapshot::encode(&meta, &parts);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            assert!(snapshot::decode(&bytes).is_err(), "bit {bit} of byte {at}");
            assert!(snapshot::verify(&bytes[..]).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn an_unknown_version_is_named() {
    for (_, record) in support::records() {
        let mut bytes = encode_log(&record);
        bytes[0] = 9;
        let wanted = DecodeError::UnknownVersion { what: "a log record", got: 9, known: 1 };
        assert_eq!(decode_log(&bytes), Err(wanted));
    }
    assert_eq!(decode_log(&[]), Err(DecodeError::Empty { what: "a log record" }));
}

#[test]
fn a_value_that_the_model_refuses_is_refused_here() {
    let (_, command) = support::commands().swap_remove(3);
    let good = encode_proposals(&[support::proposal(1, command)]);
    let at = good.windows(2).position(|w| w == b"w1").expect("valid");
    let mut bad = good;
    bad[at] = b'\n';
    assert!(
        matches!(decode_proposals(&bad), Err(DecodeError::Invalid { source, .. }) if source.field == "id")
    );
}

/// An entry whose text `from` is `to` now, of the same length.
fn changed(name: &str, from: &str, to: &str) -> Result<Vec<Proposal>, DecodeError> {
    assert_eq!(from.len(), to.len(), "lengths stand before the text");
    let (_, command) = support::commands().into_iter().find(|(n, _)| *n == name).expect("a sample");
    let mut bytes = encode_proposals(&[support::proposal(1, command)]);
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("it is there");
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    decode_proposals(&bytes)
}

/// A field that came later must not be dropped in silence by a node that does not know it.
#[test]
fn a_document_with_an_unknown_field_is_refused_wherever_it_stands() {
    for (name, from, to, field) in [
        ("put-route", "\"sticky\"", "\"sticki\"", "route"),
        ("put-route", "\"budget_percent\"", "\"budget_percenT\"", "route"),
        ("put-route", "\"per_million\"", "\"pro_million\"", "route"),
        ("put-route", "\"allow_credentials\"", "\"allow_credentialS\"", "route"),
        ("put-route", "\"remove\"", "\"revove\"", "route"),
        ("put-route", "\"consistent_hash\"", "\"inconstant_hash\"", "route"),
        ("put-route", "\"protocol\"", "\"protokol\"", "route"),
        ("put-route-redirect", "\"port\"", "\"part\"", "route"),
        ("put-service-traffic", "\"panic_percent\"", "\"havoc_percent\"", "policy"),
        ("put-service-traffic", "\"shared\"", "\"sharde\"", "policy"),
        ("put-service-traffic", "\"waiting_max\"", "\"waiting_min\"", "policy"),
        ("put-service-traffic", "\"prefer_zone\"", "\"prefer_zome\"", "policy"),
        ("configure", "\"priority\"", "\"priorita\"", "config"),
        ("configure", "\"keyspaces\"", "\"keyspacez\"", "config"),
        ("restore-routes", "\"action\"", "\"oction\"", "route"),
        ("restore-begin-traffic", "\"traffic\"", "\"trafiic\"", "policy"),
    ] {
        match changed(name, from, to) {
            Err(DecodeError::Invalid { source, .. }) => {
                assert_eq!(source.field, field, "{from}: {source}");
                assert!(source.problem.contains("unknown"), "{from}: {source}");
            }
            other => panic!("{from} in {name}: {other:?}"),
        }
    }
}

/// Read from a disk or from the network, a document is as valid as from the API.
#[test]
fn a_document_that_the_model_refuses_is_refused_here() {
    for (name, from, to, field) in [
        ("put-route", "/v1", "v1/", "match.path_prefix"),
        ("put-route", "*.example.com", "*.example:com", "match.host"),
        ("put-route", "gold|silver", "gold|silve(", "match.headers"),
        ("put-route", "\"on\":[502", "\"on\":[202", "retries.on[0]"),
        ("put-route", "x-env", "te\\u0", "route"),
        ("put-route", "server", "expect", "request_headers"),
        ("put-route", "\"priority\":-7", "\"priority\":x7", "route"),
        ("put-route-redirect", "308", "304", "redirect.status"),
        ("put-service-traffic", "\"healthy\":1", "\"healthy\":0", "health.healthy"),
        ("put-service-traffic", "\"path_segment\":2", "\"path_segment\":0", "path_segment"),
        ("configure", "\"partitions\":12", "\"partitions\":00", "config"),
        ("configure", "\"gone\"", "\" one\"", "name"),
        ("restore-routes", "pkg.Greeter", "pkg/Greeter", "match.grpc_service"),
    ] {
        match changed(name, from, to) {
            Err(DecodeError::Invalid { source, .. }) => assert_eq!(source.field, field, "{to}: {source}"),
            other => panic!("{to} in {name}: {other:?}"),
        }
    }
}

#[test]
fn a_snapshot_with_routes_is_whole_or_refused() {
    let (meta, parts) = support::traffic::snapshot();
    let whole = snapshot::encode(&meta, &parts);
    // Each section has its checksum, so a few cuts of each say as much as all.
    for length in (0..whole.len()).step_by(31) {
        assert!(snapshot::decode(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_length_that_promises_gigabytes_is_refused_at_once() {
    // A list of 2^60 proposals, in 9 bytes.
    let bomb = [&[1][..], &(1u64 << 60).to_le_bytes()].concat();
    assert!(matches!(decode_proposals(&bomb), Err(DecodeError::Malformed { .. })));
    assert!(matches!(decode_replies(&bomb), Err(DecodeError::Malformed { .. })));
}
