//! Random changes of objects and of sandboxes that are set beside them.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Sandbox(u8, u8, bool, Option<u8>),
    Group(u8, Vec<(u8, u8)>),
    Local(u8, u8, u8),
    Report(u8, bool),
    Delete(u8, Resource),
    Set(u8),
    Unset(u8),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..3u8, 0..3u8, any::<bool>(), prop::option::of(0..3u8))
            .prop_map(|(name, services, ttl, of)| Step::Sandbox(name, services, ttl, of)),
        (0..3u8, 0..3u8, 0..3u8).prop_map(|(name, service, of)| Step::Local(name, service, of)),
        (0..3u8, prop::collection::vec((0..3u8, 0..3u8), 0..4))
            .prop_map(|(n, routes)| Step::Group(n, routes)),
        (0..3u8, any::<bool>()).prop_map(|(name, said)| Step::Report(name, said)),
        (0..3u8, prop::sample::select(&Resource::ALL))
            .prop_map(|(name, resource)| Step::Delete(name, resource)),
        (0..3u8).prop_map(Step::Set),
        (0..3u8).prop_map(Step::Unset),
        (0..TTL_MS).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..30)
}

fn play(case: &mut Case, step: &Step) {
    let name = |nth: &u8| format!("n{nth}");
    let put = |case: &mut Case, object: Object| {
        if matches!(case.create(object.clone()), Reply::Refused(_)) {
            case.replace(object, anything());
        }
    };
    match step {
        Step::Sandbox(nth, services, ttl, of) => {
            let of = of.map(|nth| format!("k{nth}"));
            let services = &["a", "b"][..usize::from(*services)];
            put(case, locals::naming(of.as_deref(), sandbox(&name(nth), services, *ttl)));
        }
        Step::Local(nth, service, of) => {
            put(case, locals::local(&name(nth), ["a", "b", "c"][usize::from(*service)], &name(of)));
        }
        Step::Group(nth, routes) => {
            let routes: Vec<_> = routes.iter().map(|(of, to)| format!("k{of}>n{to}")).collect();
            put(case, group(&name(nth), &routes.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Step::Report(nth, said) => {
            let endpoints = [("a", "http://h:1"), ("c", "http://h:2")];
            case.report(&name(nth), if *said { &endpoints } else { &[] });
        }
        Step::Delete(nth, resource) => drop(case.delete(*resource, &name(nth))),
        Step::Set(nth) => drop(case.set(&format!("k{nth}"), "own")),
        Step::Unset(nth) => {
            case.run(Command::DeleteSandbox { key: key(&format!("k{nth}")), if_index: None });
        }
        Step::Wait(ms) => {
            case.0.at = LogTime(case.0.at.0 + ms);
            let over = case.0.state.objects().over(case.0.at);
            case.change(ObjectCommand::End(over));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// After each step the scene checks all invariants, that of the rules among them. What a node that reads a snapshot
    /// finds for each key is what a node finds that was there, with the routes that requests are sent by.
    #[test]
    fn what_is_derived_is_what_is_rebuilt_from_the_parts(steps in steps()) {
        let mut case = Case::new();
        for step in &steps {
            play(&mut case, step);
            let rebuilt = State::from_parts(case.0.state.parts()).expect("sound");
            for of in ["k0", "k1", "k2"] {
                let (here, there) =
                    (case.0.state.sandboxes().of_requests(of), rebuilt.sandboxes().of_requests(of));
                prop_assert_eq!(here, there);
                prop_assert_eq!(case.rules(of), rules(&rebuilt, of));
            }
        }
    }
}
