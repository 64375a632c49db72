//! The configuration file: YAML in which every key is known.
//!
//! Besides our own keys it may have those of the sandbox proxy's file ([`super::original`]), rules included.
//!
//! A misspelt key that is silently ignored is a node that runs with a default nobody chose, so unknown keys are
//! errors with their line. Values keep the text in which they were written and are parsed where flags are, so a
//! value means the same wherever it stands. Lists may be YAML lists, and `peers` may be a mapping.

use super::{
    error::{ConfigError, Origin, Wrong, quoted},
    original::{self, OriginalKey, RULES, Reads},
    parse, rules,
    setting::{SETTINGS, Setting, find},
    yaml::{Line, Yaml},
};
use quorate_routing::local::Rules;

/// A value of the file and where it stands.
pub(super) struct FileValue {
    pub setting: &'static Setting,
    pub text: String,
    pub origin: Origin,
}

/// What a file says.
pub(super) struct Read {
    pub values: Vec<FileValue>,
    pub rules: Rules,
    pub errors: Vec<ConfigError>,
}

/// Reads the whole file; every unknown key and misplaced value is an error of its own.
pub(super) fn read(file: &str, text: &str) -> Read {
    let mut found =
        Found { file, values: Vec::new(), rules: Rules::new(), originals: Vec::new(), errors: Vec::new() };
    match Yaml::read(text) {
        Ok(Yaml::Map(entries)) => found.entries("", entries),
        Ok(Yaml::Null) => {}
        Ok(Yaml::Scalar(_) | Yaml::List(_)) => {
            let wrong = Wrong::new("is no mapping of keys to values", "lines such as `worker_ttl: 30s`");
            found.errors.push(wrong.at(Origin::File(file.into())));
        }
        Err(wrong) => found.errors.push(wrong.at(Origin::File(file.into()))),
    }
    found.lay_originals();
    Read { values: found.values, rules: found.rules, errors: found.errors }
}

struct Found<'a> {
    file: &'a str,
    values: Vec<FileValue>,
    rules: Rules,
    /// What is said by keys of the sandbox proxy.
    originals: Vec<(&'static OriginalKey, String, Origin)>,
    errors: Vec<ConfigError>,
}

impl Found<'_> {
    fn entries(&mut self, above: &str, entries: Vec<(Line<String>, Yaml)>) {
        for (name, value) in entries {
            let key = format!("{above}{}", name.value);
            let at = (name.line, name.column);
            let origin =
                Origin::Key { key: key.clone(), file: self.file.into(), line: at.0, column: Some(at.1) };
            if key == RULES {
                let (rules, errors) = rules::read(self.file, value, at);
                self.rules = rules;
                self.errors.extend(errors);
                continue;
            }
            if let Some(original) = original::find(&key) {
                self.original(original, value, origin);
                continue;
            }
            match (setting_of(&key), value) {
                (Some(setting), value) if !is_section(&key, &value) => self.value(setting, value, origin),
                (_, Yaml::Map(inner)) if leads_on(&key) => self.entries(&format!("{key}."), inner),
                // An empty section says nothing.
                (_, Yaml::Null) if leads_on(&key) => {}
                _ => self.errors.push(rules::unknown(&key, all_keys()).at(origin)),
            }
        }
    }

    fn original(&mut self, original: &'static OriginalKey, value: Yaml, origin: Origin) {
        match as_text(value) {
            Ok(Some(text)) => match original.reads.text(&text) {
                Ok(text) => self.originals.push((original, text, origin)),
                Err(wrong) => self.errors.push(wrong.at(origin)),
            },
            Ok(None) => {}
            Err(wrong) => self.errors.push(wrong.at(origin)),
        }
    }

    /// Our own key says more than the one of the sandbox proxy: with its port, where to listen. Where they contradict
    /// each other, nobody knows which was meant.
    fn lay_originals(&mut self) {
        for (original, text, origin) in std::mem::take(&mut self.originals) {
            let setting =
                find(original.setting).expect("the keys name settings of the table; a test reads them all");
            let Some(own) = self.values.iter().find(|value| value.setting.name == setting.name) else {
                self.values.push(FileValue { setting, text, origin });
                continue;
            };
            let port = |text: &str| parse::listener(text).ok().map(|address| address.port());
            let is_same = match original.reads {
                // A wrong one is told of as such.
                Reads::Port(_) => port(&own.text).is_none_or(|own| Some(own) == port(&text)),
                Reads::KeyHeader | Reads::Address => own.text == text,
            };
            if !is_same {
                let problem = format!("contradicts `{}`, which says {}", setting.key(), quoted(&own.text));
                self.errors.push(Wrong::new(problem, "one of the two, or both alike").at(origin));
            }
        }
    }

    fn value(&mut self, setting: &'static Setting, value: Yaml, origin: Origin) {
        match as_text(value) {
            Ok(Some(text)) => self.values.push(FileValue { setting, text, origin }),
            // `key:` with nothing behind it says nothing.
            Ok(None) => {}
            Err(wrong) => self.errors.push(wrong.at(origin)),
        }
    }
}

fn setting_of(key: &str) -> Option<&'static Setting> {
    let key = if key == "routing.listen" { "routing" } else { key };
    SETTINGS.iter().find(|setting| setting.key() == key)
}

/// `routing` is an address, or a section with the address under `listen`.
fn is_section(key: &str, value: &Yaml) -> bool {
    leads_on(key) && matches!(value, Yaml::Map(_))
}

fn leads_on(key: &str) -> bool {
    all_keys().iter().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// What a file may say: our own keys, and those of the sandbox proxy.
fn all_keys() -> Vec<String> {
    let originals = original::KEYS.iter().map(|known| known.key).chain([RULES, "routing.listen"]);
    SETTINGS.iter().map(Setting::key).chain(originals.map(str::to_owned)).collect()
}

/// A list is what a flag spells with commas, a mapping what a flag spells `name=value,...`.
fn as_text(value: Yaml) -> Result<Option<String>, Wrong> {
    let flat = |value: Yaml| match value {
        Yaml::Scalar(text) if !text.contains(',') => Ok(text),
        Yaml::Scalar(text) => {
            Err(Wrong::new(format!("{} has a comma in it", quoted(&text)), "one value per item"))
        }
        Yaml::Null | Yaml::List(_) | Yaml::Map(_) => {
            Err(Wrong::new("has an item that is no text", "a flat list"))
        }
    };
    match value {
        Yaml::Null => Ok(None),
        Yaml::Scalar(text) => Ok(Some(text)),
        Yaml::List(items) => {
            Ok(Some(items.into_iter().map(|item| flat(item.value)).collect::<Result<Vec<_>, _>>()?.join(",")))
        }
        Yaml::Map(entries) => {
            let pair = |(name, value): (Line<String>, Yaml)| Ok(format!("{}={}", name.value, flat(value)?));
            Ok(Some(entries.into_iter().map(pair).collect::<Result<Vec<_>, Wrong>>()?.join(",")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let Read { values, errors, .. } = read("q.yaml", text);
        let values = values.iter().map(|v| format!("{} = {} @ {}", v.setting.name, v.text, v.origin));
        values.chain(errors.iter().map(ToString::to_string)).collect()
    }

    #[test]
    fn every_value_keeps_its_text_and_its_line() {
        assert_eq!(
            check("node_name: n\nworker_ttl: 30s\npartitions: 64\nkafka_brokers: [a:1, b:2]\n"),
            [
                "node-name = n @ node_name (q.yaml, line 1, column 1)",
                "worker-ttl = 30s @ worker_ttl (q.yaml, line 2, column 1)",
                "partitions = 64 @ partitions (q.yaml, line 3, column 1)",
                "kafka-brokers = a:1,b:2 @ kafka_brokers (q.yaml, line 4, column 1)",
            ]
        );
    }

    #[test]
    fn peers_may_be_a_mapping_and_routing_a_section() {
        assert_eq!(
            check("peers:\n  n1: a:7070\n  n2: b:7070\nrouting:\n  listen: :80\n  management_paths: true\n"),
            [
                "peers = n1=a:7070,n2=b:7070 @ peers (q.yaml, line 1, column 1)",
                "routing = :80 @ routing.listen (q.yaml, line 5, column 3)",
                "routing-management-paths = true @ routing.management_paths (q.yaml, line 6, column 3)",
            ]
        );
        assert_eq!(check("routing: :80\n"), ["routing = :80 @ routing (q.yaml, line 1, column 1)"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        for (text, told) in [
            (
                "worker_ttl: 30s\nworkerttl: 30s\n",
                "workerttl (q.yaml, line 2, column 1): there is no such key; did you mean `worker_ttl`?",
            ),
            (
                "routing:\n  lisen: :80\n",
                "routing.lisen (q.yaml, line 2, column 3): there is no such key; did you mean `routing.listen`?",
            ),
            ("server:\n  a: 1\n", "server.a (q.yaml, line 2, column 3): there is no such key"),
            ("gadget:\n  a: 1\n", "gadget (q.yaml, line 1, column 1): there is no such key"),
        ] {
            let found = check(text);
            let error = found.last().expect("an error");
            let rest = "; allowed: the flags that `quorate serve --help` lists, with _ for -";
            assert_eq!(*error, format!("{told}{rest}"));
        }
    }

    #[test]
    fn what_is_no_mapping_is_refused_and_an_empty_file_says_nothing() {
        assert_eq!(check(""), [""; 0]);
        assert_eq!(check("# only a comment\nworker_ttl:\n"), [""; 0]);
        assert!(check("- a\n")[0].contains("no mapping"));
        assert!(
            check("partitions: 1\npartitions: 2\n")[0].contains("line 2"),
            "{:?}",
            check("partitions: 1\npartitions: 2\n")
        );
        assert!(check("a: [")[0].contains("no valid YAML"));
    }
}
