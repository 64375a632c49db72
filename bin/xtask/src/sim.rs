//! `cargo xtask sim`: the simulator, built with the flags that make it one.
//!
//! Simulated and real builds differ in `--cfg`, so they can't share a target folder without rebuilding everything
//! at each turn: the simulator always has one of its own. The program itself prints the failing seeds and the
//! line that replays one; its exit code is ours.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::workspace::{Child, Failure, Workspace};

/// `tokio_unstable` is for the seeded runtime that tames tokio's hidden randomness.
const FLAGS: &str = "build.rustflags=['--cfg','madsim','--cfg','tokio_unstable']";

/// Builds the simulator and runs it with the caller's arguments, unread.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    let target = target_folder(std::env::var_os("CARGO_TARGET_DIR"), workspace.root());
    command(workspace, &target, args).run()
}

/// An empty variable counts as unset, as it does for cargo.
fn target_folder(outer: Option<OsString>, root: &Path) -> PathBuf {
    match outer {
        Some(outer) if !outer.is_empty() => PathBuf::from(outer).join("sim"),
        _ => root.join("target/sim"),
    }
}

fn command(workspace: &Workspace, target: &Path, args: &[String]) -> Child {
    let mut child = workspace.cargo(["run", "--quiet", "--locked", "--config", FLAGS, "--target-dir"]);
    child.command.arg(target);
    child.command.args(["--profile", "sim", "-p", "quorate-sim-tests", "--bin", "quorate-sim", "--"]);
    child.command.args(args);
    // Either variable replaces `build.rustflags` as a whole: the build would succeed without a simulator in it.
    child.command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    child
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_never_shares_a_target_folder_with_real_builds() {
        let root = Path::new("/clone");
        assert_eq!(target_folder(None, root), Path::new("/clone/target/sim"));
        assert_eq!(target_folder(Some("".into()), root), Path::new("/clone/target/sim"));
        assert_eq!(target_folder(Some("/cache".into()), root), Path::new("/cache/sim"));
    }

    #[test]
    fn arguments_of_the_caller_reach_the_simulator_last_and_unchanged() {
        let args = ["--seeds", "3", "--scenario", "a b"].map(str::to_owned);
        let child = command(&Workspace::at("/clone"), Path::new("/t"), &args);
        let all: Vec<_> = child.command.get_args().collect();
        assert_eq!(all[all.len() - 5..], ["--", "--seeds", "3", "--scenario", "a b"]);
        assert!(all.iter().any(|arg| *arg == FLAGS));
    }

    #[test]
    fn outer_rustflags_cannot_switch_the_simulator_off() {
        let child = command(&Workspace::at("/clone"), Path::new("/t"), &[]);
        let removed: Vec<_> =
            child.command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert_eq!(removed, ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"]);
    }
}
