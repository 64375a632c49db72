//! Under which id this machine is registered: the same one after each start, or every start would leave a ghost.
//!
//! The host name is such an id where host names differ. Where they may not, or change (clones of one image), an id
//! is drawn once and kept in a file.

use crate::failure::Failure;
use quorate_model::WorkerId;
use std::{fs, io, path::Path};

/// Where the id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// From the settings.
    Given(WorkerId),
    /// From a file, which is made at the first start.
    StateFile(std::path::PathBuf),
    /// From the host name.
    Host,
}

impl Identity {
    /// The id, as far as it is known; `None`: the first start will draw one. Changes nothing.
    pub fn known(&self, host_name: &str) -> Result<Option<WorkerId>, Failure> {
        match self {
            Self::Given(id) => Ok(Some(id.clone())),
            Self::Host => of_host(host_name).map(Some),
            Self::StateFile(path) => match fs::read_to_string(path) {
                Ok(text) => parse(text.trim(), path).map(Some),
                // One that can't be made is told now, not by the first start.
                Err(e) if e.kind() == io::ErrorKind::NotFound && folder_of(path).is_dir() => Ok(None),
                Err(e) => Err(wrong(path, &e.to_string())),
            },
        }
    }

    /// The id. Makes the file, where there is to be one.
    pub fn resolve(&self, host_name: &str) -> Result<WorkerId, Failure> {
        match (self.known(host_name)?, self) {
            (None, Self::StateFile(path)) => draw(path, host_name),
            (Some(id), _) => Ok(id),
            (None, Self::Given(_) | Self::Host) => of_host(host_name),
        }
    }
}

fn of_host(host_name: &str) -> Result<WorkerId, Failure> {
    WorkerId::parse(host_name)
        .map_err(|e| Failure::Usage(format!("the host name is no id of a worker: {e}; give one with --id")))
}

fn parse(text: &str, path: &Path) -> Result<WorkerId, Failure> {
    WorkerId::parse(text).map_err(|e| wrong(path, &e.to_string()))
}

/// Written under another name first: whoever starts again after a crash finds the whole id or none.
fn draw(path: &Path, host_name: &str) -> Result<WorkerId, Failure> {
    let mut bytes = [0u8; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Failure::failed("cannot draw an id", e))?;
    let id = parse(&format!("{host_name}-{:08x}", u32::from_le_bytes(bytes)), path)?;
    let file = tempfile::NamedTempFile::new_in(folder_of(path)).and_then(|mut file| {
        io::Write::write_all(&mut file, format!("{id}\n").as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    let file = file.map_err(|e| wrong(path, &e.to_string()))?;
    file.persist(path).map_err(|e| wrong(path, &e.error.to_string()))?;
    sync_folder_of(path).map_err(|e| wrong(path, &e.to_string()))?;
    Ok(id)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name is on the disk only once its folder is.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

fn wrong(path: &Path, why: &str) -> Failure {
    Failure::Usage(format!("--state-file {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_drawn_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = |name: &str| Identity::StateFile(folder.path().join(name));
        assert_eq!(identity("a").known("host").expect("sound"), None);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "a question draws nothing");
        let first = identity("a").resolve("host").expect("drawn");
        assert_eq!(identity("a").known("host").expect("sound"), Some(first.clone()));
        assert!(first.as_str().starts_with("host-") && first.as_str().len() == 13, "{first}");
        assert_eq!(identity("a").resolve("another-name").expect("kept"), first);
        assert_ne!(identity("b").resolve("host").expect("drawn"), first);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing else is left");
    }

    #[test]
    fn a_file_that_can_be_neither_read_nor_made_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("empty"), "\n").expect("written");
        for name in ["empty", "no/such/folder"] {
            let Err(Failure::Usage(text)) = Identity::StateFile(folder.path().join(name)).resolve("h") else {
                panic!("{name} was taken")
            };
            assert!(text.starts_with("--state-file ") && text.contains(name), "{text}");
        }
    }

    #[test]
    fn the_host_name_is_an_id() {
        assert_eq!(Identity::Host.resolve("machine-7").expect("an id").as_str(), "machine-7");
        assert!(Identity::Host.resolve("").is_err());
    }
}
