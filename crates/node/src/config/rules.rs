//! The rules of the settings file: `routing.rules`, as the sandbox proxy has them.
//!
//! The rules of one key stay in the order of the file, also where those of others stand between them. Every mistake of
//! every rule is an error of its own, where it stands.

use super::{
    error::{ConfigError, Origin, Wrong},
    original::{self, RULES},
    yaml::{Line, Yaml},
};
use quorate_api::nearest::nearest;
use quorate_model::{
    Invalid, RoutingKey, SandboxParts, SandboxRule, limit,
    route::{Destination, Target},
};
use quorate_routing::local::Rules;
use std::{collections::BTreeMap, sync::Arc};

const KEYS: [&str; 6] =
    ["routeKey", "targetService", "target", "pathPrefixes", "headerMatchers", "additionalHeaders"];

/// Where something stands.
#[derive(Clone, Debug)]
struct Place {
    key: String,
    at: (u64, u64),
}

/// Reads the list.
pub(super) fn read(file: &str, value: Yaml, at: (u64, u64)) -> (Rules, Vec<ConfigError>) {
    let mut reader = Reader { file, errors: Vec::new() };
    let place = Place { key: RULES.into(), at };
    let mut by_key: BTreeMap<RoutingKey, Vec<SandboxRule>> = BTreeMap::new();
    match value {
        Yaml::Null => {}
        Yaml::List(items) => {
            for (nth, item) in items.into_iter().enumerate() {
                let place = Place { key: format!("{RULES}[{nth}]"), at: (item.line, item.column) };
                let Some((key, rule)) = reader.rule(&place, item.value) else { continue };
                let rules = by_key.entry(key).or_default();
                rules.push(rule);
                if rules.len() == limit::RULES_PER_SANDBOX_MAX + 1 {
                    let max = limit::RULES_PER_SANDBOX_MAX;
                    reader.wrong(
                        &place,
                        Wrong::new("is one rule too many of its key", format!("at most {max} of a key")),
                    );
                }
            }
        }
        Yaml::Scalar(_) | Yaml::Map(_) => reader.wrong(&place, Wrong::new("is no list", "a list of rules")),
    }
    if !reader.errors.is_empty() {
        return (Rules::new(), reader.errors);
    }
    let mut made = Rules::new();
    for (key, rules) in by_key {
        match (SandboxParts { rules, ttl: None }).validate() {
            Ok(sandbox) => drop(made.insert(key, Arc::new(sandbox))),
            // Each rule was looked at by itself.
            Err(wrong) => wrong.into_iter().for_each(|wrong| reader.wrong(&place, wrong.into())),
        }
    }
    (made, reader.errors)
}

struct Reader<'f> {
    file: &'f str,
    errors: Vec<ConfigError>,
}

/// Where to, of the two ways to say it.
enum Said {
    Original(Place, Yaml),
    Ours(Place, Yaml),
}

impl Reader<'_> {
    fn wrong(&mut self, place: &Place, wrong: Wrong) {
        let Place { key, at: (line, column) } = place.clone();
        let origin = Origin::Key { key, file: self.file.into(), line, column: Some(column) };
        self.errors.push(wrong.at(origin));
    }

    fn take<T>(&mut self, place: &Place, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|invalid| self.wrong(place, invalid.into())).ok()
    }

    fn rule(&mut self, place: &Place, value: Yaml) -> Option<(RoutingKey, SandboxRule)> {
        let Yaml::Map(entries) = value else {
            let allowed = format!("a mapping with {}", KEYS.join(", "));
            self.wrong(place, Wrong::new("is no rule", allowed));
            return None;
        };
        let before = self.errors.len();
        let (mut key, mut target, mut rule) = (None, None, SandboxRule::default());
        for (name, value) in entries {
            let place = Place { key: format!("{}.{}", place.key, name.value), at: (name.line, name.column) };
            match KEYS.into_iter().find(|known| original::is_spelled(known, &name.value)) {
                Some("routeKey") => key = Some(self.key(&place, value)),
                Some("targetService") => target = Some(self.only(target, Said::Original(place, value))),
                Some("target") => target = Some(self.only(target, Said::Ours(place, value))),
                Some("pathPrefixes") => rule.path_prefixes = self.prefixes(&place, value),
                Some("headerMatchers") => rule.headers = self.headers(&place, value, SandboxRule::header),
                Some("additionalHeaders") => {
                    rule.add_headers = self.headers(&place, value, SandboxRule::added_header);
                }
                _ => self.unknown(&place, &name.value),
            }
        }
        match target {
            Some(said) => rule.destinations = self.target(said).into_iter().collect(),
            None => {
                let allowed = "where its requests go: a URL, host:port or a host";
                self.missing(place, "targetService", allowed);
            }
        }
        if key.is_none() {
            self.missing(place, "routeKey", "the key that requests carry");
        }
        if self.errors.len() == before {
            for invalid in rule.mistakes() {
                let place = Place { key: format!("{}.{}", place.key, ours(&invalid.field)), at: place.at };
                self.wrong(&place, invalid.into());
            }
        }
        Some((key??, rule)).filter(|_| self.errors.len() == before)
    }

    /// Of two ways to say where to, one.
    fn only(&mut self, known: Option<Said>, said: Said) -> Said {
        if known.is_some() {
            let (Said::Original(place, _) | Said::Ours(place, _)) = &said;
            self.wrong(place, Wrong::new("says once more where to", "either targetService or target"));
        }
        said
    }

    fn missing(&mut self, place: &Place, key: &str, allowed: &str) {
        let place = Place { key: format!("{}.{key}", place.key), at: place.at };
        self.wrong(&place, Wrong::new("is missing", allowed));
    }

    fn unknown(&mut self, place: &Place, name: &str) {
        self.wrong(place, unknown(name, KEYS.into_iter().map(str::to_owned).collect()));
    }

    fn key(&mut self, place: &Place, value: Yaml) -> Option<RoutingKey> {
        let text = self.scalar(place, value)?;
        self.take(place, RoutingKey::parse(&text))
    }

    fn target(&mut self, said: Said) -> Option<Destination> {
        let (place, read) = match said {
            Said::Original(place, value) => {
                let text = self.scalar(&place, value)?;
                (place, Target::parse("targetService", &original::address(&text)))
            }
            Said::Ours(place, value) => {
                let text = self.scalar(&place, value)?;
                (place, Target::parse_versioned("target", &text))
            }
        };
        let target = self.take(&place, read)?;
        Some(Destination { target, weight: Destination::WEIGHT_DEFAULT })
    }

    fn prefixes(&mut self, place: &Place, value: Yaml) -> Vec<Box<str>> {
        let items = match value {
            Yaml::Null => return Vec::new(),
            Yaml::List(items) => items,
            Yaml::Scalar(_) | Yaml::Map(_) => {
                self.wrong(place, Wrong::new("is no list", "a list of paths such as [/api/v1]"));
                return Vec::new();
            }
        };
        let mut prefixes = Vec::new();
        for (nth, item) in items.into_iter().enumerate() {
            let place = Place { key: format!("{}[{nth}]", place.key), at: (item.line, item.column) };
            let Some(text) = self.scalar(&place, item.value) else { continue };
            prefixes.extend(self.take(&place, SandboxRule::path("path", &text)));
        }
        prefixes
    }

    fn headers<T>(
        &mut self,
        place: &Place,
        value: Yaml,
        parse: impl Fn(&str, &str, &str) -> Result<(Box<str>, T), Vec<Invalid>>,
    ) -> Vec<(Box<str>, T)> {
        let entries = match value {
            Yaml::Null => return Vec::new(),
            Yaml::Map(entries) => entries,
            Yaml::Scalar(_) | Yaml::List(_) => {
                self.wrong(place, Wrong::new("is no mapping", "headers with their values"));
                return Vec::new();
            }
        };
        let mut headers = Vec::new();
        for (Line { line, column, value: name }, value) in entries {
            let place = Place { key: format!("{}.{name}", place.key), at: (line, column) };
            let Some(text) = self.scalar(&place, value) else { continue };
            match parse("header", &name, &text) {
                Ok(header) => headers.push(header),
                Err(wrong) => wrong.into_iter().for_each(|one| self.wrong(&place, one.into())),
            }
        }
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        headers
    }

    fn scalar(&mut self, place: &Place, value: Yaml) -> Option<String> {
        match value {
            Yaml::Scalar(text) => Some(text),
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) => {
                self.wrong(place, Wrong::new("is no text", "a text"));
                None
            }
        }
    }
}

/// The same field, as the file has it.
fn ours(field: &str) -> String {
    let renamed = [
        ("path_prefixes", "pathPrefixes"),
        ("headers", "headerMatchers"),
        ("add_headers", "additionalHeaders"),
    ];
    let of = |(from, to): &(&str, &str)| field.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    renamed.iter().find_map(of).unwrap_or_else(|| field.to_owned())
}

/// There is no such key; perhaps another one was meant.
pub(super) fn unknown(key: &str, known: Vec<String>) -> Wrong {
    /// A longer list hides what it is about.
    const LISTED_MAX: usize = 10;
    let problem = match nearest(key, known.iter().map(String::as_str)) {
        Some(near) => format!("there is no such key; did you mean `{near}`?"),
        None => "there is no such key".to_owned(),
    };
    let allowed = match known.len() {
        0..=LISTED_MAX => known.join(", "),
        _ => "the flags that `quorate serve --help` lists, with _ for -".to_owned(),
    };
    Wrong::new(problem, allowed)
}
