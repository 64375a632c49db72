//! Processes in the place of pods, and what a StatefulSet, a claim of a volume and `kubectl exec` do to them.

use crate::support::{
    eventually,
    http::Ask,
    node::{Node, Ran, quorate, ran},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

const BASE: &str = include_str!("../../../../deploy/kubernetes/base/statefulset.yaml");
const FIVE: &str = include_str!("../../../../deploy/kubernetes/overlays/five/statefulset.yaml");
const RECOVER: &str = include_str!("../../../../deploy/kubernetes/overlays/recover/statefulset.yaml");
const RECOVER_JOB: &str = include_str!("../../../../deploy/kubernetes/recover/job.yaml");
/// More than any page asks for.
const PODS_MAX: usize = 5;
/// Set by the test itself, by flags or by files of its own.
const OTHERWISE: [&str; 4] =
    ["QUORATE_PEERS", "QUORATE_CLUSTER_SECRET_FILE", "QUORATE_NODE_NAME", "QUORATE_ADVERTISE_MANAGEMENT"];

fn document(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).expect("YAML")
}

/// The variables that a container is given as they stand.
fn environment(document: &Value) -> Vec<(String, String)> {
    let env = &document["spec"]["template"]["spec"]["containers"][0]["env"];
    let named = env.as_array().into_iter().flatten();
    named
        .filter_map(|entry| Some((entry["name"].as_str()?.into(), entry["value"].as_str()?.into())))
        .collect()
}

/// What an overlay changes.
pub struct Overlay {
    replicas: usize,
    peers: String,
}

impl Overlay {
    fn of(yaml: &str) -> Self {
        let document = document(yaml);
        let replicas = document["spec"]["replicas"].as_u64().expect("a number");
        let peers = environment(&document).into_iter().find(|(name, _)| name == "QUORATE_PEERS");
        Self {
            replicas: usize::try_from(replicas).expect("a few"),
            peers: peers.expect("it has the list").1.trim().to_owned(),
        }
    }

    pub fn production() -> Self {
        Self::of(BASE)
    }

    pub fn peers(&self) -> String {
        self.peers.clone()
    }

    fn named(path: &str) -> Self {
        match path.rsplit_once('/').map(|(_, name)| name) {
            Some("production") => Self::production(),
            Some("five") => Self::of(FIVE),
            Some("recover") => Self::of(RECOVER),
            _ => panic!("no overlay {path}"),
        }
    }
}

/// The pods, and the template that those to come are made of.
pub struct StatefulSet {
    pub pods: Vec<Node>,
    pub folder: tempfile::TempDir,
    template: Overlay,
    /// The list that each pod was started with.
    started_with: Vec<String>,
    /// Claims that were deleted, and go with their pods.
    unclaimed: BTreeSet<usize>,
}

impl StatefulSet {
    /// Nothing runs.
    pub fn planned() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut pods: Vec<_> =
            (0..PODS_MAX).map(|nth| Node::new(&format!("quorate-{nth}"), folder.path())).collect();
        let settings = environment(&document(BASE));
        for pod in &mut pods {
            let ours = settings.iter().filter(|(name, _)| !OTHERWISE.contains(&name.as_str()));
            pod.environment = ours.cloned().collect();
            let secret = folder.path().join("secret").display().to_string();
            pod.environment.push(("QUORATE_CLUSTER_SECRET_FILE".into(), secret));
            // A minute of drains would show nothing more.
            pod.environment.push(("QUORATE_DRAIN_DELAY".into(), "0s".into()));
        }
        let template = Overlay { replicas: 0, peers: String::new() };
        let started_with = vec![String::new(); PODS_MAX];
        let set = Self { pods, folder, template, started_with, unclaimed: BTreeSet::new() };
        set.renew_secret();
        set
    }

    /// Three pods, as after the installation.
    pub fn formed() -> Self {
        let mut set = Self::planned();
        set.apply(&Overlay::production());
        set.rolled_out();
        set
    }

    /// The drain as users have it.
    pub fn settings_as_they_are(&mut self) {
        for pod in &mut self.pods {
            let test = pod.environment.pop();
            assert_eq!(test, Some(("QUORATE_DRAIN_DELAY".into(), "0s".into())));
            assert!(
                pod.environment.iter().any(|(name, value)| name == "QUORATE_DRAIN_DELAY" && value == "10s")
            );
        }
    }

    pub fn grace_seconds(&self) -> u64 {
        let grace = &document(BASE)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        grace.as_u64().expect("a number")
    }

    /// Another one for pods to come.
    pub fn renew_secret(&self) {
        let made = ran(quorate(&["cluster", "secret", "new"]));
        let file = self.folder.path().join("secret");
        fs::write(&file, made.out).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }

    /// Takes a new template and number of pods: missing pods are made at once, superfluous ones ended at once. Pods of
    /// the old template stay until [`Self::rolled_out`].
    pub fn apply(&mut self, overlay: &Overlay) {
        self.template = Overlay { replicas: overlay.replicas, peers: overlay.peers.clone() };
        for nth in overlay.replicas..PODS_MAX {
            self.end(nth);
        }
        for nth in 0..overlay.replicas {
            if !self.pods[nth].runs() {
                self.start(nth);
            }
        }
    }

    /// Waits for all pods, and replaces those of an older template from the last to the first, each once all are ready
    /// and found by the others.
    pub fn rolled_out(&mut self) {
        self.all_ready();
        for nth in (0..self.template.replicas).rev() {
            if self.started_with[nth] != self.template.peers {
                self.end(nth);
                self.start(nth);
                self.all_ready();
            }
        }
    }

    fn all_ready(&mut self) {
        let count = self.template.replicas;
        self.pods[..count].iter_mut().for_each(|pod| pod.becomes("ready"));
        let mut running: Vec<_> = self.pods[..count].iter().map(|pod| pod.name.clone()).collect();
        running.sort();
        for pod in &self.pods[..count] {
            eventually("all members that run are reached", || {
                let cluster = pod.get("/v1/cluster");
                let members = cluster["nodes"].as_array()?.iter();
                let reached: BTreeSet<_> = members
                    .filter(|member| member["reachable"] == true)
                    .filter_map(|member| member["name"].as_str())
                    .collect();
                (!cluster["leader"].is_null() && running.iter().all(|name| reached.contains(name.as_str())))
                    .then_some(())
            });
        }
    }

    fn start(&mut self, nth: usize) {
        let list = &self.template.peers;
        self.started_with[nth].clone_from(list);
        let peers = self.on_loopback(list);
        self.pods[nth].args = vec!["--peers".into(), peers];
        self.pods[nth].start();
    }

    /// SIGTERM, and what becomes of a volume whose claim was deleted.
    fn end(&mut self, nth: usize) {
        if self.pods[nth].runs() {
            self.pods[nth].signal("TERM");
            assert_eq!(self.pods[nth].ended().0.code(), Some(0), "{} ends in order", self.pods[nth].name);
        }
        if self.unclaimed.remove(&nth) {
            fs::remove_dir_all(&self.pods[nth].data).expect("it had a volume");
        }
    }

    /// Names of pods become the addresses that they have here.
    pub fn on_loopback(&self, text: &str) -> String {
        self.pods.iter().fold(text.to_owned(), |text, pod| {
            text.replace(&format!("{}.quorate-peers:7070", pod.name), &pod.peer.to_string())
        })
    }

    pub fn names(&self, count: usize) -> BTreeSet<String> {
        self.pods[..count].iter().map(|pod| pod.name.clone()).collect()
    }

    /// The members with a vote, as a pod knows them.
    pub fn voters(&self, at: usize) -> BTreeSet<String> {
        let cluster = self.pods[at].get("/v1/cluster?consistent=true");
        let members = cluster["nodes"].as_array().expect("a list").iter();
        let voters = members.filter(|member| member["role"] != "learner");
        voters.map(|member| member["name"].as_str().expect("text").to_owned()).collect()
    }

    pub fn member_id(&self, name: &str) -> Value {
        let cluster = self.pods[0].get("/v1/cluster?consistent=true");
        let members = cluster["nodes"].as_array().expect("a list");
        members.iter().find(|member| member["name"] == name).expect("a member")["id"].clone()
    }

    /// Waits until the only member called `name` is so.
    pub fn eventually_member(&self, at: usize, name: &str, is: impl Fn(&Value) -> bool) {
        eventually(&format!("{name} is as it should be"), || {
            let cluster = self.pods[at].get("/v1/cluster");
            let members = cluster["nodes"].as_array()?.iter();
            let called: Vec<_> = members.filter(|member| member["name"] == name).collect();
            let &[member] = &called[..] else { return None };
            (is(member) && member["reachable"] == true).then_some(())
        });
    }

    pub fn run_all(&mut self, commands: &[String]) {
        commands.iter().for_each(|command| self.run(command));
    }

    /// What a line of the page does to pods.
    pub fn run(&mut self, command: &str) {
        let words: Vec<_> =
            command.split_whitespace().filter(|word| !word.starts_with("--namespace")).collect();
        let words: Vec<_> =
            words.into_iter().filter(|word| *word != "quorate" && *word != "--stdin").collect();
        match &words[..] {
            ["kubectl", "apply", "-k", "deploy/kubernetes/recover"] => self.recover(false),
            // The user's own, and after it what it is made of.
            ["kubectl", "apply", "-k", "my-quorate", "#", path] => self.apply(&Overlay::named(path)),
            ["kubectl", "rollout", "status", _] => self.rolled_out(),
            ["kubectl", "wait", _, "--timeout=5m", pods @ ..] => {
                for pod in pods {
                    let nth = self.place(pod.strip_prefix("pod/").expect("a pod"));
                    // Whatever it says there: one that was a member says that it is none.
                    let pod = &self.pods[nth];
                    eventually("it listens", || Ask::get("/readyz").send(pod.management).ok());
                }
            }
            ["kubectl", "scale", _, replicas] => {
                let replicas = replicas.strip_prefix("--replicas=").and_then(|count| count.parse().ok());
                let peers = self.template.peers.clone();
                self.apply(&Overlay { replicas: replicas.expect("a number"), peers });
            }
            ["kubectl", "delete", "persistentvolumeclaim", claims @ ..] => {
                for claim in claims.iter().filter(|claim| !claim.starts_with("--")) {
                    let nth = self.place(claim.strip_prefix("data-").expect("a claim of ours"));
                    self.unclaimed.insert(nth);
                    if !self.pods[nth].runs() {
                        self.end(nth);
                    }
                }
            }
            ["kubectl", "delete", "pod", pod] => {
                let nth = self.place(pod);
                self.end(nth);
                self.start(nth);
            }
            // Of the Job, whose output `recover` looks at.
            ["kubectl", "logs", job] if job.starts_with("job/") => {}
            ["kubectl", "delete", "job", _] => {}
            ["kubectl", "exec", pod, "--", "/quorate", args @ ..] => self.exec(pod, args),
            _ => panic!("what does `{command}` do to pods?"),
        }
    }

    fn place(&self, pod: &str) -> usize {
        let known =
            self.pods.iter().position(|known| known.name == pod || known.name == format!("quorate-{pod}"));
        known.unwrap_or_else(|| panic!("no pod {pod}"))
    }

    /// Inside the container: its own management listener is the default of every command.
    fn exec(&self, pod: &str, args: &[&str]) {
        let pod = &self.pods[self.place(pod)];
        let file = self.folder.path().join("quorate.snapshot").display().to_string();
        let inside = args.iter().take_while(|arg| !["<", ">"].contains(arg));
        // A pipe of the page is a file here.
        let args: Vec<_> =
            inside.map(|arg| if *arg == "-" { file.clone() } else { self.on_loopback(arg) }).collect();
        let what = format!("{}: {}", pod.name, args.join(" "));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        // As operators do where leadership is just going round: nothing was changed, so once more.
        let done: Ran = eventually(&what, || {
            let done = pod.operate(&args);
            (done.code == Some(0) || !done.err.contains("(no_quorum, ")).then_some(done)
        });
        assert_eq!(done.code, Some(0), "{what}: {}{}", done.out, done.err);
    }

    /// The Job of `deploy/kubernetes/recover`, on the volume of its claim.
    pub fn recover(&self, yes: bool) {
        let job = document(RECOVER_JOB);
        let spec = &job["spec"]["template"]["spec"];
        let args = spec["containers"][0]["args"].as_array().expect("arguments");
        let claim = spec["volumes"][0]["persistentVolumeClaim"]["claimName"].as_str().expect("a claim");
        let mount = &spec["containers"][0]["volumeMounts"][0]["mountPath"];
        let pod = &self.pods[self.place(claim.strip_prefix("data-").expect("a claim of ours"))];
        let data: PathBuf = pod.data.clone();
        let arg = |arg: &Value| {
            if arg == mount { data.display().to_string() } else { arg.as_str().expect("text").into() }
        };
        let mut args: Vec<String> = args.iter().map(arg).collect();
        args.extend(yes.then(|| "--yes".to_owned()));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let done = ran(quorate(&args));
        // Without `--yes` nothing is changed, which is code 2 and what the node holds.
        assert_eq!(done.code, Some(if yes { 0 } else { 2 }), "{}{}", done.out, done.err);
        assert!(yes || format!("{}{}", done.out, done.err).contains("index"), "{}{}", done.out, done.err);
    }
}
