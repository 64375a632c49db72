//! Many files as one document. Every mistake that can be found without a router is told at once, with its place.

use super::{Lines, lines::object_of, read_text, unreadable};
use crate::failure::Failure;
use quorate_client::Error;
use quorate_model::ConfigMode;
use serde_json::{Map, Value, map::Entry};
use std::{collections::BTreeMap, path::Path};

/// The lists of objects by name that a document may have.
const LISTS: [&str; 4] = ["routes", "sandboxes", "services", "keyspaces"];
const SUFFIXES: [&str; 3] = ["yaml", "yml", "json"];

/// What files say together.
#[derive(Default)]
pub struct Documents {
    /// All of it.
    pub value: Value,
    /// How messages call the files.
    files: Vec<String>,
    /// The documents of all files, in order.
    parts: Vec<Part>,
    /// In which part an object stands, by list and name.
    places: BTreeMap<(String, String), usize>,
}

/// One document of a file.
struct Part {
    file: usize,
    lines: Lines,
}

/// What is wrong, and where: file, line and column.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Mistake {
    file: usize,
    at: Option<(u64, u64)>,
    what: String,
}

impl Documents {
    /// Reads files, and the files of folders; `-` is stdin.
    pub fn read(named: &[String]) -> Result<Self, Failure> {
        let (mut all, mut mistakes, mut joined) = (Self::default(), Vec::new(), Map::new());
        for name in named {
            match files_of(name) {
                Ok(files) => files.iter().for_each(|file| all.take_in(file, &mut joined, &mut mistakes)),
                Err(what) => mistakes.push(Mistake { file: all.call(name), at: None, what }),
            }
        }
        all.value = Value::Object(joined);
        if mistakes.is_empty() {
            return Ok(all);
        }
        // No router is asked about half of a document: what it would find in the rest is told by our own rules.
        mistakes.extend(all.local_mistakes());
        mistakes.sort();
        Err(Failure::Usage(all.told(mistakes)))
    }

    /// Whether anything is named that is to stand, and could be taken away.
    pub fn names_what_can_go(&self) -> bool {
        let stands = |objects: &Map<String, Value>| objects.values().any(|object| !object.is_null());
        let can_go = LISTS.iter().filter(|list| **list != "keyspaces");
        can_go.filter_map(|list| self.value.get(list)?.as_object()).any(stands)
    }

    /// Without those that are named as `null`: where everything goes that is not named, they go as well. Keyspaces never
    /// do, and are for the router to refuse.
    pub fn without_those_that_go(mut self) -> Self {
        for list in LISTS.iter().filter(|list| **list != "keyspaces") {
            if let Some(objects) = self.value.get_mut(list).and_then(Value::as_object_mut) {
                objects.retain(|_, object| !object.is_null());
            }
        }
        self
    }

    /// Why a router did not take it: each mistake with its place.
    pub fn failure(&self, error: Error) -> Failure {
        let Error::Refused(problem) = &error else { return error.into() };
        if problem.errors.is_empty() {
            return error.into();
        }
        let told = problem.errors.iter().map(|wrong| self.mistake(&wrong.field, &wrong.detail));
        Failure::Failed(self.told(told.collect()))
    }

    fn local_mistakes(&self) -> Vec<Mistake> {
        let Value::Object(document) = &self.value else { return Vec::new() };
        let wrong =
            quorate_api::config::config(document.clone(), ConfigMode::Merge).err().unwrap_or_default();
        let told = |one: &quorate_model::Invalid| {
            self.mistake(&one.field, &format!("{}; allowed: {}", one.problem, one.allowed))
        };
        wrong.iter().map(told).collect()
    }

    fn mistake(&self, field: &str, detail: &str) -> Mistake {
        let what = format!("{field}: {detail}");
        let owner = object_of(field).and_then(|(list, name)| self.places.get(&(list.into(), name.into())));
        let part = match owner {
            Some(part) => self.parts.get(*part),
            None => self.parts.iter().find(|part| part.lines.at(field).is_some()),
        };
        match part {
            Some(part) => Mistake { file: part.file, at: part.lines.at(field), what },
            None => Mistake { file: 0, at: None, what },
        }
    }

    fn told(&self, mistakes: Vec<Mistake>) -> String {
        let line = |one: Mistake| {
            let file = self.files.get(one.file).map_or("", String::as_str);
            let at = one.at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
            format!("{file}{at}: {}", one.what)
        };
        mistakes.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn call(&mut self, name: &str) -> usize {
        self.files.push(if name == "-" { "stdin".into() } else { name.into() });
        self.files.len() - 1
    }

    fn take_in(&mut self, path: &str, joined: &mut Map<String, Value>, mistakes: &mut Vec<Mistake>) {
        let file = self.call(path);
        let text = match read_text(path) {
            Ok(text) => text,
            Err(what) => return mistakes.push(Mistake { file, at: None, what }),
        };
        let mut values = self::values(&text, Repeats::Refused);
        if let Err(error) = &values {
            let (at, what) = unreadable(error);
            mistakes.push(Mistake { file, at, what });
            // A key that is there twice does not hide what else is wrong.
            values = self::values(&text, Repeats::Dropped);
        }
        let mut lines = Lines::of_all(&text).into_iter();
        for value in values.unwrap_or_default() {
            // A document without places is a document all the same.
            self.parts.push(Part { file, lines: lines.next().unwrap_or_default() });
            self.join(value, joined, mistakes);
        }
    }

    /// Takes in the part that came last.
    fn join(&mut self, value: Value, joined: &mut Map<String, Value>, mistakes: &mut Vec<Mistake>) {
        let nth = self.parts.len() - 1;
        let Part { file, lines } = &self.parts[nth];
        let mut wrong = |place: &str, what: String| {
            mistakes.push(Mistake { file: *file, at: lines.at(place).or(lines.start()), what });
        };
        let Value::Object(lists) = value else {
            return wrong("", "is no mapping; allowed: fields with their values".into());
        };
        for (list, content) in lists {
            match content {
                content if !LISTS.contains(&list.as_str()) => drop(joined.insert(list, content)),
                Value::Null => {}
                Value::Object(objects) => {
                    let into = joined.entry(&list).or_insert_with(|| Map::new().into());
                    for (name, object) in objects {
                        match self.places.entry((list.clone(), name.clone())) {
                            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(nth)),
                            std::collections::btree_map::Entry::Occupied(first) => {
                                let place = format!("{list}{}", step_to(&name));
                                let Part { file, lines } = &self.parts[*first.get()];
                                let (line, column) = lines.at(&place).unwrap_or_default();
                                let also = format!("{}:{line}:{column}", self.files[*file]);
                                wrong(
                                    &place,
                                    format!("{place}: stands at {also} too; allowed: in one place"),
                                );
                                continue;
                            }
                        }
                        if let Some(Entry::Vacant(free)) = into.as_object_mut().map(|into| into.entry(name)) {
                            free.insert(object);
                        }
                    }
                }
                _ => wrong(&list, format!("{list}: is no mapping; allowed: objects by name")),
            }
        }
    }
}

/// As places are written.
fn step_to(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(is_plain) { format!(".{name}") } else { format!("[\"{name}\"]") }
}

/// What becomes of keys that are there twice.
#[derive(Clone, Copy)]
enum Repeats {
    Refused,
    Dropped,
}

fn values(text: &str, repeats: Repeats) -> Result<Vec<Value>, serde_saphyr::Error> {
    let duplicate_keys = match repeats {
        Repeats::Refused => serde_saphyr::DuplicateKeyPolicy::Error,
        Repeats::Dropped => serde_saphyr::DuplicateKeyPolicy::FirstWins,
    };
    // JSON is YAML.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: duplicate_keys,
    };
    serde_saphyr::from_multiple_with_options(text, options)
}

/// The file itself, or those of a folder, by name. Hidden ones are somebody's own, and folders inside are not looked
/// into.
fn files_of(name: &str) -> Result<Vec<String>, String> {
    if name == "-" || !Path::new(name).is_dir() {
        return Ok(vec![name.into()]);
    }
    let entries = std::fs::read_dir(name).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if is_document(&path) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    if files.is_empty() { Err("has no file *.yaml, *.yml or *.json".into()) } else { Ok(files) }
}

fn is_document(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix)) && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    fn read(folder: &tempfile::TempDir) -> Result<Documents, String> {
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        Documents::read(&[path]).map_err(|failure| match failure {
            Failure::Usage(text) => text.replace(&format!("{}/", folder.path().display()), ""),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_files_of_a_folder_are_one_document() {
        let folder = folder(&[
            ("b.yml", "routes:\n  web: {match: {}}\n---\nservices: {a: {hold: 5s}}\n---\n"),
            ("a.yaml", "# nothing\n"),
            ("c.json", "{\"routes\": {\"api\": null}, \"sandboxes\": null}"),
            (".hidden.yaml", "routes: ["),
            ("notes.txt", "routes: ["),
        ]);
        let read = read(&folder).map_err(|told| panic!("{told}")).expect("read");
        assert_eq!(
            read.value,
            json!({"routes": {"web": {"match": {}}, "api": null}, "services": {"a": {"hold": "5s"}}})
        );
        assert!(read.names_what_can_go(), "web");
        let other = self::folder(&[("a.yaml", "keyspaces: {default: {partitions: 3}}")]);
        assert!(!self::read(&other).is_ok_and(|read| read.names_what_can_go()));
    }

    #[test]
    fn every_mistake_of_every_file_is_told_at_once() {
        let folder = folder(&[
            ("a.yaml", "routes:\n  web:\n    match: {}\n    destinatons: []\n  web: {}\n"),
            ("b.yaml", "sandboxes:\n  k1: {rules: [{target: a}], ttl: 1s}\n---\nroutes:\n  web: {}\n"),
            ("c.yaml", "services: [a]\nkeyspaces: {default: {partitions: 0}}\n"),
            ("d.yaml", "routes: [\n"),
            ("e.yaml", "- 1\n"),
        ]);
        let told = read(&folder).map(|_| ()).expect_err("mistakes");
        let expected = expect_test::expect![[r#"
            a.yaml:2:3: routes.web.destinations: is missing; allowed: 1 to 64 destinations, or a redirect
            a.yaml:4:5: routes.web.destinatons: is no known field; did you mean destinations?; allowed: match, priority, redirect, destinations, ramp, sticky, balancing, hash_on, timeout, idle_timeout, per_try_timeout, retries, cors, rewrite, request_headers, response_headers, mirror
            a.yaml:5:3: is no valid YAML: `web` is there twice; allowed: each key once
            b.yaml:2:30: sandboxes.k1.ttl: is too short; allowed: a duration such as 24h, 300s (5 minutes) to 604800s (7 days), or 0 for none
            b.yaml:5:3: routes.web: stands at a.yaml:2:3 too; allowed: in one place
            c.yaml:1:1: services: is no mapping; allowed: objects by name
            c.yaml:2:23: keyspaces.default.partitions: is no such number; allowed: a whole number, 1 to 100000
            d.yaml:1:9: is no valid YAML: unclosed bracket '[' at line 1, column 9
            e.yaml:1:1: is no mapping; allowed: fields with their values"#]];
        expected.assert_eq(&told);
    }

    /// What is to go is named as it is without `--prune`; with it, that says what is the case anyway.
    #[test]
    fn nulls_say_nothing_where_all_else_goes() {
        let text = "routes: {old: null, web: {match: {}}}\nsandboxes: {k: null}\nkeyspaces: {k: null}\n";
        let read = read(&folder(&[("a.yaml", text)])).map_err(|told| panic!("{told}")).expect("read");
        assert!(read.names_what_can_go());
        let left = read.without_those_that_go().value;
        assert_eq!(
            left,
            json!({"routes": {"web": {"match": {}}}, "sandboxes": {}, "keyspaces": {"k": null}})
        );
        // What names only what goes would take away all the rest.
        let only = self::read(&folder(&[("a.yaml", "routes: {old: null}\n")]));
        assert!(!only.is_ok_and(|read| read.names_what_can_go()));
    }

    #[test]
    fn what_a_router_finds_has_its_place() {
        let folder = folder(&[
            ("a.yaml", "routes:\n  web: {}\n"),
            ("b.yaml", "routes:\n  \"a.b\":\n    weight: 1\nmore: 1\n"),
        ]);
        let read = read(&folder).map_err(|told| panic!("{told}")).expect("read");
        let at = |field: &str| {
            let mistake = read.mistake(field, "x");
            (read.files[mistake.file].rsplit('/').next().unwrap_or_default().to_owned(), mistake.at)
        };
        assert_eq!(at("routes.web.match"), ("a.yaml".into(), Some((2, 3))));
        assert_eq!(at("routes[\"a.b\"].weight"), ("b.yaml".into(), Some((3, 5))));
        assert_eq!(at("more"), ("b.yaml".into(), Some((4, 1))));
        assert_eq!(at("body").1, None);
    }

    #[test]
    fn a_folder_without_documents_is_a_mistake() {
        let told = read(&folder(&[("notes.txt", "")])).map(|_| ()).expect_err("nothing");
        assert!(told.ends_with("has no file *.yaml, *.yml or *.json"), "{told}");
    }
}
