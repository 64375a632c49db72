//! The fenced blocks of a page, for tests that run them.

/// Each with the line where it begins, counted from 1, what stands behind its fence, and what is in it.
pub fn fenced(page: &str) -> impl Iterator<Item = (usize, &str, String)> {
    let mut lines = page.lines().zip(1..);
    std::iter::from_fn(move || {
        let (kind, number) =
            lines.by_ref().find_map(|(line, number)| Some((line.strip_prefix("```")?, number)))?;
        let body: Vec<_> = lines.by_ref().map(|(line, _)| line).take_while(|line| *line != "```").collect();
        Some((number, kind, body.join("\n")))
    })
}
