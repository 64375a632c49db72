//! The certificate that clients are shown, and its key.
//!
//! Certificates are renewed while the node runs, and a restart for each would cost every connection. So the files can be
//! read again: what is good is shown to whoever connects from then on, by each core's own reader (one atomic load for a
//! handshake); who is connected notices nothing. What is bad changes nothing. In the moment in which one file is
//! replaced and the other is not yet, the key does not fit: that is such a case, and over with the next look.

use crate::{
    blocking,
    published::Published,
    tls::{Acceptor, Alpn, Error, PairFiles},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A certificate and its key. Clones show the same one; each looks at the files for itself.
#[derive(Clone)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    speaks: Alpn,
    newest: Arc<Published<Acceptor>>,
    /// Of the files as they were looked at last; `None`: they are looked at as if for the first time.
    mark: Option<u64>,
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Look {
    /// They are as they were.
    Same,
    /// They have changed, and whoever connects from now on is shown what they hold.
    Taken,
    /// They can't be used: what was shown is shown further on.
    Refused(Error),
}

impl Certificate {
    /// Reads the files, which must be good. Whoever is shown it is spoken with as `speaks` says.
    pub async fn read(certificate: PathBuf, key: PathBuf, speaks: Alpn) -> Result<Self, Error> {
        let (mark, acceptor) = pair(&certificate, &key, speaks).await;
        let newest = Published::new(Arc::new(acceptor?));
        Ok(Self { certificate, key, speaks, newest, mark: Some(mark) })
    }

    /// By what connections are accepted.
    pub fn newest(&self) -> &Arc<Published<Acceptor>> {
        &self.newest
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.certificate
    }

    /// Where its key lies.
    pub fn key_path(&self) -> &Path {
        &self.key
    }

    /// The next look says something even if nothing has changed.
    pub fn forget(&mut self) {
        self.mark = None;
    }

    /// Looks whether the files have changed.
    pub async fn look(&mut self) -> Look {
        let (mark, acceptor) = pair(&self.certificate, &self.key, self.speaks).await;
        if self.mark.replace(mark) == Some(mark) {
            return Look::Same;
        }
        match acceptor {
            Ok(acceptor) => {
                self.newest.store(Arc::new(acceptor));
                Look::Taken
            }
            Err(why) => Look::Refused(why),
        }
    }
}

async fn pair(certificate: &Path, key: &Path, speaks: Alpn) -> (u64, Result<Acceptor, Error>) {
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    blocking(move || {
        let files = PairFiles::read(&certificate, &key);
        (files.mark(), Acceptor::of(&files, speaks))
    })
    .await
}
