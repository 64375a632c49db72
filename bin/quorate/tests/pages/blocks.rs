//! A page's blocks: what to run, where, and what it prints.

use crate::fences::fenced;

/// One thing to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins, counted from 1.
    pub line: usize,
    pub machine: String,
    pub script: String,
    /// It may take a moment until it prints what is expected, or succeeds.
    pub eventually: bool,
    /// `None`: whatever it prints.
    pub expected: Option<String>,
}

/// Stands for one word that differs from run to run.
const ANY: &str = "…";

/// Reads all fenced blocks. Each kind must be known, and output must follow what prints it.
pub fn parse(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    // Whether the block before this one may still get its output.
    let mut open = false;
    for (number, kind, body) in fenced(page) {
        match kind {
            "text by hand" => open = false,
            "text" if open => {
                blocks.last_mut().expect("an open one").expected = Some(body);
                open = false;
            }
            "text" => return Err(format!("line {number}: output of nothing")),
            _ => {
                blocks.push(to_run(kind, number, body)?);
                open = true;
            }
        }
    }
    Ok(blocks)
}

fn to_run(kind: &str, line: usize, script: String) -> Result<Block, String> {
    let words: Vec<_> = kind.split(' ').collect();
    let (machine, eventually) = match words[..] {
        ["sh"] => ("n1", false),
        ["sh", "eventually"] => ("n1", true),
        ["sh", "on", machine] => (machine, false),
        ["sh", "on", machine, "eventually"] => (machine, true),
        _ => return Err(format!("line {line}: a block of `{kind}` is not run by any test")),
    };
    Ok(Block { line, machine: machine.into(), script, eventually, expected: None })
}

/// What differs, if anything does.
pub fn compare(expected: &str, is: &str) -> Result<(), String> {
    let lines = |text: &str| -> Vec<Vec<String>> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        text.lines().map(words).filter(|words| !words.is_empty()).collect()
    };
    let (expects, sees) = (lines(expected), lines(is));
    let same = |(expects, sees): (&Vec<String>, &Vec<String>)| {
        let mut words = expects.iter().zip(sees);
        expects.len() == sees.len() && words.all(|(expects, is)| expects == ANY || expects == is)
    };
    if expects.len() == sees.len() && expects.iter().zip(&sees).all(same) {
        Ok(())
    } else {
        Err(format!("--- the page says\n{expected}\n--- it was\n{is}"))
    }
}

#[test]
fn blocks_name_their_machine_and_own_the_output_behind_them() {
    let page =
        "```sh\na\n```\ntalk\n```text\nb\n```\n```text by hand\nc\n```\n```sh on n3 eventually\nd\n```";
    let block = |line, machine: &str, script: &str, eventually, expected: Option<&str>| Block {
        line,
        machine: machine.into(),
        script: script.into(),
        eventually,
        expected: expected.map(Into::into),
    };
    let all = vec![block(1, "n1", "a", false, Some("b")), block(11, "n3", "d", true, None)];
    assert_eq!(parse(page), Ok(all));
}

#[test]
fn a_block_that_nobody_runs_is_refused() {
    for (page, why) in [
        ("```bash\na\n```", "line 1: a block of `bash` is not run by any test"),
        ("```\na\n```", "line 1: a block of `` is not run by any test"),
        ("```text\na\n```", "line 1: output of nothing"),
        ("```sh\na\n```\n```text by hand\nb\n```\n```text\nc\n```", "line 7: output of nothing"),
    ] {
        assert_eq!(parse(page), Err(why.into()));
    }
}

#[test]
fn one_word_may_differ_where_the_page_says_so_and_nothing_else() {
    compare("leader … in term …\n", "leader   n2 in term 7").expect("two words");
    for (expected, is) in [("a … c", "a c"), ("a", "b"), ("a\nb", "a"), ("a", "a\nb"), ("", "a")] {
        compare(expected, is).expect_err(&format!("{expected} / {is}"));
    }
}
