//! What somebody may have meant who has mistyped a name.

/// More edits than this make another word of a short one.
const EDITS_MAX: usize = 3;

/// The known name that is nearest to `text`, if one is near: within a third of its letters.
pub(super) fn nearest<'n>(text: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = (text.chars().count() / 3).clamp(1, EDITS_MAX);
    let measured = known.map(|name| (edits(text, name), name));
    measured.filter(|(edits, _)| *edits <= limit).min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
}

/// How many letters must be changed, put in, taken out or swapped with their neighbour to make `b` of `a`, whatever
/// their case.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (letters(a), letters(b));
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let changed = last[j] + usize::from(left != right);
            let mut least = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

/// Dashes and underscores are one letter: flags have the ones, keys the others.
fn letters(text: &str) -> Vec<char> {
    text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("worker_ttl", "worker_ttl", 0),
            ("workerttl", "worker_ttl", 1),
            ("worker_tlt", "worker_ttl", 1),
            ("Worker-TTL", "worker_ttl", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn what_is_far_from_all_names_is_near_to_none() {
        let known = ["peer", "peers", "partitions", "routing.listen"];
        for (text, expected) in [
            ("peer_s", Some("peers")),
            ("partition", Some("partitions")),
            ("routing.lisen", Some("routing.listen")),
            ("x", None),
            ("sandboxes", None),
        ] {
            assert_eq!(nearest(text, known.into_iter()), expected, "{text}");
        }
    }
}
