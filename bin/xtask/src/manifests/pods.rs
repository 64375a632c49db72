//! Rules about every pod that we ship, whatever it does: Kubernetes' "restricted" standard and a little more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Facts;
use super::document::{Pod, Rendered, expect, list, variable};

const USER: u64 = 65_532;

/// What is wrong with the pods of a kustomization.
pub fn check(documents: &Rendered, facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    for account in documents.of_kind("ServiceAccount") {
        expect(&mut found, "ServiceAccount", account, &[("/automountServiceAccountToken", json!(false))]);
    }
    for pod in documents.pods() {
        pod_rules(&pod, &mut found);
        for container in pod.containers() {
            container_rules(&pod, container, facts, &mut found);
        }
    }
    let namespaces: Vec<_> =
        documents.0.iter().filter(|document| document["kind"] != "Namespace").map(namespace).collect();
    if namespaces.windows(2).any(|pair| pair[0] != pair[1]) {
        found.push("not everything is in one namespace".to_owned());
    }
    found
}

fn namespace(document: &Value) -> Option<&str> {
    document.pointer("/metadata/namespace").and_then(Value::as_str)
}

fn pod_rules(pod: &Pod<'_>, found: &mut Vec<String>) {
    let wanted = [
        ("/automountServiceAccountToken", json!(false)),
        ("/enableServiceLinks", json!(false)),
        ("/securityContext/runAsNonRoot", json!(true)),
        ("/securityContext/runAsUser", json!(USER)),
        ("/securityContext/runAsGroup", json!(USER)),
        ("/securityContext/seccompProfile/type", json!("RuntimeDefault")),
    ];
    expect(found, &pod.owner, pod.spec, &wanted);
    let is_claim = |volume: &Value| volume.get("persistentVolumeClaim").is_some();
    if pod.owner.starts_with("StatefulSet") || list(pod.spec, "/volumes").iter().any(is_claim) {
        let wanted = [
            ("/securityContext/fsGroup", json!(USER)),
            ("/securityContext/fsGroupChangePolicy", json!("OnRootMismatch")),
        ];
        expect(found, &pod.owner, pod.spec, &wanted);
    }
    for field in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
        if pod.spec[field] == true {
            found.push(format!("{}: {field} is not for us", pod.owner));
        }
    }
}

fn container_rules(pod: &Pod<'_>, container: &Value, facts: &Facts, found: &mut Vec<String>) {
    let wanted = [
        ("/securityContext/allowPrivilegeEscalation", json!(false)),
        ("/securityContext/readOnlyRootFilesystem", json!(true)),
        ("/securityContext/capabilities/drop", json!(["ALL"])),
        ("/image", json!(format!("quorate:{}", facts.version))),
    ];
    expect(found, &pod.owner, container, &wanted);
    for needed in ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"] {
        if container.pointer(needed).is_none() {
            found.push(format!("{}: {needed} must be set", pod.owner));
        }
    }
    if container.pointer("/resources/limits/cpu").is_some() && pod.owner.starts_with("StatefulSet") {
        found.push(format!("{}: a limit on the processor slows elections down", pod.owner));
    }
    // An API server takes the last of two and warns.
    for (what, key) in
        [("/env", "name"), ("/ports", "name"), ("/ports", "containerPort"), ("/volumeMounts", "mountPath")]
    {
        let mut seen = BTreeSet::new();
        for value in list(container, what).iter().map(|entry| entry[key].to_string()) {
            if !seen.insert(value.clone()) {
                found.push(format!("{}: {what} has {value} twice", pod.owner));
            }
        }
    }
    // The image has no shell, and no program but ours.
    for hook in ["/lifecycle/preStop/exec", "/command"] {
        if container.pointer(hook).is_some() {
            found.push(format!("{}: {hook} needs what the image has not", pod.owner));
        }
    }
    let speaks = variable(container, "QUORATE_SERVER").is_some()
        || list(container, "/args").iter().any(|arg| arg == "--routers");
    if speaks && pod.labels.get("quorate-access") != Some(&json!("management")) {
        found.push(format!("{}: the network policy keeps it from the management listener", pod.owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = include_str!("../../golden/kubernetes-base.json");

    fn found(pointer: &str, value: Value) -> String {
        let mut documents = Rendered(serde_json::from_str(BASE).expect("JSON"));
        let mut sets = documents.0.iter_mut().filter(|document| document["kind"] == "StatefulSet");
        let set = sets.next().expect("there is one");
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        let parent = set["spec"]["template"]["spec"].pointer_mut(parent).expect("it has that");
        parent.as_object_mut().expect("an object").insert(field.to_owned(), value);
        check(&documents, &Facts::ours()).join("\n")
    }

    #[test]
    fn the_base_is_as_it_should_be() {
        let documents = Rendered(serde_json::from_str(BASE).expect("JSON"));
        assert_eq!(check(&documents, &Facts::ours()), [""; 0]);
    }

    #[test]
    fn each_right_that_a_pod_takes_is_found() {
        for (pointer, value, words) in [
            ("/securityContext/runAsUser", json!(0), "must be 65532"),
            ("/securityContext/runAsNonRoot", json!(false), "must be true"),
            ("/securityContext/seccompProfile", json!({"type": "Unconfined"}), "RuntimeDefault"),
            ("/securityContext/fsGroup", json!(0), "fsGroup must be"),
            ("/automountServiceAccountToken", json!(true), "must be false"),
            ("/enableServiceLinks", json!(true), "must be false"),
            ("/hostNetwork", json!(true), "hostNetwork is not for us"),
            ("/containers/0/securityContext/allowPrivilegeEscalation", json!(true), "must be false"),
            ("/containers/0/securityContext/readOnlyRootFilesystem", json!(false), "must be true"),
            ("/containers/0/securityContext/capabilities", json!({}), "must be [\"ALL\"]"),
            ("/containers/0/image", json!("quorate:latest"), "must be \"quorate:"),
            ("/containers/0/resources/limits", json!({"cpu": 1}), "slows elections down"),
            ("/containers/0/resources/requests", json!({}), "requests/cpu must be set"),
            (
                "/containers/0/env",
                json!([{"name": "A"}, {"name": "B"}, {"name": "A"}]),
                "/env has \"A\" twice",
            ),
            ("/containers/0/command", json!(["sh"]), "needs what the image has not"),
        ] {
            let found = found(pointer, value);
            assert!(found.contains(words), "{pointer}: `{found}`");
        }
    }

    #[test]
    fn a_pod_that_the_network_policy_keeps_out_is_found() {
        let pod = json!({"kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {
            "metadata": {"labels": {"app": "j"}},
            "spec": {"containers": [{"env": [{"name": "QUORATE_SERVER", "value": "http://x:9090"}]}]}}}});
        let found = check(&Rendered(vec![pod]), &Facts::ours()).join("\n");
        assert!(found.contains("Job j: the network policy keeps it from"), "{found}");
    }
}
