use super::*;
use expect_test::expect;

const SETTINGS: Settings = Settings { failures: 5, open_ms: 60_000, successes: 2, trials: 1 };
/// What every state of the table is entered at.
const NOW: u64 = 100_000;

/// Each state as it comes about, not as it could be written down, with a pass of its own where it gives one.
fn states() -> Vec<(&'static str, Breaker, Option<Pass>)> {
    let fresh = Breaker::default();
    let pass = Pass { turn: 0 };
    let failed = |times: u32, at: u64| {
        let mut breaker = fresh;
        (0..times).for_each(|_| _ = breaker.ended(&SETTINGS, (pass, Ended::Failure), at));
        breaker
    };
    let half = |at: u64| {
        let mut breaker = failed(5, at - 60_000);
        let pass = breaker.admit(&SETTINGS, at).expect("due").0;
        (breaker, pass)
    };
    let (trying, trial) = half(NOW);
    let (mut tried, one) = half(NOW);
    tried.ended(&SETTINGS, (one, Ended::Success), NOW);
    let (mut gave_up, other) = half(NOW);
    gave_up.ended(&SETTINGS, (other, Ended::Unknown), NOW);
    let (stuck, lost) = half(NOW - 60_000);
    vec![
        ("closed", fresh, Some(pass)),
        ("closed, 4 failures", failed(4, NOW), Some(pass)),
        ("open", failed(5, NOW), None),
        ("open, over", failed(5, NOW - 60_000), None),
        ("half-open, trial out", trying, Some(trial)),
        ("half-open, 1 success", tried, Some(one)),
        ("half-open, trial void", gave_up, Some(other)),
        ("half-open, trial lost", stuck, Some(lost)),
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
fn happen(event: &str, breaker: &mut Breaker, own: Option<Pass>) -> String {
    let old = Pass { turn: breaker.turn.wrapping_sub(1) };
    let ended = |breaker: &mut Breaker, pass: Option<Pass>, how| match pass {
        Some(pass) => match breaker.ended(&SETTINGS, (pass, how), NOW) {
            Some(change) => format!("{change:?}"),
            None => "-".into(),
        },
        None => "no pass".into(),
    };
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
        _ => breaker.told_open(&SETTINGS, NOW).map_or("-".into(), |change| format!("{change:?}")),
    }
}

#[test]
fn the_whole_table() {
    let mut table = String::new();
    let events = ["request", "success", "failure", "unknown", "late success", "late failure", "told open"];
    for (name, before, pass) in states() {
        for event in events {
            let mut breaker = before;
            let lets_through = breaker.lets_through(&SETTINGS, NOW);
            let came = happen(event, &mut breaker, pass);
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
    expect![[r#""#]].assert_eq(&table);
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
    expect![[r#""#]].assert_eq(&told.join("\n"));
}

/// Many at once on a half-open breaker: only the trials get through, however often they are asked for.
#[test]
fn a_crowd_does_not_rush_a_half_open_endpoint() {
    let settings = Settings { trials: 3, ..SETTINGS };
    let mut breaker = Breaker::default();
    breaker.told_open(&settings, 0);
    let through = (0..1_000).filter(|_| breaker.admit(&settings, 60_000).is_some()).count();
    assert_eq!(through, 3);
    // Another three when those have been lost, and no more.
    let through = (0..1_000).filter(|_| breaker.admit(&settings, 120_000).is_some()).count();
    assert_eq!(through, 3);
}
