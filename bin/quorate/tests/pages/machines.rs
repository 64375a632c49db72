//! Machines of a page: a folder and a loopback address each, so that `10.0.0.2`, `/etc/quorate` and `systemctl` mean
//! there what they mean on the page.
//!
//! The programs that no test may call for real are scripts here: `systemctl` starts the node as the unit does
//! (settings from the file, data folder and secret from the unit) and returns when it is ready, as `Type=notify`
//! has it; `ssh` and `scp` reach the other folders.

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Of the pages' addresses.
const NETWORK: &str = "10.0.0.";
/// More than any page uses.
const COUNT: u8 = 6;
/// Of no machine.
const CLAIM: &str = "254:7070";
/// Folders of the pages that are each machine's own.
const OWN: [&str; 3] = ["/etc/quorate", "/var/lib/quorate", "/usr/local/bin"];
/// One that all machines share.
const SHARED: &str = "/backup";
const UNIT: &str = include_str!("../../../../deploy/systemd/quorate.service");

/// In the place of systemd: the node of this machine, as `deploy/systemd/quorate.service` starts it.
const SYSTEMCTL: &str = r#"#!/bin/sh
set -e
for word; do
  case $word in
    enable|--now) verb=start ;;
    start|stop|restart|kill) verb=$word ;;
    --no-block) later=yes ;;
    -s|KILL|quorate) ;;
    *) echo "systemctl: this test knows no $word" >&2; exit 1 ;;
  esac
done
runs() { [ -f "$HERE/pid" ] && grep -q '^State:.[^ZX]' "/proc/$(cat "$HERE/pid")/status" 2> /dev/null; }
ends() { while runs; do sleep 0.05; done; rm -f "$HERE/pid"; }
case $verb in stop|restart) ! runs || kill -TERM "$(cat "$HERE/pid")"; ends ;; esac
case $verb in stop) exit 0 ;; esac
set -a
. "$HERE/etc/quorate/quorate.env"
QUORATE_DATA_DIR=$HERE/var/lib/quorate QUORATE_CLUSTER_SECRET_FILE=$HERE/etc/quorate/cluster-secret
QUORATE_ROUTING=$ADDRESS:8080 QUORATE_PEER=$ADDRESS:7070 QUORATE_THREADS=1
set +a
unset QUORATE_SERVER
quorate serve --until-stdin-closes < "$ALIVE" > /dev/null 2>> "$HERE/log" &
echo $! > "$HERE/pid"
[ -z "$later" ] || exit 0
until quorate healthcheck > /dev/null 2>&1; do
  runs || { echo "the node has ended" >&2; exit 1; }
  sleep 0.05
done
"#;

const SSH: &str = r#"#!/bin/sh
to=$1; shift
exec sh -c "$(printf '%s ' "$@" | sed "s#$ROOT/$MACHINE/#$ROOT/$to/#g")"
"#;

const SCP: &str = r#"#!/bin/sh
[ "$1" != -p ] || shift
exec cp -p "$1" "$(printf %s "${2#*:}" | sed "s#$ROOT/$MACHINE/#$ROOT/${2%%:*}/#")"
"#;

/// `runuser -u quorate -- COMMAND`: the test has one user.
const RUNUSER: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "-u quorate --" ] || exit 1
shift 3
exec "$@"
"#;

/// Dropping them ends what runs on them.
pub struct Machines {
    root: tempfile::TempDir,
    /// The first three numbers of their addresses, with the dot.
    network: String,
    /// Nobody else has them meanwhile.
    _claim: TcpListener,
    /// Nodes end when nobody holds it any more, however this process dies.
    _alive: File,
    /// What later blocks find set.
    exports: String,
}

impl Machines {
    pub fn new(page: u8) -> Self {
        assert!(
            UNIT.contains("ExecStart=/usr/local/bin/quorate serve\n"),
            "the unit is what `systemctl` plays"
        );
        let root = tempfile::tempdir().expect("a folder");
        for number in 1..=COUNT {
            for folder in ["etc", "var/lib", "usr/local/bin"] {
                fs::create_dir_all(root.path().join(format!("n{number}/{folder}"))).expect("made");
            }
            for place in ["usr/local/bin/quorate", "usr/local/bin/quorate.new"] {
                let link = root.path().join(format!("n{number}/{place}"));
                symlink(env!("CARGO_BIN_EXE_quorate"), link).expect("made");
            }
        }
        fs::create_dir_all(root.path().join("backup")).expect("made");
        let tools = root.path().join("tools");
        fs::create_dir(&tools).expect("made");
        for (name, script) in [("systemctl", SYSTEMCTL), ("ssh", SSH), ("scp", SCP), ("runuser", RUNUSER)] {
            fs::write(tools.join(name), script).expect("written");
            fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        let alive = root.path().join("alive");
        assert!(Command::new("mkfifo").arg(&alive).status().expect("there is one").success());
        // For reading too: opening it waits for nobody then.
        let held = OpenOptions::new().read(true).write(true).open(&alive).expect("a pipe");
        let (network, claim) = free_network(page);
        Self { root, network, _claim: claim, _alive: held, exports: String::new() }
    }

    /// Runs a block; what it printed on stdout. A command that fails is an error, and so is one that takes longer.
    pub fn run(&mut self, machine: &str, script: &str, limit: Duration) -> Result<String, String> {
        let here = self.root.path().join(machine);
        let number = machine.strip_prefix('n').filter(|_| here.is_dir()).ok_or("there is no such machine")?;
        let (out, err) = (here.join("stdout"), here.join("stderr"));
        let ours = self.ours(&here, script);
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("set -e\n{}{ours}", self.exports))
            .current_dir(&here)
            .env_clear()
            .env("PATH", format!("{}:{}:/usr/bin:/bin", here.join("usr/local/bin").display(), self.tools()))
            .env("HOME", &here)
            .env("ROOT", self.root.path())
            .env("MACHINE", machine)
            .env("HERE", &here)
            .env("ADDRESS", format!("{}{number}", self.network))
            .env("ALIVE", self.root.path().join("alive"))
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("a file"))
            .stderr(File::create(&err).expect("a file"))
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        let status = ended(&mut child, limit);
        let [said, talk] = [&out, &err].map(|file| self.theirs(&here, &text(file)));
        match status {
            Some(true) => {
                let exports = ours.lines().filter(|line| line.starts_with("export "));
                self.exports.extend(exports.map(|line| format!("{line}\n")));
                Ok(said)
            }
            Some(false) => Err(format!("it fails\n--- stdout\n{said}\n--- stderr\n{talk}")),
            None => Err(format!("not within {limit:?}\n--- stdout\n{said}\n--- stderr\n{talk}")),
        }
    }

    /// What the nodes said last.
    pub fn logs(&self) -> String {
        let log = |number| {
            let log = text(&self.root.path().join(format!("n{number}/log")));
            let lines: Vec<_> = log.lines().rev().take(15).collect();
            lines.into_iter().rev().map(|line| format!("n{number}: {line}\n")).collect::<String>()
        };
        (1..=COUNT).map(log).collect()
    }

    fn tools(&self) -> String {
        self.root.path().join("tools").display().to_string()
    }

    fn ours(&self, here: &Path, script: &str) -> String {
        let script = script.replace(NETWORK, &self.network);
        let script = OWN
            .iter()
            .fold(script, |all, folder| all.replace(folder, &format!("{}{folder}", here.display())));
        script.replace(SHARED, &self.root.path().join("backup").display().to_string())
    }

    fn theirs(&self, here: &Path, said: &str) -> String {
        let root = self.root.path().display().to_string();
        let said = said.replace(&here.display().to_string(), "").replace(&root, "");
        said.replace(&self.network, NETWORK)
    }

    fn pids(&self) -> impl Iterator<Item = String> {
        let files: Vec<PathBuf> =
            (1..=COUNT).map(|number| self.root.path().join(format!("n{number}/pid"))).collect();
        files.into_iter().filter_map(|file| fs::read_to_string(file).ok())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for pid in self.pids() {
            // Gone already, where the page has stopped it.
            let _ = Command::new("kill").args(["-9", pid.trim()]).stderr(Stdio::null()).status();
        }
    }
}

/// Whether it ended well; `None`: it does not end, and is killed with all that it started.
fn ended(child: &mut Child, limit: Duration) -> Option<bool> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status.success());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
    let _ = child.wait();
    None
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        file.read_to_end(&mut bytes).expect("readable");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A part of 127.0.0.0/8 on which nobody listens at the ports of the pages, and that nobody else is given: whoever
/// listens at the port of the claim has it. He keeps the listener.
fn free_network(page: u8) -> (String, TcpListener) {
    for second in 16..216 {
        let Ok(claim) = TcpListener::bind(format!("127.{second}.{page}.{CLAIM}")) else { continue };
        let network = format!("127.{second}.{page}.");
        let free = |port: u16| {
            let listens = |number| TcpListener::bind(format!("{network}{number}:{port}")).is_ok();
            (1..=COUNT).all(listens)
        };
        if [7_070, 8_080, 9_090].into_iter().all(free) {
            return (network, claim);
        }
    }
    panic!("no addresses are free");
}
