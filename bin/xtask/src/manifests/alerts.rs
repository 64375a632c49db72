//! Rules about alerts: they name metrics that there are, with labels that these have, and lead to a page.
//!
//! An alert on a metric that was renamed is silent for ever, which nobody notices until it matters. What a parser and a
//! list can't know, that it fires when it should and only then, its unit tests show (`alerts.test.yaml`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Facts;
use super::document::{Rendered, expect, list, title};
use super::tools::Tools;
use crate::tidy::anchors;
use crate::workspace::{Failure, Workspace};

const COMPONENT: &str = "deploy/kubernetes/components/monitoring";
const TESTS: &str = "alerts.test.yaml";
const PAGE: &str = "docs/failures.md#";
const GROUP_FIELDS: [&str; 2] = ["name", "rules"];
const RULE_FIELDS: [&str; 5] = ["alert", "expr", "for", "labels", "annotations"];

/// All alerts: name and query.
pub fn queries(documents: &Rendered) -> Vec<(&str, &str)> {
    let rules = rules(documents);
    rules.iter().filter_map(|rule| Some((rule["alert"].as_str()?, rule["expr"].as_str()?))).collect()
}

fn rules(documents: &Rendered) -> Vec<&Value> {
    let groups = documents.of_kind("PrometheusRule").flat_map(|document| list(document, "/spec/groups"));
    groups.flat_map(|group| list(group, "/rules")).collect()
}

/// What is wrong with the alerts and with how nodes are scraped.
pub fn check(documents: &Rendered, facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    let pages = anchors(&facts.failures);
    for rule in rules(documents) {
        let name = rule["alert"].as_str().unwrap_or("an alert without a name");
        let mut wrong = |what: String| found.push(format!("{name}: {what}"));
        unknown_fields(rule, &RULE_FIELDS).into_iter().for_each(&mut wrong);
        query(rule["expr"].as_str().unwrap_or_default(), facts).into_iter().for_each(&mut wrong);
        if !["critical", "warning"].iter().any(|known| rule["labels"]["severity"] == *known) {
            wrong("severity must be critical or warning".to_owned());
        }
        if rule["annotations"]["summary"].as_str().is_none_or(str::is_empty) {
            wrong("it has no summary".to_owned());
        }
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
        let anchor = runbook.strip_prefix(PAGE).unwrap_or_default();
        if anchor != name.to_lowercase() || !pages.iter().any(|page| page == anchor) {
            wrong(format!(
                "its runbook must be a heading, {PAGE}{}, and is `{runbook}`",
                name.to_lowercase()
            ));
        }
    }
    for document in documents.of_kind("PrometheusRule") {
        for group in list(document, "/spec/groups") {
            found.extend(unknown_fields(group, &GROUP_FIELDS));
        }
    }
    for monitor in documents.of_kind("ServiceMonitor") {
        found.extend(scraping(documents, monitor));
    }
    found
}

fn unknown_fields(value: &Value, known: &[&str]) -> Vec<String> {
    let fields = value.as_object().into_iter().flatten().map(|(name, _)| name);
    fields
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| format!("unknown field `{name}`"))
        .collect()
}

/// It selects a service with the port that it names, by labels; where the service is not rendered too, its fields are
/// looked at alone.
fn scraping(documents: &Rendered, monitor: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let what = title(monitor);
    found.extend(unknown_fields(&monitor["spec"], &["jobLabel", "selector", "endpoints"]));
    let wanted =
        [("/spec/jobLabel", json!("app.kubernetes.io/name")), ("/spec/endpoints/0/path", json!("/metrics"))];
    expect(&mut found, &what, monitor, &wanted);
    for endpoint in list(monitor, "/spec/endpoints") {
        found.extend(unknown_fields(endpoint, &["port", "path", "interval", "scrapeTimeout"]));
    }
    let labels = monitor.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selected = |service: &&Value| {
        labels.is_some_and(|labels| {
            labels.iter().all(|(name, value)| service["metadata"]["labels"].get(name) == Some(value))
        })
    };
    let port = monitor.pointer("/spec/endpoints/0/port");
    let mut services = documents.of_kind("Service").peekable();
    if services.peek().is_some() {
        let service = services.find(selected);
        let ports = service.map_or(&[][..], |service| list(service, "/spec/ports"));
        if !ports.iter().any(|has| Some(&has["name"]) == port) {
            found.push(format!("{what}: no service that it selects has its port"));
        }
    }
    found
}

/// What is wrong with the metrics of a query, and with the values of labels that it asks for.
fn query(text: &str, facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    let mut any = false;
    for (at, _) in text.match_indices("quorate_").chain(text.match_indices("up{")) {
        let boundary = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        if text[..at].chars().next_back().is_some_and(|before| !boundary(before)) {
            continue;
        }
        any = true;
        let rest = &text[at..];
        let name = rest.split(boundary).next().unwrap_or_default();
        let selector = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
        let Some(selector) = selector.filter(|selector| selector.contains("job=\"quorate\"")) else {
            found.push(format!("{name} without job=\"quorate\": another program may have it too"));
            continue;
        };
        if name == "up" {
            continue;
        }
        let Some(metric) = metric(name, facts) else {
            found.push(format!("there is no metric {name}"));
            continue;
        };
        let row = facts.operations.lines().find(|line| line.starts_with(&format!("| `{metric}`")));
        for value in values(selector) {
            if !row.is_some_and(|row| row.contains(&format!("`{value}`"))) {
                found.push(format!("{name}: nothing says that a label can be `{value}`"));
            }
        }
    }
    if !any {
        found.push("it asks for no metric".to_owned());
    }
    found
}

/// The metric that a series belongs to, by its type: Prometheus shows counters and histograms under names with suffixes.
fn metric<'a>(series: &'a str, facts: &Facts) -> Option<&'a str> {
    let suffixes: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("counter", &["_total"][..]),
        ("histogram", &["_bucket", "_sum", "_count"]),
        ("gauge", &[""]),
    ]);
    let fits = |name: &&str, suffix: &str| {
        let kind = facts.metrics.get(*name);
        kind.is_some_and(|kind| suffixes.get(kind.as_str()).is_some_and(|known| known.contains(&suffix)))
    };
    let all = suffixes.values().flat_map(|known| known.iter());
    all.filter_map(|suffix| series.strip_suffix(suffix).filter(|name| fits(name, suffix))).next()
}

/// The values that a selector asks for, but for the job: `a="x",b=~"y|z"`.
fn values(selector: &str) -> Vec<&str> {
    let asked = selector.split(',').filter(|asked| !asked.starts_with("job="));
    asked.filter_map(|asked| asked.split('"').nth(1)).flat_map(|values| values.split('|')).collect()
}

/// Runs the unit tests of the alerts, where there is a promtool.
pub fn try_out(
    workspace: &Workspace,
    tools: &Tools,
    rendered: &BTreeMap<String, Rendered>,
) -> Result<(), Failure> {
    let promtool = match &tools.promtool {
        Ok(promtool) => promtool,
        Err(why) => {
            eprintln!("manifests: the alerts were not tried out: {why}");
            return Ok(());
        }
    };
    let missing = || Failure::Check(format!("{COMPONENT} has no PrometheusRule"));
    let documents = rendered.get(COMPONENT).ok_or_else(missing)?;
    let document = documents.of_kind("PrometheusRule").next().ok_or_else(missing)?;
    let tests = workspace.read(&format!("{COMPONENT}/{TESTS}"))?;
    for (alert, _) in queries(documents) {
        // Once where it fires, once where it does not.
        if tests.matches(&format!("alertname: {alert}\n")).count() < 2 {
            return Err(Failure::Check(format!("{COMPONENT}/{TESTS}: {alert} is not tried both ways")));
        }
    }
    let folder = std::env::temp_dir().join(format!("quorate-alerts-{}", std::process::id()));
    let failed = |error: std::io::Error| Failure::Check(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    std::fs::write(folder.join("rules.json"), document["spec"].to_string()).map_err(failed)?;
    std::fs::write(folder.join(TESTS), tests).map_err(failed)?;
    let tried = tools.try_alerts(promtool, &folder, TESTS);
    // Left behind, it harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONITORING: &str = include_str!("../../golden/kubernetes-monitoring.json");

    fn monitoring() -> Rendered {
        Rendered(serde_json::from_str(MONITORING).expect("JSON"))
    }

    fn wrong(text: &str) -> String {
        query(text, &Facts::ours()).join("\n")
    }

    #[test]
    fn the_alerts_are_as_they_should_be() {
        assert_eq!(check(&monitoring(), &Facts::ours()), [""; 0]);
        assert!(queries(&monitoring()).len() >= 10);
    }

    #[test]
    fn a_query_of_a_metric_that_there_is_not_is_found() {
        assert_eq!(wrong("max(quorate_raft_term{job=\"quorate\"}) > 1 and up{job=\"quorate\"} == 1"), "");
        assert!(wrong("quorate_raft_terms{job=\"quorate\"}").contains("no metric quorate_raft_terms"));
        assert!(wrong("quorate_raft_commands{job=\"quorate\"}").contains("no metric quorate_raft_commands"));
        assert!(wrong("quorate_raft_term_total{job=\"quorate\"}").contains("no metric"));
        assert!(wrong("quorate_raft_term > 1").contains("another program"));
        assert!(wrong("vector(1)").contains("asks for no metric"));
    }

    #[test]
    fn a_label_that_never_has_that_value_is_found() {
        let of = |values: &str| {
            wrong(&format!("quorate_proxy_requests_total{{job=\"quorate\",outcome=~\"{values}\"}}"))
        };
        assert_eq!(of("no_worker|timeout"), "");
        assert!(of("no_worker|no_time").contains("can be `no_time`"));
    }

    #[test]
    fn an_alert_without_a_page_and_fields_that_the_operator_would_drop_are_found() {
        let mut documents = monitoring();
        let rules = documents.0.iter_mut().find(|document| document["kind"] == "PrometheusRule");
        let rule = rules.and_then(|rules| rules.pointer_mut("/spec/groups/0/rules/0")).expect("an alert");
        rule["alert"] = json!("QuorateUnheardOf");
        rule["expression"] = json!("1");
        rule["labels"] = json!({});
        let found = check(&documents, &Facts::ours()).join("\n");
        for words in
            ["QuorateUnheardOf: its runbook must be", "unknown field `expression`", "severity must be"]
        {
            assert!(found.contains(words), "{words}: {found}");
        }
    }

    #[test]
    fn a_monitor_that_selects_no_service_is_found() {
        let mut documents = monitoring();
        let base: Vec<Value> =
            serde_json::from_str(include_str!("../../golden/kubernetes-base.json")).expect("JSON");
        documents.0.extend(base);
        assert_eq!(check(&documents, &Facts::ours()), [""; 0]);
        for document in documents.0.iter_mut().filter(|document| document["kind"] == "Service") {
            document["spec"]["ports"][0]["name"] = json!("admin");
            document["spec"]["ports"].as_array_mut().expect("a list").truncate(1);
        }
        let found = check(&documents, &Facts::ours()).join("\n");
        assert!(found.contains("no service that it selects has its port"), "{found}");
    }
}
