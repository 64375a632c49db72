//! Which name somebody most likely meant who wrote one that nobody knows.

/// A longer name is no misspelt one.
const CHARS_MAX: usize = 64;
/// More letters that are wrong make another word.
const WRONG_MAX: usize = 3;

/// The one of `known` that is so near to `wrong` that it is worth asking about; of equally near ones the first. Case,
/// and whether words are joined by `-` or `_`, count for nothing.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.chars().count() > CHARS_MAX {
        return None;
    }
    let wrong = plain(wrong);
    // A third of a name may be wrong, and one letter of a short one; but not all of it.
    let allowed = (wrong.chars().count() / 3).clamp(1, WRONG_MAX);
    let far = |name: &'a str| (strsim::osa_distance(&wrong, &plain(name)), name);
    let near = known.into_iter().map(far).filter(|(distance, name)| {
        *distance <= allowed && *distance < wrong.chars().count().max(name.chars().count())
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_near_to_the_one_that_was_meant_and_others_are_to_none() {
        const KNOWN: [&str; 6] = ["destinations", "match", "timeout", "idle_timeout", "url", "ttl"];
        for (wrong, meant) in [
            ("destination", Some("destinations")),
            ("detsinations", Some("destinations")),
            ("Match", Some("match")),
            ("idle-timeout", Some("idle_timeout")),
            ("timout", Some("timeout")),
            ("ulr", Some("url")),
            ("tll", Some("ttl")),
            ("x", None),
            ("", None),
            ("gateways", None),
            ("abc", None),
            (&"m".repeat(1 << 20), None),
        ] {
            assert_eq!(nearest(wrong, KNOWN), meant, "{wrong:.20}");
        }
        const SETTINGS: [&str; 5] = ["peer", "peers", "partitions", "routing.listen", "worker_ttl"];
        for (wrong, meant) in [
            ("peer_s", Some("peers")),
            ("partition", Some("partitions")),
            ("routing.lisen", Some("routing.listen")),
            ("Worker-TLT", Some("worker_ttl")),
            ("x", None),
            ("sandboxes", None),
        ] {
            assert_eq!(nearest(wrong, SETTINGS), meant, "{wrong}");
        }
        assert_eq!(nearest("rout", ["routes", "route"]), Some("route"));
        assert_eq!(nearest("ab", ["aa", "bb"]), Some("aa"), "of equally near ones the first");
    }
}
