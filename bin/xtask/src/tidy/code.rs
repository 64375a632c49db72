//! Just enough of Rust's grammar to count lines and find words: what is code, where functions end, what is a test.
//!
//! Not a parser: a parser would cost a minute of build before the first check. A brace in a string or an
//! apostrophe of a lifetime must not break the count, though, so the rules see the text with everything that is
//! not code blanked out, byte for byte in place, and positions stay true.

use std::ops::Range;

/// One source file, as written and as bare code.
pub struct Source {
    pub text: String,
    /// As long as `text` in bytes and lines; comments, strings and characters are blanks.
    pub code: String,
}

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Of its `fn`, counted from 1.
    pub line: usize,
    /// From the line of `fn` to that of the closing brace, both included.
    pub lines: usize,
}

/// What stands behind `#[cfg(test)]`.
#[derive(Debug, PartialEq, Eq)]
pub enum TestOnly {
    /// The whole file.
    File,
    /// Bytes of this file.
    Inline(Range<usize>),
    /// `mod name;`: a file or folder of that name.
    Module(String),
}

impl Source {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), code: blank(text) }
    }

    /// The line of a byte, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    /// All functions with a body, nested ones too, in the order of their `fn`.
    pub fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn").filter_map(|at| self.function(at)).collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let rest = self.code[at + 2..].trim_start();
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if name.is_empty() {
            return None; // the type `fn(u8)`, or `fn $name` of a macro
        }
        let end = item_end(&self.code, at);
        if self.code.as_bytes().get(end) != Some(&b'}') {
            return None; // a signature in a trait
        }
        let line = self.line(at);
        Some(Function { name, line, lines: self.line(end) - line + 1 })
    }

    /// Every item that only a test build compiles.
    pub fn test_only(&self) -> Vec<TestOnly> {
        let mut all = Vec::new();
        for (at, _) in self.code.match_indices("[cfg(") {
            let condition = &self.code[at + 5..];
            let condition =
                &condition[..closing(condition.as_bytes(), b'(', b')').unwrap_or(condition.len())];
            if !needs_test(condition) {
                continue;
            }
            match self.code[..at].trim_end().chars().last() {
                Some('!') => all.push(TestOnly::File),
                Some('#') => all.push(self.item_after(at)),
                _ => {}
            }
        }
        all
    }

    /// The item below the attribute whose `[` is at `at`; further attributes may stand between.
    fn item_after(&self, at: usize) -> TestOnly {
        let mut start = at;
        loop {
            let inside = &self.code[start + 1..];
            let end =
                closing(inside.as_bytes(), b'[', b']').map_or(self.code.len(), |end| start + 1 + end + 1);
            let gap = self.code[end..].len() - self.code[end..].trim_start().len();
            start = end + gap;
            if !self.code[start..].starts_with("#[") {
                break;
            }
            start += 1;
        }
        let end = item_end(&self.code, start);
        let item = &self.code[start..end];
        match words(item, "mod").next() {
            Some(at) if self.code.as_bytes().get(end) == Some(&b';') => {
                TestOnly::Module(item[at + 3..].trim().to_owned())
            }
            _ => TestOnly::Inline(start..end),
        }
    }
}

/// True where the condition can't hold without `test`.
fn needs_test(condition: &str) -> bool {
    let all = condition.trim().starts_with("all(") && words(condition, "test").next().is_some();
    condition.trim() == "test" || (all && !condition.contains("not(test") && !condition.contains("any("))
}

/// Where `word` stands on its own, as byte positions.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The byte of the `;` or the closing `}` that ends the item at `start`; the end of the text if neither comes.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return at,
            b'{' if depth == 0 => {
                let inside = &code.as_bytes()[at + 1..];
                return closing(inside, b'{', b'}').map_or(code.len(), |end| at + 1 + end);
            }
            _ => {}
        }
    }
    code.len()
}

/// The first `close` that no `open` before it in `bytes` asks for.
fn closing(bytes: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
    }
    None
}

/// The text with comments, strings and character literals replaced by blanks of the same length.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_length(rest);
        if hidden == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (gone, kept) = rest.split_at(hidden);
            code.extend(gone.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            rest = kept;
        }
    }
    code
}

/// How many bytes at the start of `rest` are not code; 0 where code stands.
fn hidden_length(rest: &str) -> usize {
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => comment_length(rest),
        [b'r', b'"' | b'#', ..] => raw_string_length(rest),
        [b'"', ..] => quoted_length(rest, '"'),
        [b'\'', ..] => character_length(rest),
        _ => 0,
    }
}

/// Block comments nest.
fn comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// 0 for a raw identifier such as `r#fn`.
fn raw_string_length(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    if rest.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = 1 + hashes + 1;
    rest[inside..].find(&end).map_or(rest.len(), |at| inside + at + end.len())
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + c.len_utf8();
        }
    }
    rest.len()
}

/// 0 for a lifetime: only a character literal has a backslash or a second apostrophe where it must.
fn character_length(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => quoted_length(rest, '\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let code = blank(text);
        assert_eq!(code.len(), text.len(), "positions must stay true");
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn functions(text: &str) -> Vec<(String, usize, usize)> {
        Source::new(text).functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    fn one(name: &str, line: usize, lines: usize) -> (String, usize, usize) {
        (name.to_owned(), line, lines)
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        assert_eq!(code("a // {\nb"), "a b");
        assert_eq!(code("a /* { /* } */ { */ b"), "a b");
        assert_eq!(code(r#"a("{\"{", b)"#), "a( , b)");
        assert_eq!(code(r##"a(r#"{"{"#, br"\", b)"##), "a( , b , b)");
        assert_eq!(code("['{', '\\'', '\\u{7b}', 'é', b'}']"), "[ , , , , b ]");
        assert_eq!(code("// ü {\nb \"ü{\" c"), "b c");
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        assert_eq!(
            code("fn r#fn<'a>(x: &'a str, y: &'static u8) {}"),
            "fn r#fn<'a>(x: &'a str, y: &'static u8) {}"
        );
        assert_eq!(code("'outer: loop { break 'outer; }"), "'outer: loop { break 'outer; }");
    }

    #[test]
    fn a_function_is_counted_from_its_fn_to_its_closing_brace() {
        let text =
            "/// Doc.\npub async fn a(\n  x: [u8; 2],\n) -> u8\nwhere\n  T: X,\n{\n  \"}\";\n}\nfn b() {}\n";
        assert_eq!(functions(text), [one("a", 2, 8), one("b", 10, 1)]);
    }

    #[test]
    fn nested_functions_count_for_themselves_and_for_the_outer_one() {
        let text = "fn a() {\n  fn b() {\n  }\n}";
        assert_eq!(functions(text), [one("a", 1, 4), one("b", 2, 2)]);
    }

    #[test]
    fn signatures_function_types_and_macro_names_are_no_functions() {
        let text = "trait T { fn a(&self) -> [u8; 3]; }\nstruct S { f: fn(u8) -> u8 }\nmacro_rules! m { () => { fn $n() {} } }";
        assert_eq!(functions(text), []);
    }

    #[test]
    fn an_unclosed_body_does_not_panic() {
        assert_eq!(functions("fn a() { {\n"), []);
        assert_eq!(blank("\"open"), "     ");
        assert_eq!(blank("/* open"), "       ");
    }

    #[test]
    fn test_items_are_found_inline_and_out_of_line() {
        let text = "fn a() {}\n#[cfg(test)]\n#[path_is_fine]\nmod inner { fn b() {} }\n#[cfg(all(test, not(madsim)))]\nmod outer;\n";
        let source = Source::new(text);
        let found = source.test_only();
        let [TestOnly::Inline(range), TestOnly::Module(name)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(&text[range.clone()], "mod inner { fn b() {} ");
        assert_eq!(name, "outer");
        assert_eq!(Source::new("//! Doc.\n#![cfg(test)]\nfn a() {}").test_only(), [TestOnly::File]);
    }

    #[test]
    fn what_also_compiles_without_test_is_no_test() {
        for condition in
            ["not(test)", "any(test, madsim)", "all(unix, not(test))", "madsim", "feature = \"test\""]
        {
            let text = format!("#[cfg({condition})]\nmod inner {{}}");
            assert_eq!(Source::new(&text).test_only(), [], "{condition}");
        }
        assert_eq!(Source::new("// #[cfg(test)]\nmod inner {}").test_only(), []);
    }
}
