//! The cluster's secret: made by `quorate cluster secret new`, read by `quorate serve`.
//!
//! A secret is a file, never a flag or a variable: those are seen by everybody who can list processes.

use crate::{args::SecretVerb, failure::Failure};
use quorate_node::{SECRET_BYTES_MIN, Secret};
use rustix::rand::{GetRandomFlags, getrandom};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

/// Larger files are no secrets.
const BYTES_MAX: u64 = 4_096;
/// Of a new secret, before it is spelled in hexadecimal digits.
const NEW_BYTES: usize = 32;
/// What others than the owner may do with a file.
const OTHERS: u32 = 0o077;
/// The group may read a file that root owns: so Kubernetes and systemd hand secrets to a user who is not root, and
/// no chmod of this user's could change it.
const OTHERS_OF_ROOT: u32 = 0o037;

const ALLOWED: &str = "a file of at least 32 bytes, as `quorate cluster secret new` prints them";
const _: () = assert!(SECRET_BYTES_MIN == 32, "what is allowed is said in numbers");
const _: () = assert!(NEW_BYTES * 2 >= SECRET_BYTES_MIN, "a new secret is a valid one");

/// `quorate cluster secret`
pub fn run(verb: &SecretVerb) -> Result<(), Failure> {
    match verb {
        SecretVerb::New => Ok(writeln!(anstream::stdout(), "{}", new()?)?),
    }
}

fn new() -> Result<String, Failure> {
    let mut bytes = [0; NEW_BYTES];
    let got =
        getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|e| Failure::failed("no randomness", e))?;
    if got < bytes.len() {
        return Err(Failure::failed("no randomness", format!("{got} bytes of {NEW_BYTES}")));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether [`read`] will take the file of `--cluster-secret-file`.
pub fn check(path: &Path) -> Result<(), Failure> {
    secret_of(path).map(drop)
}

/// Reads the file of `--cluster-secret-file`.
pub fn read(path: &Path) -> Result<Secret, Failure> {
    let (secret, owner, mode) = secret_of(path)?;
    if is_open(owner, rustix::process::geteuid().as_raw(), mode)
        && !is_credential(path, std::env::var_os("CREDENTIALS_DIRECTORY").as_deref())
    {
        tracing::warn!(
            file = %path.display(),
            mode = format_args!("{:04o}", mode & 0o7777),
            "the cluster secret can be read by others than this user; chmod 600 makes it a secret"
        );
    }
    Ok(secret)
}

/// The secret, the file's owner and its mode. White space around the secret does not count: editors add it.
fn secret_of(path: &Path) -> Result<(Secret, u32, u32), Failure> {
    let wrong = |why: String| {
        Failure::Usage(format!("--cluster-secret-file {}: {why}; allowed: {ALLOWED}", path.display()))
    };
    let (bytes, owner, mode) = content(path).map_err(|e| wrong(e.to_string()))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(wrong(format!("more than {BYTES_MAX} bytes")));
    }
    let trimmed = bytes.trim_ascii();
    let secret = Secret::new(trimmed).map_err(|_| wrong(format!("{} bytes", trimmed.len())))?;
    Ok((secret, owner, mode))
}

/// Whether more people can read a file of `owner` than have to, for `reader` to read it.
fn is_open(owner: u32, reader: u32, mode: u32) -> bool {
    let others = if owner == 0 && reader != 0 { OTHERS_OF_ROOT } else { OTHERS };
    mode & others != 0
}

/// systemd's credentials lie in a folder of this service alone. Where it lets its user in by an access list, the mode
/// of the file says less than the truth. An empty variable names no folder, though every path starts with it.
fn is_credential(path: &Path, folder: Option<&OsStr>) -> bool {
    folder.is_some_and(|folder| !folder.is_empty() && path.starts_with(folder))
}

fn content(path: &Path) -> io::Result<(Vec<u8>, u32, u32)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.uid(), metadata.permissions().mode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(content: &[u8]) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, content).expect("a file");
        match read(&path) {
            Ok(_) => Ok(()),
            Err(Failure::Usage(why)) => Err(why),
            Err(other) => panic!("not a usage error: {other:?}"),
        }
    }

    #[test]
    fn a_new_secret_is_a_valid_one_and_never_the_same() {
        let (first, second) = (new().expect("randomness"), new().expect("randomness"));
        assert_eq!(first.len(), 64);
        assert!(first.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(first, second);
        assert_eq!(reading(format!("{first}\n").as_bytes()), Ok(()));
    }

    #[test]
    fn a_short_secret_is_refused_and_white_space_does_not_lengthen_it() {
        let padded = [&[b'x'; 31][..], b" \n\n"].concat();
        let why = reading(&padded).expect_err("too short");
        assert!(why.contains("--cluster-secret-file") && why.contains(": 31 bytes; allowed:"), "{why}");
        assert!(reading(b"").is_err());
        assert_eq!(reading(&[b'x'; 32]), Ok(()));
    }

    #[test]
    fn a_secret_that_a_group_reads_is_open_unless_root_gives_it_so() {
        let (me, root) = (65_532, 0);
        assert!(!is_open(me, me, 0o100_600));
        assert!(is_open(me, me, 0o100_640));
        assert!(is_open(root, root, 0o100_440), "root needs no group");
        assert!(!is_open(root, me, 0o100_440), "a Secret volume with an fsGroup");
        assert!(is_open(root, me, 0o100_444));
        assert!(is_open(root, me, 0o100_660), "the group could put another secret there");
    }

    #[test]
    fn a_credential_lies_in_the_folder_that_systemd_names() {
        let is = |path, folder: Option<&str>| is_credential(Path::new(path), folder.map(OsStr::new));
        let secret = "/run/credentials/quorate.service/cluster-secret";
        assert!(is(secret, Some("/run/credentials/quorate.service")));
        assert!(!is("/etc/quorate/cluster-secret", Some("/run/credentials/quorate.service")));
        for path in [secret, "/etc/quorate/cluster-secret", "cluster-secret"] {
            assert!(!is(path, None) && !is(path, Some("")), "{path}");
        }
    }

    #[test]
    fn a_large_or_missing_file_is_refused() {
        assert!(reading(&[b'x'; 4_097]).expect_err("too large").contains("more than 4096 bytes"));
        let Err(Failure::Usage(why)) = read(Path::new("/nonexistent/secret")) else {
            panic!("there is no such file")
        };
        assert!(why.contains("/nonexistent/secret"), "{why}");
    }
}
