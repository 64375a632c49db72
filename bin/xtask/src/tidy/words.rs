//! Words that never reach the main branch.
//!
//! Some stand for work that was not done, which belongs into an issue; some for a queue without a bound; and
//! `.unwrap()` for a panic without a reason. Clippy knows part of these, but not in code that the current `cfg`
//! leaves out, such as the simulator's.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::code::{Source, TestOnly, words};

/// In code only: a comment may say why something is not used.
const CODE: &[&str] = &["todo!(", "unimplemented!(", "dbg!("];
const CODE_WORDS: &[&str] = &["unbounded_channel"];
/// In comments and strings too.
const ANYWHERE: &[&str] = &["FIXME", "XXX"];
const UNWRAP: &str = ".unwrap()";

/// This program must name what it looks for.
const OWN_SOURCES: &str = "bin/xtask/";

pub fn check(sources: &BTreeMap<String, Source>) -> Vec<Finding> {
    let tests = test_files(sources);
    let mut found = Vec::new();
    for (path, source) in sources.iter().filter(|(path, _)| !path.starts_with(OWN_SOURCES)) {
        found.extend(banned(source).map(|(at, word)| finding(path, source, at, word)));
        if !may_unwrap(path, &tests) {
            found.extend(unwraps(source).map(|at| finding(path, source, at, UNWRAP)));
        }
    }
    found
}

fn finding(path: &str, source: &Source, at: usize, word: &str) -> Finding {
    Finding::new(path, source.line(at), format!("`{word}` is banned here"))
}

fn banned(source: &Source) -> impl Iterator<Item = (usize, &'static str)> {
    let starts = CODE.iter().flat_map(|word| source.code.match_indices(*word).map(|(at, _)| (at, *word)));
    let code = CODE_WORDS.iter().flat_map(|word| words(&source.code, word).map(|at| (at, *word)));
    let anywhere = ANYWHERE.iter().flat_map(|word| words(&source.text, word).map(|at| (at, *word)));
    starts.chain(code).chain(anywhere)
}

/// Outside of what only a test build compiles.
fn unwraps(source: &Source) -> impl Iterator<Item = usize> {
    let tests = source.test_only();
    source.code.match_indices(UNWRAP).map(|(at, _)| at).filter(move |at| {
        !tests.iter().any(|test| match test {
            TestOnly::File => true,
            TestOnly::Inline(range) => range.contains(at),
            TestOnly::Module(_) => false,
        })
    })
}

/// Folders of tests and programs, where a panic ends nothing but itself.
fn may_unwrap(path: &str, tests: &BTreeSet<String>) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    path.starts_with("bin/")
        || path.starts_with("sim-tests/")
        || folders.split('/').any(|folder| folder == "tests" || folder == "benches")
        || tests.iter().any(|module| {
            path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
}

/// The modules behind `#[cfg(test)] mod name;`, as paths without an ending: `crates/x/src/lease/fixtures`.
fn test_files(sources: &BTreeMap<String, Source>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (path, source) in sources {
        for test in source.test_only() {
            if let TestOnly::Module(name) = test {
                all.insert(format!("{}/{name}", module_folder(path)));
            }
        }
    }
    all
}

/// Where the out-of-line modules of a file are.
fn module_folder(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    match stem.rsplit_once('/') {
        Some((folder, "lib" | "main" | "mod")) => folder,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(path, text)| ((*path).to_owned(), Source::new(text))).collect();
        check(&sources).iter().map(Finding::to_string).collect()
    }

    fn found(text: &str) -> Vec<String> {
        found_in(&[("crates/a/src/lib.rs", text)])
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn unfinished_work_and_unbounded_queues_are_found() {
        for (text, word) in [
            ("fn a() { todo!() }", "todo!("),
            ("fn a() { unimplemented!(\"b\") }", "unimplemented!("),
            ("fn a() { dbg!(1); }", "dbg!("),
            ("use tokio::sync::mpsc::unbounded_channel;", "unbounded_channel"),
            ("// FIXME: later", "FIXME"),
            ("fn a() {} // XXX", "XXX"),
        ] {
            assert_eq!(found(text), [format!("crates/a/src/lib.rs:1: `{word}` is banned here")], "{text}");
        }
    }

    #[test]
    fn comments_may_name_what_code_may_not_use() {
        assert_eq!(
            found("// no unbounded_channel, no todo!() and no .unwrap() here\nfn a() { b(\"dbg!(\") }"),
            NONE
        );
        assert_eq!(found("fn a() { mktemp(\"a.XXXXXX\") }"), NONE);
    }

    #[test]
    fn an_unwrap_is_found_outside_of_tests_only() {
        let text = "fn a() {\n    b().unwrap()\n}\n#[cfg(test)]\nmod tests {\n    fn c() { d().unwrap() }\n}\nfn e() { f().unwrap() }\n";
        let at = |line| format!("crates/a/src/lib.rs:{line}: `.unwrap()` is banned here");
        assert_eq!(found(text), [at(2), at(8)]);
    }

    #[test]
    fn tests_benches_programs_and_simulations_may_unwrap() {
        let text = "fn a() { b().unwrap() }";
        for path in
            ["crates/a/tests/b.rs", "crates/a/benches/b.rs", "bin/quorate/src/main.rs", "sim-tests/src/a.rs"]
        {
            assert_eq!(found_in(&[(path, text)]), NONE, "{path}");
        }
        for path in ["crates/a/src/tests.rs", "crates/bin/src/lib.rs"] {
            assert_eq!(found_in(&[(path, text)]).len(), 1, "{path}");
        }
    }

    #[test]
    fn an_out_of_line_test_module_may_unwrap() {
        let text = "fn a() { b().unwrap() }";
        let parent = "#[cfg(test)]\nmod fixtures;";
        let in_lib = [("crates/a/src/lib.rs", parent), ("crates/a/src/fixtures.rs", text)];
        assert_eq!(found_in(&in_lib), NONE);
        let in_module = [("crates/a/src/lease.rs", parent), ("crates/a/src/lease/fixtures/deep.rs", text)];
        assert_eq!(found_in(&in_module), NONE);
        let elsewhere = [("crates/a/src/lease.rs", parent), ("crates/a/src/fixtures.rs", text)];
        assert_eq!(found_in(&elsewhere).len(), 1);
    }

    #[test]
    fn the_checker_itself_may_name_the_words() {
        assert_eq!(found_in(&[("bin/xtask/src/a.rs", "// FIXME")]), NONE);
        assert_eq!(found_in(&[("bin/quorate/src/a.rs", "// FIXME")]).len(), 1);
    }
}
