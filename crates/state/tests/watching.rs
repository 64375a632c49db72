//! What watchers are told of entries, and the bounded history of it.

mod support;

use quorate_model::{
    Change, Command, Epoch, FeatureLevel, Kind, LogIndex, Position, SessionsChanged, What, WorkerChange,
};
use quorate_state::{Forgotten, History, Since, history::Bounds};
use support::{Scene, script};

/// Each entry of the script with its changes.
fn told(scene: &mut Scene, script: &str) -> Vec<Change> {
    let mut all = Vec::new();
    for entry in script.split(';') {
        let script::Step::Entry { at, commands } = script::parse(entry.trim(), &scene.state) else {
            panic!("{entry} is no entry")
        };
        scene.at = at.unwrap_or(scene.at);
        let events = scene.apply(commands).events;
        all.extend(scene.state.changes(&events));
    }
    all
}

fn shown(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| {
            let (position, name) = (change.position, change.what.name().to_owned());
            match &change.what {
                What::Worker { record, how, .. } => {
                    let how = match how {
                        WorkerChange::Registered => "registered".into(),
                        WorkerChange::Status { from, to } => format!("{}>{}", from.as_str(), to.as_str()),
                        WorkerChange::Intent => record.intent.duty.as_str().into(),
                        WorkerChange::Lost { to, count } => format!("lost {count} to {to}"),
                    };
                    let partitions = &record.registration.partitions;
                    let held: Vec<_> = partitions.iter().map(ToString::to_string).collect();
                    format!("{position} {name} {how} [{}] {}", held.join(","), record.status().as_str())
                }
                What::Keyspace(keyspace) => {
                    format!("{position} {name} {:?}", keyspace.partitions.map(|c| c.get()))
                }
                other => format!("{position} {name} {:?}", other.kind()),
            }
        })
        .collect()
}

#[test]
fn changes_carry_the_record_as_it_stood_after_their_entry() {
    let mut scene = Scene::formed();
    let changes = told(&mut scene, "register a 0,1; register b 1; register c 0 & unregister b");
    assert_eq!(
        shown(&changes),
        [
            "2 a registered [0,1] live",
            "3.0 a lost 1 to b [0] live",
            "3 b registered [1] live",
            "4.0 a lost 1 to c [] departed",
            "4.1 a live>departed [] departed",
            "4.2 c registered [0] live",
            "4 b live>departed [] departed",
        ]
    );
}

/// Scenario: a worker that was drained and said goodbye was told as `removed` again when an operator resumed it, and
/// once more when its record ended. Cause: whatever was told of a record that watchers can't see was told as its end.
#[test]
fn who_has_departed_is_removed_once() {
    let mut scene = at_fourth();
    let changes = told(
        &mut scene,
        "register a 0; drain a; @1 unregister a; resume a; @62 tick; register b 0; @63 expire b; @90000 tick; \
         register c 0; drain c & unregister c",
    );
    assert_eq!(
        shown(&changes),
        [
            "3 a registered [0] live",
            "4 a draining [0] live",
            "5 a live>departed [] departed",
            "8 b registered [0] live",
            "9 b live>expired [0] expired",
            "10 b Some(Worker)",
            "11 c registered [0] live",
            "12 c live>departed [] departed",
        ]
    );
}

/// Scenario: while a cluster is upgraded, a watcher goes on at a node of the other version. Cause: the newer one left
/// changes out that the older one counts, so one position stood for two different changes.
#[test]
fn positions_are_those_of_the_version_before_until_no_member_is_of_it() {
    let script =
        "register a 0; drain a & unregister a; resume a; register b 1; drain b; unregister b & resume b";
    let mut scene = Scene::formed();
    assert_eq!(
        shown(&told(&mut scene, script)),
        [
            "2 a registered [0] live",
            "3.0 a draining [] departed",
            "3 a live>departed [] departed",
            "4 a in_service [] departed",
            "5 b registered [1] live",
            "6 b draining [1] live",
            "7.0 b live>departed [] departed",
            "7 b in_service [] departed",
        ]
    );
    // The last one that is told stands at its entry's end, whatever came behind it.
    assert_eq!(
        shown(&told(&mut at_fourth(), script)),
        [
            "3 a registered [0] live",
            "4 a live>departed [] departed",
            "6 b registered [1] live",
            "7 b draining [1] live",
            "8 b live>departed [] departed",
        ]
    );
}

/// A cluster all of whose members can what the fourth level has.
fn at_fourth() -> Scene {
    let mut scene = Scene::formed();
    scene.apply(vec![(None, Command::RaiseLevel { to: FeatureLevel::FOURTH })]);
    scene
}

#[test]
fn what_operators_decide_and_who_is_delegate_are_changes() {
    let mut scene = Scene::formed();
    let changes = told(
        &mut scene,
        "register a - svc=upload wants; drain a; service upload hold=3; delete-service upload",
    );
    assert_eq!(
        shown(&changes),
        [
            "2.0 a registered [] live",
            "2 default Some(Delegate)",
            "3.0 a draining [] live",
            "3 default Some(Delegate)",
            "4 upload Some(Service)",
            "5 upload Some(Service)",
        ]
    );
    let delegates = changes.iter().filter_map(|change| match &change.what {
        What::Delegate { delegate, .. } => Some(delegate.as_ref().map(|d| d.worker.to_string())),
        _ => None,
    });
    assert_eq!(delegates.collect::<Vec<_>>(), [Some("a".to_owned()), None]);
}

fn change(index: u64, nth: usize, count: usize) -> Change {
    let position = Position::of(LogIndex(index), nth, count);
    Change { position, what: What::Level(quorate_model::FeatureLevel::FIRST) }
}

fn small() -> History {
    let bounds = Bounds { changes: 4, bytes: usize::MAX };
    History::new(bounds, bounds)
}

fn positions(since: Result<Since, Forgotten>) -> (Vec<String>, String) {
    let since = since.expect("still there");
    (since.changes.iter().map(|c| c.position.to_string()).collect(), since.upto.to_string())
}

#[test]
fn whoever_resumes_within_an_entry_gets_the_rest_of_it() {
    let mut history = small();
    history.push(vec![change(5, 0, 3), change(5, 1, 3), change(5, 2, 3), change(7, 0, 1)], LogIndex(9));
    let after = |text: &str| positions(history.after(text.parse().expect("a position"), 10));
    assert_eq!(after("4"), (["5.0", "5.1", "5", "7"].map(String::from).into(), "9".into()));
    assert_eq!(after("5.0"), (["5.1", "5", "7"].map(String::from).into(), "9".into()));
    assert_eq!(after("5"), (vec!["7".into()], "9".into()));
    assert_eq!(after("9"), (vec![], "9".into()));
    // A node that lags behind what the watcher has seen elsewhere tells nothing twice.
    assert_eq!(after("12"), (vec![], "12".into()));
    let part = positions(history.after(Position::end_of(LogIndex(4)), 2));
    assert_eq!(part, (vec!["5.0".into(), "5.1".into()], "5.1".into()), "only as far as it was told");
    assert_eq!(positions(history.after(Position::end_of(LogIndex(4)), 0)), (vec![], "4".into()));
}

#[test]
fn what_was_forgotten_is_refused_and_never_skipped() {
    let mut history = small();
    history.push((1..=6).map(|i| change(i, 0, 1)).collect(), LogIndex(6));
    assert_eq!(
        history.after(Position::end_of(LogIndex(1)), 9),
        Err(Forgotten { floor: Position::end_of(LogIndex(2)) })
    );
    assert_eq!(positions(history.after(Position::end_of(LogIndex(2)), 9)).0, ["3", "4", "5", "6"]);
    // A snapshot takes the place of the state: what lies between is not known.
    history.replace(LogIndex(20));
    assert!(history.after(Position::end_of(LogIndex(19)), 9).is_err());
    assert_eq!(positions(history.after(Position::end_of(LogIndex(20)), 9)), (vec![], "20".into()));
    // So is a backup that was restored, whatever else its entry did.
    let replaced = Change { position: Position::of(LogIndex(22), 0, 2), what: What::Replaced };
    history.push(vec![change(21, 0, 1), replaced], LogIndex(22));
    assert!(history.after(Position::end_of(LogIndex(21)), 9).is_err());
    assert!(history.after(Position::end_of(LogIndex(22)), 9).is_ok());
}

/// Users who came and went in the entry at `index`.
fn logins(index: u64, nth: usize, count: usize) -> Change {
    let changed = SessionsChanged { gateway: Epoch(1), opened: [].into(), closed: [].into() };
    Change { position: Position::of(LogIndex(index), nth, count), what: What::Presence(changed) }
}

/// Scenario: many users log in at once, and whoever watches services has to read all of them anew. Cause: both shared one
/// bounded list, and there are more logins in a second than changes of services in a day.
#[test]
fn a_storm_of_logins_pushes_out_nothing_but_logins() {
    let mut history = small();
    history.push(vec![logins(2, 0, 2), change(2, 1, 2), change(3, 0, 1)], LogIndex(3));
    history.push((4..=40).map(|index| logins(index, 0, 1)).collect(), LogIndex(40));
    history.push(vec![logins(41, 0, 3), change(41, 1, 3), logins(41, 2, 3)], LogIndex(41));
    let about = |kinds: Option<&[Kind]>, text: &str, max| {
        let at: Position = text.parse().expect("a position");
        history.about(kinds, at, max).map(|since| positions(Ok(since))).map_err(|gone| gone.floor.to_string())
    };
    let known = |positions: &[&str], upto: &str| {
        Ok((positions.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), upto.to_owned()))
    };
    let others = [Kind::Level, Kind::Worker];
    assert_eq!(
        about(Some(&others), "1", 9),
        known(&["2", "3", "41.1"], "41"),
        "all of it, under the same ids"
    );
    assert_eq!(about(Some(&others), "2", 1), known(&["3"], "3"));
    // Whoever wants to hear of logins has lost some, alone or beside others.
    for kinds in [None, Some(&[Kind::Presence][..]), Some(&[Kind::Level, Kind::Presence][..])] {
        assert_eq!(about(kinds, "37", 9), Err("38".to_owned()), "{kinds:?}");
    }
    assert_eq!(about(Some(&[Kind::Presence]), "38", 9), known(&["39", "40", "41.0", "41"], "41"));
    assert_eq!(about(None, "38", 9), known(&["39", "40", "41.0", "41.1", "41"], "41"), "in one order");
    assert_eq!(about(None, "38", 4), known(&["39", "40", "41.0", "41.1"], "41.1"), "a part of it");
    assert_eq!(about(Some(&[]), "1", 9), known(&[], "41"), "nothing was asked for, nothing is missing");
}

/// The other way round nobody who watches users alone has to begin anew for what happens to records.
#[test]
fn records_push_out_no_logins() {
    let mut history = small();
    history.push(vec![logins(2, 0, 1)], LogIndex(2));
    history.push((3..=40).map(|index| change(index, 0, 1)).collect(), LogIndex(40));
    let told = history.about(Some(&[Kind::Presence]), Position::end_of(LogIndex(1)), 9);
    assert_eq!(positions(told), (vec!["2".into()], "40".into()));
    assert!(history.after(Position::end_of(LogIndex(1)), 9).is_err());
    history.replace(LogIndex(50));
    assert!(history.about(Some(&[Kind::Presence]), Position::end_of(LogIndex(49)), 9).is_err());
}

#[test]
fn memory_is_bounded_in_bytes_too() {
    let mut scene = Scene::formed();
    let bounds = Bounds { changes: 1_000, bytes: 4_000 };
    let mut history = History::new(bounds, bounds);
    for _ in 0..50 {
        let changes = told(&mut scene, "register a 0,1");
        history.push(changes, scene.state.index());
    }
    let last = Position::end_of(LogIndex(scene.state.index().0 - 5));
    assert!(history.after(Position::end_of(LogIndex(1)), 100).is_err(), "the oldest are gone");
    assert_eq!(positions(history.after(last, 100)).0.len(), 5, "the newest are there");
}

#[test]
fn each_kind_remembers_where_it_changed_last() {
    let mut scene = Scene::formed();
    let mut history = small();
    history.push(told(&mut scene, "register a 0"), scene.state.index());
    assert_eq!(history.changed(&[Kind::Worker]), LogIndex(2));
    assert_eq!(history.changed(&[Kind::Keyspace]), LogIndex(0));
    assert_eq!(history.changed(&Kind::ALL), LogIndex(2));
    history.replace(LogIndex(30));
    assert_eq!(history.changed(&[Kind::Keyspace]), LogIndex(30), "it may have changed until then");
}
