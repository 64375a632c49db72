//! What commands print: a table for people, or the server's own answer for programs.

use crate::{args::Format, failure::Failure};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::io::Write as _;

/// Rows under a head.
pub struct Rows {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// No rows yet.
    pub fn new<const N: usize>(head: [&'static str; N]) -> Self {
        Self { head: head.into(), rows: Vec::new() }
    }

    /// One more.
    pub fn push<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        // One row per line, however long: a terminal wraps it, a pipe must not.
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.head.iter().map(|head| head.to_uppercase()));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        let lines = table.lines().map(|line| line.trim().to_owned() + "\n");
        lines.collect()
    }
}

/// Prints the answer as it came, or the rows made from it.
pub fn show(format: Format, json: &Value, rows: impl FnOnce() -> Rows) -> Result<(), Failure> {
    let text = match format {
        Format::Table => rows().text(),
        Format::Json => serde_json::to_string_pretty(json)
            .map(|text| text + "\n")
            .map_err(|e| Failure::failed("cannot write JSON", e))?,
        Format::Yaml => yaml(json)?,
    };
    print(&text)
}

/// YAML, with a line break at its end.
pub fn yaml(json: &Value) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(json).map_err(|e| Failure::failed("cannot write YAML", e))?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// A write that was done: a sentence for people, and the answer as it came for programs.
pub fn done(format: Format, json: &Value, sentence: &str) -> Result<(), Failure> {
    let index = json.get("index").and_then(Value::as_u64);
    match json.get("unchanged").and_then(Value::as_bool) {
        Some(true) => say("it was so before; nothing was changed"),
        Some(false) | None => {
            let at = index.map_or_else(String::new, |index| format!(" at index {index}"));
            say(&format!("{sentence}{at}"));
        }
    }
    match format {
        Format::Table => Ok(()),
        Format::Json | Format::Yaml => show(format, json, || Rows::new([])),
    }
}

/// What a command goes on from: a line for people, or the same as data for programs.
pub fn show_or(format: Format, json: &Value, line: &str) -> Result<(), Failure> {
    match format {
        Format::Table => print(&(printable(line) + "\n")),
        Format::Json | Format::Yaml => show(format, json, || Rows::new([])),
    }
}

/// Data, for stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Talk, for stderr.
pub fn say(text: &str) {
    // A stderr that takes nothing is no reason to stop working.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// What a server says must not steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A value that may be unknown.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// `1 worker`, `2 workers`.
pub fn counted(count: impl Into<u64>, what: &str) -> String {
    match count.into() {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// Numbers as ranges: `0-3,7`.
pub fn ranges(numbers: &[i64]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => runs.push((number, number)),
        }
    }
    if runs.is_empty() {
        return "-".into();
    }
    let run =
        |(start, end): (i64, i64)| if start == end { start.to_string() } else { format!("{start}-{end}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_told_as_ranges() {
        assert_eq!(ranges(&[]), "-");
        assert_eq!(ranges(&[5]), "5");
        assert_eq!(ranges(&[3, 0, 1, 2, 7, 9, 8, 3]), "0-3,7-9");
        assert_eq!(ranges(&[i64::MAX, -2]), format!("-2,{}", i64::MAX));
    }

    #[test]
    fn one_is_no_plural() {
        let of = |count: u32| counted(count, "keyspace");
        assert_eq!([of(0), of(1), of(2)], ["0 keyspaces", "1 keyspace", "2 keyspaces"]);
    }

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_spaces() {
        let mut rows = Rows::new(["id", "partitions"]);
        rows.push(["worker-1".into(), "0-3".into()]);
        rows.push(["w2".into(), "-".into()]);
        assert_eq!(rows.text(), "ID        PARTITIONS\nworker-1  0-3\nw2        -\n");
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let mut rows = Rows::new(["id"]);
        rows.push(["\u{1b}[2Jw\n".into()]);
        assert_eq!(rows.text(), "ID\n\u{fffd}[2Jw\u{fffd}\n");
    }

    #[test]
    fn yaml_is_the_same_data() {
        let text =
            yaml(&json!({"items": [{"id": "true", "epoch": 3}], "next_cursor": null})).expect("written");
        let back: std::collections::BTreeMap<String, Value> =
            serde_saphyr::from_str(&text).expect("read back");
        assert_eq!(back["items"], json!([{"id": "true", "epoch": 3}]), "{text}");
    }
}
