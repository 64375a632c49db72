//! Pages that list what the code has, held against the code.

const METRICS: &str = include_str!("../../../crates/telemetry/golden/metrics.txt");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// The names in the first column of the page's table of metrics.
fn explained() -> Vec<&'static str> {
    let section = OPERATIONS.split("## Metrics").nth(1).and_then(|rest| rest.split("\n## ").next());
    let is_metric = |name: &str| name.starts_with("quorate_") || name.starts_with("proxy_");
    let rows = section.expect("a section").lines();
    let rows = rows.filter(|line| line.strip_prefix("| `").is_some_and(is_metric));
    rows.filter_map(|row| row.split('|').nth(1))
        .flat_map(|column| column.split('`').filter(|name| is_metric(name)))
        .collect()
}

#[test]
fn every_metric_is_explained_and_nothing_else() {
    let mut listed: Vec<_> =
        METRICS.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut explained = explained();
    listed.sort_unstable();
    explained.sort_unstable();
    assert_eq!(explained, listed);
    assert!(listed.len() >= 20, "{listed:?}");
}
