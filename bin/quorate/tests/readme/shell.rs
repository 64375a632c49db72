//! One shell for all blocks, as a reader has one: what a block sets or starts is there for the next.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

const END: &str = "--- end of block";
/// The README's folder for data, replaced by one that nobody else uses.
const FOLDER: &str = "/tmp/quorate-demo";

/// Dropping it ends what it started.
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<String>,
    folder: tempfile::TempDir,
}

impl Shell {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let errors = File::create(folder.path().join("stderr")).expect("a file");
        let mut child = Command::new("sh")
            .current_dir(&folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        let mut stdin = child.stdin.take().expect("piped");
        // Also when this process is killed: then stdin ends, and with it the shell.
        writeln!(stdin, "trap 'trap - EXIT; kill -9 0' EXIT\nset -e").expect("it reads");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = mpsc::sync_channel(10_000);
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| drop(tell.try_send(line)));
        });
        Self { child, stdin, lines, folder }
    }

    /// Runs a block; returns what it printed. A command that fails is an error, and so is one that takes longer
    /// than `limit`.
    pub fn run(&mut self, script: &str, limit: Duration) -> Result<String, String> {
        let script = self.ours(script);
        writeln!(self.stdin, "{script}\nprintf '\\n{END}\\n'").map_err(|e| self.lost(&e.to_string()))?;
        let until = Instant::now() + limit;
        let mut said = String::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).map_err(|e| self.lost(&format!("{e} after `{said}`")))?;
            if line == END {
                return Ok(said);
            }
            said += &(line + "\n");
        }
    }

    /// The README's commands, as they are called here.
    fn ours(&self, script: &str) -> String {
        let program = env!("CARGO_BIN_EXE_quorate");
        let folder = self.folder.path().join("demo").display().to_string();
        script
            .replace("cargo run --release --", program)
            .replace("target/release/quorate", program)
            .replace(FOLDER, &folder)
    }

    fn lost(&self, why: &str) -> String {
        let errors = std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        format!("the shell: {why}\n--- stderr\n{errors}")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The whole group: nodes that a block has started in the background.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn a_block_sees_what_the_one_before_it_has_set() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("A=1; printf x", Duration::from_secs(9)), Ok("x\n".into()));
    assert_eq!(shell.run("echo $A", Duration::from_secs(9)), Ok("1\n\n".into()));
}

#[test]
fn a_command_that_fails_is_told_with_what_it_said() {
    let why = Shell::start().run("cat nothing; echo on", Duration::from_secs(9)).expect_err("no such file");
    assert!(why.contains("nothing: No such file"), "{why}");
}

#[test]
fn a_command_that_hangs_is_given_up() {
    let why = Shell::start().run("sleep 60", Duration::from_millis(50)).expect_err("too long");
    assert!(why.contains("timed out"), "{why}");
}
