//! How whoever gets a request is told of its key.
//!
//! An application passes on to the next one what its libraries know: one its tracing headers, one its baggage, one only
//! a header that somebody copies by hand. Which it is a router can't know. So the key is said in all forms, and whichever
//! survives leads the next request to the same sandbox.
//!
//! * A header that came stays as it came, whatever it says: `X-Route-Key` is never changed. What is missing is set.
//! * In a list the key's own member is set, and all others stay. A list that would then be longer than its standard lets
//!   it be is left alone: somebody on the way may cut it, and what he cuts off is another one's.
//! * `tracestate` is nothing without `traceparent`: a receiver throws it away.
//! * `X-Trace-ID` and `X-Span-ID` are set from `traceparent` where they are missing.

use super::key::{
    BAGGAGE, KeyForms, MEMBER, OT_BAGGAGE, ROUTE_KEY, ROUTING_KEY, TRACESTATE, UBERCTX, members,
};
use crate::route::key::trace_parent;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const SPAN_ID: HeaderName = HeaderName::from_static("x-span-id");

/// Most bytes and members of `baggage` that everybody has to pass on (W3C Baggage, 3.3.2).
const BAGGAGE_MAX: Bounds = Bounds { bytes: 8_192, members: 64 };
/// The same of `tracestate` (W3C Trace Context, 3.3.1.1 and 3.3.1.5).
const TRACESTATE_MAX: Bounds = Bounds { bytes: 512, members: 32 };

/// What is not said as it is: all but what every decoder reads as itself.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Copy)]
struct Bounds {
    bytes: usize,
    members: usize,
}

/// Where in a list the key's member is put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A changed member of `tracestate` moves to the front.
    First,
    /// What is last is cut off first: it should be ours.
    Last,
}

/// Says the key in all forms.
pub fn propagate(headers: &mut HeaderMap, key: &str, forms: &KeyForms) {
    // A key is printable: it is always a value.
    let Ok(plain) = HeaderValue::from_str(key) else { return };
    let encoded = utf8_percent_encode(key, ENCODED).to_string();
    for name in forms.headers().chain(&[ROUTE_KEY, ROUTING_KEY, OT_BAGGAGE]) {
        set(headers, name, || Some(plain.clone()));
    }
    set(headers, &UBERCTX, || HeaderValue::from_str(&encoded).ok());
    merge(headers, (&BAGGAGE, BAGGAGE_MAX), (&encoded, Place::Last));
    let trace = headers.get(TRACE_PARENT).and_then(|value| trace_parent(value.as_bytes()));
    if let Some((trace, span)) =
        trace.map(|(trace, span)| (HeaderValue::from_bytes(trace), HeaderValue::from_bytes(span)))
    {
        set(headers, &TRACE_ID, || trace.ok());
        set(headers, &SPAN_ID, || span.ok());
        if is_of_tracestate(key) {
            merge(headers, (&TRACESTATE, TRACESTATE_MAX), (key, Place::First));
        }
    }
}

/// Where there is none of that name.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: impl FnOnce() -> Option<HeaderValue>) {
    if !headers.contains_key(name)
        && let Some(value) = value()
    {
        headers.insert(name.clone(), value);
    }
}

/// Its values know no commas and no equals signs, and nothing to say them with.
fn is_of_tracestate(key: &str) -> bool {
    !key.contains([',', '='])
}

/// Sets the key's member of a list.
fn merge(headers: &mut HeaderMap, (list, max): (&HeaderName, Bounds), (value, place): (&str, Place)) {
    let is_ours = |name: &[u8]| name == MEMBER.as_bytes();
    let is_same = |said: &[u8]| match place {
        Place::First => said == value.as_bytes(),
        // Properties behind the value are somebody's, and stay.
        Place::Last => said.split(|b| *b == b';').next().map(<[u8]>::trim_ascii) == Some(value.as_bytes()),
    };
    let said: Vec<_> =
        members(headers, list).filter(|one| is_ours(one.name)).map(|one| is_same(one.value)).collect();
    if said == [true] {
        return;
    }
    let ours = format!("{MEMBER}={value}");
    let mut all: Vec<&[u8]> =
        members(headers, list).filter(|member| !is_ours(member.name)).map(|member| member.whole).collect();
    match place {
        Place::First => all.insert(0, ours.as_bytes()),
        Place::Last => all.push(ours.as_bytes()),
    }
    let joined = all.join(&b","[..]);
    if all.len() > max.members || joined.len() > max.bytes {
        return;
    }
    // Parts of values, joined by a comma, are a value.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(list.clone(), joined);
    }
}

#[cfg(test)]
mod tests;
