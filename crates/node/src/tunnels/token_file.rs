//! The file of tokens, read again while the node runs.
//!
//! It is looked at as the settings file is ([`crate::settings_file`]): every second, by what is in it, and at once where
//! somebody asks; what a look finds counts once the next one finds the same. A file that can't be used changes nothing,
//! and is told once, with the line. A token that is not in it any more lets nobody in, and who was let in by it has to
//! go.

use super::tokens::{Tokens, Unusable};
use quorate_rt::{blocking, shutdown::Shutdown, time};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The tokens as they are now, if there is a file of them; whoever wants a look at once tells the other one.
pub(crate) fn keep_up(
    file: Option<&PathBuf>,
    tokens: Option<Tokens>,
    shutdown: &Shutdown,
) -> (Option<watch::Receiver<Arc<Tokens>>>, Arc<Notify>) {
    let asked = Arc::new(Notify::new());
    let (Some(path), Some(tokens)) = (file.cloned(), tokens) else { return (None, asked) };
    let tokens = Arc::new(tokens);
    let (now, told) = watch::channel(tokens.clone());
    let keeper = Keeper { path, seen: Ok(tokens), now };
    quorate_rt::spawn(keeper.run(asked.clone(), shutdown.clone()));
    (Some(told), asked)
}

/// What a look has found; or why it can't be used.
type Seen = Result<Arc<Tokens>, String>;

struct Keeper {
    path: PathBuf,
    /// What was judged last.
    seen: Seen,
    now: watch::Sender<Arc<Tokens>>,
}

impl Keeper {
    async fn run(mut self, asked: Arc<Notify>, mut shutdown: Shutdown) {
        let mut before = None;
        loop {
            // Whoever asks wants to be told, whatever was said before.
            let is_asked = tokio::select! {
                biased;
                () = shutdown.wait() => return,
                () = asked.notified() => true,
                () = time::sleep(LOOK_EVERY) => false,
            };
            let path = self.path.clone();
            let found = blocking(move || Tokens::read(&path)).await;
            let found = found.map(Arc::new).map_err(|unusable: Unusable| unusable.to_string());
            let is_settled = is_asked || before.as_ref() == Some(&found);
            if is_settled && (is_asked || found != self.seen) {
                self.take(&found);
                self.seen = found.clone();
            }
            before = Some(found);
        }
    }

    fn take(&self, found: &Seen) {
        match found {
            Ok(tokens) => {
                let (path, count) = (self.path.display(), tokens.count());
                tracing::info!(%path, tokens = count, "the tokens for tunnels are as their file says now");
                self.now.send_replace(tokens.clone());
            }
            // The words name the path.
            Err(error) => {
                tracing::error!(%error, "the tokens for tunnels can't be used: those from before hold")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_rt::shutdown;
    use std::{fs, path::Path};

    const FIRST: &str = "first-Token-0123456789";
    const SECOND: &str = "second-Token-0123456789";

    fn kept(path: &Path) -> (watch::Receiver<Arc<Tokens>>, Arc<Notify>, shutdown::Trigger) {
        let (stop, stopped) = shutdown::channel();
        let tokens = Tokens::read(path).expect("a file");
        let (now, asked) = keep_up(Some(&path.to_owned()), Some(tokens), &stopped);
        (now.expect("a file"), asked, stop)
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_by_itself_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let write = |text: &str| fs::write(&path, text).expect("written");
        write(FIRST);
        let (mut now, asked, _stop) = kept(&path);
        write(&format!("{FIRST}\n{SECOND}\n"));
        now.wait_for(|now| now.count() == 2).await.expect("it is looked at");
        write("# nothing\n");
        asked.notify_one();
        // The next look comes after the one that was asked for.
        fs::remove_file(&path).expect("it was there");
        asked.notify_one();
        write(SECOND);
        now.wait_for(|now| now.count() != 2).await.expect("it is looked at");
        assert!(**now.borrow() == Tokens::read(&path).expect("a file"), "none in between had no token");
    }
}
