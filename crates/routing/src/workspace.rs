//! Which workspace a request is about.
//!
//! The header `X-Workspace-ID` wins over the path. In the path it is the segment after the first one that equals
//! `workspaces`, at any depth. What the contract leaves open is decided as the original (Go, gin) behaves:
//!
//! * The path is percent-decoded as a whole and then split, so `%2F` inside an id ends it: `a%2Fb` is the
//!   workspace `a`. The worker, which decodes the same way, sees the same.
//! * Ids are bytes. What does not decode to UTF-8 is hashed as it is; nothing is replaced.
//! * A `%` that begins no escape stands for itself.
//! * An empty header counts as none, and so does an empty path segment: `/workspaces//x` names no workspace.
//! * Of several `X-Workspace-ID` headers the first counts.

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The header that names a workspace.
pub const HEADER: HeaderName = HeaderName::from_static("x-workspace-id");
/// The header's value that asks for a random partition instead.
const ANY: &[u8] = b"any";
const SEGMENT: &[u8] = b"workspaces";

/// What a request says about its workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workspace<'h> {
    /// `X-Workspace-ID: any`: the caller does not care.
    Any,
    /// Named by the header.
    Header(&'h [u8]),
    /// Named by the path, decoded.
    Path(Cow<'h, [u8]>),
}

impl Workspace<'_> {
    /// The id, as answers show it.
    pub fn id(&self) -> &[u8] {
        match self {
            Self::Any => ANY,
            Self::Header(id) => id,
            Self::Path(id) => id,
        }
    }
}

/// Reads the workspace out of a request's headers or its raw path. `None`: it names none.
pub fn find<'h>(headers: &'h HeaderMap, path: &'h str) -> Option<Workspace<'h>> {
    match headers.get(HEADER).map(http::HeaderValue::as_bytes) {
        None | Some(b"") => in_path(path).map(Workspace::Path),
        Some(ANY) => Some(Workspace::Any),
        Some(id) => Some(Workspace::Header(id)),
    }
}

/// The path as workers see it: percent-decoded.
pub fn decoded(path: &str) -> Cow<'_, [u8]> {
    percent_decode_str(path).into()
}

fn in_path(path: &str) -> Option<Cow<'_, [u8]>> {
    match decoded(path) {
        Cow::Borrowed(path) => segment_after(path).map(Cow::Borrowed),
        Cow::Owned(path) => segment_after(&path).map(|id| Cow::Owned(id.to_vec())),
    }
}

fn segment_after(path: &[u8]) -> Option<&[u8]> {
    let mut segments = path.split(|b| *b == b'/');
    segments.find(|segment| *segment == SEGMENT)?;
    // Trimming slashes first, as the original does, changes nothing: what it takes off are empty segments,
    // which are neither `workspaces` nor an id.
    segments.next().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&[u8]>, path: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(HEADER, http::HeaderValue::from_bytes(value).expect("allowed"));
        }
        let found = find(&headers, path).map(|w| {
            let source = match &w {
                Workspace::Any => "any",
                Workspace::Header(_) => "header",
                Workspace::Path(_) => "path",
            };
            format!("{source} {}", String::from_utf8_lossy(w.id()))
        });
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn a_path_names_a_workspace() {
        check(None, "/v1/workspaces/w1/jobs", Some("path w1"));
        check(None, "/v1/workspaces/w1", Some("path w1"));
        check(None, "/v1/workspaces/w1/", Some("path w1"));
        check(None, "/api/x/workspaces/w1", Some("path w1"));
        check(None, "/workspaces/w1", Some("path w1"));
        check(None, "//workspaces/w1//", Some("path w1"));
        check(None, "/workspaces/workspaces/x", Some("path workspaces"));
        check(None, "/workspaces/a/workspaces/b", Some("path a"));
    }

    #[test]
    fn a_path_without_one_names_none() {
        for path in [
            "/",
            "",
            "*",
            "/v1",
            "/v1/workspaces",
            "/v1/workspaces/",
            "/v1/workspaces//x",
            "/v1/Workspaces/x",
            "/v1/workspaces2/x",
        ] {
            check(None, path, None);
        }
    }

    #[test]
    fn the_header_wins() {
        check(Some(b"h1"), "/v1/workspaces/w1", Some("header h1"));
        check(Some(b"any"), "/v1/workspaces/w1", Some("any any"));
        check(Some(b"ANY"), "/", Some("header ANY"));
        check(Some(b""), "/v1/workspaces/w1", Some("path w1"));
        check(Some(b""), "/", None);
    }

    #[test]
    fn the_path_is_decoded_before_it_is_split() {
        check(None, "/v1/workspaces/a%20b/x", Some("path a b"));
        check(None, "/v1/%77orkspaces/w1", Some("path w1"));
        check(None, "/v1%2Fworkspaces%2fw1%2Fx", Some("path w1"));
        check(None, "/v1/workspaces/a%2Fb/x", Some("path a"));
        check(None, "/v1/workspaces/%2Fb", None);
        check(None, "/v1/workspaces/%E6%97%A5%E6%9C%AC", Some("path 日本"));
        check(None, "/v1/workspaces/a%zz%4", Some("path a%zz%4"));
        check(None, "/v1/workspaces/any", Some("path any"));
    }

    #[test]
    fn ids_are_bytes() {
        let headers = HeaderMap::new();
        let found = find(&headers, "/workspaces/%ff%00x").expect("named");
        assert_eq!(found.id(), b"\xff\0x");
    }
}
