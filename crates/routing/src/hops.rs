//! Requests that come back to the router that sent them.
//!
//! An address that points at the router itself makes each request for it two, and so on until something is full.
//! Where that can be seen at the registration it is refused there ([`quorate_model::points_at_self`]). Where it
//! can't, each hop counts, in a header that clients can't take off, and at [`HOPS_MAX`] it is over.
//!
//! The bound is not 1: a worker that calls another service through the router may hand on all headers that it got,
//! and that is no loop.

use http::{HeaderMap, HeaderName};

/// How often a request went through a router already.
pub const HOPS: HeaderName = HeaderName::from_static("x-quorate-hops");
/// A request that went through routers this often is going in circles: 508.
pub const HOPS_MAX: u8 = 8;

/// How often a request went through a router, as its headers say: the largest of several. What is no number was
/// not written by a router and counts as none.
pub fn hops_so_far(headers: &HeaderMap) -> u8 {
    let said = headers.get_all(HOPS).iter().filter_map(|value| {
        let text = value.to_str().ok()?.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Too large for a number is more than enough.
        digits.then(|| text.parse().unwrap_or(u8::MAX))
    });
    said.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_largest_count_counts_and_nonsense_does_not() {
        let mut headers = HeaderMap::new();
        assert_eq!(hops_so_far(&headers), 0);
        for (value, so_far) in
            [("x", 0), ("-1", 0), ("", 0), ("3", 3), ("2", 3), (" 5 ", 5), ("99999", u8::MAX)]
        {
            headers.append(HOPS, HeaderValue::from_static(value));
            assert_eq!(hops_so_far(&headers), so_far, "{value}");
        }
    }
}
