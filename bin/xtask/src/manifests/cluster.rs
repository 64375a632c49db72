//! Rules about a cluster as a whole: the StatefulSet, and what has to fit it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::Facts;
use super::document::{Pod, Rendered, environment, expect, list, title, variable};

/// Handing leadership over and closing come on top of the drain.
const SECONDS_BESIDES_DRAIN: u64 = 15;
/// How long CoreDNS tells an old address by default.
const DNS_SECONDS: u64 = 30;
/// A node reads its log before it answers.
const STARTUP_SECONDS_MIN: u64 = 120;
/// Nothing here acts on the API, so nobody may.
const RIGHTS: [&str; 4] = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

/// What is wrong with a kustomization that has nodes; nothing where it has none.
pub fn check(documents: &Rendered, facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    for kind in RIGHTS.iter().chain(&["Secret"]) {
        found
            .extend(documents.of_kind(kind).map(|document| format!("{} must not be there", title(document))));
    }
    let Some(set) = documents.of_kind("StatefulSet").next() else { return found };
    let Some(pod) = documents.pods().find(|pod| pod.owner == title(set)) else {
        found.push("the StatefulSet has no template".to_owned());
        return found;
    };
    let [container] = pod.containers() else {
        found.push("a node's pod has one container".to_owned());
        return found;
    };
    stateful_set(set, &pod, &mut found);
    peers(set, container, &pod, &mut found);
    settings(container, facts, &mut found);
    durations(set, container, &mut found);
    probes(container, &pod, &mut found);
    apart(&pod, &mut found);
    volumes(set, container, &mut found);
    services(documents, set, &pod, &mut found);
    disruption(documents, &pod, &mut found);
    network(documents, &pod, &mut found);
    found
}

fn stateful_set(set: &Value, pod: &Pod<'_>, found: &mut Vec<String>) {
    let wanted = [
        ("/spec/podManagementPolicy", json!("Parallel")),
        ("/spec/updateStrategy/type", json!("RollingUpdate")),
        ("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", json!("Retain")),
        ("/spec/persistentVolumeClaimRetentionPolicy/whenScaled", json!("Retain")),
    ];
    expect(found, &pod.owner, set, &wanted);
    if !pod.is_selected_by(&set["spec"]["selector"]["matchLabels"]) {
        found.push(format!("{}: its selector does not select its pods", pod.owner));
    }
    if set["spec"]["minReadySeconds"].as_u64().is_none_or(|seconds| seconds < DNS_SECONDS) {
        found.push(format!(
            "{}: minReadySeconds must be at least {DNS_SECONDS}: DNS tells a pod's old address that long",
            pod.owner
        ));
    }
}

/// Members are names of pods at names of the headless service; the list has exactly the pods.
fn peers(set: &Value, container: &Value, pod: &Pod<'_>, found: &mut Vec<String>) {
    let name = |pointer| set.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (set_name, service) = (name("/metadata/name"), name("/spec/serviceName"));
    let port = pod.port("peer").unwrap_or_default();
    let first = set.pointer("/spec/ordinals/start").and_then(Value::as_u64).unwrap_or_default();
    let wanted: Vec<_> = (first..first + set["spec"]["replicas"].as_u64().unwrap_or_default())
        .map(|nth| format!("{set_name}-{nth}={set_name}-{nth}.{service}:{port}"))
        .collect();
    let peers = variable(container, "QUORATE_PEERS").unwrap_or_default();
    if peers != wanted.join(",") || wanted.is_empty() {
        found.push(format!("QUORATE_PEERS must be {}, and is {peers}", wanted.join(",")));
    }
    let addresses = peers.split(',').filter_map(|peer| peer.split_once('=')?.1.rsplit_once(':'));
    for (host, _) in addresses.filter(|(host, _)| host.parse::<IpAddr>().is_ok()) {
        found.push(format!("QUORATE_PEERS names the address {host}: addresses of pods change"));
    }
    let own = list(container, "/env").iter().find(|entry| entry["name"] == "QUORATE_NODE_NAME");
    if own.and_then(|entry| entry.pointer("/valueFrom/fieldRef/fieldPath")) != Some(&json!("metadata.name")) {
        found.push("QUORATE_NODE_NAME must be the name of the pod".to_owned());
    }
    let advertised = variable(container, "QUORATE_ADVERTISE_MANAGEMENT").unwrap_or_default();
    let management = pod.port("management").unwrap_or_default();
    if advertised != format!("$(QUORATE_NODE_NAME).{service}:{management}") {
        found.push(format!("QUORATE_ADVERTISE_MANAGEMENT is {advertised}, which is not the pod's name"));
    }
}

/// A misspelt variable is passed over by the program, so it has to be noticed here.
fn settings(container: &Value, facts: &Facts, found: &mut Vec<String>) {
    let mut before: Vec<&str> = Vec::new();
    for (name, value) in environment(container) {
        if !facts.variables.iter().any(|known| known == name) {
            found.push(format!("{name} is no variable of `quorate serve`"));
        }
        let refers = value.unwrap_or_default().split("$(").skip(1).filter_map(|rest| rest.split(')').next());
        for referred in refers.filter(|referred| !before.contains(referred)) {
            found.push(format!("{name} refers to {referred}, which must come before it"));
        }
        before.push(name);
    }
    expect(found, "a node", container, &[("/args", json!(["serve"]))]);
}

fn seconds(text: Option<&str>) -> Option<u64> {
    text?.strip_suffix('s')?.parse().ok()
}

fn durations(set: &Value, container: &Value, found: &mut Vec<String>) {
    let delay = seconds(variable(container, "QUORATE_DRAIN_DELAY"));
    let limit = seconds(variable(container, "QUORATE_DRAIN_LIMIT"));
    let grace = set.pointer("/spec/template/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
    match (delay, limit, grace) {
        (Some(delay), Some(limit), Some(grace)) if delay > 0 => {
            let least = delay + limit + SECONDS_BESIDES_DRAIN;
            if grace < least {
                found.push(format!("terminationGracePeriodSeconds is {grace}, at least {least} are needed"));
            }
        }
        _ => found.push("drain delay, drain limit and grace period must be set, in seconds".to_owned()),
    }
}

fn probes(container: &Value, pod: &Pod<'_>, found: &mut Vec<String>) {
    let probe = |path: &'static str| [("/httpGet/path", json!(path)), ("/httpGet/port", json!("management"))];
    for (name, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        expect(found, name, &container[name], &probe(path));
    }
    let startup = |field: &str| container["startupProbe"][field].as_u64().unwrap_or_default();
    if startup("periodSeconds") * startup("failureThreshold") < STARTUP_SECONDS_MIN {
        found.push(format!("startupProbe: a node may take {STARTUP_SECONDS_MIN} s to read its log"));
    }
    for (port, name) in
        [("routing", "QUORATE_ROUTING"), ("management", "QUORATE_MANAGEMENT"), ("peer", "QUORATE_PEER")]
    {
        let listens = variable(container, name).and_then(|address| address.rsplit_once(':')?.1.parse().ok());
        if listens.is_none() || pod.port(port) != listens {
            found.push(format!("the port {port} is not the one of {name}"));
        }
    }
}

/// Rules about where pods go are about these pods, and none of them is there twice; an overlay for one machine has none.
fn apart(pod: &Pod<'_>, found: &mut Vec<String>) {
    let rules = list(pod.spec, "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    if pod.spec.get("affinity").is_some()
        && !rules.iter().any(|rule| rule["topologyKey"] == "kubernetes.io/hostname")
    {
        found.push(format!("{}: two nodes may be on one machine", pod.owner));
    }
    let spread = list(pod.spec, "/topologySpreadConstraints");
    let mut keys = BTreeSet::new();
    for rule in rules.iter().chain(spread) {
        if !pod.is_selected_by(&rule["labelSelector"]["matchLabels"]) {
            found.push(format!("{}: a rule about where pods go is not about these", pod.owner));
        }
        if !keys.insert(rule["topologyKey"].to_string()) {
            found.push(format!("{}: two rules about {}", pod.owner, rule["topologyKey"]));
        }
    }
}

/// Where the data and the secret lie, as the settings have it.
fn volumes(set: &Value, container: &Value, found: &mut Vec<String>) {
    let mounted = |path: Option<&str>| {
        let mounts = list(container, "/volumeMounts").iter();
        mounts
            .filter(|mount| path.is_some() && mount["mountPath"].as_str() == path)
            .map(|mount| &mount["name"])
            .next()
    };
    let claims = list(set, "/spec/volumeClaimTemplates");
    let data = mounted(variable(container, "QUORATE_DATA_DIR"));
    if !claims.iter().any(|claim| Some(&claim["metadata"]["name"]) == data) {
        found.push("QUORATE_DATA_DIR is not on a volume of the pod's own".to_owned());
    }
    let file = variable(container, "QUORATE_CLUSTER_SECRET_FILE").and_then(|path| path.rsplit_once('/'));
    let secret = mounted(file.map(|(folder, _)| folder)).and_then(|name| {
        list(set, "/spec/template/spec/volumes").iter().find(|volume| volume["name"] == *name)
    });
    let items = secret.map_or(&[][..], |volume| list(volume, "/secret/items"));
    if !items.iter().any(|item| item["path"].as_str() == file.map(|(_, name)| name)) {
        found.push("QUORATE_CLUSTER_SECRET_FILE is not on a volume of a Secret".to_owned());
    }
    let mode = secret.and_then(|volume| volume.pointer("/secret/defaultMode")).and_then(Value::as_u64);
    if mode.is_none_or(|mode| mode & 0o037 != 0) {
        found.push("others than the group can read the cluster secret".to_owned());
    }
}

fn services(documents: &Rendered, set: &Value, pod: &Pod<'_>, found: &mut Vec<String>) {
    let mut headless = false;
    let selects = |service: &&Value| pod.is_selected_by(&service["spec"]["selector"]);
    for service in documents.of_kind("Service").filter(selects) {
        let what = title(service);
        let ports: Vec<_> =
            list(service, "/spec/ports").iter().filter_map(|port| port["targetPort"].as_str()).collect();
        found.extend(
            ports
                .iter()
                .filter(|port| pod.port(port).is_none())
                .map(|port| format!("{what}: no port {port}")),
        );
        if service["metadata"]["name"] == set["spec"]["serviceName"] {
            headless = true;
            let wanted =
                [("/spec/clusterIP", json!("None")), ("/spec/publishNotReadyAddresses", json!(true))];
            expect(found, &what, service, &wanted);
        } else {
            expect(found, &what, service, &[("/spec/type", json!("ClusterIP"))]);
            if ports.len() != 1 || service["spec"]["publishNotReadyAddresses"] == true {
                found.push(format!("{what}: one listener, and ready nodes only"));
            }
        }
    }
    if !headless {
        found.push("there is no headless service for the peers".to_owned());
    }
    for port in ["routing", "management"] {
        let has = |service: &Value| list(service, "/spec/ports").iter().any(|has| has["targetPort"] == port);
        let ours = documents.of_kind("Service").filter(selects);
        if ours.filter(|service| service["spec"]["clusterIP"] != "None" && has(service)).count() != 1 {
            found.push(format!("there must be one service for {port}"));
        }
    }
}

fn disruption(documents: &Rendered, pod: &Pod<'_>, found: &mut Vec<String>) {
    let mut budgets = documents.of_kind("PodDisruptionBudget");
    let Some(budget) = budgets.find(|budget| pod.is_selected_by(&budget["spec"]["selector"]["matchLabels"]))
    else {
        found.push("there is no PodDisruptionBudget for the nodes".to_owned());
        return;
    };
    let wanted =
        [("/spec/maxUnavailable", json!(1)), ("/spec/unhealthyPodEvictionPolicy", json!("AlwaysAllow"))];
    expect(found, &title(budget), budget, &wanted);
}

/// Whoever reaches the management or the peer listener can take traffic.
fn network(documents: &Rendered, pod: &Pod<'_>, found: &mut Vec<String>) {
    let mut policies = documents.of_kind("NetworkPolicy");
    let Some(policy) =
        policies.find(|policy| pod.is_selected_by(&policy["spec"]["podSelector"]["matchLabels"]))
    else {
        found.push("there is no NetworkPolicy for the nodes".to_owned());
        return;
    };
    // Without egress rules: names must be resolved, and workers may be anywhere.
    expect(found, &title(policy), policy, &[("/spec/policyTypes", json!(["Ingress"]))]);
    let mut open = Vec::new();
    for rule in list(policy, "/spec/ingress") {
        let ports: Vec<_> = list(rule, "/ports").iter().filter_map(|port| port["port"].as_str()).collect();
        let from = list(rule, "/from");
        let labelled = |who: &Value| {
            ["/podSelector/matchLabels", "/namespaceSelector/matchLabels"].iter().any(|labels| {
                who.pointer(labels).and_then(Value::as_object).is_some_and(|labels| !labels.is_empty())
            })
        };
        if ports.is_empty() || from.is_empty() || !from.iter().all(labelled) {
            open.extend(ports.iter().copied());
        }
        if ports.contains(&"peer")
            && !from.iter().all(|who| {
                who.get("namespaceSelector").is_none()
                    && pod.is_selected_by(&who["podSelector"]["matchLabels"])
            })
        {
            found.push("others than nodes reach the peer listener".to_owned());
        }
        if ports.is_empty() {
            found.push("a rule of the network policy is about all ports".to_owned());
        }
    }
    if open != ["routing"] {
        found.push(format!("open to everybody must be routing alone, and is {open:?}"));
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
