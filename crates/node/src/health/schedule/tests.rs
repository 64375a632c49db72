use super::*;
use quorate_model::{
    Address, BootId, ClusterId, Command, Duty, Entry, FeatureLevel, HealthChange, HealthCheck,
    KeyspaceSource, LogIndex, LogTime, Origin, PartitionRange, Proposal, RegistrationParts, ServiceOffer,
    ServicePolicy, Ttl,
};
use std::time::Duration;

const INTERVAL: u64 = 1_000;

struct Scene {
    view: View,
    schedule: Schedule,
    nodes: Vec<NodeName>,
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a name")
}

fn service() -> ServiceName {
    ServiceName::parse("s").expect("a name")
}

fn worker(id: &str) -> WorkerId {
    WorkerId::parse(id).expect("an id")
}

impl Scene {
    fn new(nodes: &[&str], workers: &[&str]) -> Self {
        let mut scene = Self {
            view: View::new(),
            schedule: Schedule::default(),
            nodes: nodes.iter().map(|name| node(name)).collect(),
        };
        let (cluster, source) = (ClusterId(1), KeyspaceSource::Static);
        scene.apply(Command::FormCluster { cluster, partitions: None, source });
        scene.apply(Command::RaiseLevel { to: FeatureLevel::FOURTH });
        scene.check(Some(HealthCheck {
            interval_ms: INTERVAL as u32,
            timeout_ms: 500,
            unhealthy: 2,
            healthy: 2,
            ..HealthCheck::default()
        }));
        workers.iter().for_each(|id| scene.register(id));
        scene
    }

    fn apply(&mut self, command: Command) {
        let index = LogIndex(self.view.index().0 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        self.view.apply(index, &Entry { at: LogTime(1), proposals: vec![Proposal { origin, command }] });
    }

    fn check(&mut self, health: Option<HealthCheck>) {
        let policy = ServicePolicy { health, ..ServicePolicy::default() };
        self.apply(Command::PutService { name: service(), policy, if_index: None });
    }

    fn register(&mut self, id: &str) {
        let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
        let parts = RegistrationParts::new(worker(id), Address::parse("http://h:1").expect("valid"), ttl);
        let services = vec![ServiceOffer { name: service(), version: "".into(), url: None }];
        let registration = RegistrationParts { services, ..parts }.validate().expect("valid");
        self.apply(Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None });
    }

    fn follow(&mut self, me: &str, now: u64) {
        self.schedule.follow(&self.view, (&node(me), &self.nodes), now);
    }

    /// All that are due, in order.
    fn due(&mut self, now: u64) -> Vec<Job> {
        std::iter::from_fn(|| self.schedule.next(now)).collect()
    }

    fn note(&mut self, job: Job, probe: Probe, now: u64) -> Option<Verdict> {
        let noted = self.schedule.note(Found { job: job.clone(), probe }, now);
        // As if nobody had confirmed it.
        self.schedule.settled(&job);
        noted.filter(|(_, matter)| matter.own != matter.held).map(|(_, matter)| matter.own)
    }

    fn incarnation(&self) -> Epoch {
        self.view.worker("w").expect("registered").incarnation
    }
}

#[test]
fn each_endpoint_is_probed_by_one_node_and_another_one_takes_over() {
    let ids: Vec<_> = (0..60).map(|nth| format!("w{nth}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut scene = Scene::new(&["n1", "n2", "n3"], &ids);
    let of = |scene: &mut Scene, me: &str| {
        scene.schedule = Schedule::default();
        scene.follow(me, 0);
        scene.due(INTERVAL).into_iter().map(|job| job.worker.to_string()).collect::<BTreeSet<_>>()
    };
    let shares = ["n1", "n2", "n3"].map(|me| of(&mut scene, me));
    assert_eq!(shares.iter().map(BTreeSet::len).sum::<usize>(), 60);
    assert!(shares.iter().all(|share| share.len() >= 10), "{shares:?}");
    scene.nodes.pop();
    let [first, second] = ["n1", "n2"].map(|me| of(&mut scene, me));
    assert_eq!(first.len() + second.len(), 60);
    assert!(first.is_superset(&shares[0]) && second.is_superset(&shares[1]), "what was theirs stays");
}

#[test]
fn probes_are_spread_over_the_interval_and_keep_its_beat() {
    let ids: Vec<_> = (0..40).map(|nth| format!("w{nth}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut scene = Scene::new(&["n1"], &ids);
    scene.follow("n1", 0);
    let quarters: Vec<_> = (1..=4).map(|quarter| scene.due(quarter * INTERVAL / 4).len()).collect();
    assert_eq!(quarters.iter().sum::<usize>(), 40);
    assert!(quarters.iter().all(|quarter| *quarter >= 3), "{quarters:?}");
    let mut one = Scene::new(&["n1"], &["w"]);
    one.follow("n1", 0);
    let job = one.due(INTERVAL).remove(0);
    let first = one.schedule.slots.values().next().expect("one").due;
    assert!(one.due(10 * INTERVAL).is_empty(), "never two at once");
    one.note(job, Probe::Passed, first + 400);
    assert!(one.due(first + INTERVAL - 1).is_empty());
    assert_eq!(one.due(first + INTERVAL).len(), 1);
}

#[test]
fn a_verdict_is_told_until_the_cluster_holds_it() {
    let mut scene = Scene::new(&["n1"], &["w"]);
    scene.follow("n1", 0);
    let told: Vec<_> = (1..=4)
        .map(|round| {
            let job = scene.due(round * 2 * INTERVAL).remove(0);
            scene.note(job, Probe::Failed, round * 2 * INTERVAL)
        })
        .collect();
    assert_eq!(told, [None, Some(Verdict::Unhealthy), Some(Verdict::Unhealthy), Some(Verdict::Unhealthy)]);
    let incarnation = scene.incarnation();
    let (service, worker, verdict) = (service(), worker("w"), Verdict::Unhealthy);
    scene.apply(Command::ChangeHealth(vec![HealthChange { service, worker, incarnation, verdict }]));
    scene.follow("n1", 9 * INTERVAL);
    let back: Vec<_> = [Probe::Failed, Probe::Passed, Probe::Passed]
        .into_iter()
        .map(|probe| {
            let job = scene.due(99 * INTERVAL).remove(0);
            scene.note(job, probe, 9 * INTERVAL)
        })
        .collect();
    assert_eq!(back, [None, None, Some(Verdict::Healthy)]);
}

#[test]
fn what_was_asked_of_an_earlier_life_says_nothing() {
    let mut scene = Scene::new(&["n1"], &["w"]);
    scene.follow("n1", 0);
    let late = scene.due(INTERVAL).remove(0);
    scene.register("w");
    scene.follow("n1", INTERVAL);
    assert_eq!(scene.note(late, Probe::Failed, INTERVAL), None);
    let job = scene.due(9 * INTERVAL).remove(0);
    assert_eq!(job.incarnation, scene.incarnation());
    assert_eq!(scene.note(job, Probe::Failed, INTERVAL), None, "the first one against it");
}

#[test]
fn who_takes_no_requests_or_is_not_checked_is_not_probed() {
    let mut scene = Scene::new(&["n1"], &["w"]);
    scene.apply(Command::SetDuty { id: worker("w"), duty: Duty::Offline, if_index: None });
    scene.follow("n1", 0);
    assert!(scene.schedule.is_empty());
    scene.apply(Command::SetDuty { id: worker("w"), duty: Duty::InService, if_index: None });
    scene.follow("n1", 0);
    assert!(!scene.schedule.is_empty());
    scene.check(None);
    scene.follow("n1", 0);
    assert!(scene.schedule.is_empty() && scene.due(9 * INTERVAL).is_empty());
}

/// Scenario: an endpoint was unwell, then its prober lost sight of it. Nobody but the prober would find it well again.
#[test]
fn a_prober_that_goes_on_failing_asks_whether_another_node_does_too() {
    let mut scene = Scene::new(&["n1", "n2"], &["w"]);
    let incarnation = scene.incarnation();
    let (service, worker, verdict) = (service(), worker("w"), Verdict::Unhealthy);
    let me = probers(["n1", "n2"], &name(&service, &worker))[0];
    scene.apply(Command::ChangeHealth(vec![HealthChange { service, worker, incarnation, verdict }]));
    scene.follow(me, 0);
    let mut asked = Vec::new();
    for round in 1..=2 * DOUBTS {
        let now = u64::from(round) * 2 * INTERVAL;
        let job = scene.due(now).remove(0);
        if let Some((job, matter)) = scene.schedule.note(Found { job, probe: Probe::Failed }, now) {
            assert_eq!(matter, Matter { own: Verdict::Unhealthy, held: Verdict::Unhealthy });
            scene.schedule.settled(&job);
            asked.push(round);
        }
    }
    assert_eq!(asked, [DOUBTS, 2 * DOUBTS]);
}

/// While a second node is asked, which may take its time, nobody else is asked the same; and a probe that passed is no
/// reason to propose that the endpoint is unwell.
#[test]
fn one_thing_at_a_time_is_settled_and_only_what_was_just_found() {
    let mut scene = Scene::new(&["n1"], &["w"]);
    scene.follow("n1", 0);
    let mut noted = |probe, round: u64| {
        let job = scene.due(round * 2 * INTERVAL).remove(0);
        let noted = scene.schedule.note(Found { job: job.clone(), probe }, round * 2 * INTERVAL);
        (job, noted.map(|(_, matter)| matter.own))
    };
    let told: Vec<_> = (1..=3).map(|round| noted(Probe::Failed, round).1).collect();
    assert_eq!(told, [None, Some(Verdict::Unhealthy), None]);
    let (job, _) = noted(Probe::Failed, 4);
    scene.schedule.settled(&job);
    let job = scene.due(10 * INTERVAL).remove(0);
    assert_eq!(scene.schedule.note(Found { job, probe: Probe::Passed }, 10 * INTERVAL).map(|_| ()), None);
}
