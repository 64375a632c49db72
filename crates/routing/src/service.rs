//! Which service a request is about: `/api/service/{name}/{rest…}`.
//!
//! The raw path decides. The name is decoded, since a client may escape what it likes in it; the rest is handed on
//! byte for byte, so that the worker sees what the client wrote. What two readers could read differently is
//! refused instead of being repaired: a rest with `..` in it, however it is spelt, could leave the path that a
//! service's URL begins with, and an encoded slash is one segment to some servers and two to others.
//!
//! The original dropped empty segments, so there `/api/service//x` was the service `x`. Here that name is empty.

use percent_encoding::percent_decode_str;
use quorate_model::ServiceName;
use std::borrow::Cow;

const PREFIX: &str = "/api/service";

/// A request's path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePath<'h> {
    /// The service's name, decoded. Whether there is one of that name is the View's to say.
    pub name: Cow<'h, str>,
    /// What follows it, as it came: empty, or with its leading slash.
    pub rest: &'h str,
}

/// Why a path under `/api/service` can't be routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// There is no name, or an empty one.
    #[error("the path names no service: it must be /api/service/{{name}}/...")]
    NoName,
    /// The name is not what a name can be.
    #[error(
        "the service's name must be one path segment of UTF-8 text other than `.` and `..`, without slashes"
    )]
    BadName,
    /// A segment of the rest is `.` or `..`.
    #[error("the path after the service's name must not have `.` or `..` as a segment, encoded or not")]
    DotSegment,
    /// A slash or a backslash that is encoded, or a backslash that is not.
    #[error("the path after the service's name must not have a backslash or an encoded slash")]
    HiddenSlash,
    /// A control character that is encoded.
    #[error("the path after the service's name must not have encoded control characters")]
    Control,
}

/// Whether a path is one of a service, well formed or not.
pub fn is_service(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes a path apart. `None`: it is not about a service.
pub fn find(path: &str) -> Option<Result<ServicePath<'_>, BadPath>> {
    let after = path.strip_prefix(PREFIX)?;
    match after.strip_prefix('/') {
        Some(after) => Some(parse(after)),
        None if after.is_empty() => Some(Err(BadPath::NoName)),
        // `/api/services`, say.
        None => None,
    }
}

fn parse(after: &str) -> Result<ServicePath<'_>, BadPath> {
    let (name, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
    if name.is_empty() {
        return Err(BadPath::NoName);
    }
    let name = percent_decode_str(name).decode_utf8().map_err(|_| BadPath::BadName)?;
    if !ServiceName::fits_in_path(&name) {
        return Err(BadPath::BadName);
    }
    check_rest(rest)?;
    Ok(ServicePath { name, rest })
}

fn check_rest(rest: &str) -> Result<(), BadPath> {
    // Nearly all paths have nothing in them that needs a closer look.
    if !rest.bytes().any(|b| matches!(b, b'%' | b'.' | b'\\')) {
        return Ok(());
    }
    rest.split('/').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), BadPath> {
    let decoded: Cow<'_, [u8]> = percent_decode_str(segment).into();
    if decoded.iter().any(|b| matches!(b, b'/' | b'\\')) {
        return Err(BadPath::HiddenSlash);
    }
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(BadPath::Control);
    }
    // Some servers cut parameters off before they resolve dots: `..;a` is `..` to them.
    let bare = decoded.split(|b| *b == b';').next().unwrap_or_default();
    if matches!(bare, b"." | b"..") { Err(BadPath::DotSegment) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<Result<(&str, &str), BadPath>>) {
        let found = find(path);
        let shown = found.as_ref().map(|found| match found {
            Ok(path) => Ok((&*path.name, path.rest)),
            Err(bad) => Err(*bad),
        });
        assert_eq!(shown, expected, "{path}");
        assert_eq!(is_service(path), expected.is_some(), "{path}");
    }

    #[test]
    fn a_path_names_a_service_and_keeps_its_rest() {
        check("/api/service/upload/files/1", Some(Ok(("upload", "/files/1"))));
        check("/api/service/upload", Some(Ok(("upload", ""))));
        check("/api/service/upload/", Some(Ok(("upload", "/"))));
        check("/api/service/upload//a//", Some(Ok(("upload", "//a//"))));
        check("/api/service/a%20b/x%20y", Some(Ok(("a b", "/x%20y"))));
        check("/api/service/%75pload/x", Some(Ok(("upload", "/x"))));
        check("/api/service/a%zz/b%zz", Some(Ok(("a%zz", "/b%zz"))));
        check("/api/service/a/.hidden/x..y/...", Some(Ok(("a", "/.hidden/x..y/..."))));
    }

    #[test]
    fn other_paths_are_none_of_a_service() {
        for path in
            ["/", "*", "/api", "/api/services/x", "/api/serviceful", "/v1/api/service/x", "/API/service/x"]
        {
            check(path, None);
        }
    }

    #[test]
    fn an_empty_name_is_none() {
        for path in ["/api/service", "/api/service/", "/api/service//x", "/api/service//"] {
            check(path, Some(Err(BadPath::NoName)));
        }
    }

    #[test]
    fn a_name_is_one_segment_of_text() {
        for name in ["..", ".", "%2e%2E", "a%2Fb", "a%5cb", "%ff", "a%00", "a%0d%0a"] {
            check(&format!("/api/service/{name}/x"), Some(Err(BadPath::BadName)));
        }
    }

    #[test]
    fn dots_can_not_lead_out_of_a_service() {
        for rest in ["..", "a/../b", "%2e%2e/x", ".%2E", ".", "a/./b", "%2e", "..;x=1/y", "%2e%2e%3bx"] {
            check(&format!("/api/service/a/{rest}"), Some(Err(BadPath::DotSegment)));
        }
    }

    #[test]
    fn a_slash_can_not_be_hidden() {
        for rest in ["a%2fb", "a%2Fb", "%2f", "a%5Cb", "a\\b", "..%2f..%2f", "..\\"] {
            check(&format!("/api/service/a/{rest}"), Some(Err(BadPath::HiddenSlash)));
        }
        check("/api/service/a/x%0ay", Some(Err(BadPath::Control)));
        check("/api/service/a/x%00", Some(Err(BadPath::Control)));
        // Decoded once, as HTTP has it: this one is a literal `%2f` to the worker.
        check("/api/service/a/x%252fy", Some(Ok(("a", "/x%252fy"))));
    }
}
