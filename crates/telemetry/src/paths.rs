//! Answers by what decided the request, by the names that the sandbox proxy has for its metrics.
//!
//! One set per core, as all counters of the data plane. What is counted here is counted once: the answers by class of
//! status, and the durations of all requests together, are added up from it when somebody reads them.

use crate::{
    histogram::Durations,
    label::{Label, PathTemplate, StatusClass},
    proxy::add,
    sheet::Sheet,
};
use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Status codes that have series of their own, once they have been seen. Workers may send others.
const CODES: RangeInclusive<u16> = 100..=599;
/// One for each code, and one for all others.
const SLOTS: usize = 501;
/// What those are shown as.
const OTHERS: &str = "other";

/// One core's answers.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    of: [Answers; PathTemplate::COUNT],
}

#[derive(Debug, Default)]
struct Answers {
    /// Made with the first answer: most nodes decide by one or two rules only.
    codes: OnceLock<Box<[AtomicU64; SLOTS]>>,
    durations: Durations,
}

impl Paths {
    /// Counts an answer.
    pub fn answered(&self, path: PathTemplate, status: u16, elapsed: Duration) {
        let answers = &self.of[path.position()];
        let codes = answers.codes.get_or_init(|| Box::new([const { AtomicU64::new(0) }; SLOTS]));
        add(&codes[slot(status)]);
        answers.durations.observe(elapsed);
    }

    /// How many answers of a class there were.
    pub fn of_class(&self, class: StatusClass) -> u64 {
        let made = self.of.iter().filter_map(|answers| answers.codes.get());
        let of_class =
            made.flat_map(|codes| codes.iter().enumerate()).filter(|(slot, _)| is_of(*slot, class));
        of_class.map(|(_, count)| count.load(Ordering::Relaxed)).sum()
    }

    /// How long they took, all together.
    pub fn durations(&self) -> impl Iterator<Item = &Durations> {
        self.of.iter().map(|answers| &answers.durations)
    }

    /// All cores together, by the names of the sandbox proxy.
    pub fn encode<'p>(cores: impl Iterator<Item = &'p Self> + Clone, sheet: &mut Sheet<'_>) -> fmt::Result {
        let mut seen = Vec::new();
        for path in PathTemplate::ALL {
            for slot in 0..SLOTS {
                let counts = cores.clone().filter_map(|core| core.of[path.position()].codes.get());
                let sum: u64 = counts.map(|codes| codes[slot].load(Ordering::Relaxed)).sum();
                if sum > 0 {
                    seen.push((*path, shown(slot), sum));
                }
            }
        }
        sheet.counters_by(
            (
                "proxy_requests",
                "Answered requests by what decided them; a status that never was has no series",
            ),
            seen.iter().map(|(path, code, sum)| {
                ([(PathTemplate::NAME, path.as_str()), ("status_code", code.as_str())], *sum)
            }),
        )?;
        sheet.durations_by::<PathTemplate, _>(
            (
                "proxy_request_duration_seconds",
                "From a request's head to the head of its answer, by what decided it",
            ),
            |path| cores.clone().map(move |core| &core.of[path.position()].durations),
        )
    }
}

fn slot(status: u16) -> usize {
    if CODES.contains(&status) { usize::from(status - CODES.start()) } else { SLOTS - 1 }
}

fn shown(slot: usize) -> String {
    if slot == SLOTS - 1 { OTHERS.into() } else { (slot + usize::from(*CODES.start())).to_string() }
}

fn is_of(slot: usize, class: StatusClass) -> bool {
    let status = u16::try_from(slot).unwrap_or(u16::MAX).saturating_add(*CODES.start());
    StatusClass::of(status) == class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_slot_and_the_class_that_it_had() {
        for (status, text, class) in [
            (100, "100", StatusClass::Informational),
            (200, "200", StatusClass::Success),
            (404, "404", StatusClass::ClientError),
            (599, "599", StatusClass::ServerError),
            (600, "other", StatusClass::ServerError),
            (999, "other", StatusClass::ServerError),
            (99, "other", StatusClass::ServerError),
        ] {
            assert_eq!((shown(slot(status)).as_str(), StatusClass::of(status)), (text, class), "{status}");
            assert!(is_of(slot(status), class), "{status}");
        }
    }

    #[test]
    fn nothing_is_kept_for_what_never_decides() {
        let paths = Paths::default();
        paths.answered(PathTemplate::Default, 200, Duration::from_millis(1));
        let made = paths.of.iter().filter(|answers| answers.codes.get().is_some()).count();
        assert_eq!((made, paths.of_class(StatusClass::Success)), (1, 1));
    }
}
