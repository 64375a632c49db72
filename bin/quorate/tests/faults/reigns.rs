//! Who leads in which term, as all nodes tell it all the while.

use crate::support::{http::Ask, node::Node};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(10);
/// A node that does not answer by then is down, or is asked again.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Asks all nodes who leads, until it is ended.
pub struct Reigns {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<History>,
}

#[derive(Default)]
struct History {
    leaders: BTreeMap<u64, String>,
    /// Terms of which something else was told later.
    contested: Vec<String>,
}

impl History {
    fn told(&mut self, by: SocketAddr, term: u64, leader: &str) {
        let first = self.leaders.entry(term).or_insert_with(|| leader.to_owned());
        if first != leader {
            self.contested.push(format!("term {term} was {first}'s, and by {by} it is {leader}'s"));
        }
    }
}

impl Reigns {
    /// Of these nodes. Each must keep its name and its disk: terms are told by names.
    pub fn watch(nodes: &[Node]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, nodes) = (stop.clone(), nodes.iter().map(|node| node.management).collect::<Vec<_>>());
        let asking = std::thread::spawn(move || {
            let mut history = History::default();
            while !stopped.load(Ordering::Relaxed) {
                for node in &nodes {
                    let Ok(answer) = Ask::get("/v1/cluster").send_within(*node, ANSWER_WITHIN) else {
                        continue;
                    };
                    if answer.status != 200 {
                        continue;
                    }
                    let said = answer.json();
                    if let (Some(term), Some(leader)) = (said["term"].as_u64(), said["leader"].as_str()) {
                        history.told(*node, term, leader);
                    }
                }
                std::thread::sleep(PAUSE);
            }
            history
        });
        Self { stop, asking }
    }

    /// How many terms had a leader. Fails where a term ever had two.
    pub fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let History { leaders, contested } = self.asking.join().expect("it ends");
        assert!(contested.is_empty(), "{contested:#?}");
        leaders.len()
    }
}

#[test]
fn a_second_leader_of_a_term_is_noticed() {
    let by = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut history = History::default();
    for (term, leader) in [(1, "n1"), (2, "n2"), (1, "n1"), (3, "n1")] {
        history.told(by, term, leader);
    }
    assert!(history.contested.is_empty());
    history.told(by, 2, "n3");
    assert_eq!(history.contested, ["term 2 was n2's, and by 127.0.0.1:1 it is n3's"]);
}
