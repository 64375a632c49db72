//! What kind of machine a worker is, by what it says that it can do.

use crate::worker::Capability;
use std::collections::BTreeMap;

/// 1: it has a GPU. 2: an ordinary machine. 3: it is there for its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Has a GPU.
    Gpu,
    /// Four cores or more, or calls itself one; or says nothing that would tell.
    Cpu,
    /// Has storage, and not what the others have.
    Storage,
}

impl Tier {
    /// Of a worker with these capabilities. The first that fits, in the order GPU, CPU, storage.
    pub fn of(capabilities: &BTreeMap<Box<str>, Capability>) -> Self {
        let has = |key: &str| capabilities.get(key).is_some_and(is_something);
        let cores = match capabilities.get("cpu_cores") {
            Some(Capability::Number(text) | Capability::Text(text)) => text.trim().parse().unwrap_or(0.0),
            Some(Capability::Flag(_)) | None => 0.0,
        };
        let calls_itself_cpu =
            matches!(capabilities.get("worker_type"), Some(Capability::Text(text)) if &**text == "cpu");
        if has("has_gpu") || has("gpu_memory") || has("gpu_type") {
            Self::Gpu
        } else if cores >= 4.0 || calls_itself_cpu {
            Self::Cpu
        } else if has("has_storage") || has("storage_type") {
            Self::Storage
        } else {
            Self::Cpu
        }
    }

    /// 1, 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Self::Gpu => 1,
            Self::Cpu => 2,
            Self::Storage => 3,
        }
    }
}

/// Whether a value says yes: not false, not 0, not empty.
fn is_something(capability: &Capability) -> bool {
    match capability {
        Capability::Flag(flag) => *flag,
        Capability::Number(text) => text.parse::<f64>() != Ok(0.0),
        Capability::Text(text) => !text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(capabilities: &[(&str, Capability)]) -> u8 {
        Tier::of(&capabilities.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()).number()
    }

    fn number(text: &str) -> Capability {
        Capability::Number(text.into())
    }

    fn text(text: &str) -> Capability {
        Capability::Text(text.into())
    }

    #[test]
    fn a_gpu_goes_before_cores_and_cores_before_storage() {
        let (yes, no) = (Capability::Flag(true), Capability::Flag(false));
        assert_eq!(tier(&[]), 2);
        assert_eq!(tier(&[("has_gpu", yes.clone()), ("has_storage", yes.clone())]), 1);
        assert_eq!(tier(&[("gpu_memory", text("24GB"))]), 1);
        assert_eq!(tier(&[("gpu_type", text("L4"))]), 1);
        assert_eq!(tier(&[("has_gpu", no.clone()), ("gpu_type", text("")), ("gpu_memory", number("0"))]), 2);
        assert_eq!(tier(&[("cpu_cores", number("4")), ("has_storage", yes.clone())]), 2);
        assert_eq!(tier(&[("worker_type", text("cpu")), ("has_storage", yes.clone())]), 2);
        assert_eq!(tier(&[("cpu_cores", number("3")), ("has_storage", yes)]), 3);
        assert_eq!(tier(&[("cpu_cores", number("2")), ("storage_type", text("nvme"))]), 3);
        assert_eq!(tier(&[("cpu_cores", number("2")), ("has_storage", no)]), 2);
    }
}
