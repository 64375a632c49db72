use super::*;
use expect_test::expect;

fn seen(letter: char) -> Seen {
    match letter {
        '+' => Seen::Good,
        'e' => Seen::Error,
        'g' => Seen::GatewayError,
        _ => Seen::NoConnection,
    }
}

/// After which of the results it is ejected, and why.
fn run(settings: &Settings, results: &str) -> String {
    let mut record = Record::default();
    let found = results.chars().enumerate().find_map(|(nth, letter)| {
        record.note(settings, seen(letter)).map(|cause| format!("{} {}", nth + 1, cause.as_str()))
    });
    found.unwrap_or("-".into())
}

#[test]
fn the_whole_table() {
    let default = Settings::default();
    let patient = Settings { connect_failures: 3, gateway_errors: 4, errors: 6, ..default };
    let off = Settings { connect_failures: 0, gateway_errors: 0, errors: 0, ..default };
    let mut table = String::new();
    let rows = [
        "+++++++", "eeee", "eeeee", "eee+eeee", "gggg", "ggggg", "egegegeg", "c", "+c", "ccc", "cc+cc",
        "ccgccg", "eccc", "eeegggg",
    ];
    for results in rows {
        let [a, b, c] = [default, patient, off].map(|settings| run(&settings, results));
        table += &format!("{results}: default {a}; patient {b}; off {c}\n");
    }
    expect![[r#"
        +++++++: default -; patient -; off -
        eeee: default -; patient -; off -
        eeeee: default 5 errors; patient -; off -
        eee+eeee: default -; patient -; off -
        gggg: default -; patient 4 gateway_errors; off -
        ggggg: default 5 gateway_errors; patient 4 gateway_errors; off -
        egegegeg: default 5 errors; patient 6 errors; off -
        c: default 1 connect_failures; patient -; off -
        +c: default 2 connect_failures; patient -; off -
        ccc: default 1 connect_failures; patient 3 connect_failures; off -
        cc+cc: default 1 connect_failures; patient -; off -
        ccgccg: default 1 connect_failures; patient 4 gateway_errors; off -
        eccc: default 2 connect_failures; patient 4 connect_failures; off -
        eeegggg: default 5 errors; patient 6 errors; off -
    "#]]
    .assert_eq(&table);
}

#[test]
fn what_a_status_says() {
    let table = [
        (200, Seen::Good),
        (404, Seen::Good),
        (429, Seen::Good),
        (500, Seen::Error),
        (501, Seen::Error),
        (502, Seen::GatewayError),
        (503, Seen::GatewayError),
        (504, Seen::GatewayError),
        (505, Seen::Error),
        (599, Seen::Error),
        (600, Seen::Good),
    ];
    for (status, expected) in table {
        assert_eq!(Seen::of_status(status), expected, "{status}");
    }
}

#[test]
fn each_ejection_is_longer_and_good_time_makes_up_for_it() {
    let settings = Settings { base_ms: 1_000, longest_ms: 3_500, ..Settings::default() };
    let mut record = Record::default();
    let mut now = 10_000;
    let mut spans = Vec::new();
    // Each time it is ejected again as soon as it is back.
    for _ in 0..5 {
        let until = record.eject(&settings, now);
        assert!(record.is_ejected(now) && record.is_ejected(until - 1) && !record.is_ejected(until));
        spans.push(until - now);
        now = until;
    }
    assert_eq!(spans, [1_000, 2_000, 3_000, 3_500, 3_500]);
    // Two good spans take two off: the sixth is as long as the fourth would be.
    assert_eq!(record.ejections, 5);
    record.eject(&settings, now + 2_000);
    assert_eq!(record.ejections, 4);
    let until = record.eject(&settings, now + 1_000_000);
    assert_eq!(until, now + 1_001_000, "all is forgiven");
}

#[test]
fn a_bound_on_how_many_are_out() {
    let of = |percent_max: u32, members: usize| {
        let settings = Settings { percent_max, ..Settings::default() };
        (0..members).take_while(|ejected| may_eject(&settings, *ejected, members)).count()
    };
    let table = [
        (50, 0, 0),
        (50, 1, 0),
        (50, 2, 1),
        (50, 3, 1),
        (50, 4, 2),
        (50, 10, 5),
        (10, 3, 1),
        (10, 30, 3),
        (100, 3, 2),
        (0, 10, 0),
    ];
    for (percent, members, expected) in table {
        assert_eq!(of(percent, members), expected, "{percent} % of {members}");
    }
}

#[test]
fn who_is_far_below_the_others_is_found() {
    let tallies =
        |good: &[u32]| -> Vec<Tally> { good.iter().map(|good| Tally { good: *good, all: 1_000 }).collect() };
    let low = |tallies: &[Tally]| low_success(&SuccessRate::default(), tallies);
    assert_eq!(low(&tallies(&[990, 995, 985, 992, 700, 990])), [4]);
    assert!(low(&tallies(&[990, 995, 985, 700])).is_empty(), "too few to compare");
    assert!(low(&tallies(&[1_000, 1_000, 1_000, 1_000, 1_000, 990])).is_empty(), "far off, and good enough");
    assert!(low(&tallies(&[500; 6])).is_empty(), "all alike");
    assert!(low(&tallies(&[0; 6])).is_empty());
    let mut few = tallies(&[990, 995, 985, 992, 990, 990]);
    few.push(Tally { good: 0, all: 99 });
    assert!(low(&few).is_empty(), "too few requests");
}

#[test]
fn the_roster_knows_how_many_are_out() {
    let mut roster = Roster::default();
    roster.add("a", 10);
    roster.add("b", 20);
    roster.add("c", 30);
    roster.add("a", 25);
    assert_eq!([0, 19, 20, 25].map(|now| roster.count(now)), [3, 3, 2, 1]);
    roster.forget(&"c");
    assert_eq!((roster.count(25), roster.first_ms), (0, u64::MAX));
}
