use super::*;
use expect_test::expect;

const SETTINGS: Settings = Settings { failures: 5, open_ms: 60_000, successes: 2, trials: 1 };
/// What every state of the table is entered at.
const NOW: u64 = 1_000_000;

/// Each state as it comes about, not as it could be written down; and whether a request is under way in it.
fn states() -> Vec<(&'static str, Breaker, bool)> {
    let fresh = Breaker::default();
    let failed = |times: u32, at: u64| {
        let mut breaker = fresh;
        (0..times).for_each(|_| _ = breaker.ended(&SETTINGS, (Pass { turn: 0 }, Ended::Failure), at));
        breaker
    };
    let trying = |at: u64| {
        let mut breaker = failed(5, at - 60_000);
        breaker.admit(&SETTINGS, at).expect("due");
        breaker
    };
    let tried = |how| {
        let mut breaker = trying(NOW);
        breaker.ended(&SETTINGS, (Pass { turn: breaker.turn }, how), NOW);
        breaker
    };
    let mut trying_again = tried(Ended::Success);
    trying_again.admit(&SETTINGS, NOW).expect("free");
    vec![
        ("closed", fresh, true),
        ("closed, 4 failures", failed(4, NOW), true),
        ("open", failed(5, NOW), false),
        ("open, over", failed(5, NOW - 60_000), false),
        ("half-open, trial out", trying(NOW), true),
        ("half-open, 1 success", tried(Ended::Success), false),
        ("half-open, 1 success, trial out", trying_again, true),
        ("half-open, trial void", tried(Ended::Unknown), false),
        ("half-open, trial lost", trying(NOW - 60_000), true),
    ]
}

fn show(state: State) -> String {
    match state {
        State::Closed { failures } => format!("closed, {failures} failures"),
        State::Open { until_ms } => format!("open until {until_ms}"),
        State::HalfOpen { trials, successes, until_ms } => {
            format!("half-open, {trials} out, {successes} well, until {until_ms}")
        }
    }
}

/// One event on a breaker: what came of it.
fn happen(event: &str, breaker: &mut Breaker, is_under_way: bool) -> String {
    let (own, old) = (Pass { turn: breaker.turn }, Pass { turn: breaker.turn.wrapping_sub(1) });
    let ended = |breaker: &mut Breaker, pass: Option<Pass>, how| match pass {
        Some(pass) => match breaker.ended(&SETTINGS, (pass, how), NOW) {
            Some(change) => format!("{change:?}"),
            None => "-".into(),
        },
        None => "can't be".into(),
    };
    let own = is_under_way.then_some(own);
    match event {
        "request" => match breaker.admit(&SETTINGS, NOW) {
            Some((_, Some(change))) => format!("through, {change:?}"),
            Some((_, None)) => "through".into(),
            None => "refused".into(),
        },
        "success" => ended(breaker, own, Ended::Success),
        "failure" => ended(breaker, own, Ended::Failure),
        "unknown" => ended(breaker, own, Ended::Unknown),
        "late success" => ended(breaker, Some(old), Ended::Success),
        "late failure" => ended(breaker, Some(old), Ended::Failure),
        _ => breaker.told_open(&SETTINGS, 60_000, NOW).map_or("-".into(), |change| format!("{change:?}")),
    }
}

#[test]
fn the_whole_table() {
    let mut table = String::new();
    let events = ["request", "success", "failure", "unknown", "late success", "late failure", "told open"];
    for (name, before, is_under_way) in states() {
        for event in events {
            let mut breaker = before;
            let lets_through = breaker.lets_through(&SETTINGS, NOW);
            let came = happen(event, &mut breaker, is_under_way);
            if event == "request" {
                assert_eq!(
                    came.starts_with("through"),
                    lets_through,
                    "{name}: the question and the act agree"
                );
            }
            table += &format!("{name}: {event}: {came} => {}\n", show(breaker.state()));
        }
    }
    expected().assert_eq(&table);
}

fn expected() -> expect_test::Expect {
    expect![[r#"
        closed: request: through => closed, 0 failures
        closed: success: - => closed, 0 failures
        closed: failure: - => closed, 1 failures
        closed: unknown: - => closed, 0 failures
        closed: late success: - => closed, 0 failures
        closed: late failure: - => closed, 0 failures
        closed: told open: Opened => open until 1060000
        closed, 4 failures: request: through => closed, 4 failures
        closed, 4 failures: success: - => closed, 0 failures
        closed, 4 failures: failure: Opened => open until 1060000
        closed, 4 failures: unknown: - => closed, 4 failures
        closed, 4 failures: late success: - => closed, 4 failures
        closed, 4 failures: late failure: - => closed, 4 failures
        closed, 4 failures: told open: Opened => open until 1060000
        open: request: refused => open until 1060000
        open: success: can't be => open until 1060000
        open: failure: can't be => open until 1060000
        open: unknown: can't be => open until 1060000
        open: late success: - => open until 1060000
        open: late failure: - => open until 1060000
        open: told open: - => open until 1060000
        open, over: request: through, HalfOpened => half-open, 1 out, 0 well, until 1060000
        open, over: success: can't be => open until 1000000
        open, over: failure: can't be => open until 1000000
        open, over: unknown: can't be => open until 1000000
        open, over: late success: - => open until 1000000
        open, over: late failure: - => open until 1000000
        open, over: told open: - => open until 1000000
        half-open, trial out: request: refused => half-open, 1 out, 0 well, until 1060000
        half-open, trial out: success: - => half-open, 0 out, 1 well, until 1060000
        half-open, trial out: failure: Opened => open until 1060000
        half-open, trial out: unknown: - => half-open, 0 out, 0 well, until 1060000
        half-open, trial out: late success: - => half-open, 1 out, 0 well, until 1060000
        half-open, trial out: late failure: - => half-open, 1 out, 0 well, until 1060000
        half-open, trial out: told open: - => half-open, 1 out, 0 well, until 1060000
        half-open, 1 success: request: through => half-open, 1 out, 1 well, until 1060000
        half-open, 1 success: success: can't be => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success: failure: can't be => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success: unknown: can't be => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success: late success: - => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success: late failure: - => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success: told open: - => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success, trial out: request: refused => half-open, 1 out, 1 well, until 1060000
        half-open, 1 success, trial out: success: Closed => closed, 0 failures
        half-open, 1 success, trial out: failure: Opened => open until 1060000
        half-open, 1 success, trial out: unknown: - => half-open, 0 out, 1 well, until 1060000
        half-open, 1 success, trial out: late success: - => half-open, 1 out, 1 well, until 1060000
        half-open, 1 success, trial out: late failure: - => half-open, 1 out, 1 well, until 1060000
        half-open, 1 success, trial out: told open: - => half-open, 1 out, 1 well, until 1060000
        half-open, trial void: request: through => half-open, 1 out, 0 well, until 1060000
        half-open, trial void: success: can't be => half-open, 0 out, 0 well, until 1060000
        half-open, trial void: failure: can't be => half-open, 0 out, 0 well, until 1060000
        half-open, trial void: unknown: can't be => half-open, 0 out, 0 well, until 1060000
        half-open, trial void: late success: - => half-open, 0 out, 0 well, until 1060000
        half-open, trial void: late failure: - => half-open, 0 out, 0 well, until 1060000
        half-open, trial void: told open: - => half-open, 0 out, 0 well, until 1060000
        half-open, trial lost: request: through => half-open, 1 out, 0 well, until 1060000
        half-open, trial lost: success: - => half-open, 0 out, 1 well, until 1000000
        half-open, trial lost: failure: Opened => open until 1060000
        half-open, trial lost: unknown: - => half-open, 0 out, 0 well, until 1000000
        half-open, trial lost: late success: - => half-open, 1 out, 0 well, until 1000000
        half-open, trial lost: late failure: - => half-open, 1 out, 0 well, until 1000000
        half-open, trial lost: told open: - => half-open, 1 out, 0 well, until 1000000
    "#]]
}

#[test]
fn the_contracts_numbers_are_the_default() {
    assert_eq!(Settings::default(), SETTINGS);
}

/// A life: five failures, a minute, a trial that fails, a minute, two that go well.
#[test]
fn it_opens_tries_and_closes() {
    let mut breaker = Breaker::default();
    let mut told = Vec::new();
    let script = [
        (0, Ended::Failure),
        (1, Ended::Failure),
        (2, Ended::Success),
        (3, Ended::Failure),
        (4, Ended::Failure),
        (5, Ended::Failure),
        (6, Ended::Failure),
        (7, Ended::Failure),
        (8, Ended::Success),
        (60_006, Ended::Success),
        (60_007, Ended::Failure),
        (120_006, Ended::Success),
        (120_007, Ended::Success),
        (120_008, Ended::Success),
        (120_009, Ended::Success),
    ];
    for (at, how) in script {
        match breaker.admit(&SETTINGS, at) {
            None => told.push(format!("{at} refused")),
            Some((pass, first)) => {
                let then = breaker.ended(&SETTINGS, (pass, how), at);
                told.extend(first.into_iter().chain(then).map(|change| format!("{at} {change:?}")));
            }
        }
    }
    expect![[r#"
        7 Opened
        8 refused
        60006 refused
        60007 HalfOpened
        60007 Opened
        120006 refused
        120007 HalfOpened
        120008 Closed"#]]
    .assert_eq(&told.join("\n"));
}

/// Many at once on a half-open breaker: only the trials get through, however often they are asked for.
#[test]
fn a_crowd_does_not_rush_a_half_open_endpoint() {
    let settings = Settings { trials: 3, ..SETTINGS };
    let mut breaker = Breaker::default();
    breaker.told_open(&settings, 60_000, 0);
    let through = (0..1_000).filter(|_| breaker.admit(&settings, 60_000).is_some()).count();
    assert_eq!(through, 3);
    // Another three when those have been lost, and no more.
    let through = (0..1_000).filter(|_| breaker.admit(&settings, 120_000).is_some()).count();
    assert_eq!(through, 3);
}

#[test]
fn a_word_of_others_lasts_as_long_as_they_say_and_no_longer_than_the_own_setting() {
    for (left_ms, until) in [(1_500, Some(1_001_500)), (3_600_000, Some(1_060_000)), (0, None)] {
        let mut breaker = Breaker::default();
        let change = breaker.told_open(&SETTINGS, left_ms, NOW);
        assert_eq!(change, until.map(|_| Change::Opened));
        let expected = until.map_or_else(State::default, |until_ms| State::Open { until_ms });
        assert_eq!(breaker.state(), expected, "{left_ms}");
    }
}

#[test]
fn what_was_under_way_when_it_was_told_closes_it_by_going_well() {
    let mut breaker = Breaker::default();
    let mut under_way = || breaker.admit(&SETTINGS, NOW).expect("closed").0;
    let (bad, unknown, good, late) = (under_way(), under_way(), under_way(), under_way());
    breaker.told_open(&SETTINGS, 60_000, NOW);
    for (pass, how) in [(bad, Ended::Failure), (unknown, Ended::Unknown)] {
        assert_eq!(breaker.ended(&SETTINGS, (pass, how), NOW), None);
        assert!(!breaker.lets_through(&SETTINGS, NOW));
    }
    assert_eq!(breaker.ended(&SETTINGS, (good, Ended::Success), NOW), Some(Change::Closed));
    assert_eq!(breaker.ended(&SETTINGS, (late, Ended::Success), NOW), None);
    assert_eq!(breaker.state(), State::default());
}

/// Scenario: a node that is cut off from an endpoint tells again and again that it is bad. Nobody asks for it here for
/// a while, and then somebody does.
#[test]
fn one_who_tells_again_and_again_shuts_nobody_out_again() {
    let mut breaker = Breaker::default();
    assert!(breaker.told_open(&SETTINGS, 60_000, NOW).is_some());
    for again in 1..10 {
        let at = NOW + again * 60_000;
        assert_eq!(breaker.told_open(&SETTINGS, 60_000, at), None);
        assert!(breaker.lets_through(&SETTINGS, at));
    }
    let at = NOW + 600_000;
    let (pass, _) = breaker.admit(&SETTINGS, at).expect("over long ago");
    assert_eq!(breaker.told_open(&SETTINGS, 60_000, at), None, "a trial is under way");
    assert_eq!(breaker.ended(&SETTINGS, (pass, Ended::Success), at), None);
    let (pass, _) = breaker.admit(&SETTINGS, at).expect("one more");
    assert_eq!(breaker.ended(&SETTINGS, (pass, Ended::Success), at), Some(Change::Closed));
}
