//! Real time: containers know no other.

use std::time::{Duration, Instant};

use crate::workspace::Failure;

const ASK_EVERY: Duration = Duration::from_millis(100);

#[expect(clippy::disallowed_methods, reason = "containers live in real time; nothing of this is simulated")]
pub fn now() -> Instant {
    Instant::now()
}

/// The result of some work, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    let result = work();
    (result, start.elapsed())
}

pub fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}

/// Asks until there is an answer, and says at the end of its patience what was heard last.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<T, String>,
) -> Result<T, Failure> {
    let start = now();
    loop {
        match ask() {
            Ok(answer) => {
                eprintln!("containers:   {what}: {:.1} s", start.elapsed().as_secs_f64());
                return Ok(answer);
            }
            Err(last) if start.elapsed() > patience => {
                return Err(Failure::Check(format!("{what}: not within {patience:?}; last: {last}")));
            }
            Err(_) => sleep(ASK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_what_was_heard_last() {
        let failure = eventually("n1 is ready", Duration::ZERO, || Err::<(), _>("503".to_owned()));
        let failure = failure.expect_err("it never is").to_string();
        assert_eq!(failure, "n1 is ready: not within 0ns; last: 503");
        assert_eq!(eventually("x", Duration::ZERO, || Ok::<_, String>(7)).expect("at once"), 7);
    }
}
