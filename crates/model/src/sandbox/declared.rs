//! What a rule of a sandbox may ask for from now on.
//!
//! As with routes, some conditions are well formed and no request ever meets them, or they are meant otherwise than they
//! are read: whoever declares one is told so. What stands in logs and snapshots is not asked ([`SandboxRule::path`] and
//! its like take it).

use super::{SandboxRule, rule::both};
use crate::{
    name::{Invalid, excerpt},
    route::{Obstacle, RouteMatch, ValueMatch},
};

impl SandboxRule {
    /// A whole path to compare with, if a request can have it; the error is about `field`.
    pub fn declared_path(field: &str, path: &str) -> Result<Box<str>, Invalid> {
        let parsed = Self::path(field, path)?;
        reachable(field, path, path).map(|()| parsed)
    }

    /// What a path may begin with, if one can.
    pub fn declared_prefix(field: &str, path: &str) -> Result<Box<str>, Invalid> {
        let parsed = Self::path(field, path)?;
        // Paths go on behind it in the middle of a segment: what stands last is not judged as a whole one.
        reachable(field, path, &format!("{path}x")).map(|()| parsed)
    }

    /// A header to compare with, if it says something about the request and can have this value.
    pub fn declared_header(
        field: &str,
        name: &str,
        value: &str,
    ) -> Result<(Box<str>, Box<str>), Vec<Invalid>> {
        both(RouteMatch::declared_header(field, name), ValueMatch::declared_exact(field, value))?;
        Self::header(field, name, value)
    }
}

fn reachable(field: &str, written: &str, path: &str) -> Result<(), Invalid> {
    let Some(obstacle) = Obstacle::of(path) else { return Ok(()) };
    let allowed = match obstacle {
        Obstacle::Control => "printable text: requests with one are refused",
        Obstacle::HiddenSlash => "`/` between segments",
        Obstacle::Dots => "the path that it comes to: requests with such a segment are refused",
        Obstacle::EmptySegment => "one slash between segments",
        Obstacle::Star => {
            "no wildcard: path_prefixes are compared letter by letter, so `/a` is for all that begins so; %2A is a star"
        }
    };
    Err(Invalid::new(field, format!("{} has {}", excerpt(written), obstacle.problem()), allowed))
}
