//! Local workloads: whoever is led to their sandbox is led to their tunnels.

use super::*;

pub fn local(name: &str, of: &str, sandbox: &str) -> Object {
    let spec = LocalWorkloadSpec { sandbox: label(sandbox), service: service(of) };
    object(name, ObjectSpec::LocalWorkload(spec))
}

/// A sandbox that names a key.
pub fn naming(of: Option<&str>, sandbox: Object) -> Object {
    let name = sandbox.id().name.to_string();
    let spec = sandbox.spec().as_sandbox().expect("a sandbox").clone();
    object(&name, ObjectSpec::Sandbox(SandboxSpec { routing_key: of.map(key), ..spec }))
}

#[test]
fn a_sandbox_that_names_a_key_leads_its_requests_to_its_local_workloads() {
    let mut case = Case::new();
    case.create(local("laptop", "cart", "pr"));
    assert_eq!(case.0.state.objects().key_of(&label("ns"), &label("pr")), None);
    case.create(naming(Some("k"), sandbox("pr", &[], true)));
    assert_eq!(case.rules("k"), ["tunnel://ns.laptop"], "there is nothing else in it");
    let rule = case.0.state.sandboxes().of_requests("k").expect("there").rules().next().expect("one");
    assert!(rule.rule().fallback.missing, "while nobody holds it, requests go as without their key");
    case.create(local("other", "mail", "pr"));
    assert_eq!(case.rules("k"), ["cart: tunnel://ns.laptop", "mail: tunnel://ns.other"]);
    case.replace(naming(Some("k"), sandbox("pr", &["cart", "api"], true)), anything());
    assert_eq!(
        case.rules("k"),
        ["cart: tunnel://ns.laptop", "mail: tunnel://ns.other"],
        "its other services are led to by groups"
    );
    case.replace(naming(Some("l"), sandbox("pr", &[], true)), anything());
    assert!(case.rules("k").is_empty() && case.rules("l").len() == 2, "another key");
    case.replace(local("other", "mail", "elsewhere"), anything());
    case.replace(local("laptop", "mail", "pr"), anything());
    assert_eq!(case.rules("l"), ["tunnel://ns.laptop"], "another service, and the other one another sandbox");
    assert_eq!(case.delete(Resource::LocalWorkloads, "laptop"), Reply::Done);
    assert!(case.rules("l").is_empty() && case.0.state.sandboxes().of_requests("l").is_none());
}

#[test]
fn a_group_that_leads_to_a_sandbox_leads_to_its_local_workloads_too() {
    let mut case = Case::new();
    case.create(sandbox("pr", &["cart", "mail"], false));
    case.create(group("g", &["k>pr", "l>pr"]));
    case.report("pr", &[("cart", "http://10.0.0.1:80")]);
    case.create(local("laptop", "cart", "pr"));
    let rules = ["cart: tunnel://ns.laptop", "mail: mail@pr"];
    assert_eq!([case.rules("k"), case.rules("l")], [rules, rules], "in the place of where else it answers");
    let found = case.0.state.sandboxes().of_requests("k").expect("there");
    assert_eq!(&*found.rules().next().expect("one").rule().path_prefixes[0], "/api", "for the same requests");
    case.replace(local("laptop", "api", "pr"), anything());
    assert_eq!(
        case.rules("k"),
        ["api: tunnel://ns.laptop", "cart: http://10.0.0.1:80", "mail: mail@pr"],
        "of a service that the sandbox does not name, before all others"
    );
    case.delete(Resource::LocalWorkloads, "laptop");
    assert_eq!(case.rules("l"), ["cart: http://10.0.0.1:80", "mail: mail@pr"]);
}

/// Scenario: a sandbox has one service, whose rule is for every request of the key, and somebody adds a local workload
/// of another one. Both get requests: the narrower rule is asked first, and the wide one stays as wide as it was.
#[test]
fn a_local_workload_takes_nothing_from_the_only_service_of_a_sandbox() {
    let mut case = Case::new();
    case.create(naming(Some("k"), sandbox("pr", &["cart"], false)));
    case.create(group("g", &["k>pr"]));
    case.create(local("laptop", "mail", "pr"));
    assert_eq!(
        case.rules("k"),
        ["mail: tunnel://ns.laptop", "cart@pr", "mail: tunnel://ns.laptop"],
        "by the group, and behind it by the key that the sandbox names"
    );
    case.replace(local("laptop", "cart", "pr"), anything());
    assert_eq!(case.rules("k"), ["tunnel://ns.laptop", "tunnel://ns.laptop"]);
}

#[test]
fn of_two_for_one_service_the_one_that_was_made_last_gets_the_requests() {
    let mut case = Case::new();
    case.create(naming(Some("k"), sandbox("pr", &[], false)));
    case.create(local("z", "cart", "pr"));
    case.create(local("a", "cart", "pr"));
    let asked = |case: &Case| case.0.state.objects().local_of(&label("ns"), &label("pr"), &service("cart"));
    assert_eq!(case.rules("k"), ["tunnel://ns.a"]);
    assert_eq!(asked(&case), Some(id(Resource::LocalWorkloads, "a")));
    case.delete(Resource::LocalWorkloads, "a");
    assert_eq!(
        (case.rules("k"), asked(&case)),
        (vec!["tunnel://ns.z".to_owned()], Some(id(Resource::LocalWorkloads, "z")))
    );
}

#[test]
fn the_oldest_sandbox_of_a_key_is_asked_first_and_only_those_with_a_local_workload() {
    let mut case = Case::new();
    for name in ["c", "b", "a"] {
        case.create(naming(Some("k"), sandbox(name, &["cart", "mail"], false)));
    }
    case.create(local("x", "cart", "a"));
    case.create(local("y", "cart", "c"));
    assert_eq!(case.rules("k"), ["cart: tunnel://ns.y", "cart: tunnel://ns.x"]);
    case.set("k", "upload@v2");
    assert_eq!(case.rules("k").len(), 3);
    assert_eq!(case.rules("k")[0], "upload@v2", "what was set for the key itself comes first");
}

#[test]
fn a_sandbox_that_ends_takes_the_way_to_its_local_workloads_with_it() {
    let mut case = Case::new();
    case.0.at = LogTime(1_000);
    case.create(naming(Some("k"), sandbox("pr", &[], true)));
    case.create(group("g", &["l>pr"]));
    case.create(local("laptop", "cart", "pr"));
    assert_eq!((case.rules("k").len(), case.rules("l").len()), (1, 1));
    case.0.at = LogTime(TTL_MS + 1_000);
    let over = case.0.state.objects().over(case.0.at);
    assert_eq!(case.change(ObjectCommand::End(over)), Reply::Done);
    assert!(case.rules("k").is_empty() && case.rules("l").is_empty());
    assert!(case.stored(Resource::LocalWorkloads, "laptop").is_some(), "it waits for a sandbox of that name");
    case.create(naming(Some("k"), sandbox("pr", &[], true)));
    assert_eq!((case.rules("k").len(), case.rules("l").len()), (1, 1));
}

#[test]
fn a_sandbox_has_so_many_local_workloads_and_no_more() {
    let mut case = Case::new();
    for nth in 0..limit::LOCAL_WORKLOADS_PER_SANDBOX_MAX {
        assert_eq!(case.create(local(&format!("w{nth}"), "cart", "pr")), Reply::Done);
    }
    let (what, max) = (ObjectBound::LocalWorkloadsPerSandbox, limit::LOCAL_WORKLOADS_PER_SANDBOX_MAX as u64);
    let full = Reply::Refused(Refusal::Object(ObjectRefusal::Full { what, max }));
    assert_eq!(case.create(local("more", "cart", "pr")), full);
    assert_eq!(case.create(local("more", "cart", "other")), Reply::Done);
    assert_eq!(case.replace(local("more", "cart", "pr"), anything()), full, "nor by a move");
    assert_eq!(case.replace(local("w0", "mail", "pr"), anything()), Reply::Done, "no more than before");
}
