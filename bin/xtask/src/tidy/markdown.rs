//! Just enough of Markdown: where its links point, what its headings are called, what it says about machines.

use super::Finding;

/// A link's target as written, with its line counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    pub line: usize,
    pub target: String,
}

/// Paths that exist on one machine only. `/tmp/` is every machine's, in a block that shows commands.
const MACHINE: &[&str] = &["/work/", "/root/"];
const TEMPORARY: &str = "/tmp/";

/// Paths of somebody's own machine in a page that everybody reads.
pub fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in lines(text) {
        let in_prose = (!line.in_block).then_some(&TEMPORARY);
        for folder in MACHINE.iter().chain(in_prose) {
            if starts_a_path(line.text, folder) {
                found.push(Finding::new(path, line.number, format!("`{folder}` is a path of one machine")));
            }
        }
    }
    found
}

/// True where `folder` stands in `line` and is not the middle of a longer path or address.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~/}>*]".contains(c))
    })
}

/// All links and images outside of code: inline, by reference, and as HTML.
pub fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for line in lines(text).filter(|line| !line.in_block) {
        let prose = without_code(line.text);
        let inline = prose.split("](").skip(1).map(|rest| target(rest, ')'));
        let html = ["href=\"", "src=\""].into_iter().flat_map(|start| prose.split(start).skip(1));
        let html = html.map(|rest| target(rest, '"'));
        let targets = inline.chain(html).chain(definition(&prose)).filter(|target| !target.is_empty());
        links.extend(targets.map(|target| Link { line: line.number, target: target.to_owned() }));
    }
    links
}

/// From behind the opening to `close`, without a title; parentheses inside may nest.
fn target(rest: &str, close: char) -> &str {
    if let Some(quoted) = rest.strip_prefix('<') {
        return quoted.split('>').next().unwrap_or(quoted);
    }
    let mut depth = 0_usize;
    let end = rest.find(|c: char| match c {
        _ if c.is_whitespace() || (c == close && depth == 0) => true,
        '(' => {
            depth += 1;
            false
        }
        ')' => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => false,
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// The target of `[label]: target`; a footnote is none.
fn definition(line: &str) -> Option<&str> {
    let (label, rest) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    (!label.starts_with('^') && !label.contains(']')).then(|| target(rest.trim_start(), '\n'))
}

/// The names that `#name` can mean in this page: its headings, as GitHub turns them into anchors, and `id`s.
pub fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for line in lines(text).filter(|line| !line.in_block) {
        if let Some(heading) = heading(line.text) {
            let slug = slug(heading);
            // A repeated heading counts up from 1.
            let mut name = slug.clone();
            let mut repeats = 0;
            while anchors.contains(&name) {
                repeats += 1;
                name = format!("{slug}-{repeats}");
            }
            anchors.push(name);
        }
        for start in ["id=\"", "name=\""] {
            anchors.extend(
                without_code(line.text).split(start).skip(1).map(|rest| target(rest, '"').to_owned()),
            );
        }
    }
    anchors
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim().trim_end_matches('#').trim_end())
}

fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // Of a link only its text counts.
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The line with its `code` blanked out.
fn without_code(line: &str) -> String {
    let mut prose = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let ticks = rest[at..].bytes().take_while(|byte| *byte == b'`').count();
        let (before, opened) = (&rest[..at], &rest[at + ticks..]);
        prose.push_str(before);
        match opened.find(&rest[at..at + ticks]) {
            Some(end) => rest = &opened[end + ticks..],
            None => rest = opened, // a tick without its pair is only a tick
        }
    }
    prose.push_str(rest);
    prose
}

struct Line<'a> {
    number: usize,
    text: &'a str,
    /// Inside a fenced block of code, its fences included.
    in_block: bool,
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut open: Option<&str> = None;
    text.lines().enumerate().map(move |(nth, text)| {
        let fence = fence(text);
        let in_block = open.is_some() || fence.is_some();
        open = match (open, fence) {
            (None, Some((fence, _))) => Some(fence),
            // Only a bare fence at least as long closes.
            (Some(opened), Some((fence, ""))) if fence.starts_with(opened) => None,
            (open, _) => open,
        };
        Line { number: nth + 1, text, in_block }
    })
}

/// A fence and what follows it on its line.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let tick = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.len() - line.trim_start_matches(tick).len();
    let (fence, info) = line.split_at(length);
    (length >= 3 && !info.contains('`')).then_some((fence, info))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        links(text).into_iter().map(|link| link.target).collect()
    }

    fn machines(text: &str) -> Vec<String> {
        machine_paths("a.md", text).iter().map(Finding::to_string).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn links_of_every_spelling_are_found() {
        assert_eq!(targets("see [a](b.md) and ![c](d_(1).svg \"title\")"), ["b.md", "d_(1).svg"]);
        assert_eq!(targets("[`code`](src/a.rs#L1) [x](<a b.md>)"), ["src/a.rs#L1", "a b.md"]);
        assert_eq!(targets("[label]: ../c.md \"title\""), ["../c.md"]);
        assert_eq!(targets("<a href=\"x.md\"><img src=\"y.svg\"></a>"), ["x.md", "y.svg"]);
        assert_eq!(links("\n[a](b)"), [Link { line: 2, target: "b".to_owned() }]);
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(targets("`[a](b)` and ``[`c`](d)``"), NONE);
        assert_eq!(targets("```sh\n[a](b)\n```\n[c](d)"), ["d"]);
        assert_eq!(targets("````\n```\n[a](b)\n````\n[c](d)"), ["d"]);
        assert_eq!(targets("  ~~~ text\n[a](b)\n```\n[a](b)\n  ~~~"), NONE);
        assert_eq!(targets("[^1]: a footnote"), NONE);
    }

    #[test]
    fn headings_become_anchors_as_on_github() {
        let text = "# One Two!\n## `code` & [link](x.md)\n## Ünïcode_x\n# One two\n#no\n```\n# not\n```\n<a id=\"own\">";
        assert_eq!(anchors(text), ["one-two", "code--link", "ünïcode_x", "one-two-1", "own"]);
    }

    #[test]
    fn paths_of_one_machine_are_found_everywhere_and_tmp_in_prose() {
        assert_eq!(machines("see /work/main"), ["a.md:1: `/work/` is a path of one machine"]);
        assert_eq!(machines("```\ncd /root/x\n```"), ["a.md:2: `/root/` is a path of one machine"]);
        assert_eq!(machines("`/tmp/x` is used"), ["a.md:1: `/tmp/` is a path of one machine"]);
        assert_eq!(machines("```\ncat /tmp/x\n```"), NONE);
    }

    #[test]
    fn the_middle_of_a_longer_path_is_no_machine_path() {
        assert_eq!(machines("docs/work/x, $HOME/work/x, ~/root/x, https://a.b/tmp/x, {base}/work/"), NONE);
    }
}
