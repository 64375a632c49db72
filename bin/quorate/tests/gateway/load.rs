//! Load tools, and what they say in the end.

use crate::{origins::Process, support::eventually};
use std::path::Path;

/// wrk, which loads until it is told to stop.
pub struct Wrk {
    process: Process,
    /// For its log.
    _folder: tempfile::TempDir,
}

/// What wrk has seen.
#[derive(Debug)]
pub struct Seen {
    pub requests: u64,
    /// Answers with another status than 2xx and 3xx.
    pub bad_status: u64,
    /// Connections that could not be made, were broken, or stood still.
    pub socket_errors: u64,
    said: String,
}

impl Seen {
    /// What a script has printed as `counted NAME NUMBER`.
    pub fn counted(&self, name: &str) -> u64 {
        let begin = format!("counted {name} ");
        let counts = self.said.lines().find_map(|line| line.strip_prefix(&begin)?.trim().parse::<f64>().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count, as Lua writes one"
        )]
        let count = counts.unwrap_or_else(|| panic!("no {name}: {}", self.said)) as u64;
        count
    }
}

impl Wrk {
    /// `connections` keep-alive connections, each with one request after the other.
    pub fn start(folder: &Path, connections: usize, url: &str) -> Self {
        Self::start_with(folder, connections, &[], url)
    }

    /// The same with more arguments.
    pub fn start_with(folder: &Path, connections: usize, args: &[&str], url: &str) -> Self {
        let connections = connections.to_string();
        // Longer than any test, which ends it.
        let common = ["-t", "1", "-c", &connections, "-d", "10m", "--timeout", "30s"];
        let args = [&common, args, &[url]].concat();
        // Each run has a log of its own.
        let folder = tempfile::tempdir_in(folder).expect("a folder");
        let process = Process::start("wrk", folder.path(), "KILL", Path::new("wrk"), &args);
        Self { process, _folder: folder }
    }

    /// Whether it still loads.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Ends it.
    pub fn stop(mut self) -> Seen {
        self.process.signal("INT");
        let said = self.process.ended_well();
        let number = |text: &str| text.trim().parse::<u64>().unwrap_or_else(|_| panic!("{text}: {said}"));
        let line = |part: &str| said.lines().find(|line| line.contains(part));
        let requests = line(" requests in ").and_then(|line| line.split(" requests in ").next());
        let bad_status = line("Non-2xx").and_then(|line| line.rsplit(':').next()).map_or(0, number);
        // `Socket errors: connect 0, read 0, write 0, timeout 0`; nothing where there are none.
        let errors = line("Socket errors:").and_then(|line| line.split_once(':'));
        let socket_errors = errors.map_or(0, |(_, counts)| {
            counts.split(',').filter_map(|count| count.rsplit(' ').next()).map(number).sum()
        });
        Seen { requests: number(requests.expect("wrk counts")), bad_status, socket_errors, said }
    }
}

/// What h2load has seen of its requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    pub succeeded: u64,
    pub failed: u64,
    /// Answers with status 2xx.
    pub good: u64,
    /// `h2c` or `h2`.
    pub protocol: String,
}

/// Lets h2load send `requests` on `clients` connections, up to sixteen at once on each.
pub fn h2load(folder: &Path, requests: u64, clients: usize, args: &[&str], url: &str) -> Loaded {
    let (requests, clients) = (requests.to_string(), clients.to_string());
    let args = [&["-n", &requests, "-c", &clients, "-m", "16", "-T", "30"], args, &[url]].concat();
    // Each run has a log of its own.
    let place = tempfile::tempdir_in(folder).expect("a folder");
    let mut process = Process::start("h2load", place.path(), "KILL", Path::new("h2load"), &args);
    let said = process.ended_well();
    let counts = |begin: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(begin));
        let line = line.unwrap_or_else(|| panic!("no line `{begin}`: {said}")).to_owned();
        move |what: &str| -> u64 {
            let count = line.split(',').find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
            count.unwrap_or_else(|| panic!("no `{what}` in `{line}`"))
        }
    };
    let (requests, statuses) = (counts("requests:"), counts("status codes:"));
    let protocol = said.lines().find_map(|line| line.strip_prefix("Application protocol: "));
    Loaded {
        succeeded: requests(" succeeded"),
        failed: requests(" failed"),
        good: statuses(" 2xx"),
        protocol: protocol.unwrap_or_default().to_owned(),
    }
}

/// Looks until `count` has grown by `more`.
pub fn grows(what: &str, more: u64, count: impl Fn() -> u64) {
    let before = count();
    eventually(what, || (count() >= before + more).then_some(()));
}
