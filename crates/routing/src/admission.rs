//! Whether a request to a service is taken on, by how much of it there is on this node already.
//!
//! Three bounds, each for a different shortage. *Requests*: how many the service's workers have to do at once.
//! *Connections*: how many sockets one worker gives us. *Pending*: how many requests wait for a connection; those are
//! the queue, and a long queue only makes every answer late. What is beyond a bound is refused at once, with the
//! bound's name: refusing is cheap, and the client can go elsewhere.

/// The bounds; `None`: none but the node's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections to one worker.
    pub connections: Option<u32>,
    /// Requests of a service that wait for a connection, as there may be no more of them.
    pub pending: Option<u32>,
    /// Requests of a service that are not done.
    pub in_flight: Option<u32>,
}

impl Limits {
    /// One core's part of a node's bounds: evenly, the first ones one more, and none of them nothing where there is
    /// something, or a bound of 1 would shut all cores but one. So a node may go beyond a bound by one for each core.
    pub fn of_core(self, nth: u32, cores: u32) -> Self {
        let cores = cores.max(1);
        let part = |all: u32| if all == 0 { 0 } else { (all / cores + u32::from(nth < all % cores)).max(1) };
        Self {
            connections: self.connections.map(part),
            pending: self.pending.map(part),
            in_flight: self.in_flight.map(part),
        }
    }
}

/// How many may wait on one core where connections are bounded and nobody says how many may.
pub const PENDING_DEFAULT: u32 = 1_024;

/// What there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections to the worker, used and unused.
    pub connections: u32,
    /// Of those, the unused ones.
    pub idle: u32,
    /// Requests of the service that wait for one.
    pub pending: u32,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Full {
    /// [`Limits::connections`], and nobody may wait for one.
    Connections,
    /// [`Limits::pending`].
    Pending,
}

impl Full {
    /// As in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Pending => "pending",
        }
    }
}

/// What becomes of one more request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It takes an unused connection.
    Reuse,
    /// It opens one.
    Open,
    /// It waits for one.
    Wait,
    /// It is refused.
    Refuse(Full),
}

/// How a request gets a connection to its worker. Where somebody waits for one, whoever comes later does too: else a
/// queue is only for those who have no luck.
pub fn connection(limits: &Limits, usage: &Usage) -> Admission {
    let (may_open, is_first) = match limits.connections {
        Some(max) => (usage.connections < max, usage.pending == 0),
        None => (true, true),
    };
    let pending_max = limits.pending.unwrap_or(PENDING_DEFAULT);
    if is_first && usage.idle > 0 {
        Admission::Reuse
    } else if is_first && may_open {
        Admission::Open
    } else if usage.pending < pending_max {
        Admission::Wait
    } else {
        Admission::Refuse(if pending_max == 0 { Full::Connections } else { Full::Pending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        let limits = [(None, None), (Some(2), None), (None, Some(0)), (Some(2), Some(1)), (Some(2), Some(0))];
        for (connections, pending) in limits {
            let limits = Limits { connections, pending, in_flight: None };
            for (open, idle, waiting) in
                [(0, 0, 0), (2, 1, 1), (2, 0, 0), (1, 0, 1), (2, 0, 1), (2, 0, 1_024)]
            {
                let usage = Usage { connections: open, idle, pending: waiting };
                let then = connection(&limits, &usage);
                table += &format!(
                    "{connections:?} {pending:?}: {open} open, {idle} idle, {waiting} wait: {then:?}\n"
                );
            }
        }
        expect![[r#"
            None None: 0 open, 0 idle, 0 wait: Open
            None None: 2 open, 1 idle, 1 wait: Reuse
            None None: 2 open, 0 idle, 0 wait: Open
            None None: 1 open, 0 idle, 1 wait: Open
            None None: 2 open, 0 idle, 1 wait: Open
            None None: 2 open, 0 idle, 1024 wait: Open
            Some(2) None: 0 open, 0 idle, 0 wait: Open
            Some(2) None: 2 open, 1 idle, 1 wait: Wait
            Some(2) None: 2 open, 0 idle, 0 wait: Wait
            Some(2) None: 1 open, 0 idle, 1 wait: Wait
            Some(2) None: 2 open, 0 idle, 1 wait: Wait
            Some(2) None: 2 open, 0 idle, 1024 wait: Refuse(Pending)
            None Some(0): 0 open, 0 idle, 0 wait: Open
            None Some(0): 2 open, 1 idle, 1 wait: Reuse
            None Some(0): 2 open, 0 idle, 0 wait: Open
            None Some(0): 1 open, 0 idle, 1 wait: Open
            None Some(0): 2 open, 0 idle, 1 wait: Open
            None Some(0): 2 open, 0 idle, 1024 wait: Open
            Some(2) Some(1): 0 open, 0 idle, 0 wait: Open
            Some(2) Some(1): 2 open, 1 idle, 1 wait: Refuse(Pending)
            Some(2) Some(1): 2 open, 0 idle, 0 wait: Wait
            Some(2) Some(1): 1 open, 0 idle, 1 wait: Refuse(Pending)
            Some(2) Some(1): 2 open, 0 idle, 1 wait: Refuse(Pending)
            Some(2) Some(1): 2 open, 0 idle, 1024 wait: Refuse(Pending)
            Some(2) Some(0): 0 open, 0 idle, 0 wait: Open
            Some(2) Some(0): 2 open, 1 idle, 1 wait: Refuse(Connections)
            Some(2) Some(0): 2 open, 0 idle, 0 wait: Refuse(Connections)
            Some(2) Some(0): 1 open, 0 idle, 1 wait: Refuse(Connections)
            Some(2) Some(0): 2 open, 0 idle, 1 wait: Refuse(Connections)
            Some(2) Some(0): 2 open, 0 idle, 1024 wait: Refuse(Connections)
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn cores_share_a_bound() {
        let of = |all: u32, cores: u32| -> Vec<u32> {
            let limits = Limits { in_flight: Some(all), ..Limits::default() };
            (0..cores).filter_map(|nth| limits.of_core(nth, cores).in_flight).collect()
        };
        assert_eq!(of(10, 4), [3, 3, 2, 2]);
        assert_eq!(of(1, 3), [1, 1, 1], "each core has to have one");
        assert_eq!(of(0, 3), [0, 0, 0], "none is none");
    }
}
