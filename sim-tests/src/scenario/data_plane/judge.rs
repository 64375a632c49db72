//! What may become of a request, and what not.

use super::{TIMEOUT, weather::Troubles};
use crate::world::{
    arrivals::{Visit, content},
    line::{Asked, Heard},
    worker::Mood,
};
use std::time::Duration;

/// A request may take this much longer than its timeout: deadlines are up to two tenths of a second late, messages
/// take their time, and a cut answer breaks off late.
const LATE: Duration = Duration::from_millis(800);
/// What happened to a worker is still felt for so long: what it sent is under way.
const FELT_MS: u128 = 100;
/// Up to here an idempotent request's body is kept by the router.
const KEPT_BYTES: usize = 64 << 10;

/// What was going on meanwhile.
pub struct Circumstances<'a> {
    pub began_ms: u128,
    pub ended_ms: u128,
    /// Whether the node served all the while, in one life.
    pub node_stood: bool,
    /// Where the request has been.
    pub visits: Vec<Visit>,
    pub troubles: &'a Troubles,
}

/// Whether this may be so.
pub fn judge(asked: Asked, heard: &Heard, around: &Circumstances<'_>) -> Result<(), String> {
    let took_ms = around.ended_ms - around.began_ms;
    if took_ms > (TIMEOUT + LATE).as_millis() {
        return Err(format!("it took {took_ms} ms"));
    }
    if !is_idempotent(asked) && around.visits.len() > 1 {
        return Err("it was sent twice, and may not be".into());
    }
    is_its_own(asked, heard)?;
    if !around.node_stood {
        // Whatever it was about to say.
        return Ok(());
    }
    match heard {
        Heard::Whole { status: 200, .. } if around.visits.is_empty() => Err("no worker has seen it".into()),
        Heard::Whole { status: 200, .. } => Ok(()),
        Heard::Whole { status: 502..=504, .. } => around.may_fail(asked),
        Heard::Whole { status, .. } => Err(format!("nobody should answer {status}")),
        Heard::Cut { .. } if around.was_cut() => Ok(()),
        Heard::Cut { .. } => Err("its answer was cut, and no worker broke off".into()),
        Heard::Refused | Heard::Broken(_) | Heard::Silence => {
            Err("a node that serves gives no answer".into())
        }
    }
}

pub fn is_idempotent(asked: Asked) -> bool {
    matches!(asked.method, "GET" | "PUT" | "DELETE")
}

/// The answer of a worker is the one to this request, and is not called whole when it is not.
fn is_its_own(asked: Asked, heard: &Heard) -> Result<(), String> {
    let own = |id: &Option<u64>| id.is_none_or(|id| id == asked.id);
    let all = content(asked.id, asked.answer_bytes);
    match heard {
        Heard::Whole { id, .. } | Heard::Cut { id, .. } if !own(id) => {
            Err(format!("it got the answer to request {id:?}"))
        }
        Heard::Whole { status: 200, body, .. } if *body != all => {
            Err(format!("an answer of {} bytes passes for the whole of {}", body.len(), all.len()))
        }
        Heard::Cut { body, .. } if !all.starts_with(body) => Err("its cut answer is not its own".into()),
        Heard::Whole { .. } | Heard::Cut { .. } | Heard::Refused | Heard::Broken(_) | Heard::Silence => {
            Ok(())
        }
    }
}

impl Circumstances<'_> {
    /// Whether nothing better than 502 to 504 could be had.
    fn may_fail(&self, asked: Asked) -> Result<(), String> {
        let took_ms = self.ended_ms - self.began_ms;
        let is_overdue = took_ms >= TIMEOUT.as_millis();
        // One that never answers, or late, has the request's time to itself.
        let was_kept_waiting =
            self.visits.iter().any(|visit| matches!(visit.mood, Mood::Hanging | Mood::Slow(..)));
        if is_overdue && was_kept_waiting {
            return Ok(());
        }
        if is_idempotent(asked) && asked.body_bytes <= KEPT_BYTES {
            return Err("it is lost, and could have been repeated".into());
        }
        // Some of it may have been with a worker whose connection broke.
        if self.troubles.any(self.began_ms.saturating_sub(FELT_MS), self.ended_ms) {
            return Ok(());
        }
        Err("it is lost, and all workers were well".into())
    }

    /// Whether a worker that had it broke off.
    fn was_cut(&self) -> bool {
        self.visits.iter().any(|visit| {
            visit.mood == Mood::Dying || self.troubles.broke(visit.worker, visit.at_ms, self.ended_ms)
        })
    }
}
