use super::*;
use crate::{
    name::RoutingKey,
    number::{ClusterId, Epoch},
    route::Target,
};
use std::collections::BTreeSet;

#[test]
fn a_label_is_what_dns_allows() {
    for good in ["a", "pr-12", "0", &"x".repeat(63)] {
        assert!(DnsLabel::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a b", &"x".repeat(64)] {
        let wrong = DnsLabel::parse(bad).expect_err(bad);
        assert!(wrong.allowed.contains("1 to 63"), "{wrong}");
    }
}

#[test]
fn a_text_is_bounded() {
    let long = |bytes| ObjectText::new("spec", &"x".repeat(bytes));
    assert!(long(limit::OBJECT_BYTES_MAX).is_ok());
    assert_eq!(long(limit::OBJECT_BYTES_MAX + 1).expect_err("too long").field, "spec");
}

/// Whoever keeps a uid must never take another object for the one that it is of.
#[test]
fn a_uid_is_a_version_8_uuid_and_no_two_tokens_share_one() {
    let of = |cluster, epoch| StoredObject::uid_of(Some(ClusterId(cluster)), Epoch(epoch));
    let all: BTreeSet<u128> =
        (0..1_000).flat_map(|epoch| [of(u128::MAX, epoch), of(7 << 64, epoch), of(0, epoch)]).collect();
    assert_eq!(all.len(), 3_000);
    for uid in all {
        assert_eq!((uid >> 76 & 0xf, uid >> 62 & 0b11), (8, 0b10), "{uid:032x}");
    }
}

#[test]
fn a_route_leads_to_the_version_of_its_sandbox_or_where_that_answers() {
    let route = GroupRoute {
        key: RoutingKey::parse("k").expect("valid"),
        target: DnsLabel::parse("pr-12").expect("valid"),
        path_prefixes: vec!["/api".into()],
        paths_exact: vec!["/x".into()],
        add_headers: Vec::new(),
    };
    let service = ServiceName::parse("cart").expect("valid");
    let only = route.rule(&service, true, None);
    let version = Target::Version { service: service.clone(), version: "pr-12".into() };
    assert_eq!((&only.destinations[0].target, &only.service), (&version, &None));
    assert_eq!((only.path_prefixes.len(), only.paths_exact.len()), (1, 1));
    let address = Address::parse("http://10.0.0.1:80").expect("valid");
    let one_of = route.rule(&service, false, Some(&address));
    assert_eq!(one_of.service.as_ref(), Some(&service));
    assert_eq!(one_of.destinations[0].target, Target::Url { address, protocol: None });
    assert!(one_of.mistakes().is_empty() && only.mistakes().is_empty());
}

#[test]
fn the_default_key_of_a_group_leads_nowhere() {
    let route = |key: &str| GroupRoute {
        key: RoutingKey::parse(key).expect("valid"),
        target: DnsLabel::parse("s").expect("valid"),
        path_prefixes: Vec::new(),
        paths_exact: Vec::new(),
        add_headers: Vec::new(),
    };
    let routes = vec![route("production"), route("k")];
    let keys =
        |group: &RouteGroupSpec| group.leading().map(|route| route.key.to_string()).collect::<Vec<_>>();
    let unsaid = RouteGroupSpec { routes: routes.clone(), ..RouteGroupSpec::default() };
    assert_eq!(keys(&unsaid), ["k"]);
    let said = RouteGroupSpec { default_key: RoutingKey::parse("k").ok(), routes, header: None };
    assert_eq!(keys(&said), ["production"]);
}
