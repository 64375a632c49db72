//! Files and functions stay small enough to be read at one sitting.
//!
//! The list of exceptions only shrinks: an entry that allows more than is used is an error too, so a file that
//! was made shorter can't silently grow back.

use std::collections::BTreeMap;

use super::Finding;
use super::code::Source;

/// From here on a file needs an exception.
const FILE_LINES_SOFT: usize = 400;
/// No exception goes beyond.
const FILE_LINES_MAX: usize = 800;
const FN_LINES_MAX: usize = 70;

/// Lines by `path` or `path::fn`. Functions of one name in one file share a key; the longest speaks for them.
type Sizes = BTreeMap<String, Size>;

struct Size {
    path: String,
    /// Where it begins: 0 for a file.
    line: usize,
    lines: usize,
    /// The largest that needs no exception.
    free: usize,
}

struct Exception {
    /// In the list itself.
    line: usize,
    allowed: usize,
}

pub fn check(sources: &BTreeMap<String, Source>, list_path: &str, list: &str) -> Vec<Finding> {
    let (exceptions, mut found) = parse(list_path, list);
    let sizes = measure(sources);
    for (key, size) in &sizes {
        found.extend(too_large(key, size, exceptions.get(key)));
    }
    for (key, exception) in &exceptions {
        if let Some(message) = too_generous(key, sizes.get(key), exception.allowed) {
            found.push(Finding::new(list_path, exception.line, message));
        }
    }
    found
}

fn measure(sources: &BTreeMap<String, Source>) -> Sizes {
    let mut sizes = Sizes::new();
    for (path, source) in sources {
        let lines = source.text.lines().count();
        sizes.insert(path.clone(), Size { path: path.clone(), line: 0, lines, free: FILE_LINES_SOFT });
        for function in source.functions() {
            let key = format!("{path}::{}", function.name);
            if sizes.get(&key).is_none_or(|known| known.lines < function.lines) {
                let (line, lines) = (function.line, function.lines);
                sizes.insert(key, Size { path: path.clone(), line, lines, free: FN_LINES_MAX });
            }
        }
    }
    sizes
}

fn too_large(key: &str, size: &Size, exception: Option<&Exception>) -> Option<Finding> {
    let lines = size.lines;
    let is_file = size.line == 0;
    let limit = match exception {
        _ if is_file && lines > FILE_LINES_MAX => FILE_LINES_MAX,
        Some(exception) => exception.allowed.max(size.free),
        None => size.free,
    };
    let what =
        if is_file { "the file".to_owned() } else { format!("`{}`", key.rsplit("::").next().unwrap_or(key)) };
    (lines > limit)
        .then(|| Finding::new(&size.path, size.line, format!("{what} has {lines} lines; at most {limit}")))
}

fn too_generous(key: &str, size: Option<&Size>, allowed: usize) -> Option<String> {
    match size {
        None => Some(format!("{key} does not exist: remove the entry")),
        Some(size) if size.lines <= size.free => Some(format!("{key} needs no exception: remove the entry")),
        Some(size) if size.lines < allowed => {
            Some(format!("{key} has {} lines: lower the entry", size.lines))
        }
        Some(_) => None,
    }
}

/// Entries by key, and what is wrong with the list itself.
fn parse(list_path: &str, list: &str) -> (BTreeMap<String, Exception>, Vec<Finding>) {
    let mut exceptions = BTreeMap::new();
    let mut found = Vec::new();
    for (nth, entry) in list.lines().enumerate() {
        let line = nth + 1;
        if entry.trim().is_empty() || entry.starts_with('#') {
            continue;
        }
        let parts: Vec<_> = entry.split_whitespace().collect();
        match parts[..].try_into().map(|[key, lines]: [&str; 2]| (key, lines.parse::<usize>())) {
            Ok((key, Ok(allowed))) => {
                if exceptions.insert(key.to_owned(), Exception { line, allowed }).is_some() {
                    found.push(Finding::new(list_path, line, format!("{key} stands here twice")));
                }
            }
            _ => found.push(Finding::new(list_path, line, "expected `path lines` or `path::fn lines`")),
        }
    }
    (exceptions, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(lines: usize) -> String {
        "// a line\n".repeat(lines)
    }

    fn function_of(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    fn found(text: &str, list: &str) -> Vec<String> {
        let sources = BTreeMap::from([("a.rs".to_owned(), Source::new(text))]);
        check(&sources, "list", list).iter().map(Finding::to_string).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_file_over_the_soft_limit_needs_an_exception() {
        assert_eq!(found(&file_of(400), ""), NONE);
        assert_eq!(found(&file_of(401), ""), ["a.rs: the file has 401 lines; at most 400"]);
        assert_eq!(found(&file_of(401), "# because\na.rs 401"), NONE);
        assert_eq!(found(&file_of(402), "a.rs 401"), ["a.rs: the file has 402 lines; at most 401"]);
    }

    #[test]
    fn no_exception_lets_a_file_over_the_hard_limit() {
        assert_eq!(found(&file_of(800), "a.rs 800"), NONE);
        assert_eq!(found(&file_of(801), "a.rs 801"), ["a.rs: the file has 801 lines; at most 800"]);
    }

    #[test]
    fn a_long_function_needs_an_exception() {
        assert_eq!(found(&function_of(70), ""), NONE);
        assert_eq!(found(&function_of(71), ""), ["a.rs:1: `long` has 71 lines; at most 70"]);
        assert_eq!(found(&function_of(71), "a.rs::long 71"), NONE);
        assert_eq!(found(&function_of(72), "a.rs::long 71"), ["a.rs:1: `long` has 72 lines; at most 71"]);
    }

    #[test]
    fn functions_of_one_name_are_judged_by_the_longest() {
        let text = format!("{}{}{}", function_of(3), function_of(75), function_of(4));
        assert_eq!(found(&text, ""), ["a.rs:4: `long` has 75 lines; at most 70"]);
    }

    #[test]
    fn an_exception_that_allows_too_much_is_found() {
        assert_eq!(found(&file_of(401), "\na.rs 500"), ["list:2: a.rs has 401 lines: lower the entry"]);
        assert_eq!(found(&file_of(399), "a.rs 401"), ["list:1: a.rs needs no exception: remove the entry"]);
        assert_eq!(
            found(&function_of(9), "a.rs::long 90"),
            ["list:1: a.rs::long needs no exception: remove the entry"]
        );
        assert_eq!(found("", "b.rs 500"), ["list:1: b.rs does not exist: remove the entry"]);
    }

    #[test]
    fn a_malformed_or_repeated_entry_is_found() {
        assert_eq!(found("", "a.rs many"), ["list:1: expected `path lines` or `path::fn lines`"]);
        assert_eq!(found("", "a.rs"), ["list:1: expected `path lines` or `path::fn lines`"]);
        assert_eq!(found(&file_of(401), "a.rs 401\na.rs 401"), ["list:2: a.rs stands here twice"]);
    }
}
