//! Seeds that once failed. They run before all others, for ever.

use crate::scenario::Scenario;

/// Seed, scenario, and what it found.
pub const SEEDS: [(u64, Scenario, &str); 22] = [
    // An append stream was given up when it was idle, so a follower stayed behind for ever after a partition.
    (503, Scenario::Partition, "an idle append stream is no failure"),
    (282, Scenario::Forms, "the same after a crash while the cluster forms"),
    // The follower lagged when the leader died, and routed by the View that it had: the scenario, not the node, was
    // wrong to expect more. It now waits for the followers first.
    (176, Scenario::Leader, "followers catch up before they are compared"),
    // A clock that changed its rate jumped back, and Raft's timers with it: a fault of the simulated clock.
    (113, Scenario::Chaos, "a skewed clock never jumps"),
    // Suite: the leader lost its power while a follower's batch was under way, and the follower repeated it. The
    // repeat was answered with the first reply, but with the index of the repeat's own entry.
    (90, Scenario::Suite, "a repeat is answered with the index at which it was carried out"),
    // Suite: a leader that had stood still while another one was elected took the answers that were waiting for it for
    // answers to what it sent afterwards, and itself for heard by a quorum.
    (15, Scenario::Suite, "an answer to an append counts for that append alone"),
    // A worker's registration hung at a node that had just been removed, and succeeded at another one after the faults
    // were over. It took a partition from a worker that had come home, and gave it up again: the workload was wrong.
    (34, Scenario::Suite, "workers come home when nothing of the storm is under way"),
    // A joining machine had records of its join when the leader's disk ran full before they were committed. From then
    // on it was refused, rightly, and the operator of the simulation never followed the refusal's advice.
    (31, Scenario::Suite, "an operator empties the disk of a machine whose join was lost"),
    // A worker that had crashed as the storm ended was still live by the record when all looked well, and expired while
    // the routes were checked: the workload was wrong.
    (546, Scenario::Suite, "all is well only when everybody is home"),
    // Votes that took longer than their deadline, on slow disks: two candidates refused each other for ever.
    (772, Scenario::Power, "a vote has time to be saved twice"),
    // A removed node let a heartbeat wait for a leader that it would never hear, for longer than the worker's TTL.
    (655, Scenario::Suite, "a removed node refuses at once"),
    // A node that had not joined yet did the same.
    (586, Scenario::Suite, "a node that waits to join refuses at once"),
    // A leader that stood still while it was removed took itself for the leader for ever, and said so.
    (433, Scenario::Suite, "a removed leader does not say that it leads"),
    // A node had the record that removed it, and waited for a newer one to learn that it was out.
    (454, Scenario::Suite, "a node that has the record of its removal knows of it"),
    // The budget of retries counted connections that were refused: a dead worker of three used it up, and requests that
    // had reached nobody were lost.
    (1, Scenario::Services, "a refused connection costs no budget"),
    // A probe that ended between a commit and the next look at the View had the same verdict written again.
    (16, Scenario::Health, "a verdict is written once"),
    // A worker broke off at once, and the stream to the client was reset before the head of the answer was sent, which goes
    // with it in HTTP/2: the scenario was wrong to expect the head.
    (100, Scenario::Http2, "a reset may come before the head"),
    // A worker that left closed its connection after its last byte, and the router wrote to it while that byte was under
    // way. In the simulated network such a write fails at once, and takes the byte along: the scenario was wrong.
    (50, Scenario::Http2, "a worker that leaves may cut its last answer"),
    // A stream between two gateways was given up while a node was cut off, and the next one was already used when the
    // network brought what was left of it: a message came behind those that were said after it.
    (7, Scenario::Sockets, "what a stream that was given up still brings is not taken"),
    // A node ended while a session was on its way from it: presence named the other node already, so the old one took the
    // session for gone and ended it, and the other one asked in vain for what it was to have.
    (33, Scenario::Resume, "a session that is moving away is given though its node ends"),
    // A message that nobody had answered for was refused when it was said again, and came once the cut was over, behind
    // what its sender had said on another node meanwhile.
    (36, Scenario::Resume, "what comes behind a later message of its session is not taken"),
    (61, Scenario::Resume, "the same"),
];
