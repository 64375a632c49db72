//! Reading the whole log once, before anything trusts it.

use super::shared::{LOG, LOG_END, Shared, Tail, key, log_key};
use crate::{
    convert::{log_id_from, vote_from},
    engine::Engine,
    error::OpenError,
    record::{self, ReadError, Records},
    types::{LeaderId, LogId, Vote},
    watermark::MarkFile,
};
use quorate_codec::log::{
    self, LogRecord, Watermark, decode_log, decode_log_id, decode_vote, decode_watermark,
};
use std::sync::Arc;

pub(super) fn open(engine: Arc<dyn Engine>, mark: Arc<dyn MarkFile>) -> Result<Shared, OpenError> {
    let watermark = read_watermark(&*mark)?;
    let vote = read(&*engine, key::VOTE, decode_vote)?;
    let vote = vote.map(vote_from);
    check_vote(vote, watermark.vote.map(vote_from))?;
    let purged = read(&*engine, key::PURGED, decode_log_id)?.map(log_id_from);
    if let Some(purged) = purged {
        // A purge that was interrupted after its marker.
        let end = purged.index.checked_add(1).map_or(vec![LOG_END], log_key);
        record::delete_up(&*engine, &[LOG], &end).map_err(OpenError::io("the log"))?;
    }
    // Also the commit index is checked now and not when it is needed.
    read(&*engine, key::COMMITTED, decode_log_id)?;
    let acknowledged = watermark.log.map(log_id_from);
    let Scanned { last, at_mark, bytes } = scan(&*engine, purged, acknowledged)?;
    check_end(last, at_mark, acknowledged)?;
    let tail = Tail { last, purged, vote, acknowledged, truncations: 0 };
    Ok(Shared::new(engine, mark, tail, bytes))
}

fn read_watermark(mark: &dyn MarkFile) -> Result<Watermark, OpenError> {
    match mark.read().map_err(OpenError::io("the watermark"))? {
        Some(bytes) => decode_watermark(&bytes).map_err(damaged("the watermark")),
        None => Ok(Watermark::default()),
    }
}

fn damaged<E: std::fmt::Display>(at: impl Into<String>) -> impl FnOnce(E) -> OpenError {
    let at = at.into();
    move |e| OpenError::DamagedLog { at, problem: e.to_string() }
}

fn read_failed(at: &str) -> impl FnOnce(ReadError) -> OpenError {
    let at = at.to_owned();
    move |e| match e {
        ReadError::Damaged(damage) => OpenError::DamagedLog { at, problem: damage.to_string() },
        // The engine checks its own bytes too.
        ReadError::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            OpenError::DamagedLog { at, problem: e.to_string() }
        }
        ReadError::Io(source) => OpenError::Io { what: at, source },
    }
}

fn read<T>(
    engine: &dyn Engine,
    key: &[u8],
    decode: fn(&[u8]) -> Result<T, quorate_codec::DecodeError>,
) -> Result<Option<T>, OpenError> {
    let at = String::from_utf8_lossy(key);
    let bytes = record::get(engine, key).map_err(read_failed(&at))?;
    bytes.map(|bytes| decode(&bytes)).transpose().map_err(damaged(at))
}

/// The vote may have moved on since it was marked: to a later term, or within one from a candidate to whoever was
/// elected. Votes for two candidates of one term have no order, and a node gives only one of them.
fn check_vote(stored: Option<Vote>, given: Option<Vote>) -> Result<(), OpenError> {
    let Some(given) = given else { return Ok(()) };
    if stored.is_some_and(|stored| stored >= given) {
        return Ok(());
    }
    let show = |v: Vote| {
        let LeaderId { term, voted_for } = v.leader_id;
        format!("term {term}, node {voted_for}, committed {}", v.committed)
    };
    Err(OpenError::LostVote { stored: stored.map_or("none".into(), show), given: show(given) })
}

/// What a log holds.
struct Scanned {
    /// The last record, or the last purged one.
    last: Option<LogId>,
    /// What lies where the last acknowledged record was; `None`: nothing, or it was purged.
    at_mark: Option<LogId>,
    bytes: u64,
}

/// Every record is there, whole, and where it belongs.
fn scan(engine: &dyn Engine, purged: Option<LogId>, mark: Option<LogId>) -> Result<Scanned, OpenError> {
    let mut scanned = Scanned { last: purged, at_mark: None, bytes: 0 };
    let mut records = Records::new(engine, vec![LOG], vec![LOG_END]);
    loop {
        let at = format!("record {}", scanned.last.map_or(0, |id| id.index + 1));
        let Some((key, value)) = records.read_next().map_err(read_failed(&at))? else { return Ok(scanned) };
        let id = follows(scanned.last, &key, &value, at)?;
        if mark.is_some_and(|mark| mark.index == id.index) {
            scanned.at_mark = Some(id);
        }
        scanned.bytes += value.len() as u64;
        scanned.last = Some(id);
    }
}

/// The record's id, if it is the one after `last`. Terms never fall along a log: where they do, records stand that were
/// cut off, and others follow on them.
fn follows(last: Option<LogId>, key: &[u8], value: &[u8], at: String) -> Result<LogId, OpenError> {
    let LogRecord { term, leader, index, .. } = decode_log(value).map_err(damaged(at.as_str()))?;
    if key != log_key(index) {
        return Err(OpenError::DamagedLog { at, problem: format!("it says that it is record {index}") });
    }
    // The first record of a log is number 0.
    if index != last.map_or(0, |id| id.index + 1) {
        let after = last.map_or("none".into(), |id| id.index.to_string());
        return Err(OpenError::Gap { after, found: index });
    }
    if let Some(before) = last.map(|last| last.leader_id.term).filter(|before| *before > term) {
        return Err(OpenError::DamagedLog {
            at,
            problem: format!("its term is {term}, after term {before}"),
        });
    }
    Ok(log_id_from(log::LogId { term, leader, index }))
}

fn check_end(
    last: Option<LogId>,
    at_mark: Option<LogId>,
    acknowledged: Option<LogId>,
) -> Result<(), OpenError> {
    let Some(acknowledged) = acknowledged else { return Ok(()) };
    if last.is_none_or(|last| last.index < acknowledged.index) {
        let last = last.map_or("none".into(), |id| id.index.to_string());
        return Err(OpenError::LostRecords { last, acknowledged: acknowledged.index });
    }
    match at_mark {
        Some(found) if found != acknowledged => {
            let at = format!("record {}", acknowledged.index);
            let (found, acknowledged) = (found.leader_id.term, acknowledged.leader_id.term);
            let problem =
                format!("it is of term {found}, this node has acknowledged one of term {acknowledged}");
            Err(OpenError::DamagedLog { at, problem })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_that_fell_back_or_moved_is_lost() {
        let vote = |term, node, committed| Some(vote_from(log::Vote { term, node, committed }));
        let given = vote(5, 7, false);
        let sound = [
            given,
            vote(5, 7, true),
            vote(6, 3, false),
            vote(6, 9, true),
            vote(5, 3, true),
            vote(5, 9, true),
        ];
        for stored in sound {
            assert!(check_vote(stored, given).is_ok(), "{stored:?}");
        }
        for stored in [None, vote(4, 9, true), vote(5, 3, false), vote(5, 9, false)] {
            assert!(matches!(check_vote(stored, given), Err(OpenError::LostVote { .. })), "{stored:?}");
        }
        let elected = vote(5, 7, true);
        for stored in [vote(5, 7, false), vote(5, 3, true), vote(5, 9, true)] {
            assert!(check_vote(stored, elected).is_err(), "{stored:?}");
        }
        assert!(check_vote(None, None).is_ok() && check_vote(given, None).is_ok());
        let said = check_vote(vote(4, 9, true), given).map_err(|e| e.to_string()).expect_err("older");
        assert!(said.contains("(term 4, node 9, committed true) does not follow"), "{said}");
        assert!(said.contains("gave (term 5, node 7, committed false)"), "{said}");
    }
}
