//! Whether a command printed what the README says, apart from what no two runs have in common.
//!
//! JSON is compared as JSON, anything else word by word. What may differ is listed here and nowhere else, and its
//! shape is still checked: a number stays a number. Process ids and lease ids are remembered, since later blocks of
//! the README name them.

use serde_json::Value;
use std::collections::BTreeMap;

/// Members of JSON objects that differ from run to run.
const MEMBERS: [&str; 9] = [
    "index",
    "id",
    "lease",
    "epoch",
    "term",
    "changed_index",
    "applied_index",
    "registered_at",
    "cluster_id",
];
/// Words after which a number differs.
const NUMBERS: [&str; 5] = ["pid", "index", "term", "x-quorate-index:", "x-quorate-stale:"];
/// Names of nodes, where any of them may stand.
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const ROLES: [&str; 2] = ["leader,", "follower,"];
const DEV_FOLDER: &str = "/tmp/quorate-dev-";

/// What was seen in the place of what the README says.
#[derive(Default)]
pub struct Learned {
    pids: BTreeMap<String, String>,
    leases: BTreeMap<String, String>,
}

impl Learned {
    /// A block with the process and lease ids of this run.
    pub fn put_into(&self, script: &str) -> String {
        let replace = |text: String, before: &str, seen: &BTreeMap<String, String>| {
            seen.iter().fold(text, |text, (says, is)| {
                // Whole numbers only.
                let whole = format!("{before}{says}");
                let mut parts = text.split(&whole);
                let first = parts.next().unwrap_or_default().to_owned();
                parts.fold(first, |all, rest| {
                    let id = if rest.starts_with(|c: char| c.is_ascii_digit()) { says } else { is };
                    all + before + id + rest
                })
            })
        };
        replace(replace(script.to_owned(), "kill -9 ", &self.pids), "\"lease\": ", &self.leases)
    }

    /// What differs, if anything does.
    pub fn compare(&mut self, says: &str, is: &str) -> Result<(), String> {
        match (serde_json::from_str(says), serde_json::from_str(is)) {
            (Ok(says), Ok(is)) => return self.json("", &says, &is),
            (Ok(_), Err(e)) => return Err(format!("no JSON: {e}")),
            (Err(_), _) => {}
        }
        let lines = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
        };
        let (says, is) = (lines(says), lines(is));
        says.iter().zip(&is).try_for_each(|(says, is)| self.line(says, is))?;
        if says.len() == is.len() { Ok(()) } else { Err(format!("{} lines, not {}", is.len(), says.len())) }
    }

    fn line(&mut self, says: &str, is: &str) -> Result<(), String> {
        let (said, seen): (Vec<_>, Vec<_>) =
            (says.split_whitespace().collect(), is.split_whitespace().collect());
        let mut before = ("", "");
        for (says, is) in said.iter().zip(&seen) {
            if says != is && !self.may_differ(before, says, is) {
                return Err(format!("`{is}` where `{says}` was expected, in `{}`", seen.join(" ")));
            }
            before = (before.1, *says);
        }
        if said.len() == seen.len() { Ok(()) } else { Err(format!("`{is}` is not `{}`", said.join(" "))) }
    }

    /// `before`: the two words before it.
    fn may_differ(&mut self, before: (&str, &str), says: &str, is: &str) -> bool {
        let digits = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
        let hexes = |word: &str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
        match before {
            (_, "pid") if digits(is) => {
                self.pids.insert(says.to_owned(), is.to_owned());
                true
            }
            ("kill", "-9") => self.pids.get(says).is_some_and(|pid| pid == is),
            (_, word) if NUMBERS.contains(&word) => digits(says) && digits(is),
            // Where the README has another leader than the first node, that one was killed.
            (_, "leader") => NODES.contains(&says) && NODES.contains(&is) && (says == "n1" || is != "n1"),
            ("node", _) => ROLES.contains(&says) && ROLES.contains(&is),
            (_, "cluster") => hexes(says) && hexes(is),
            // The owner of a partition, and the epoch at which it got it.
            (partition, worker) if digits(partition) && worker.starts_with("worker-") => {
                digits(says) && digits(is)
            }
            _ => says.starts_with(DEV_FOLDER) && is.starts_with(DEV_FOLDER),
        }
    }

    fn json(&mut self, path: &str, says: &Value, is: &Value) -> Result<(), String> {
        let differs = || Err(format!("`{path}` is {is}, not {says}"));
        match (says, is) {
            (Value::Object(said), Value::Object(seen)) => {
                if !said.keys().eq(seen.keys()) {
                    return differs();
                }
                let mut members = said.iter().zip(seen.values());
                members.try_for_each(|((key, says), is)| self.json(&format!("{path}/{key}"), says, is))
            }
            (Value::Array(said), Value::Array(seen)) if said.len() == seen.len() => {
                said.iter().zip(seen).try_for_each(|(says, is)| self.json(path, says, is))
            }
            (Value::Number(says), Value::Number(is)) if varies(path) => {
                if path.ends_with("lease/id") {
                    self.leases.insert(says.to_string(), is.to_string());
                }
                Ok(())
            }
            // Ids that are names are not made up by the cluster.
            (Value::String(says), Value::String(is)) if varies(path) && !path.ends_with("id") => {
                if says.len() == is.len() { Ok(()) } else { differs() }
            }
            _ if says == is => Ok(()),
            _ => differs(),
        }
    }
}

fn varies(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|member| MEMBERS.contains(&member))
}

#[cfg(test)]
mod tests {
    use super::Learned;

    fn check(says: &str, is: &str) -> Result<(), String> {
        Learned::default().compare(says, is)
    }

    #[test]
    fn what_no_two_runs_share_may_differ() {
        check("a  pid 7   b", "a pid 1234 b").expect("a process id, and spaces");
        check("answered by n2 at index 12", "answered by n2 at index 9").expect("an index");
        check("leader n1 in term 1\nnode n1, leader, up", "leader n3 in term 4\nnode n1, follower, up")
            .expect("who leads");
        check("9 worker-2 8 live", "9 worker-2 11 live").expect("an epoch");
        check(r#"{"lease":{"id":9,"ttl":"30s"},"index":9}"#, r#"{"index":7,"lease":{"id":6,"ttl":"30s"}}"#)
            .expect("JSON");
        check(
            r#"{"registered_at":"2026-11-21T03:50:01.305Z"}"#,
            r#"{"registered_at":"2031-01-01T00:00:00.000Z"}"#,
        )
        .expect("a time");
    }

    #[test]
    fn everything_else_may_not() {
        for (says, is) in [
            ("workers 3 live", "workers 2 live"),
            ("answered by n2 at index 12", "answered by n1 at index 12"),
            ("pid 7", "pid none"),
            ("leader n1 in term 1", "leader - in term 1"),
            ("leader n2 in term 2", "leader n1 in term 1"),
            ("9 worker-2 8 live", "9 worker-1 8 live"),
            ("9 worker-2 8 live", "9 worker-2 8 expired"),
            ("a\nb", "a"),
            ("a", "a\nb"),
            ("a b", "a"),
            ("", "a"),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":1}"#, "a: 1"),
            (r#"{"id":"demo-1"}"#, r#"{"id":"demo-2"}"#),
            (r#"{"index":1}"#, r#"{"index":"1"}"#),
            (r#"{"partitions":[1,2]}"#, r#"{"partitions":[1]}"#),
        ] {
            check(says, is).expect_err(&format!("{says} / {is}"));
        }
    }

    #[test]
    fn later_blocks_name_the_ids_of_this_run() {
        let mut learned = Learned::default();
        learned.compare("n1 pid 79\n", "n1 pid 12\n").expect("a process id");
        learned.compare(r#"{"lease":{"id":9}}"#, r#"{"lease":{"id":4}}"#).expect("a lease");
        assert_eq!(learned.put_into("kill -9 79\nkill -9 790 79"), "kill -9 12\nkill -9 790 79");
        assert_eq!(learned.put_into(r#"{"lease": 9, "sequence": 9}"#), r#"{"lease": 4, "sequence": 9}"#);
        learned.compare("kill -9 79 # dies", "kill -9 12 # dies").expect("the same process");
        learned.compare("kill -9 79 # dies", "kill -9 13 # dies").expect_err("another process");
    }
}
