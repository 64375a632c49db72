//! The README's blocks: what to run, and what it prints.

use crate::fences::fenced;

/// One thing to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins, counted from 1.
    pub line: usize,
    pub asked: Asked,
    /// Nothing: it prints nothing.
    pub expected: String,
}

/// How to run it.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// `quorate dev`, in a terminal of its own.
    Dev,
    /// A command that is only known to exist.
    Known(String),
    /// By the shell, once.
    Once(String),
    /// By the shell, until it prints what is expected.
    Eventually(String),
}

/// Reads all fenced blocks. Each kind must be known, and output must follow what prints it.
pub fn parse(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    // Whether the block before this one may still get its output.
    let mut open = false;
    for (number, kind, body) in fenced(page) {
        match (kind, open) {
            ("sh" | "sh eventually", _) => {
                blocks.push(Block { line: number, asked: asked(kind, &body), expected: String::new() });
                open = true;
            }
            ("text" | "json", true) => {
                blocks.last_mut().expect("an open one").expected = body;
                open = false;
            }
            ("text" | "json", false) => return Err(format!("line {number}: output of nothing")),
            // A picture, or the example, which has a test of its own.
            ("" | "rust", _) => open = false,
            (other, _) => return Err(format!("line {number}: a block of `{other}` is not run by any test")),
        }
    }
    Ok(blocks)
}

fn asked(kind: &str, body: &str) -> Asked {
    match body {
        "cargo run --release -- dev" => Asked::Dev,
        _ if body.starts_with("cargo xtask ") || body.starts_with("cargo build ") => {
            Asked::Known(body.into())
        }
        _ if kind == "sh" => Asked::Once(body.into()),
        _ => Asked::Eventually(body.into()),
    }
}

#[test]
fn output_belongs_to_the_block_before_it() {
    let page = "```\npicture\n```\n```sh\na\nb\n```\ntalk\n```text\nc\n```\n```sh\ncargo xtask ci\n```";
    let first = Block { line: 4, asked: Asked::Once("a\nb".into()), expected: "c".into() };
    let second = Block { line: 12, asked: Asked::Known("cargo xtask ci".into()), expected: String::new() };
    assert_eq!(parse(page), Ok(vec![first, second]));
}

#[test]
fn a_block_that_nobody_runs_is_refused() {
    assert_eq!(parse("```bash\na\n```"), Err("line 1: a block of `bash` is not run by any test".into()));
    assert_eq!(parse("```json\n{}\n```"), Err("line 1: output of nothing".into()));
    assert_eq!(
        parse("```sh\na\n```\n```text\nb\n```\n```text\nb\n```"),
        Err("line 7: output of nothing".into())
    );
}
