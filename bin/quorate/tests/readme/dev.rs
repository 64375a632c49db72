//! `quorate dev`, running.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Longer than it gives its workers and nodes to end.
const END_LIMIT: Duration = Duration::from_secs(15);

/// Dropping it ends it and all that it started.
pub struct Dev(Child);

impl Dev {
    /// Starts it and waits for `lines` lines that are not empty; returns them.
    pub fn start(offset: u16, lines: usize, limit: Duration) -> Result<(Self, String), String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["dev", "--base-port-offset", &offset.to_string()])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let dev = Self(child);
        let (tell, told) = mpsc::sync_channel(1_000);
        std::thread::spawn(move || {
            // The other end is gone when enough was read; its pipe is still emptied.
            stdout.lines().map_while(Result::ok).for_each(|line| drop(tell.try_send(line)));
        });
        let until = Instant::now() + limit;
        let mut said = String::new();
        let mut seen = 0;
        while seen < lines {
            let left = until.saturating_duration_since(Instant::now());
            let line =
                told.recv_timeout(left).map_err(|e| format!("`dev` says no more ({e}) after\n{said}"))?;
            seen += usize::from(!line.trim().is_empty());
            said += &(line + "\n");
        }
        Ok((dev, said))
    }

    /// Ctrl-C: it ends well.
    pub fn interrupt(mut self) {
        let status = self.end().expect("it ends within its own limits");
        assert!(status.success(), "{status}");
    }

    fn end(&mut self) -> Option<ExitStatus> {
        // The id of a process that has ended may be another's by now.
        if let Ok(Some(status)) = self.0.try_wait() {
            return Some(status);
        }
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).stderr(Stdio::null()).status();
        let begun = Instant::now();
        while begun.elapsed() < END_LIMIT {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // In order, so that its folder goes too. Its children see their stdin end and go either way.
        if self.end().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
