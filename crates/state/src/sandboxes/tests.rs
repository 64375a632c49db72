use super::*;
use quorate_model::{
    LogIndex, SandboxParts, SandboxRule, ServiceName,
    route::{Destination, Target},
    sandbox::Fallback,
};

fn texts(all: &[&str]) -> Vec<Box<str>> {
    all.iter().map(|text| (*text).into()).collect()
}

fn rule() -> SandboxRule {
    let target = Target::parse("target", "http://h:1").expect("valid");
    SandboxRule { destinations: vec![Destination { target, weight: 1 }], ..SandboxRule::default() }
}

fn stored(called: &str, rules: Vec<SandboxRule>) -> Arc<StoredSandbox> {
    Arc::new(StoredSandbox {
        key: RoutingKey::parse(called).expect("valid"),
        sandbox: Arc::new(SandboxParts { rules, ttl: None }.validate().expect("valid")),
        created: LogIndex(1),
        changed: LogIndex(1),
        ends: None,
        ramps: std::collections::BTreeMap::new(),
    })
}

/// What is compared is what was set: rule by rule, whatever of it there is.
#[test]
fn a_compiled_rule_asks_for_what_the_rule_asks_for() {
    let header = |name: &str, value: &str| (name.into(), value.into());
    let rules = vec![
        rule(),
        SandboxRule { path_prefixes: texts(&["/a", "", "/ü"]), ..rule() },
        SandboxRule { paths_exact: texts(&["/e"]), service: ServiceName::parse("notes").ok(), ..rule() },
        SandboxRule {
            path_prefixes: texts(&["/p"]),
            paths_exact: texts(&["/x", "/y"]),
            headers: vec![header("a", "1"), header("b", ""), header("c", "3")],
            service: ServiceName::parse("upload").ok(),
            ..rule()
        },
        SandboxRule { headers: vec![header("z", "9")], fallback: Fallback::NEVER, ..rule() },
    ];
    let compiled = CompiledSandbox::new(stored("k", rules.clone()), None);
    assert_eq!(compiled.rules().len(), rules.len());
    for (compiled, rule) in compiled.rules().zip(&rules) {
        let own = |texts: Vec<&str>| texts.into_iter().map(Box::from).collect::<Vec<Box<str>>>();
        assert_eq!(own(compiled.path_prefixes().collect()), rule.path_prefixes);
        assert_eq!(own(compiled.paths_exact().collect()), rule.paths_exact);
        let headers: Vec<(Box<str>, Box<str>)> =
            compiled.headers().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(headers, rule.headers);
        assert_eq!(compiled.service(), rule.service.as_ref().map(|service| service.as_str()));
        assert_eq!((compiled.rule(), compiled.fallback()), (rule, rule.fallback));
        assert_eq!(compiled.route().created, LogIndex(1));
    }
}

/// Keys of all lengths, set anew and taken away: requests find what lists show, and an old version stays as it was.
#[test]
fn requests_find_what_is_there() {
    let key = |nth: usize| RoutingKey::parse(&format!("k{nth}{}", "-".repeat(nth % 50))).expect("valid");
    let mut table = SandboxTable::default();
    for nth in 0..300 {
        assert!(table.insert(stored(key(nth).as_str(), vec![rule()])).is_none());
    }
    let before = table.clone();
    for nth in 0..300 {
        match nth % 3 {
            0 => assert!(table.remove(&key(nth)).is_some_and(|old| old.stored().key == key(nth))),
            1 => assert!(table.insert(stored(key(nth).as_str(), vec![rule(), rule()])).is_some()),
            _ => {}
        }
    }
    assert_eq!((table.len(), table.difference(), before.len(), before.difference()), (200, None, 300, None));
    for nth in 0..300 {
        let rules = table.get(key(nth).as_str()).map(|found| found.rules().len());
        assert_eq!(rules, [None, Some(2), Some(1)][nth % 3], "{nth}");
        assert_eq!(before.get(key(nth).as_str()).map(|found| found.rules().len()), Some(1), "{nth}");
    }
    assert!(table.remove(&key(0)).is_none() && table.get("nobody").is_none());
}

#[test]
fn an_index_that_is_not_what_the_list_is_is_noticed() {
    let one = || {
        let mut table = SandboxTable::default();
        table.insert(stored("k", vec![rule()]));
        table
    };
    let compiled = |table: &SandboxTable| table.get("k").expect("there").clone();
    assert_eq!(one().difference(), None);
    let mut hidden = one();
    hidden.hide_raw("k");
    assert!(hidden.difference().is_some_and(|what| what.contains("0 keys are found, of 1")));
    let mut ghost = one();
    ghost.find_raw("ghost", &compiled(&ghost));
    assert!(ghost.difference().is_some());
    // As many, but another one.
    ghost.hide_raw("k");
    assert!(ghost.difference().is_some());
    let mut other = one();
    let twin = compiled(&one());
    other.hide_raw("k");
    other.find_raw("k", &twin);
    assert!(other.difference().is_some());
}
