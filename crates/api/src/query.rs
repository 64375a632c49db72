//! Query parameters of the native API. Each path says which it knows; any other is refused by name, so that a
//! misspelt `dry-run` never becomes a write.

use crate::{Wrong, duration};
use quorate_model::{Epoch, Invalid, Kind, LogIndex, NodeName, Position, limit};
use std::time::Duration;

/// Items of a page, if not said otherwise.
pub const LIMIT_DEFAULT: usize = 100;
/// Most items of a page.
pub const LIMIT_MAX: usize = 1_000;
/// Longest wait for `min_index`; more is refused.
pub const MIN_INDEX_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait of a blocking query; more is refused.
pub const BLOCKING_WAIT_MAX: Duration = Duration::from_secs(300);
/// Longest wait for other nodes to have a write; more is refused.
pub const VISIBLE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Wait of a blocking query, if not said otherwise.
pub const BLOCKING_WAIT: Duration = Duration::from_secs(30);
/// Wait for `min_index`, if not said otherwise.
pub const MIN_INDEX_WAIT: Duration = Duration::from_secs(5);
/// Wait for other nodes to have a write, if not said otherwise.
pub const VISIBLE_WAIT: Duration = Duration::from_secs(2);

/// A parameter that a path may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Param {
    /// Items of a page.
    Limit,
    /// Where the page before ended.
    Cursor,
    /// Linearizable.
    Consistent,
    /// Wait until this node is there, else fail.
    MinIndex,
    /// Blocking query: wait until this node is beyond.
    Index,
    /// How long to wait.
    Wait,
    /// Validate only.
    DryRun,
    /// Which lease a removal is about.
    Lease,
    /// Answer a write once other nodes have it, too.
    Visible,
    /// Where a watch begins.
    From,
    /// Which changes a watch is about.
    Kinds,
    /// How the names begin that a watch is about.
    Prefix,
    /// Only what ends within this time.
    EndsWithin,
    /// As it stood after this entry.
    At,
    /// With the documents of what changes.
    Diff,
    /// Only what hangs on this node.
    Gateway,
}

impl Param {
    /// Of a single object.
    pub const OBJECT: &'static [Param] = &[Self::Consistent, Self::MinIndex, Self::Wait];
    /// Of a list.
    pub const LIST: &'static [Param] =
        &[Self::Limit, Self::Cursor, Self::Consistent, Self::MinIndex, Self::Index, Self::Wait];
    /// Of the list of sandboxes.
    pub const SANDBOXES: &'static [Param] = &[
        Self::Limit,
        Self::Cursor,
        Self::EndsWithin,
        Self::Consistent,
        Self::MinIndex,
        Self::Index,
        Self::Wait,
    ];
    /// Of the list of sessions.
    pub const PRESENCE: &'static [Param] = &[
        Self::Limit,
        Self::Cursor,
        Self::Gateway,
        Self::Consistent,
        Self::MinIndex,
        Self::Index,
        Self::Wait,
    ];
    /// Of all that is declared.
    pub const CONFIG: &'static [Param] = &[Self::At, Self::Consistent, Self::MinIndex, Self::Wait];
    /// Of a write of many objects.
    pub const CONFIG_WRITE: &'static [Param] = &[Self::DryRun, Self::Diff, Self::Visible, Self::Wait];
    /// Of the list of what was declared before.
    pub const HISTORY: &'static [Param] =
        &[Self::Limit, Self::Cursor, Self::Consistent, Self::MinIndex, Self::Wait];
    /// Of what changes something.
    pub const WRITE: &'static [Param] = &[Self::DryRun];
    /// Of a write to the replicated state.
    pub const RECORD_WRITE: &'static [Param] = &[Self::DryRun, Self::Visible, Self::Wait];
    /// Of a watch.
    pub const WATCH: &'static [Param] = &[Self::From, Self::Kinds, Self::Prefix];

    /// As in the URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Cursor => "cursor",
            Self::Consistent => "consistent",
            Self::MinIndex => "min_index",
            Self::Index => "index",
            Self::Wait => "wait",
            Self::DryRun => "dry_run",
            Self::Lease => "lease",
            Self::Visible => "visible",
            Self::From => "from",
            Self::Kinds => "kinds",
            Self::Prefix => "prefix",
            Self::EndsWithin => "ends_within",
            Self::At => "at",
            Self::Diff => "diff",
            Self::Gateway => "gateway",
        }
    }
}

/// Which View answers a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// This node's, as it is.
    #[default]
    Local,
    /// At least as new as any write that was acknowledged before.
    Linearizable,
}

/// What a read waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Await {
    /// Nothing.
    #[default]
    Nothing,
    /// This node's View to have this index; if it has not in time, the read fails.
    Reached(LogIndex, Duration),
    /// This node's View to be beyond this index; if it is not in time, the read answers all the same.
    Passed(LogIndex, Duration),
}

/// Whether a write is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    #[default]
    Commit,
    /// It is only checked.
    Validate,
}

/// All parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Which View.
    pub consistency: Consistency,
    /// What for.
    pub wait_for: Await,
    /// Whether to write.
    pub mode: Mode,
    /// The lease that a removal is about.
    pub lease: Option<Epoch>,
    /// How long a write waits for all nodes to have it; `None`: not at all.
    pub visible: Option<Duration>,
    /// Behind what a watch begins; `None`: with everything that stands.
    pub from: Option<Position>,
    /// What a watch is about; `None`: everything.
    pub kinds: Option<Vec<Kind>>,
    /// How the names begin that a watch is about.
    pub prefix: Option<String>,
    /// Only what ends within this time from now on.
    pub ends_within: Option<Duration>,
    /// After which entry; `None`: as it stands.
    pub at: Option<LogIndex>,
    /// Whether the documents of what changes are wanted.
    pub diff: bool,
    /// Only what hangs on this node.
    pub gateway: Option<NodeName>,
}

#[derive(Default)]
struct Raw {
    limit: Option<u64>,
    cursor: Option<String>,
    consistency: Option<bool>,
    min_index: Option<u64>,
    index: Option<u64>,
    wait: Option<Duration>,
    dry_run: Option<bool>,
    lease: Option<u64>,
    visible: bool,
    from: Option<Position>,
    kinds: Option<Vec<Kind>>,
    prefix: Option<String>,
    ends_within: Option<Duration>,
    at: Option<u64>,
    diff: Option<bool>,
    gateway: Option<NodeName>,
}

impl Query {
    /// Reads decoded pairs.
    pub fn read(pairs: &[(String, String)], known: &[Param]) -> Result<Self, Wrong> {
        let (mut raw, mut wrong, mut seen) = (Raw::default(), Vec::new(), Vec::new());
        for (name, value) in pairs {
            match known.iter().find(|param| param.as_str() == name) {
                None => wrong.push(unknown(name, known)),
                Some(param) if seen.contains(param) => {
                    wrong.push(Invalid::new(field(param.as_str()), "is there twice", "once"));
                }
                Some(param) => {
                    seen.push(*param);
                    wrong.extend(raw.set(*param, value).err().map(|e| e.renamed(field(param.as_str()))));
                }
            }
        }
        let wait_for = raw.wait_for(&seen).map_err(|e| wrong.push(e)).unwrap_or_default();
        let visible = raw.visible_within().map_err(|e| wrong.push(e)).unwrap_or_default();
        if raw.visible && raw.dry_run == Some(true) {
            wrong.push(Invalid::new(field("visible"), "is there with dry_run", "one of the two"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            limit: raw.limit.map_or(LIMIT_DEFAULT, |n| usize::try_from(n).unwrap_or(LIMIT_MAX)),
            cursor: raw.cursor,
            consistency: if raw.consistency == Some(true) {
                Consistency::Linearizable
            } else {
                Consistency::Local
            },
            wait_for,
            mode: if raw.dry_run == Some(true) { Mode::Validate } else { Mode::Commit },
            lease: raw.lease.map(Epoch),
            visible,
            from: raw.from,
            kinds: raw.kinds,
            prefix: raw.prefix,
            ends_within: raw.ends_within,
            at: raw.at.map(LogIndex),
            diff: raw.diff == Some(true),
            gateway: raw.gateway,
        })
    }
}

impl Raw {
    fn set(&mut self, param: Param, value: &str) -> Result<(), Invalid> {
        match param {
            Param::Limit => self.limit = Some(number(value, 1, LIMIT_MAX as u64)?),
            Param::Cursor => self.cursor = Some(value.into()),
            Param::Consistent => self.consistency = Some(flag(value)?),
            Param::MinIndex => self.min_index = Some(number(value, 0, u64::MAX)?),
            Param::Index => self.index = Some(number(value, 0, u64::MAX)?),
            Param::Wait => self.wait = Some(span(value)?),
            Param::DryRun => self.dry_run = Some(flag(value)?),
            Param::Lease => self.lease = Some(number(value, 0, u64::MAX)?),
            Param::Visible => self.visible = all(value)?,
            Param::From => self.from = Some(value.parse()?),
            Param::Kinds => self.kinds = Some(kinds(value)?),
            Param::Prefix => self.prefix = Some(prefix(value)?),
            Param::EndsWithin => self.ends_within = Some(span(value)?),
            Param::At => self.at = Some(number(value, 0, u64::MAX)?),
            Param::Diff => self.diff = Some(flag(value)?),
            Param::Gateway => self.gateway = Some(NodeName::parse(value)?),
        }
        Ok(())
    }

    /// `seen`: what is there, right or wrong. What is wrong is listed by itself.
    fn wait_for(&self, seen: &[Param]) -> Result<Await, Invalid> {
        let belongs =
            [Param::Index, Param::MinIndex, Param::Visible].iter().any(|param| seen.contains(param));
        match (self.min_index, self.index) {
            (Some(_), Some(_)) => {
                Err(Invalid::new(field("index"), "is there with min_index", "one of the two"))
            }
            (Some(index), None) => {
                Ok(Await::Reached(LogIndex(index), self.within(MIN_INDEX_WAIT, MIN_INDEX_WAIT_MAX)?))
            }
            (None, Some(index)) => {
                Ok(Await::Passed(LogIndex(index), self.within(BLOCKING_WAIT, BLOCKING_WAIT_MAX)?))
            }
            (None, None) if self.wait.is_some() && !belongs => Err(Invalid::new(
                field("wait"),
                "is there alone",
                "together with index or min_index, or with visible",
            )),
            (None, None) => Ok(Await::Nothing),
        }
    }

    fn visible_within(&self) -> Result<Option<Duration>, Invalid> {
        if self.visible { self.within(VISIBLE_WAIT, VISIBLE_WAIT_MAX).map(Some) } else { Ok(None) }
    }

    /// The wait that was asked for. A shorter one than that would be an answer to another question.
    fn within(&self, default: Duration, max: Duration) -> Result<Duration, Invalid> {
        let asked = self.wait.unwrap_or(default);
        duration::within(asked, Duration::ZERO..=max).map_err(|e| e.renamed(field("wait")))
    }
}

fn field(name: &str) -> String {
    format!("query.{name}")
}

fn unknown(name: &str, known: &[Param]) -> Invalid {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let names: Vec<_> = known.iter().map(|param| param.as_str()).collect();
    let allowed = if names.is_empty() { "no parameter at all".into() } else { names.join(", ") };
    Invalid::new(field(&shown), "is no known parameter", allowed)
}

fn number(value: &str, min: u64, max: u64) -> Result<u64, Invalid> {
    // `u64::from_str` takes a plus sign, which nobody means.
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|n| digits && (min..=max).contains(n))
        .ok_or_else(|| Invalid::new("", "is no such number", format!("a whole number, {min} to {max}")))
}

fn flag(value: &str) -> Result<bool, Invalid> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Invalid::new("", "is neither true nor false", "true, false")),
    }
}

fn all(value: &str) -> Result<bool, Invalid> {
    match value {
        "all" => Ok(true),
        _ => Err(Invalid::new("", "is no such word", "all")),
    }
}

fn kinds(value: &str) -> Result<Vec<Kind>, Invalid> {
    let kind = |word: &str| Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let known = value.split(',').map(kind).collect::<Option<_>>();
    known.ok_or_else(|| {
        let words = Kind::ALL.map(Kind::as_str).join(", ");
        Invalid::new("", "has an unknown kind", format!("some of {words}, separated by commas"))
    })
}

fn prefix(value: &str) -> Result<String, Invalid> {
    const BYTES_MAX: usize = limit::WORKER_ID_BYTES_MAX;
    if value.len() <= BYTES_MAX {
        return Ok(value.into());
    }
    Err(Invalid::new("", format!("is {} bytes long", value.len()), format!("at most {BYTES_MAX} bytes")))
}

fn span(value: &str) -> Result<Duration, Invalid> {
    duration::parse(value).ok_or_else(|| Invalid::new("", "is no duration", duration::ALLOWED))
}

#[cfg(test)]
mod tests;
