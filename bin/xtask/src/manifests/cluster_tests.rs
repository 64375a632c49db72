use super::*;

const BASE: &str = include_str!("../../golden/kubernetes-base.json");

fn base() -> Rendered {
    Rendered(serde_json::from_str(BASE).expect("JSON"))
}

/// What is found when the document of `kind` and `name` says `value` at `pointer` (`null`: nothing at all).
fn found(kind: &str, name: &str, pointer: &str, value: Value) -> String {
    let mut documents = base();
    let document = documents
        .0
        .iter_mut()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == name)
        .expect("it is there");
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    match document.pointer_mut(parent).expect("it has that") {
        Value::Object(fields) if value.is_null() => drop(fields.remove(field).expect("it has that")),
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        Value::Array(items) => items[field.parse::<usize>().expect("a number")] = value,
        _ => panic!("{parent} has no fields"),
    }
    check(&documents, &Facts::ours()).join("\n")
}

#[test]
fn the_base_is_as_it_should_be() {
    assert_eq!(check(&base(), &Facts::ours()), [""; 0]);
}

/// One change of one document, and words of what is found then.
type Row<'a> = ((&'a str, &'a str), &'a str, Value, &'a str);

fn missed(rows: Vec<Row<'_>>) {
    for ((kind, name), pointer, value, words) in rows {
        let found = found(kind, name, pointer, value);
        assert!(found.contains(words), "{pointer}: `{found}`");
    }
}

#[test]
fn each_property_of_the_nodes_that_is_taken_away_is_missed() {
    let set = ("StatefulSet", "quorate");
    let pod = "/spec/template/spec";
    let container = "/spec/template/spec/containers/0";
    let mount = |field: &str| format!("{container}/volumeMounts/{field}");
    missed(vec![
        (set, "/spec/podManagementPolicy", json!("OrderedReady"), "must be \"Parallel\""),
        (set, "/spec/updateStrategy/type", json!("OnDelete"), "must be \"RollingUpdate\""),
        (set, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled", json!("Delete"), "must be \"Retain\""),
        (set, "/spec/selector/matchLabels", json!({"app": "other"}), "does not select its pods"),
        (set, "/spec/minReadySeconds", json!(0), "DNS tells"),
        (set, "/spec/replicas", json!(5), "QUORATE_PEERS must be"),
        (set, "/spec/serviceName", json!("other"), "no headless service"),
        (set, &format!("{pod}/terminationGracePeriodSeconds"), json!(54), "at least 55 are needed"),
        (set, &format!("{pod}/volumes/0/secret/defaultMode"), json!(0o444), "can read the cluster secret"),
        (set, &format!("{pod}/affinity"), json!({}), "two nodes may be on one machine"),
        (set, &format!("{pod}/topologySpreadConstraints/0/labelSelector"), json!({}), "is not about these"),
        (
            set,
            &format!("{pod}/topologySpreadConstraints/0/topologyKey"),
            json!("kubernetes.io/hostname"),
            "two rules about",
        ),
        (set, &format!("{container}/livenessProbe/httpGet/path"), json!("/readyz"), "must be \"/livez\""),
        (
            set,
            &format!("{container}/readinessProbe/httpGet/port"),
            json!("routing"),
            "must be \"management\"",
        ),
        (set, &format!("{container}/startupProbe/failureThreshold"), json!(3), "120 s"),
        (set, &format!("{container}/args"), json!(["dev"]), "must be [\"serve\"]"),
        (
            set,
            &format!("{container}/ports/0/containerPort"),
            json!(8081),
            "is not the one of QUORATE_ROUTING",
        ),
        (set, &mount("0/mountPath"), json!("/data"), "not on a volume of the pod's own"),
        (set, &mount("1/mountPath"), json!("/run/secret"), "not on a volume of a Secret"),
    ]);
}

#[test]
fn each_property_of_what_is_around_the_nodes_that_is_taken_away_is_missed() {
    missed(vec![
        (("Service", "quorate-peers"), "/spec/publishNotReadyAddresses", Value::Null, "must be true"),
        (("Service", "quorate-peers"), "/spec/clusterIP", Value::Null, "must be \"None\""),
        (("Service", "quorate-management"), "/spec/type", json!("LoadBalancer"), "must be \"ClusterIP\""),
        (("Service", "quorate-routing"), "/spec/ports/0/targetPort", json!("web"), "no port web"),
        (
            ("Service", "quorate-routing"),
            "/spec/selector",
            json!({"app": "other"}),
            "one service for routing",
        ),
        (("PodDisruptionBudget", "quorate"), "/spec/maxUnavailable", json!(2), "must be 1"),
        (("PodDisruptionBudget", "quorate"), "/spec/unhealthyPodEvictionPolicy", Value::Null, "AlwaysAllow"),
        (
            ("PodDisruptionBudget", "quorate"),
            "/spec/selector/matchLabels",
            json!({}),
            "no PodDisruptionBudget",
        ),
        (("NetworkPolicy", "quorate"), "/spec/policyTypes", json!(["Ingress", "Egress"]), "policyTypes"),
        (("NetworkPolicy", "quorate"), "/spec/ingress/1/from", Value::Null, "routing alone"),
        (("NetworkPolicy", "quorate"), "/spec/ingress/2/from/1", json!({"podSelector": {}}), "routing alone"),
        (("NetworkPolicy", "quorate"), "/spec/ingress/2/ports", Value::Null, "about all ports"),
        (
            ("NetworkPolicy", "quorate"),
            "/spec/ingress/1/from/0",
            json!({"podSelector": {"matchLabels": {"app": "other"}}}),
            "others than nodes reach the peer",
        ),
    ]);
}

/// What is found with another value of a variable.
fn found_with(name: &str, value: &str) -> String {
    let set = base();
    let set = set.of_kind("StatefulSet").next().expect("there is one");
    let env = list(set, "/spec/template/spec/containers/0/env");
    let place = env.iter().position(|entry| entry["name"] == name).expect("it is set");
    let pointer = format!("/spec/template/spec/containers/0/env/{place}");
    found("StatefulSet", "quorate", &pointer, json!({"name": name, "value": value}))
}

#[test]
fn members_are_names_of_pods_and_never_addresses() {
    assert!(found_with("QUORATE_PEERS", "quorate-0=10.0.0.1:7070").contains("names the address 10.0.0.1"));
    let others = "quorate-0=quorate-0.quorate-peers:7070,quorate-1=quorate-1.quorate-peers:7070";
    assert!(found_with("QUORATE_PEERS", others).contains("QUORATE_PEERS must be"));
    assert!(found_with("QUORATE_NODE_NAME", "quorate-0").contains("must be the name of the pod"));
    let address = "10.0.0.1:9090";
    assert!(found_with("QUORATE_ADVERTISE_MANAGEMENT", address).contains("not the pod's name"));
}

#[test]
fn a_misspelt_variable_and_one_that_comes_too_early_are_found() {
    let entry = json!({"name": "QUORATE_DRAIN_DELAYS", "value": "1s"});
    let place = "/spec/template/spec/containers/0/env/0";
    let found = found("StatefulSet", "quorate", place, entry);
    assert!(found.contains("QUORATE_DRAIN_DELAYS is no variable"), "{found}");
    assert!(found.contains("refers to QUORATE_NODE_NAME, which must come before it"), "{found}");
}

#[test]
fn a_drain_that_the_grace_period_cuts_off_is_found() {
    assert!(found_with("QUORATE_DRAIN_LIMIT", "36s").contains("at least 61 are needed"));
    assert!(found_with("QUORATE_DRAIN_DELAY", "0s").contains("must be set"));
}

#[test]
fn secrets_and_rights_do_not_belong_into_manifests() {
    for kind in ["Secret", "Role", "ClusterRoleBinding"] {
        let documents = Rendered(vec![json!({"kind": kind, "metadata": {"name": "x"}})]);
        assert_eq!(check(&documents, &Facts::ours()), [format!("{kind} x must not be there")]);
    }
}
