//! What this machine can do, and how long the tests may take.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// Says why a test does nothing here. A failure where nothing may be left out.
pub fn skip(reason: &str) {
    assert!(std::env::var("QUORATE_FAULTS").as_deref() != Ok("require"), "nothing may be skipped: {reason}");
    println!("skipped: {reason}");
}

/// Whether a command can be carried out here.
pub fn works(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// How long faults go on in a test that may take any time.
pub fn seconds(default: u64) -> Duration {
    Duration::from_secs(number("QUORATE_FAULTS_SECONDS").unwrap_or(default))
}

/// How often a fault is repeated in a test that counts rounds.
pub fn rounds(default: u64) -> u64 {
    number("QUORATE_FAULTS_ROUNDS").unwrap_or(default)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`; allowed: a number")))
}
