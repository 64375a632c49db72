//! `quorate snapshot`: backups. What is saved is checked before it gets its name, so that a file that is there can be
//! restored; what is restored is checked by the node before anything changes.

use super::{block_on, operator};
use crate::{
    args::{Format, Remote, SnapshotArgs, SnapshotVerb},
    failure::Failure,
    output::{self, Rows, counted, say, show},
};
use quorate_client::Error;
use quorate_storage::snapshots::{Loaded, load};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _, Write as _},
    path::Path,
};
use tokio::sync::mpsc;

/// Instead of a file: stdin or stdout.
const PIPE: &str = "-";
/// Read and sent at once, in bytes.
const PIECE_BYTES: usize = 256 << 10;

pub fn run(args: &SnapshotArgs) -> Result<(), Failure> {
    let remote = &args.remote;
    match &args.verb {
        SnapshotVerb::Save { file, stale } => save(file, !stale, remote),
        SnapshotVerb::Restore { file } => restore(file, remote),
        SnapshotVerb::Inspect { file } => inspect(file, remote.output),
    }
}

/// Into a file beside the wanted one, which then takes its place: never half a backup under a good name.
fn save(file: &str, consistent: bool, remote: &Remote) -> Result<(), Failure> {
    let operator = operator(remote)?;
    let folder = match Path::new(file).parent() {
        _ if file == PIPE => std::env::temp_dir(),
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        Some(_) | None => ".".into(),
    };
    let wrong = |e: &io::Error| Failure::failed(format!("cannot write {}", folder.display()), e);
    let mut draft = tempfile::NamedTempFile::new_in(&folder).map_err(|e| wrong(&e))?;
    block_on(async {
        let mut download =
            operator.save_snapshot(consistent).await.map_err(|e| without_quorum(e, consistent))?;
        while let Some(piece) = download.next().await? {
            draft.write_all(&piece).map_err(|e| wrong(&e))?;
        }
        Ok(())
    })?;
    draft.as_file().sync_all().map_err(|e| wrong(&e))?;
    draft.rewind().map_err(|e| wrong(&e))?;
    let loaded = checked("what the node sent", draft.as_file())?;
    if file == PIPE {
        draft.rewind().map_err(|e| wrong(&e))?;
        let mut out = io::stdout().lock();
        io::copy(draft.as_file_mut(), &mut out)?;
        out.flush()?;
    } else {
        draft.persist(file).map_err(|e| Failure::failed(format!("cannot write {file}"), e.error))?;
    }
    say(&format!("saved: {}", sentence(&loaded)));
    Ok(())
}

/// What one node knows can be had all the same.
fn without_quorum(error: Error, consistent: bool) -> Failure {
    let lost = consistent && error.problem().is_some_and(|problem| problem.code == "no_quorum");
    let hint = "; what this node knows can be had with --stale";
    if lost { Failure::Failed(format!("{error}{hint}")) } else { error.into() }
}

fn restore(file: &str, remote: &Remote) -> Result<(), Failure> {
    let operator = operator(remote)?;
    let input: Box<dyn Read + Send> =
        if file == PIPE { Box::new(io::stdin()) } else { Box::new(open(file)?) };
    let (pieces, sent) = mpsc::channel(2);
    let told = block_on(async {
        // Ends by itself: at the end of the file, or when nobody takes the next piece.
        tokio::task::spawn_blocking(move || read_pieces(input, &pieces));
        Ok(operator.restore_snapshot(sent).await?)
    })?;
    let restored = told.value;
    let sentence = format!(
        "restored {}, {}",
        counted(restored.workers, "worker"),
        counted(restored.keyspaces, "keyspace")
    );
    output::done(remote.output, &told.json, &sentence)
}

fn read_pieces(mut input: impl Read, pieces: &mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = input.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        let ended = !matches!(read, Ok(n) if n > 0);
        if matches!(read, Ok(0)) || pieces.blocking_send(read.map(|_| piece)).is_err() || ended {
            return;
        }
    }
}

fn inspect(file: &str, format: Format) -> Result<(), Failure> {
    let loaded = if file == PIPE { checked("stdin", io::stdin()) } else { checked(file, &open(file)?) }?;
    let Loaded { meta, state } = &loaded;
    let last_log_id = meta.last_log_id.as_ref().map(ToString::to_string);
    let told = json!({
        "format": 1,
        "index": state.index().0,
        "cluster_id": state.cluster().map(|cluster| cluster.to_string()),
        "workers": state.workers().count(),
        "routable_workers": state.worker_count(),
        "keyspaces": state.keyspaces().count(),
        "last_epoch": state.last_epoch().0,
        "last_log_id": last_log_id,
    });
    show(format, &told, || rows(&told))
}

fn rows(told: &Value) -> Rows {
    let mut rows = Rows::new(["fact", "value"]);
    for (fact, value) in told.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => "-".into(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.push([fact.clone(), value]);
    }
    rows
}

fn open(file: &str) -> Result<File, Failure> {
    File::open(file).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("there is no file {file}")),
        _ => Failure::failed(format!("cannot read {file}"), e),
    })
}

fn checked(what: &str, input: impl Read + Send) -> Result<Loaded, Failure> {
    load(BufReader::with_capacity(PIECE_BYTES, input))
        .map_err(|e| Failure::failed(format!("{what} is no whole snapshot"), e))
}

fn sentence(loaded: &Loaded) -> String {
    let state = &loaded.state;
    format!(
        "{}, {}, as of index {}",
        counted(state.workers().count() as u64, "worker"),
        counted(state.keyspaces().count() as u64, "keyspace"),
        state.index()
    )
}
