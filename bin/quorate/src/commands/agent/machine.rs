//! What this machine can do, as the cluster is told: cores, memory, disk, GPU, container or not.
//!
//! Everything is read from where the kernel and the driver show it; what can't be read is not said. A container is
//! told the share that it may use and not the machine around it.

use rustix::fs::statvfs;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

/// A driver that hangs holds nothing up for longer.
const SMI_LIMIT: Duration = Duration::from_secs(5);
/// What the driver's tool is asked.
const SMI_QUERY: [&str; 2] = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"];
const GIB: f64 = (1u64 << 30) as f64;
const MIB: u64 = 1 << 20;

/// Where it is read from.
pub struct Sources {
    /// `/`, or what stands for it.
    pub root: PathBuf,
    /// The file system whose size counts.
    pub storage: PathBuf,
    /// The driver's tool: a program and its first arguments.
    pub smi: Vec<String>,
}

impl Sources {
    /// Of this machine.
    pub fn real(storage: &Path) -> Self {
        Self { root: "/".into(), storage: storage.into(), smi: vec!["nvidia-smi".into()] }
    }
}

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    cores: Option<usize>,
    memory: Option<u64>,
    storage: Option<u64>,
    container: bool,
    gpus: Vec<Gpu>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Gpu {
    kind: String,
    memory: Option<u64>,
}

impl Machine {
    pub async fn read(sources: &Sources) -> Self {
        let root = |path: &str| sources.root.join(path);
        let text = |path: &str| fs::read_to_string(root(path)).unwrap_or_default();
        let gpus = gpus_of_smi(&smi(&sources.smi).await);
        let share = smaller_limit(&text("sys/fs/cgroup/memory.max"));
        Self {
            cores: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
            memory: memory_total(&text("proc/meminfo")).map(|all| share.map_or(all, |share| share.min(all))),
            storage: storage_total(&sources.storage),
            container: root(".dockerenv").exists()
                || root("run/.containerenv").exists()
                || root("run/secrets/kubernetes.io").exists()
                || is_container(&text("proc/1/cgroup")),
            gpus: if gpus.is_empty() { gpus_of_proc(&root("proc/driver/nvidia/gpus")) } else { gpus },
        }
    }

    /// In the words of the coordinator's contract. `overrides` win; one that is `None` leaves a fact out.
    pub fn capabilities(
        &self,
        address: Option<&str>,
        overrides: &BTreeMap<String, Option<Value>>,
    ) -> Map<String, Value> {
        let mut facts = Map::new();
        let mut fact = |name: &str, value: Option<Value>| {
            facts.extend(value.map(|value| (name.to_owned(), value)));
        };
        fact("cpu_cores", self.cores.map(|cores| json!(cores)));
        fact("ram", self.memory.map(|bytes| json!(gigabytes(bytes))));
        fact("storage", self.storage.map(|bytes| json!(gigabytes(bytes))));
        fact("containerized", Some(json!(self.container)));
        fact("worker_type", Some(json!(if self.gpus.is_empty() { "cpu" } else { "gpu" })));
        fact("ip_address", address.map(|address| json!(address)));
        if let Some(first) = self.gpus.first() {
            fact("has_gpu", Some(json!(true)));
            fact("gpu_count", Some(json!(self.gpus.len())));
            fact("gpu_type", Some(json!(first.kind)));
            fact("gpu_memory", first.memory.map(|bytes| json!(gigabytes(bytes))));
        }
        for (name, value) in overrides {
            match value {
                Some(value) => facts.insert(name.clone(), value.clone()),
                None => facts.remove(name),
            };
        }
        facts
    }
}

/// `15.6GB`, counted as memory is: 2^30 bytes each.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn gigabytes(bytes: u64) -> String {
    format!("{:.1}GB", bytes as f64 / GIB)
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// `max` is no limit.
fn smaller_limit(memory_max: &str) -> Option<u64> {
    memory_max.trim().parse().ok()
}

fn storage_total(path: &Path) -> Option<u64> {
    let stat = statvfs(path).ok()?;
    stat.f_blocks.checked_mul(stat.f_frsize).filter(|bytes| *bytes > 0)
}

/// As older container engines show themselves.
fn is_container(cgroup: &str) -> bool {
    ["docker", "kubepods", "containerd", "libpod", "lxc"].iter().any(|word| cgroup.contains(word))
}

/// What the driver's tool says; nothing, where there is none or it can't.
async fn smi(tool: &[String]) -> String {
    let Some((program, first)) = tool.split_first() else { return String::new() };
    let mut command = Command::new(program);
    command.args(first).args(SMI_QUERY).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(SMI_LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Ok(_) | Err(_)) | Err(_) => String::new(),
    }
}

/// `NVIDIA A10, 23028` on each line, the memory in MiB.
fn gpus_of_smi(said: &str) -> Vec<Gpu> {
    let gpu = |line: &str| {
        let (kind, memory) = line.rsplit_once(',')?;
        let memory = memory.trim().parse::<u64>().ok().and_then(|mib| mib.checked_mul(MIB));
        Some(Gpu { kind: kind.trim().into(), memory })
    };
    said.lines().filter_map(gpu).filter(|gpu| !gpu.kind.is_empty()).collect()
}

/// What the driver itself shows, which does not say how much memory there is.
fn gpus_of_proc(folder: &Path) -> Vec<Gpu> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let gpu = |path: PathBuf| {
        let text = fs::read_to_string(path.join("information")).ok()?;
        let kind = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(Gpu { kind: kind.trim().into(), memory: None })
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    paths.into_iter().filter_map(gpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16358412 kB\nMemFree:         1 kB\n";

    /// A machine that consists of these files.
    async fn of(files: &[(&str, &str)]) -> Machine {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, text).expect("written");
        }
        let sources = Sources {
            root: folder.path().into(),
            storage: folder.path().join("none"),
            // Not run as a program of its own: a file that was just written may be busy.
            smi: vec!["sh".into(), folder.path().join("smi").display().to_string()],
        };
        Machine { cores: Some(8), ..Machine::read(&sources).await }
    }

    fn told(machine: &Machine) -> Value {
        Value::Object(machine.capabilities(Some("10.0.0.7"), &BTreeMap::new()))
    }

    #[tokio::test]
    async fn a_plain_machine_is_told_in_the_words_of_the_contract() {
        let machine = of(&[("proc/meminfo", MEMINFO), ("sys/fs/cgroup/memory.max", "max\n")]).await;
        let expected = json!({"cpu_cores": 8, "ram": "15.6GB", "containerized": false, "worker_type": "cpu",
            "ip_address": "10.0.0.7"});
        assert_eq!(told(&machine), expected);
    }

    #[tokio::test]
    async fn a_container_is_told_what_it_may_use() {
        let limit = ("sys/fs/cgroup/memory.max", "2147483648\n");
        for sign in [
            (".dockerenv", ""),
            ("run/.containerenv", ""),
            ("run/secrets/kubernetes.io/token", ""),
            ("proc/1/cgroup", "1:name=systemd:/docker/0123\n"),
        ] {
            let machine = of(&[("proc/meminfo", MEMINFO), limit, sign]).await;
            assert_eq!(told(&machine)["ram"], "2.0GB");
            assert_eq!(told(&machine)["containerized"], true, "{sign:?}");
        }
    }

    #[tokio::test]
    async fn a_gpu_is_told_by_the_tool_or_by_the_driver() {
        let driver = ("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA A10\nIRQ: 5\n");
        let machine = of(&[driver]).await;
        let gpu = json!({"cpu_cores": 8, "containerized": false, "worker_type": "gpu", "ip_address": "10.0.0.7",
            "has_gpu": true, "gpu_count": 1, "gpu_type": "NVIDIA A10"});
        assert_eq!(told(&machine), gpu);

        let tool = ("smi", "echo 'NVIDIA L4, 23034'\necho 'NVIDIA L4, [N/A]'\n");
        let machine = of(&[driver, tool]).await;
        let told = told(&machine);
        assert_eq!(
            (&told["gpu_count"], &told["gpu_type"], &told["gpu_memory"]),
            (&json!(2), &json!("NVIDIA L4"), &json!("22.5GB"))
        );
    }

    #[tokio::test]
    async fn a_tool_that_fails_is_not_believed() {
        let machine = of(&[("smi", "echo 'NVIDIA-SMI has failed, 1'\nexit 9\n")]).await;
        assert_eq!(machine.gpus, []);
    }

    #[test]
    fn settings_win_over_what_was_read() {
        let machine = Machine { cores: Some(8), ..Machine::default() };
        let overrides = BTreeMap::from([
            ("cpu_cores".into(), Some(json!(2))),
            ("containerized".into(), None),
            ("has_storage".into(), Some(json!(true))),
        ]);
        let told = Value::Object(machine.capabilities(None, &overrides));
        assert_eq!(told, json!({"cpu_cores": 2, "worker_type": "cpu", "has_storage": true}));
    }

    #[test]
    fn this_machine_has_a_disk() {
        assert!(storage_total(Path::new("/")).is_some_and(|bytes| bytes > MIB));
        assert_eq!(storage_total(Path::new("/no/such/folder")), None);
    }
}
