use super::*;
use crate::pool::PoolBounds;
use http::HeaderMap;
use quorate_model::{
    Address, BootId, ClusterId, Command, Duty, Entry, KeyspaceSource, LogTime, Origin, PartitionCount,
    PartitionRange, Proposal, ServiceOffer, Ttl, WorkerId, worker::RegistrationParts,
};
use quorate_state::State;
use quorate_telemetry::Metrics;
use std::time::Duration;

const MANY: usize = 2 * LOOKED_AT;

struct Scene {
    state: State,
    services: Services,
    workers: Workers,
}

fn id(nth: usize) -> WorkerId {
    WorkerId::parse(&format!("w{nth}")).unwrap()
}

impl Scene {
    /// With so many workers of one service.
    fn new(workers: usize) -> Self {
        let soft = (&Published::new(Arc::default()), &Breakers::default());
        let services = Services::new(soft, Metrics::new().add_core(), (Here::default(), 1));
        let mut scene = Self {
            state: State::new(),
            services,
            workers: Workers::new(PoolBounds::of(&crate::Limits::default())),
        };
        scene.apply(Command::FormCluster {
            cluster: ClusterId(1),
            partitions: Some(PartitionCount::new(1).unwrap()),
            source: KeyspaceSource::Static,
        });
        (0..workers).for_each(|nth| scene.register(nth, "h"));
        scene
    }

    fn apply(&mut self, command: Command) {
        let index = LogIndex(self.state.index().0 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        self.state.apply(index, &Entry { at: LogTime(1), proposals: vec![Proposal { origin, command }] });
    }

    fn register(&mut self, nth: usize, host: &str) {
        let address = Address::parse(&format!("http://{host}:{}", nth + 1)).unwrap();
        let name = ServiceName::parse("upload").unwrap();
        let parts = RegistrationParts {
            services: vec![ServiceOffer { name, version: "1".into(), url: None }],
            ..RegistrationParts::new(id(nth), address, Ttl::new(Duration::from_secs(30)).unwrap())
        };
        let registration = parts.validate().unwrap();
        self.apply(Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None });
    }

    fn service(&self) -> Arc<ServiceView> {
        self.state.service("upload").unwrap().clone()
    }

    /// The choice for a request, and where it goes.
    fn ask(&mut self, entropy: u64, now: u32) -> (Arc<Choice>, String, String) {
        let (service, ask) = (self.service(), Ask { entropy, model: None });
        let headers = HeaderMap::new();
        let head = RequestHead::of(&http::Method::GET, "/", &headers);
        let wish = Wish { ask, head: &head, manner: Manner::BY_PATH, tried: &[], now };
        let (choice, picked) = self.services.choice_for(&service, &mut self.workers, &wish);
        let seat = picked.unwrap().seat;
        let found = (seat.outstanding.worker.to_string(), seat.endpoint.address.to_string());
        (choice, found.0, found.1)
    }
}

/// Scenario: ten thousand workers of one service register anew while it is asked for.
#[test]
fn a_large_service_that_changes_all_the_time_is_made_anew_once_a_tick() {
    let mut scene = Scene::new(MANY);
    let (first, ..) = scene.ask(0, 7);
    for nth in 0..50 {
        scene.register(nth, "h");
        assert!(Arc::ptr_eq(&first, &scene.ask(nth as u64, 7).0), "change {nth}");
    }
    let (next, ..) = scene.ask(0, 8);
    assert!(!Arc::ptr_eq(&first, &next) && Arc::ptr_eq(&next.service, &scene.service()));
}

/// What an operator, who asks how many requests a drained worker still has, relies on: after the drain was applied no
/// further one is given to it.
#[test]
fn no_request_goes_to_a_worker_that_was_drained_or_moved_a_moment_ago() {
    let mut scene = Scene::new(MANY);
    let (_, picked, _) = scene.ask(3, 7);
    scene.apply(Command::SetDuty {
        id: WorkerId::parse(&picked).unwrap(),
        duty: Duty::Draining,
        if_index: None,
    });
    let (anew, other, _) = scene.ask(3, 7);
    assert_ne!(picked, other);
    assert!(Arc::ptr_eq(&anew.service, &scene.service()), "it was made anew");
    for nth in 1..MANY {
        let id = id(nth);
        scene.apply(Command::SetDuty { id, duty: Duty::Draining, if_index: None });
    }
    scene.register(0, "elsewhere");
    scene.apply(Command::SetDuty { id: id(0), duty: Duty::InService, if_index: None });
    for entropy in 0..500 {
        let (_, picked, address) = scene.ask(entropy, 7);
        assert_eq!((&*picked, &*address), ("w0", "http://elsewhere:1"));
    }
}

#[test]
fn a_large_services_weights_count_at_once_where_they_are_zero() {
    let mut scene = Scene::new(MANY);
    let (_, picked, _) = scene.ask(3, 7);
    let id = WorkerId::parse(&picked).unwrap();
    scene.apply(Command::SetWeight { id, weight: Some(0), if_index: None });
    assert_ne!(scene.ask(3, 7).1, picked);
}

#[test]
fn a_small_service_is_always_up_to_date() {
    let mut scene = Scene::new(3);
    scene.ask(0, 7);
    scene.register(1, "h");
    assert!(Arc::ptr_eq(&scene.ask(0, 7).0.service, &scene.service()));
}

/// Scenario: each worker says ten times a second how busy it is. Making a table of keys each time would cost more than
/// the requests.
#[test]
fn what_workers_say_of_their_load_makes_no_new_table() {
    let mut scene = Scene::new(3);
    let loads = Published::new(Arc::<Loads>::default());
    scene.services =
        Services::new((&loads, &Breakers::default()), Metrics::new().add_core(), (Here::default(), 1));
    let name = ServiceName::parse("upload").unwrap();
    let balancing = Some(quorate_model::policy::Balancing::SourceIp);
    let policy = quorate_model::ServicePolicy { balancing, ..Default::default() };
    scene.apply(Command::PutService { name, policy, if_index: None });
    let table = |scene: &mut Scene| scene.ask(0, 7).0.table.clone().expect("a strategy is named");
    let first = table(&mut scene);
    let mut said = Loads::default();
    said.insert(id(0), Arc::new(quorate_model::Load { active: 7, ..Default::default() }));
    loads.store(Arc::new(said));
    assert!(Arc::ptr_eq(&first, &table(&mut scene)), "nobody came or went");
    scene.register(1, "h");
    assert!(!Arc::ptr_eq(&first, &table(&mut scene)), "another life");
    let last = table(&mut scene);
    scene.apply(Command::SetWeight { id: id(2), weight: Some(7), if_index: None });
    assert!(!Arc::ptr_eq(&last, &table(&mut scene)), "another weight");
}
