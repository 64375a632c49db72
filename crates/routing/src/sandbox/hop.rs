//! What of a request is noted while its routing key is followed: enough to find the place where the key was lost, and
//! nothing that is a secret.

use super::propagate::{TRACE_ID, TRACE_PARENT};
use crate::route::key::trace_parent;
use http::{HeaderMap, HeaderValue};
use quorate_model::key_trace::{Hop, TRACE_ID_BYTES_MAX};

/// Most bytes of a host and of a path that are noted.
const TEXT_BYTES_MAX: usize = 128;
/// Segments that are longer are ids, or secrets.
const SEGMENT_BYTES_MAX: usize = 24;

/// What a request's head says, but for its keys.
pub fn hop(method: &http::Method, host: &str, path: &str, headers: &HeaderMap) -> Hop {
    let parent = headers.get(TRACE_PARENT).and_then(|value| trace_parent(value.as_bytes()));
    let text = |bytes: &[u8]| Box::<str>::from(String::from_utf8_lossy(bytes));
    let mut traces: Vec<Box<str>> = parent.iter().map(|(trace, _)| text(trace)).collect();
    // Applications that know nothing of W3C pass this one on.
    let other = headers.get(TRACE_ID).and_then(trace_id);
    traces.extend(other.filter(|other| !traces.iter().any(|known| **known == **other)).map(Into::into));
    Hop {
        traces,
        parent: parent.map(|(_, span)| text(span)),
        method: cut(method.as_str()).into(),
        host: cut(host.rsplit('@').next().unwrap_or_default()).into(),
        path: template(path).into(),
        ..Hop::default()
    }
}

fn trace_id(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?.trim();
    (!text.is_empty() && text.len() <= TRACE_ID_BYTES_MAX).then_some(text)
}

/// A path with `{}` in the place of what looks like an id or a token.
pub fn template(path: &str) -> String {
    let is_id = |segment: &str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        segment.len() > SEGMENT_BYTES_MAX
            || digits > 0 && (digits == segment.len() || segment.len() >= 8)
            || segment.contains(['@', '=', '%'])
    };
    let shown: Vec<&str> =
        path.split('/').map(|segment| if is_id(segment) { "{}" } else { segment }).collect();
    cut(&shown.join("/")).to_owned()
}

fn cut(text: &str) -> &str {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(fields: &[(&'static str, &str)]) -> Hop {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        hop(&Method::GET, "shop.example", "/cart", &fields.collect())
    }

    #[test]
    fn a_trace_is_known_by_either_of_its_ids() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let both = of(&[("traceparent", &parent), ("x-trace-id", "abc")]);
        assert_eq!(
            (both.traces, both.parent.as_deref()),
            (vec![TRACE.into(), "abc".into()], Some("00f067aa0ba902b7"))
        );
        let same = of(&[("traceparent", &parent), ("x-trace-id", TRACE)]);
        assert_eq!(same.traces, vec![TRACE.into()]);
        assert_eq!(of(&[("x-trace-id", " abc ")]).traces, vec!["abc".into()]);
        for none in [
            &[][..],
            &[("traceparent", "00-0-0-0")],
            &[("x-trace-id", "")],
            &[("x-trace-id", &"x".repeat(65))],
        ] {
            assert_eq!((of(none).traces, of(none).parent), (vec![], None), "{none:?}");
        }
    }

    #[test]
    fn what_looks_like_an_id_or_a_token_is_not_noted() {
        for (path, shown) in [
            ("/api/v1/orders/17", "/api/v1/orders/{}"),
            ("/u/9f86d081884c7d65/x", "/u/{}/x"),
            ("/reset/abcdefghijklmnopqrstuvwxyz", "/reset/{}"),
            ("/who/a@b.example/t=1", "/who/{}/{}"),
            ("/api/service/upload2/clients", "/api/service/upload2/clients"),
            ("/", "/"),
        ] {
            assert_eq!(template(path), shown);
        }
        assert_eq!(template(&"/é".repeat(200)).len(), 127, "cut between letters");
        assert_eq!(&*hop(&Method::GET, "u:secret@h", "/", &HeaderMap::new()).host, "h");
    }
}
