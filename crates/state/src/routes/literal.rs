//! What every text begins with that an expression is for.
//!
//! The index finds a route with an expression by that, so it may be too short, never too long. It also decides which
//! route goes first, so it is read here by fixed rules and not by the library that compiles expressions: another
//! version of that must not find another one.

/// What each match of all of `pattern` begins with.
pub(super) fn beginning(pattern: &str) -> &str {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    if has_alternatives(pattern) {
        return "";
    }
    let end = pattern.find(is_special).unwrap_or(pattern.len());
    let (literal, rest) = pattern.split_at(end);
    if rest.starts_with(['*', '?', '{']) {
        // The last one may be left out. (`+` leaves it in.)
        return literal.char_indices().next_back().map_or("", |(last, _)| &literal[..last]);
    }
    literal
}

fn is_special(c: char) -> bool {
    matches!(c, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$')
}

/// Whether it is, or may be, a list of alternatives: `a|b`. A bar in brackets makes none.
fn has_alternatives(pattern: &str) -> bool {
    // Flags can make comments possible, in which brackets mean nothing.
    let has_flags = pattern.match_indices("(?").any(|(at, _)| {
        let next = pattern[at + 2..].chars().next();
        !matches!(next, Some(':' | 'P' | '<'))
    });
    if has_flags && pattern.contains('|') {
        return true;
    }
    let (mut groups, mut classes) = (0_usize, 0_usize);
    let mut letters = pattern.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '\\' => _ = letters.next(),
            '[' => {
                classes += 1;
                letters.next_if_eq(&'^');
                // As the first one it is a letter.
                letters.next_if_eq(&']');
            }
            ']' => classes = classes.saturating_sub(1),
            '(' if classes == 0 => groups += 1,
            ')' if classes == 0 => groups = groups.saturating_sub(1),
            '|' if classes == 0 && groups == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_model::route::Pattern;

    #[test]
    fn the_beginning_is_what_no_match_lacks() {
        for (pattern, expected) in [
            ("/api/v[0-9]+/.*", "/api/v"),
            ("^/api/.*$", "/api/"),
            ("/api/(a|b)/x", "/api/"),
            ("/a|/b", ""),
            ("/api/x?y", "/api/"),
            ("/api/x*y", "/api/"),
            ("/api/x+y", "/api/x"),
            ("/api/x{0,2}", "/api/"),
            ("/a[(]|/b", ""),
            ("/a[|]b", "/a"),
            ("/a[]|]b", "/a"),
            ("/a\\(|/b", ""),
            ("/a(?x) # (\n |b", ""),
            ("(?i)/api", ""),
            ("/a(?:b|c)", "/a"),
            (".*", ""),
            ("", ""),
            ("*", ""),
        ] {
            assert_eq!(beginning(pattern), expected, "{pattern}");
        }
    }

    proptest! {
        /// Were it too long, the index would not find the route for some text that it matches.
        #[test]
        fn every_match_begins_with_it(
            pattern in "[/abx.|()\\[\\]*+?^$-]{0,12}",
            text in "[/abx|().-]{0,8}",
        ) {
            if let Ok(compiled) = Pattern::parse("f", &pattern)
                && compiled.is_match(&text)
            {
                prop_assert!(text.starts_with(beginning(&pattern)), "{pattern} matches {text}");
            }
        }
    }
}
