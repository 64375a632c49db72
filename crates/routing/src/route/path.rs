//! Paths that two servers could read differently.
//!
//! A route decides who may ask for a path, and whoever serves it reads the path once more. If they read differently,
//! the route is dodged: with a route for `/admin` a client asks for `/x/../admin`, `//admin` or `/x%2F..%2Fadmin`.
//! Escapes alone are harmless: paths are compared with those undone ([`quorate_state::routes::path`]). What remains:
//!
//! * a segment `.` or `..`, also with parameters behind it (`..;a`), which some servers resolve;
//! * an empty segment, which some drop: `//admin`;
//! * a hidden slash (`%2F`, `%5C`, a backslash), which some take for one, and not all for the same ones;
//! * parameters of a segment (`/admin;x/secret`), which some take off before they look: servlet containers do;
//! * an escaped control character, at which some end.
//!
//! Such a path is looked up in each way that it can be read. If no route is for any of them, routes have no say in it
//! and it goes on to services and workspaces, whose own rules are as they were: a route for `/x` changes nothing for
//! the workspace `a%2Fb`. If one route is for all of them it gets the request, unless there are dots or control
//! characters in it: those could still lead out of the place that a destination or a rewrite has put before it.
//! Everything else is refused.
//!
//! A route whose own path names all the parameters of a request is for it whatever the path would be without them: its
//! author knew of them, and could not have it otherwise.

use quorate_model::route::PathMatch;
use quorate_state::routes::path::canonical;
use std::borrow::Cow;

/// How a path can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readings<'h> {
    /// In one way: in the form that is compared.
    One(Cow<'h, str>),
    /// In several.
    Several {
        /// With the parameters of segments; the first one is as it stands.
        kept: Vec<String>,
        /// Those that are left without parameters, if there are some.
        stripped: Vec<String>,
        /// Whether no route may have it, however it is read.
        is_refused: bool,
    },
}

/// In which ways a path can be read. It begins with a slash.
pub fn readings(path: &str) -> Readings<'_> {
    let bytes = path.as_bytes();
    let is_odd = |at: usize| {
        let byte = bytes[at];
        matches!(byte, b'%' | b'\\' | b';')
            || !byte.is_ascii()
            || (matches!(byte, b'/' | b'.') && at > 0 && bytes[at - 1] == b'/')
    };
    // Nearly all paths have nothing in them that needs a closer look.
    if (0..bytes.len()).any(is_odd) { closer(path) } else { Readings::One(Cow::Borrowed(path)) }
}

/// Whether somebody could read a path as one that leads out of where it is put, or that ends earlier.
pub fn leads_out(path: &str) -> bool {
    matches!(readings(path), Readings::Several { is_refused: true, .. })
}

/// What a slash is hidden as.
const HIDDEN: [&str; 3] = ["%2F", "%5C", "\\"];

fn closer(path: &str) -> Readings<'_> {
    let path = canonical(path);
    let shown = HIDDEN.iter().fold(path.clone().into_owned(), |path, hidden| path.replace(hidden, "/"));
    let has_parameters = path.contains(';');
    let has_dots = shown.split('/').any(|segment| dots(segment).is_some());
    let has_control = has_control(&path);
    // A slash at the end is not an empty segment: `/a/` is another path than `/a` to everybody.
    let has_empty = stripped(&shown).contains("//");
    if !(shown != path || has_parameters || has_dots || has_control || has_empty) {
        return Readings::One(path);
    }
    let ways = |is_possible: bool| if is_possible { &[false, true][..] } else { &[false][..] };
    let (mut kept, mut without) = (Vec::new(), Vec::new());
    for opened in opened(&path) {
        for is_stripped in ways(has_parameters) {
            let path = if *is_stripped { stripped(&opened) } else { opened.clone() };
            for merged in ways(has_empty) {
                for resolved in ways(has_dots) {
                    let read = read(&path, (*merged, *resolved));
                    let paths = if *is_stripped { &mut without } else { &mut kept };
                    if !paths.contains(&read) {
                        paths.push(read);
                    }
                }
            }
        }
    }
    without.retain(|path| !kept.contains(path));
    Readings::Several { kept, stripped: without, is_refused: has_dots || has_control }
}

/// With hidden slashes shown, of each kind or not: a server that takes one for a slash need not take another. As it
/// stands comes first.
fn opened(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    for hidden in HIDDEN {
        let more: Vec<_> =
            all.iter().filter(|path| path.contains(hidden)).map(|p| p.replace(hidden, "/")).collect();
        all.extend(more);
    }
    all
}

/// Without the parameters of its segments.
fn stripped(path: &str) -> String {
    let bare = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(bare).collect::<Vec<_>>().join("/")
}

/// Whether a route's own path names all the parameters that `path`, which it is for, has. An expression that has a
/// semicolon is its author's affair.
pub fn names_parameters(matches: &PathMatch, path: &str) -> bool {
    let count = |path: &str| path.matches(';').count();
    match matches {
        PathMatch::Any | PathMatch::Grpc { .. } => false,
        PathMatch::Exact(own) | PathMatch::Prefix(own) => count(&canonical(own)) == count(path),
        PathMatch::Regex(pattern) => pattern.as_str().contains(';'),
    }
}

/// What a segment means to who resolves dots: how many levels up.
fn dots(segment: &str) -> Option<usize> {
    match segment.split(';').next() {
        Some(".") => Some(0),
        Some("..") => Some(1),
        _ => None,
    }
}

/// In the form that is compared they are escaped.
fn has_control(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| rest.starts_with(['0', '1']) || rest.starts_with("7F"))
}

fn read(path: &str, (merged, resolved): (bool, bool)) -> String {
    let mut segments = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = rest.next() {
        let is_last = rest.peek().is_none();
        match dots(segment).filter(|_| resolved) {
            Some(up) => {
                segments.truncate(segments.len().saturating_sub(up));
                if is_last {
                    segments.push("");
                }
            }
            None if merged && segment.is_empty() && !is_last => {}
            None => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &[&str], refused: bool) {
        match readings(path) {
            Readings::One(read) => assert_eq!((&[&*read][..], false), (expected, refused), "{path}"),
            Readings::Several { mut kept, stripped, is_refused } => {
                kept.extend(stripped);
                let expected: Vec<_> = expected.iter().map(|path| (*path).to_owned()).collect();
                assert_eq!((kept, is_refused), (expected, refused), "{path}");
            }
        }
    }

    #[test]
    fn an_ordinary_path_is_read_in_one_way() {
        for path in ["/", "/a", "/a/", "/a/b.c/d", "/.well-known/x", "/a/...", "/a/..b", "/a/~b"] {
            check(path, &[path], false);
        }
        check("/%61/b%20c%3Ad", &["/a/b c:d"], false);
        check("/caf%c3%a9", &["/caf%C3%A9"], false);
        check("/100%25", &["/100%25"], false);
    }

    #[test]
    fn what_servers_disagree_on_is_read_in_every_way() {
        check("/x/../admin", &["/x/../admin", "/admin"], true);
        check("/x/%2e%2E/admin", &["/x/../admin", "/admin"], true);
        check("/x/..;a=b/admin", &["/x/..;a=b/admin", "/admin", "/x/../admin"], true);
        check("/a/.", &["/a/.", "/a/"], true);
        check("/../../a", &["/../../a", "/a"], true);
        check("//admin", &["//admin", "/admin"], false);
        check("/a//", &["/a//", "/a/"], false);
        check("/x%2Fy", &["/x%2Fy", "/x/y"], false);
        check("/x\\y", &["/x\\y", "/x/y"], false);
        check("/x%2Fy%5Cz", &["/x%2Fy%5Cz", "/x/y%5Cz", "/x%2Fy/z", "/x/y/z"], false);
        check("/x%5Cy\\z", &["/x%5Cy\\z", "/x/y\\z", "/x%5Cy/z", "/x/y/z"], false);
        check("/a;b=c/d", &["/a;b=c/d", "/a/d"], false);
        check("/a%3bb/;c", &["/a;b/;c", "/a/"], false);
        check("/;x/admin", &["/;x/admin", "//admin", "/admin"], false);
        check("/a;x%2Fb", &["/a;x%2Fb", "/a;x/b", "/a", "/a/b"], false);
        check("/a%0a", &["/a%0A"], true);
        check("/a%7Fb", &["/a%7Fb"], true);
        check("/a//../b", &["/a//../b", "/a/b", "/a/../b", "/b"], true);
        check("/x%2f..%2fadmin", &["/x%2F..%2Fadmin", "/x/../admin", "/admin"], true);
    }
}
