//! Every mistake of the page's table is made, ends as it says, and makes no second cluster.

use crate::{
    page::PAGE,
    stateful_set::{Overlay, StatefulSet},
    support::{
        eventually, machine_shared,
        node::{Node, ran},
    },
};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
};

/// What the page quotes: the words of a row before the first of the places that differ here.
fn is_on_the_page(words: &str) {
    let table = PAGE.split("\n## When a pod does not start").nth(1).expect("a section");
    assert!(table.contains(&format!("| `{words}")), "the page does not quote `{words}`");
}

/// A planned pod with its settings, and the list of the base, that was not started.
fn pod(set: &StatefulSet, nth: usize) -> Node {
    let mut pod = Node::new(&format!("quorate-{nth}"), set.folder.path());
    pod.environment.clone_from(&set.pods[nth].environment);
    pod.args = vec!["--peers".into(), set.on_loopback(&Overlay::production().peers())];
    pod
}

/// It is refused, in these words, in which `here` stands for what the page calls `there`.
fn ends(pod: &Node, (here, there): (&str, &str), words: &str) {
    is_on_the_page(words);
    let ran = ran(pod.command());
    let said = ran.err.replace(if here.is_empty() { "\0" } else { here }, there);
    assert_eq!(ran.code, Some(2), "{said}");
    assert!(said.contains(words), "`{words}` in {said}");
}

/// It waits and says these words.
fn waits(pod: &mut Node, (here, there): (&str, &str), words: &str) {
    is_on_the_page(words);
    eventually(words, || {
        pod.log().replace(if here.is_empty() { "\0" } else { here }, there).contains(words).then_some(())
    });
    pod.becomes("starting");
}

#[test]
fn what_is_refused_ends_with_the_line_of_the_page() {
    let _shared = machine_shared();
    let set = StatefulSet::planned();
    let here = |path: &str| set.folder.path().join(path).display().to_string();
    let data = (here("quorate-0"), "/var/lib/quorate");
    let data = (data.0.as_str(), data.1);

    let mut no_secret = pod(&set, 0);
    let file = here("empty");
    fs::write(&file, "").expect("written");
    no_secret.environment.push(("QUORATE_CLUSTER_SECRET_FILE".into(), file.clone()));
    let words =
        "--cluster-secret-file /etc/quorate/cluster/secret: 0 bytes; allowed: a file of at least 32 bytes";
    ends(&no_secret, (&file, "/etc/quorate/cluster/secret"), words);

    let mut not_listed = pod(&set, 3);
    not_listed.environment.push(("QUORATE_PEERS".into(), not_listed.args[1].clone()));
    not_listed.args.clear();
    let words = "QUORATE_PEERS: this node, quorate-3, is not among quorate-0, quorate-1, quorate-2; allowed: the node \
                 itself included: change --peers or --node-name";
    ends(&not_listed, data, words);
}

#[test]
fn a_volume_that_is_not_ours_to_write_ends_with_the_line_of_the_page() {
    let _shared = machine_shared();
    let set = StatefulSet::planned();
    let mut pod = pod(&set, 0);
    fs::create_dir(&pod.data).expect("made");
    if are_root() {
        // Somebody else's folder, and no right to pass over that.
        chown(&pod.data, Some(65_533), None).expect("root may");
        let without = "-dac_override,-dac_read_search";
        let launcher = ["setpriv", "--bounding-set", without, "--inh-caps", without];
        pod.launcher = launcher.map(str::to_owned).into();
    } else {
        fs::set_permissions(&pod.data, fs::Permissions::from_mode(0o555)).expect("it is ours");
    }
    let data = pod.data.display().to_string();
    let words = "the data folder /var/lib/quorate can't be used (/var/lib/quorate/lock: Permission denied (os error 13))";
    ends(&pod, (&data, "/var/lib/quorate"), words);
}

/// Whether permissions mean nothing to us.
fn are_root() -> bool {
    fs::metadata("/proc/self").expect("there is a /proc").uid() == 0
}

#[test]
fn pods_with_two_lists_or_without_company_wait_and_say_for_whom() {
    let _shared = machine_shared();
    let mut set = StatefulSet::planned();
    let mut odd = pod(&set, 0);
    odd.peer = set.pods[0].peer;
    let list = set.on_loopback(&Overlay::production().peers());
    let (two, _) = list.rsplit_once(',').expect("three members");
    odd.args = vec!["--peers".into(), two.to_owned()];
    odd.start();
    let address = set.pods[1].peer.to_string();
    let there = (address.as_str(), "quorate-1.quorate-peers:7070");
    waits(&mut odd, there, "quorate-1 at quorate-1.quorate-peers:7070 has not answered");
    set.pods[1].args = vec!["--peers".into(), list];
    set.pods[1].start();
    waits(&mut odd, there, "quorate-1 was started with other --peers: it names");
    set.pods[1].becomes("starting");
}

#[test]
fn volumes_that_were_mixed_up_are_refused_and_pods_that_are_there_twice_wait() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    let data = |nth: usize| set.pods[nth].data.display().to_string();
    let (first, last) = (data(0), data(2));

    let mut second_of_one_volume = pod(&set, 2);
    second_of_one_volume.data = (&last).into();
    let words = "the data folder /var/lib/quorate is in use by another process: stop that one first";
    ends(&second_of_one_volume, (&last, "/var/lib/quorate"), words);

    let mut twin = pod(&set, 2);
    twin.data = set.folder.path().join("twin");
    let address = set.pods[2].peer.to_string();
    twin.start();
    let words = "another process answers as quorate-2 at quorate-2.quorate-peers:7070: two have this name; stop the wrong one";
    waits(&mut twin, (&address, "quorate-2.quorate-peers:7070"), words);
    drop(twin);
    assert_eq!(set.voters(0), set.names(3));

    set.run("kubectl scale statefulset/quorate --replicas=0 --namespace quorate");
    let mut renamed = pod(&set, 1);
    renamed.data = (&first).into();
    ends(&renamed, (&first, "/var/lib/quorate"), "the data folder /var/lib/quorate belongs to node");
}

#[test]
fn a_volume_of_an_earlier_cluster_makes_no_cluster_and_is_refused_by_one() {
    let _shared = machine_shared();
    let mut old = StatefulSet::formed();
    old.run("kubectl scale statefulset/quorate --replicas=0 --namespace quorate");
    // One claim was left behind, two are new.
    let mut set = StatefulSet::planned();
    fs::copy(old.folder.path().join("secret"), set.folder.path().join("secret")).expect("copied");
    fs::rename(&old.pods[0].data, &set.pods[0].data).expect("one file system");
    set.apply(&Overlay::production());
    for nth in [1, 2] {
        waits(&mut set.pods[nth], ("", ""), "quorate-0 already has a log: this node waits to be let in");
    }
    set.pods[0].becomes("degraded");
    // As the page says: the claim goes, and its pod; the cluster forms.
    set.run("kubectl delete persistentvolumeclaim data-quorate-0 --namespace quorate --wait=false");
    set.run("kubectl delete pod quorate-0 --namespace quorate");
    set.rolled_out();
    assert_eq!(set.voters(0), set.names(3));
    // Another one of the left ones, in a cluster that runs.
    set.pods[1].kill();
    let other = old.pods[1].data.clone();
    let mut stranger = pod(&set, 1);
    stranger.data = other;
    stranger.peer = set.pods[1].peer;
    ends(&stranger, ("", ""), "the data folder belongs to cluster");
}

#[test]
fn a_pod_with_another_secret_is_told_and_routes_on() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    set.renew_secret();
    set.run("kubectl delete pod quorate-2 --namespace quorate");
    let words = "is not proven: the proof does not fit our cluster secret";
    is_on_the_page(words);
    eventually(words, || set.pods[2].log().contains(words).then_some(()));
    set.pods[2].becomes("degraded");
    assert_eq!(set.voters(0), set.names(3));
}
