//! Tests as data: a script of commands in, what the state answered and what it looks like out.
//!
//! Entries are separated by `;`, the commands of one entry by `&`. Each entry is applied at the next log index, at
//! the log time that its `@<seconds>` says (else that of the entry before). After each entry all invariants are
//! checked, and the state is taken apart and put together again.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

pub mod picture;
pub mod script;

use expect_test::Expect;
use quorate_model::{BootId, ClusterId, Command, Entry, KeyspaceSource, LogIndex, LogTime, Origin};
use quorate_model::{PartitionCount, Proposal, Reply};
use quorate_state::{State, invariant};
use script::Step;

/// Runs a script on a cluster that was formed with 12 partitions at index 1, and compares the transcript: each
/// entry with its replies and events, and the picture of the state at the end and at each `look`.
pub fn check(script: &str, expected: Expect) {
    let mut scene = Scene::formed();
    scene.run(script);
    expected.assert_eq(&scene.finish());
}

/// Like [`check`], on a state to which nothing was applied yet.
pub fn check_unformed(script: &str, expected: Expect) {
    let mut scene = Scene::new();
    scene.run(script);
    expected.assert_eq(&scene.finish());
}

/// A state, its log and what was seen so far.
pub struct Scene {
    pub state: State,
    pub at: LogTime,
    sequence: u64,
    transcript: String,
}

impl Scene {
    pub fn new() -> Self {
        Self { state: State::new(), at: LogTime(0), sequence: 0, transcript: String::new() }
    }

    pub fn formed() -> Self {
        let mut scene = Self::new();
        scene.apply(vec![(None, form(Some(12), KeyspaceSource::Static))]);
        scene
    }

    /// Runs a script and returns the replies of its last entry.
    pub fn run(&mut self, script: &str) -> Vec<Reply> {
        let mut last = Vec::new();
        for line in script.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            match script::parse(line, &self.state) {
                Step::Look => self.look(),
                Step::Snapshot => self.reload(),
                Step::Entry { at, commands } => {
                    self.at = at.unwrap_or(self.at);
                    let applied = self.apply(commands);
                    let index = self.state.index();
                    self.transcript.push_str(&format!("{index} {line}\n{}", picture::applied(&applied)));
                    last = applied.replies;
                }
            }
        }
        last
    }

    /// Drops the transcript so far: what comes next is what the test is about.
    pub fn forget_transcript(&mut self) {
        self.transcript.clear();
    }

    /// The transcript, with the picture of the state at its end.
    pub fn finish(mut self) -> String {
        self.look();
        self.transcript
    }

    pub fn apply(&mut self, commands: Vec<(Option<Origin>, Command)>) -> quorate_state::Applied {
        let proposals =
            commands.into_iter().map(|(o, command)| Proposal { origin: self.origin(o), command }).collect();
        let index = LogIndex(self.state.index().0 + 1);
        let applied = self.state.apply(index, &Entry { at: self.at, proposals });
        invariant::check(&self.state).expect("the invariants hold after each entry");
        let again = State::from_parts(self.state.parts()).expect("the parts make a state");
        assert_eq!(again.parts(), self.state.parts(), "a state survives being taken apart");
        applied
    }

    fn origin(&mut self, given: Option<Origin>) -> Origin {
        self.sequence += 1;
        given.unwrap_or(Origin { boot: BootId(1), sequence: self.sequence })
    }

    fn look(&mut self) {
        self.transcript.push_str(&picture::state(&self.state));
    }

    /// From here on the state is one that came out of a snapshot.
    fn reload(&mut self) {
        self.state = State::from_parts(self.state.parts()).expect("the parts make a state");
    }
}

pub fn form(partitions: Option<u32>, source: KeyspaceSource) -> Command {
    let partitions = partitions.map(|count| PartitionCount::new(count).expect("a valid count"));
    Command::FormCluster { cluster: ClusterId(7), partitions, source }
}
