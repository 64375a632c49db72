//! `quorate config`

use super::{
    block_on,
    declare::{self, Change},
    diff, operator,
};
use crate::{
    args::{ConfigArgs, ConfigVerb, Format},
    failure::Failure,
    output::{Rows, print, printable, say, show, yaml},
};
use quorate_client::{
    Operator,
    operator::{ConfigEntry, ConfigHistory},
};
use serde_json::json;

pub fn run(args: &ConfigArgs) -> Result<(), Failure> {
    if let Some(ConfigVerb::Schema) = args.verb {
        return schema();
    }
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            None | Some(ConfigVerb::Schema) => get(&operator, format, None).await,
            Some(ConfigVerb::Get { at }) => get(&operator, format, *at).await,
            Some(ConfigVerb::History { limit }) => {
                let told = operator.config_history(*limit).await?;
                known_from(&told.value);
                show(format, &told.json, || rows(&told.value))
            }
            Some(ConfigVerb::Diff { from, to }) => differ(&operator, format, (*from, *to)).await,
            Some(ConfigVerb::Rollback { to, how }) => {
                declare::carry_out(&operator, &Change::Back { to: *to }, how, format).await
            }
        }
    })
}

async fn get(operator: &Operator, format: Format, at: Option<u64>) -> Result<(), Failure> {
    let told = operator.config(at).await?;
    match format {
        // A document has too much in it for a table.
        Format::Table => print(&yaml(&told.json)?)?,
        Format::Json | Format::Yaml => show(format, &told.json, || Rows::new([]))?,
    }
    if let Some(changed) = told.value {
        say(&format!("last changed at index {changed}"));
    }
    Ok(())
}

async fn differ(operator: &Operator, format: Format, (from, to): (u64, Option<u64>)) -> Result<(), Failure> {
    let before = operator.config(Some(from)).await?.json;
    let after = operator.config(to).await?.json;
    let changes = diff::between(&before, &after);
    match format {
        Format::Table => print(&diff::text(&changes)),
        Format::Json | Format::Yaml => {
            let changes: Vec<_> = changes.iter().map(diff::json).collect();
            show(format, &json!({"from": from, "to": to, "changes": changes}), || Rows::new([]))
        }
    }
}

fn known_from(history: &ConfigHistory) {
    say(&match history.known_from {
        Some(index) => format!("what was declared is known from index {index} on"),
        None => "no history is kept yet: some node runs an older version".to_owned(),
    });
}

fn rows(history: &ConfigHistory) -> Rows {
    let mut rows = Rows::new(["index", "time", "changes"]);
    for entry in &history.items {
        rows.push([entry.index.to_string(), entry.time.clone(), in_short(entry)]);
    }
    rows
}

/// The first few; the others are counted.
fn in_short(entry: &ConfigEntry) -> String {
    const SHOWN: usize = 3;
    let shown = entry.changes.iter().take(SHOWN);
    let mut words: Vec<_> =
        shown.map(|one| printable(&format!("{} {} {}", one.kind, one.name, one.change))).collect();
    let more = entry.change_count.saturating_sub(words.len());
    words.extend((more > 0).then(|| format!("{more} more")));
    words.join(", ")
}

fn schema() -> Result<(), Failure> {
    let schema = quorate_api::config::schema();
    let text = serde_json::to_string_pretty(&schema).map_err(|e| Failure::failed("cannot write JSON", e))?;
    print(&(text + "\n"))
}
