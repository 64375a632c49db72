//! Changes of headers.

use http::{HeaderMap, HeaderName};
use quorate_model::route::HeaderEdits;

/// Makes them: removed first, then set, then added.
pub fn edit(edits: &HeaderEdits, headers: &mut HeaderMap) {
    for name in &edits.remove {
        headers.remove(&**name);
    }
    // A route's names are names: it was checked when it was made.
    let known = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    for (name, value) in &edits.set {
        known(name).into_iter().for_each(|name| _ = headers.insert(name, value.clone()));
    }
    for (name, value) in &edits.add {
        known(name).into_iter().for_each(|name| _ = headers.append(name, value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn removed_then_set_then_added() {
        let pair = |(name, value): (&str, &'static str)| (Box::from(name), HeaderValue::from_static(value));
        let edits = HeaderEdits {
            set: vec![pair(("x-env", "test"))],
            add: vec![pair(("x-env", "more")), pair(("x-tag", "2"))],
            remove: vec!["x-secret".into(), "x-env".into()],
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-secret", "1"), ("x-secret", "2"), ("x-env", "prod"), ("x-tag", "1")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        edit(&edits, &mut headers);
        let mut shown: Vec<_> =
            headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().expect("text"))).collect();
        shown.sort_unstable();
        assert_eq!(shown, ["x-env: more", "x-env: test", "x-tag: 1", "x-tag: 2"]);
    }
}
