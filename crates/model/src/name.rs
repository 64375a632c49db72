//! Bounded, printable names. A name that exists is valid: nothing downstream checks again.

use crate::limit;
use std::{fmt, sync::Arc};

/// A value that a field does not allow. `allowed` says what it does allow, for the person who reads the error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}; allowed: {allowed}")]
pub struct Invalid {
    /// The field as the caller spells it, such as `partitions[3]`.
    pub field: String,
    /// What is wrong with the value.
    pub problem: String,
    /// What is allowed.
    pub allowed: String,
}

impl Invalid {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), allowed: allowed.into() }
    }

    /// The same error with other words for what is allowed: whatever is wrong with a value, what it may be is the same.
    #[must_use]
    pub fn allowing(self, allowed: &str) -> Self {
        Self { allowed: allowed.to_owned(), ..self }
    }

    /// The same error under the name that the caller's dialect uses for the field.
    #[must_use]
    pub fn renamed(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

/// Shows at most 64 characters of a refused value, so that an error never echoes a megabyte.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown: String =
        text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 64 {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A key as errors show it: a caller's text, of any length.
pub fn shown_key(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn check(field: &str, text: &str, bytes_max: usize) -> Result<(), Invalid> {
    let allowed = || format!("1 to {bytes_max} bytes of printable text without leading or trailing spaces");
    if text.is_empty() {
        return Err(Invalid::new(field, "is empty", allowed()));
    }
    if text.len() > bytes_max {
        return Err(Invalid::new(field, format!("is {} bytes long", text.len()), allowed()));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, format!("{} has a control character", excerpt(text)), allowed()));
    }
    if text.trim() != text {
        return Err(Invalid::new(field, format!("{} has spaces around it", excerpt(text)), allowed()));
    }
    Ok(())
}

/// Keys travel in headers of many kinds: letters that each of them carries as they are.
fn check_visible(field: &str, text: &str, bytes_max: usize) -> Result<(), Invalid> {
    let allowed = || format!("1 to {bytes_max} bytes of printable ASCII without spaces");
    let problem = match text {
        "" => "is empty".to_owned(),
        text if text.len() > bytes_max => format!("is {} bytes long", text.len()),
        text if !text.bytes().all(|b| b.is_ascii_graphic()) => {
            format!("{} has a letter that is not allowed", excerpt(text))
        }
        _ => return Ok(()),
    };
    Err(Invalid::new(field, problem, allowed()))
}

/// Names of tunnels become parts of host names and of paths: what each of them takes as it is.
fn check_host_like(field: &str, text: &str, bytes_max: usize) -> Result<(), Invalid> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let problem = match text.as_bytes() {
        [] => "is empty".to_owned(),
        bytes if bytes.len() > bytes_max => format!("is {} bytes long", bytes.len()),
        [first, ..] if !is_plain(*first) => format!("{} begins with something else", excerpt(text)),
        bytes if !bytes.iter().all(|b| is_plain(*b) || matches!(b, b'.' | b'_' | b'-')) => {
            format!("{} has a letter that is not allowed", excerpt(text))
        }
        _ => return Ok(()),
    };
    let allowed = format!(
        "1 to {bytes_max} of a to z, 0 to 9, dots, underscores and dashes, beginning with a letter or digit"
    );
    Err(Invalid::new(field, problem, allowed))
}

/// What a DNS label may be (RFC 1123).
fn check_label(field: &str, text: &str, bytes_max: usize) -> Result<(), Invalid> {
    let is_inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let problem = match text {
        "" => "is empty".to_owned(),
        text if text.len() > bytes_max => format!("is {} bytes long", text.len()),
        text if !text.bytes().all(is_inside) || text.starts_with('-') || text.ends_with('-') => {
            format!("is {}", excerpt(text))
        }
        _ => return Ok(()),
    };
    let allowed = format!("1 to {bytes_max} lower-case letters, digits and dashes, no dash at either end");
    Err(Invalid::new(field, problem, allowed))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal, $max:expr) => {
        name!($(#[$doc])* $name, $field, $max, check);
    };
    ($(#[$doc:meta])* $name:ident, $field:literal, $max:expr, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Parses; the error is about the field `", $field, "`.")]
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                $check($field, text, $max)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Who a worker says it is; stable across its restarts.
    WorkerId, "id", limit::WORKER_ID_BYTES_MAX
);
name!(
    /// The stable name of a router node.
    NodeName, "node_name", limit::NAME_BYTES_MAX
);
name!(
    /// A set of partitions that workspace ids are hashed into.
    KeyspaceName, "keyspace", limit::NAME_BYTES_MAX
);
name!(
    /// A service that workers offer.
    ServiceName, "services.name", limit::NAME_BYTES_MAX
);

name!(
    /// A route, as operators call it.
    RouteName, "name", limit::NAME_BYTES_MAX
);

name!(
    /// What requests carry that are meant for a sandbox.
    RoutingKey, "key", limit::ROUTING_KEY_BYTES_MAX, check_visible
);

impl RoutingKey {
    /// The same of a sandbox that is set from now on: one that a path can name. Clients resolve `.` and `..`, percent-encoded
    /// or not, before anybody is asked, so nobody could look at such a sandbox, nor take it away.
    pub fn parse_declared(text: &str) -> Result<Self, Invalid> {
        let key = Self::parse(text)?;
        if matches!(text, "." | "..") {
            let problem = format!("{} can't be named by the path of a request", excerpt(text));
            return Err(Invalid::new("key", problem, "a key other than . and .."));
        }
        Ok(key)
    }
}

name!(
    /// A tunnel: a connection that somebody dialled who can't be dialled.
    TunnelName, "name", limit::TUNNEL_NAME_BYTES_MAX, check_host_like
);

name!(
    /// What the sandbox API calls namespaces and objects by.
    DnsLabel, "metadata.name", limit::DNS_LABEL_BYTES_MAX, check_label
);

impl DnsLabel {
    /// No label comes before it.
    pub fn first() -> Self {
        // A dash comes before all letters and digits, and no label begins with one.
        Self("0".into())
    }
}

impl RouteName {
    /// The name of what rule `nth` of a sandbox is forwarded by. It ends with a space, which no route's name does that
    /// operators give: one is never taken for the other.
    pub(crate) fn of_rule(key: &RoutingKey, nth: usize) -> Self {
        Self(format!("sandbox {key} rule {nth} ").into())
    }

    /// The same of a node's default target.
    pub(crate) fn of_default_target() -> Self {
        Self(DEFAULT_TARGET.into())
    }

    /// Whether it is that one's.
    pub fn is_default_target(&self) -> bool {
        &*self.0 == DEFAULT_TARGET
    }
}

/// No route can have it: names have no spaces.
const DEFAULT_TARGET: &str = "default target ";

impl ServiceName {
    /// The same of a service that a worker offers from now on: one that requests can name.
    pub fn parse_offered(text: &str) -> Result<Self, Invalid> {
        let name = Self::parse(text)?;
        if Self::fits_in_path(text) {
            return Ok(name);
        }
        let problem = format!("{} can't be named by the path of a request", excerpt(text));
        Err(Invalid::new(
            "services.name",
            problem,
            "a name other than . and .., without slashes and backslashes",
        ))
    }

    /// Whether requests can name it: as one segment of a path that every server reads alike. A record may have
    /// another name from a time when nobody asked; what registers anew may not.
    pub fn fits_in_path(name: &str) -> bool {
        let is_hidden = |c: char| matches!(c, '/' | '\\') || c.is_control();
        !matches!(name, "." | "..") && !name.contains(is_hidden)
    }
}

impl KeyspaceName {
    /// The keyspace that the original dialects speak of without naming it.
    pub fn default_name() -> Self {
        Self("default".into())
    }
}

impl Default for KeyspaceName {
    fn default() -> Self {
        Self::default_name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded_and_printable() {
        assert!(WorkerId::parse("worker-1").is_ok());
        assert!(WorkerId::parse("日本 worker").is_ok());
        for bad in ["", " a", "a ", "a\nb", "a\0", &"x".repeat(254)] {
            let error = WorkerId::parse(bad).expect_err(bad);
            assert_eq!(error.field, "id");
            assert!(error.allowed.contains("253"), "{error}");
        }
    }

    #[test]
    fn a_service_that_no_path_can_name_is_a_name_and_is_not_offered() {
        for stored in ["a/b", ".", "..", "a\\b"] {
            assert!(ServiceName::parse(stored).is_ok(), "an old record may have it");
            assert!(ServiceName::parse_offered(stored).is_err(), "{stored}");
        }
        assert!(ServiceName::parse_offered("...").is_ok() && ServiceName::parse_offered("a\n").is_err());
    }

    #[test]
    fn a_key_that_no_path_can_name_is_a_key_and_is_not_declared() {
        for stored in [".", ".."] {
            assert!(RoutingKey::parse(stored).is_ok(), "an old record may have it");
            assert!(RoutingKey::parse_declared(stored).is_err(), "{stored}");
        }
        assert!(RoutingKey::parse_declared("...").is_ok() && RoutingKey::parse_declared("a b").is_err());
    }

    #[test]
    fn a_tunnel_s_name_fits_hosts_and_paths() {
        for good in ["laptop", "0", "team-a.chat_v2", &"x".repeat(128)] {
            assert!(TunnelName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "-a", "_a", "A", "a b", "a/b", "é", "a\n", &"x".repeat(129)] {
            let error = TunnelName::parse(bad).expect_err(bad);
            assert!(error.field == "name" && error.allowed.contains("128"), "{error}");
        }
    }

    #[test]
    fn an_error_never_echoes_a_long_value() {
        let error = WorkerId::parse(&format!(" {}", "y".repeat(200))).expect_err("leading space");
        assert!(error.to_string().len() < 250, "{error}");
    }
}
