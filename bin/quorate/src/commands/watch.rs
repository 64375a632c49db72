//! `quorate watch`

use super::{block_on, operator};
use crate::{
    args::{Format, WatchArgs},
    failure::Failure,
    output::{print, printable, say, yaml},
};
use quorate_client::operator::{Event, Step, Watched};
use serde_json::{Value, json};

/// More users of one event are counted, and not named in the table.
const USERS_MAX: usize = 10;

pub fn run(args: &WatchArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    let watched = Watched { from: args.from.clone(), kinds: args.kinds.clone(), prefix: args.prefix.clone() };
    block_on(async {
        let mut watch = operator.watch(watched).await?;
        loop {
            match watch.next().await? {
                Step::Event(event) => {
                    print(&told(format, &event)?)?;
                    if args.until_synced && event.kind == "synced" {
                        return Ok(());
                    }
                }
                Step::Lost { why } => say(&format!("{why}; going on at the next node that answers")),
                Step::Regained { node } => say(&format!("the watch goes on at {node}")),
                Step::Stale { node, since } => {
                    say(&format!(
                        "{node} has heard no leader for {since}: there may be changes it can't tell"
                    ));
                }
                Step::Fresh { node } => say(&format!("{node} hears a leader again")),
            }
        }
    })
}

fn told(format: Format, event: &Event) -> Result<String, Failure> {
    let json = json!({"id": event.id, "event": event.kind, "data": event.data});
    match format {
        Format::Table => Ok(line(event)),
        // One line for each: programs read them as they come.
        Format::Json => Ok(json.to_string() + "\n"),
        Format::Yaml => Ok(format!("---\n{}", yaml(&json)?)),
    }
}

fn line(event: &Event) -> String {
    let text = |field: &str| event.data.get(field).and_then(Value::as_str).unwrap_or_default();
    let id = event.id.as_deref().unwrap_or("-");
    let what = [text("change"), text("reason")].concat();
    if event.kind == "presence" {
        let columns = format!("{id:<10} {:<9} {what:<11} {}", event.kind, users(&event.data));
        return printable(columns.trim_end()) + "\n";
    }
    let columns = format!("{id:<10} {:<9} {what:<11} {} {}", event.kind, text("name"), details(event));
    printable(columns.trim_end()) + "\n"
}

/// Who came, where, and who went; many at once are counted.
fn users(data: &Value) -> String {
    let text = |session: &Value, field: &str| session[field].as_str().unwrap_or_default().to_owned();
    let came = |session: &Value| format!("{} at {}", text(session, "user"), text(session, "node"));
    let went = |session: &Value| text(session, "user");
    let opened = sessions("opened", data, came);
    let closed = sessions("closed", data, went);
    opened.into_iter().chain(closed).collect::<Vec<_>>().join("; ")
}

fn sessions(word: &str, data: &Value, shown: impl Fn(&Value) -> String) -> Option<String> {
    let all = data[word].as_array().filter(|all| !all.is_empty())?;
    let mut named: Vec<_> = all.iter().take(USERS_MAX).map(shown).collect();
    if all.len() > USERS_MAX {
        named.push(format!("{} more", all.len() - USERS_MAX));
    }
    Some(format!("{word} {}", named.join(", ")))
}

/// What a person wants to know of it at a glance.
fn details(event: &Event) -> String {
    let data = &event.data;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let field = |path: &str| data.pointer(path).filter(|value| !value.is_null()).map(text);
    match text(&data["change"]).as_str() {
        "status" => format!("{} -> {}", text(&data["from"]), text(&data["to"])),
        "lost" => format!("{} partitions to {}", text(&data["count"]), text(&data["taken_by"])),
        "health" => format!("{} {}", text(&data["endpoint"]), text(&data["health"])),
        "intent" => format!("{} weight {}", text(&data["duty"]), text(&data["weight"])),
        _ => {
            let shown = [
                "/worker/status",
                "/worker/address",
                "/keyspace/partitions",
                "/delegate/worker",
                "/policy/hold",
                "/policy/timeout",
                "/node/management",
                "/feature_level",
                "/gateway/epoch",
                "/tunnel/node",
            ];
            shown.into_iter().filter_map(field).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(id: Option<&str>, kind: &str, data: Value) -> String {
        line(&Event { kind: kind.into(), id: id.map(Into::into), data })
    }

    #[test]
    fn an_event_is_one_line() {
        let registered = json!({"change": "registered", "name": "w1", "worker": {"status": "live", "address": "http://a:1"}});
        assert_eq!(
            shown(Some("57.0"), "worker", registered),
            "57.0       worker    registered  w1 live http://a:1\n"
        );
        let status =
            json!({"change": "status", "name": "w\n1", "from": "live", "to": "suspect", "worker": {}});
        assert_eq!(
            shown(Some("58"), "worker", status),
            "58         worker    status      w\u{fffd}1 live -> suspect\n"
        );
        let lost = json!({"change": "lost", "name": "w1", "count": 2, "taken_by": "w2"});
        assert_eq!(
            shown(Some("9"), "worker", lost),
            "9          worker    lost        w1 2 partitions to w2\n"
        );
        let ill = json!({"change": "health", "name": "upload", "endpoint": "w1", "health": "unhealthy"});
        assert_eq!(
            shown(Some("9.1"), "service", ill),
            "9.1        service   health      upload w1 unhealthy\n"
        );
        let gone = json!({"change": "removed", "name": "w1", "worker": null});
        assert_eq!(shown(Some("9"), "worker", gone), "9          worker    removed     w1\n");
        assert_eq!(
            shown(None, "reset", json!({"reason": "start", "index": 5})),
            "-          reset     start\n"
        );
        assert_eq!(shown(Some("5"), "synced", json!({"index": 5})), "5          synced\n");
    }

    #[test]
    fn users_who_come_and_go_are_named() {
        let came = json!({"user": "alice", "node": "n1", "epoch": 12});
        let one = json!({"change": "changed", "opened": [came], "closed": [{"user": "bob", "epoch": 3}]});
        assert_eq!(
            shown(Some("57.0"), "presence", one),
            "57.0       presence  changed     opened alice at n1; closed bob\n"
        );
        let many: Vec<_> = (0..12).map(|at| json!({"user": format!("u{at}"), "epoch": at})).collect();
        let line = shown(Some("58"), "presence", json!({"change": "changed", "opened": [], "closed": many}));
        assert!(line.contains("changed     closed u0, u1,") && line.ends_with("u9, 2 more\n"), "{line}");
    }
}
