//! Slow start: a fresh endpoint's share grows from a tenth to the whole over a window.
//!
//! An endpoint that has just begun has cold caches and compiles its hot paths. Its weight is not changed, which would
//! mean to make all tables anew every moment; it is drawn by its whole weight, and kept with a chance that grows.

/// The whole, and what a fresh one begins with, in thousandths.
pub const WHOLE: u32 = 1_000;
const FIRST: u32 = 100;

/// How much of its weight counts, in thousandths, `age_ms` after it began.
pub fn share(age_ms: u64, window_ms: u32) -> u32 {
    if age_ms >= u64::from(window_ms) {
        return WHOLE;
    }
    let grown = u64::from(WHOLE - FIRST) * age_ms / u64::from(window_ms);
    FIRST + grown as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_evenly_and_never_shrinks() {
        let at = [0, 1_000, 5_000, 9_999, 10_000, 11_000, u64::MAX].map(|age| share(age, 10_000));
        assert_eq!(at, [100, 190, 550, 999, 1_000, 1_000, 1_000]);
        assert_eq!(share(0, 0), WHOLE, "off");
        assert!((1..20_000).all(|age| share(age, 10_000) >= share(age - 1, 10_000)));
    }
}
