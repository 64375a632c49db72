//! Query parameters. Each request says which it knows; any other is refused by name.

use super::Selector;
use crate::Wrong;
use quorate_model::{DnsLabel, Invalid, LogIndex};

/// Items of a page where nobody says how many, and the most that there are in one.
pub const LIMIT_MAX: usize = 1_000;

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For a list.
    List,
    /// For one object.
    Object,
    /// For a change.
    Write,
}

/// What a read may be answered from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// From what is at least as new as any write that was acknowledged before.
    #[default]
    Newest,
    /// From whatever this node has.
    Any,
    /// From what is at least as new as this.
    AtLeast(LogIndex),
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Items of a page, 1 to [`LIMIT_MAX`]; 0: not said.
    pub limit: usize,
    /// Behind which name.
    pub after: Option<DnsLabel>,
    /// Which objects.
    pub selector: Selector,
    /// What a read may be answered from.
    pub freshness: Freshness,
    /// Whether a change is only checked.
    pub dry_run: bool,
}

/// Those that programs send along and that change nothing.
const IGNORED: [&str; 6] = [
    "pretty",
    "fieldManager",
    "fieldValidation",
    "timeoutSeconds",
    "propagationPolicy",
    "gracePeriodSeconds",
];

impl Params {
    /// Reads them.
    pub fn read(pairs: &[(String, String)], asked: Asked) -> Result<Self, Wrong> {
        let (mut params, mut wrong) = (Self::default(), Wrong::new());
        for (name, value) in pairs {
            match params.take(name, value, asked) {
                Ok(()) => {}
                Err(one) => wrong.push(one.renamed(format!("query.{}", quorate_model::shown_key(name)))),
            }
        }
        if wrong.is_empty() { Ok(params) } else { Err(wrong) }
    }

    /// How many items a page has.
    pub fn page(&self) -> usize {
        if self.limit == 0 { LIMIT_MAX } else { self.limit }
    }

    fn take(&mut self, name: &str, value: &str, asked: Asked) -> Result<(), Invalid> {
        match (name, asked) {
            (ignored, _) if IGNORED.contains(&ignored) => {}
            ("limit", Asked::List) => {
                let allowed = "a whole number; at most 1000 come at once";
                let limit = value.parse::<u64>().map_err(|_| Invalid::new("", "is none", allowed))?;
                self.limit = usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
            }
            ("continue", Asked::List) if value.is_empty() => {}
            ("continue", Asked::List) => {
                let none = |_| Invalid::new("", "is none", "metadata.continue of the page before");
                self.after = Some(DnsLabel::parse(value).map_err(none)?);
            }
            ("labelSelector", Asked::List) => self.selector = Selector::parse(value)?,
            // What else it may say is which of two answers is meant that are one and the same here.
            ("resourceVersionMatch", Asked::List) => {}
            ("watch", Asked::List) if matches!(value, "false" | "0") => {}
            ("watch", Asked::List) => {
                return Err(Invalid::new("", "is not served here", "GET /v1/watch?kinds=object"));
            }
            ("resourceVersion", Asked::List | Asked::Object) => {
                self.freshness = match super::put::version(value)? {
                    None => Freshness::Newest,
                    Some(LogIndex(0)) => Freshness::Any,
                    Some(index) => Freshness::AtLeast(index),
                };
            }
            ("dryRun", Asked::Write) if value == "All" => self.dry_run = true,
            ("dryRun", Asked::Write) => return Err(Invalid::new("", "is none", "All")),
            (_, asked) => {
                let allowed = match asked {
                    Asked::List => "labelSelector, limit, continue, resourceVersion",
                    Asked::Object => "resourceVersion",
                    Asked::Write => "dryRun",
                };
                return Err(Invalid::new("", "is no known parameter", allowed));
            }
        }
        Ok(())
    }
}
