//! What may become of a request, and what not.

use super::{TIMEOUT, routed, weather::Troubles};
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
/// Most workers that a request is given to: once, and twice more.
const WORKERS_MAX: usize = 3;
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
    /// Whether connections to workers are shared.
    pub is_shared: bool,
}

/// How a request ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a worker's answer, to its end.
    Answered,
    /// With the router's own word: no worker's answer could be had.
    Failed,
    /// In the middle of an answer.
    Cut,
    /// With something that nobody should say.
    Oddly(String),
    /// Without a word.
    Silently,
}

/// How it ended.
pub fn ended(asked: Asked, heard: &Heard) -> Ended {
    match heard {
        Heard::Whole { status: 200, grpc, .. } if asked.is_call => match grpc {
            Some(0) => Ended::Answered,
            // The time is over; unavailable.
            Some(4 | 14) => Ended::Failed,
            Some(_) | None => Ended::Oddly(format!("a call ends with the status {grpc:?}")),
        },
        Heard::Whole { status: 200, .. } => Ended::Answered,
        Heard::Whole { status: 502..=504, .. } if !asked.is_call => Ended::Failed,
        Heard::Whole { status, .. } => Ended::Oddly(format!("nobody should answer {status}")),
        Heard::Cut { .. } => Ended::Cut,
        Heard::Refused | Heard::Broken(_) | Heard::Silence => Ended::Silently,
    }
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
    around.is_tried_in_turn()?;
    let ended = ended(asked, heard);
    is_its_own(asked, (heard, &ended))?;
    if !around.node_stood {
        // Whatever it was about to say.
        return Ok(());
    }
    match ended {
        Ended::Answered if around.visits.is_empty() => Err("no worker has seen it".into()),
        Ended::Answered => Ok(()),
        Ended::Failed => around.may_fail(asked),
        Ended::Cut if around.was_cut() => Ok(()),
        Ended::Cut => Err("its answer was cut, and no worker broke off".into()),
        Ended::Oddly(how) => Err(how),
        Ended::Silently => Err("a node that serves gives no answer".into()),
    }
}

pub fn is_idempotent(asked: Asked) -> bool {
    matches!(asked.method, "GET" | "PUT" | "DELETE")
}

/// The answer of a worker is the one to this request, and is not called whole when it is not.
fn is_its_own(asked: Asked, (heard, ended): (&Heard, &Ended)) -> Result<(), String> {
    let own = |id: &Option<u64>| id.is_none_or(|id| id == asked.id);
    let all = content(asked.id, asked.answer_bytes);
    match heard {
        Heard::Whole { id, .. } | Heard::Cut { id, .. } if !own(id) => {
            Err(format!("it got the answer to request {id:?}"))
        }
        Heard::Whole { body, .. } if *ended == Ended::Answered && *body != all => {
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
        if is_overdue && was_kept_waiting && !routed::bounds_tries(asked.path) {
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
        self.visits.iter().any(|visit| visit.mood == Mood::Dying || self.broke_with(visit))
    }

    /// Whether the connection that a visit came on may have broken since.
    fn broke_with(&self, visit: &Visit) -> bool {
        self.troubles.broke(visit.worker, (visit.at_ms, self.ended_ms), self.is_shared)
    }

    /// No more workers than it may be given to, and none that has failed it. Where the connection broke it may have been
    /// an idle one that was dying, which says nothing about the worker: that one is asked once more on a new one. A
    /// shared connection is never idle in that sense.
    fn is_tried_in_turn(&self) -> Result<(), String> {
        let mut tried: Vec<&Visit> = Vec::new();
        for visit in &self.visits {
            match tried.iter().find(|earlier| earlier.worker == visit.worker) {
                None => tried.push(visit),
                Some(earlier) => {
                    let broke = earlier.mood == Mood::Vanishing || self.broke_with(earlier);
                    let times = self.visits.iter().filter(|other| other.worker == visit.worker).count();
                    if self.is_shared || !broke || times > 2 {
                        return Err("it was given again to a worker that had failed it".into());
                    }
                }
            }
        }
        if tried.len() > WORKERS_MAX {
            return Err(format!("it was given to {} workers", tried.len()));
        }
        Ok(())
    }
}
