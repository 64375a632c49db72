//! What happened in a run, hashed: two runs of one seed must agree on every event and its time.
//!
//! One thread is one run, so the trace is thread-local.

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash, Hasher},
};

struct Trace {
    hasher: DefaultHasher,
    lines: Vec<String>,
    print: bool,
}

thread_local! { static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) }; }

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Of all lines.
    pub hash: u64,
    /// All lines.
    pub lines: Vec<String>,
}

/// Begins a run.
pub fn start(print: bool) {
    TRACE.with(|t| *t.borrow_mut() = Some(Trace { hasher: DefaultHasher::new(), lines: Vec::new(), print }));
}

/// Ends it.
pub fn finish() -> Finished {
    TRACE.with(|t| {
        t.borrow_mut()
            .take()
            .map_or_else(Finished::default, |t| Finished { hash: t.hasher.finish(), lines: t.lines })
    })
}

/// Writes down one event with its simulated time.
pub fn event(text: impl FnOnce() -> String) {
    TRACE.with(|t| {
        let mut trace = t.borrow_mut();
        let Some(trace) = trace.as_mut() else { return };
        let at = madsim::time::TimeHandle::try_current().map_or(0, |t| t.elapsed().as_micros());
        let line = format!("{:>11} {}", at, text());
        line.hash(&mut trace.hasher);
        if trace.print {
            println!("{line}");
        }
        trace.lines.push(line);
    });
}
