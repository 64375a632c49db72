//! Where a message has been: how often it was passed on, and which gateways were given it.
//!
//! A user of many sessions is on many gateways, and each is given the message. Where the user has left one of them, the
//! message is passed on to where the user is by now, and must not come to a gateway that was given it from the start.
//! Only the first of them keeps it for a user who is nowhere: kept by each, it would come to each once the user is back.

use quorate_gateway::cluster::Place;
use quorate_model::NodeName;
use rskafka::record::Record;
use std::collections::BTreeMap;

/// Ours: how often it was passed on.
const HOPS: &str = "quorate_hops";
/// Ours: to which gateways it was given, where there are several.
const GATEWAYS: &str = "quorate_gateways";
/// A message is passed on this often: presence that is behind may lead in circles.
const HOPS_MAX: u32 = 3;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    hops: u32,
    /// Not those that it has left. The first one looks after it. Empty: whoever reads it is the only one.
    gateways: Vec<NodeName>,
}

/// What to do with a message for a user who is not here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// Another gateway that was given it looks after it, or has brought it.
    LetGo,
    /// The user is nowhere that is known, or it has been passed on too often.
    Keep,
    /// It goes on to these, with this trail.
    PassOn(Vec<NodeName>, Trail),
}

impl Trail {
    /// Of a message that `me` sends to these gateways: just those that are given it, whatever presence says by now. What
    /// is for its own sessions takes no topic.
    pub fn new(me: &NodeName, given: &[NodeName]) -> Self {
        let mut gateways = each_once(given);
        if let Some(own) = gateways.iter().position(|gateway| gateway == me) {
            let own = gateways.remove(own);
            gateways.push(own);
        }
        Self { hops: 0, gateways }.shortened()
    }

    /// As a record tells it.
    pub fn of(record: &Record) -> Self {
        let header = |name: &str| std::str::from_utf8(record.headers.get(name)?).ok();
        let hops = header(HOPS).and_then(|hops| hops.parse().ok()).unwrap_or(0);
        let gateways = header(GATEWAYS).into_iter().flat_map(|all| all.split(','));
        Self { hops, gateways: gateways.filter_map(|name| NodeName::parse(name).ok()).collect() }
    }

    /// Into the headers of a record.
    pub fn write(&self, headers: &mut BTreeMap<String, Vec<u8>>) {
        if self.hops > 0 {
            headers.insert(HOPS.to_owned(), self.hops.to_string().into_bytes());
        }
        if !self.gateways.is_empty() {
            // Names of topics have no commas, and these are in such names.
            let all: Vec<_> = self.gateways.iter().map(NodeName::as_str).collect();
            headers.insert(GATEWAYS.to_owned(), all.join(",").into_bytes());
        }
    }

    /// From `me`, whom the user has left, as presence has it now.
    pub fn onward(&self, me: &NodeName, places: &[Place]) -> Onward {
        if self.gateways.first().is_some_and(|first| first != me) {
            return Onward::LetGo;
        }
        let mut there = each_once(places.iter().map(|place| &place.node));
        there.retain(|gateway| gateway != me);
        if there.is_empty() {
            return Onward::Keep;
        }
        there.retain(|gateway| !self.gateways.contains(gateway));
        if there.is_empty() {
            return Onward::LetGo;
        }
        if self.hops >= HOPS_MAX {
            return Onward::Keep;
        }
        let others = self.gateways.iter().filter(|gateway| *gateway != me);
        let gateways = there.iter().chain(others).cloned().collect();
        Onward::PassOn(there, Self { hops: self.hops + 1, gateways }.shortened())
    }

    fn shortened(mut self) -> Self {
        if self.gateways.len() == 1 {
            self.gateways.clear();
        }
        self
    }
}

/// In their order.
fn each_once<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> Vec<NodeName> {
    let mut gateways: Vec<NodeName> = Vec::new();
    for name in names {
        if !gateways.contains(name) {
            gateways.push(name.clone());
        }
    }
    gateways
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{ConnectionId, Epoch};

    fn names(names: &str) -> Vec<NodeName> {
        names.split_whitespace().map(|name| NodeName::parse(name).expect("valid")).collect()
    }

    fn at(nodes: &str) -> Vec<Place> {
        let connection = ConnectionId::from_random(1);
        let place = |node| Place { node, gateway: Epoch(1), epoch: Epoch(2), connection };
        names(nodes).into_iter().map(place).collect()
    }

    fn trail(hops: u32, gateways: &str) -> Trail {
        Trail { hops, gateways: names(gateways) }
    }

    fn onward(of: &Trail, me: &str, user_at: &str) -> Onward {
        of.onward(&names(me)[0], &at(user_at))
    }

    #[test]
    fn a_trail_names_each_gateway_once_its_own_last_and_one_alone_not_at_all() {
        let sent = |nodes: &str| Trail::new(&names("n1")[0], &names(nodes));
        assert_eq!(sent("n2"), Trail::default());
        assert_eq!(sent("n2 n2"), Trail::default());
        assert_eq!(sent("n1 n3 n2 n3"), trail(0, "n3 n2 n1"));
    }

    #[test]
    fn a_trail_is_read_as_it_was_written_and_none_where_there_is_none() {
        for trail in [Trail::default(), trail(2, ""), trail(1, "n3 n-2 n1.example")] {
            let mut headers = BTreeMap::new();
            trail.write(&mut headers);
            let timestamp = rskafka::chrono::DateTime::default();
            assert_eq!(Trail::of(&Record { key: None, value: None, headers, timestamp }), trail);
        }
    }

    #[test]
    fn whoever_has_moved_is_followed_and_whoever_is_nowhere_is_waited_for() {
        let alone = Trail::default();
        assert_eq!(onward(&alone, "n1", ""), Onward::Keep);
        assert_eq!(onward(&alone, "n1", "n1"), Onward::Keep, "about to be here");
        assert_eq!(onward(&alone, "n1", "n2"), Onward::PassOn(names("n2"), trail(1, "")));
        assert_eq!(onward(&alone, "n1", "n2 n1 n3 n2"), Onward::PassOn(names("n2 n3"), trail(1, "n2 n3")));
        assert_eq!(onward(&trail(2, ""), "n2", "n1"), Onward::PassOn(names("n1"), trail(3, "")), "and back");
        assert_eq!(onward(&trail(3, ""), "n2", "n1"), Onward::Keep, "not for ever");
    }

    #[test]
    fn of_several_gateways_the_first_looks_after_a_message_and_none_is_given_it_twice() {
        let both = trail(0, "n1 n2");
        assert_eq!(onward(&both, "n2", "n3"), Onward::LetGo);
        assert_eq!(onward(&both, "n2", ""), Onward::LetGo);
        assert_eq!(onward(&both, "n1", ""), Onward::Keep);
        assert_eq!(onward(&both, "n1", "n2"), Onward::LetGo);
        assert_eq!(onward(&both, "n1", "n3 n2"), Onward::PassOn(names("n3"), trail(1, "n3 n2")));
    }
}
