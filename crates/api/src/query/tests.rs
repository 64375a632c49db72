use super::*;

fn read(text: &str, known: &[Param]) -> Result<Query, Vec<String>> {
    let pairs: Vec<_> = text
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Query::read(&pairs, known).map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

#[test]
fn nothing_asked_means_a_local_page_of_a_hundred() {
    let query = read("", Param::LIST).expect("valid");
    assert_eq!((query.limit, query.consistency, query.wait_for), (100, Consistency::Local, Await::Nothing));
    assert_eq!(query.mode, Mode::Commit);
}

#[test]
fn waits_have_defaults_and_a_bound() {
    let wait_for = |text| read(text, Param::LIST).expect(text).wait_for;
    assert_eq!(wait_for("min_index=7"), Await::Reached(LogIndex(7), MIN_INDEX_WAIT));
    assert_eq!(wait_for("min_index=7&wait=100ms"), Await::Reached(LogIndex(7), Duration::from_millis(100)));
    assert_eq!(wait_for("index=7"), Await::Passed(LogIndex(7), BLOCKING_WAIT));
    assert_eq!(wait_for("index=7&wait=5m"), Await::Passed(LogIndex(7), BLOCKING_WAIT_MAX));
    assert_eq!(wait_for("min_index=7&wait=1m"), Await::Reached(LogIndex(7), MIN_INDEX_WAIT_MAX));
    for (text, wrong) in [
        ("index=7&wait=2h", "query.wait: is 2h; allowed: 0s to 5m"),
        ("index=7&wait=5m1ms", "query.wait: is 5m1ms; allowed: 0s to 5m"),
        ("min_index=7&wait=61s", "query.wait: is 1m1s; allowed: 0s to 1m"),
    ] {
        assert_eq!(read(text, Param::LIST), Err(vec![wrong.into()]), "{text}");
    }
}

/// What is wrong with one parameter is no reason to call another one lonely.
#[test]
fn a_wrong_index_is_the_only_error() {
    for text in ["index=x&wait=5s", "min_index=-1&wait=5s", "index=1&index=2&wait=5s"] {
        let wrong = read(text, Param::LIST).expect_err(text);
        assert!(wrong.len() == 1 && !wrong[0].starts_with("query.wait"), "{text}: {wrong:?}");
    }
    let wrong = read("index=7&wait=soon", Param::LIST).expect_err("no duration");
    assert!(wrong.len() == 1 && wrong[0].starts_with("query.wait: is no duration"), "{wrong:?}");
    let wrong = read("visible=some&wait=5s", Param::RECORD_WRITE).expect_err("no such word");
    assert_eq!(wrong, ["query.visible: is no such word; allowed: all"]);
}

#[test]
fn a_write_waits_for_the_others_only_where_it_is_asked_to() {
    let visible = |text| read(text, Param::RECORD_WRITE).expect(text).visible;
    assert_eq!(visible(""), None);
    assert_eq!(visible("visible=all"), Some(VISIBLE_WAIT));
    assert_eq!(visible("visible=all&wait=30s"), Some(VISIBLE_WAIT_MAX));
    for (text, wrong) in [
        ("visible=some", "query.visible: is no such word; allowed: all"),
        ("visible=all&wait=1h", "query.wait: is 1h; allowed: 0s to 30s"),
        ("visible=all&dry_run=true", "query.visible: is there with dry_run; allowed: one of the two"),
        ("wait=1s", "query.wait: is there alone; allowed: together with index or min_index, or with visible"),
    ] {
        assert_eq!(read(text, Param::RECORD_WRITE), Err(vec![wrong.into()]), "{text}");
    }
}

#[test]
fn a_watch_names_where_it_begins_and_what_it_is_about() {
    let query = read("from=57.0&kinds=worker,level&prefix=w", Param::WATCH).expect("valid");
    assert_eq!(query.from.map(|from| from.to_string()), Some("57.0".into()));
    assert_eq!((query.kinds, query.prefix), (Some(vec![Kind::Worker, Kind::Level]), Some("w".into())));
    let long = format!("prefix={}", "x".repeat(254));
    for (text, field) in [
        ("from=-1", "query.from"),
        ("kinds=", "query.kinds"),
        ("kinds=workers", "query.kinds"),
        (&long, "query.prefix"),
    ] {
        let wrong = read(text, Param::WATCH).expect_err(text);
        assert!(wrong.len() == 1 && wrong[0].starts_with(field), "{wrong:?}");
    }
}

#[test]
fn whatever_is_not_known_or_not_right_is_refused_by_name() {
    for (text, expected) in [
        (
            "limti=1",
            "query.limti: is no known parameter; allowed: limit, cursor, consistent, min_index, index, wait",
        ),
        ("limit=0", "query.limit: is no such number; allowed: a whole number, 1 to 1000"),
        ("limit=1001", "query.limit: is no such number; allowed: a whole number, 1 to 1000"),
        ("limit=+5", "query.limit: is no such number; allowed: a whole number, 1 to 1000"),
        ("limit=", "query.limit: is no such number; allowed: a whole number, 1 to 1000"),
        ("consistent", "query.consistent: is neither true nor false; allowed: true, false"),
        ("wait=5s", "query.wait: is there alone; allowed: together with index or min_index, or with visible"),
        ("index=1&min_index=2", "query.index: is there with min_index; allowed: one of the two"),
        ("limit=1&limit=2", "query.limit: is there twice; allowed: once"),
    ] {
        assert_eq!(read(text, Param::LIST), Err(vec![expected.to_owned()]), "{text}");
    }
    let wrong = read("index=1&wait=soon", Param::LIST).expect_err("no duration");
    assert!(wrong[0].starts_with("query.wait: is no duration"), "{wrong:?}");
    let wrong = read("dry-run=true&wait=x", Param::WRITE).expect_err("both unknown");
    assert_eq!(wrong.len(), 2);
    assert!(read("a=1", &[]).expect_err("none known")[0].ends_with("allowed: no parameter at all"));
}
