//! One stream of a tool, counted on its way into a file.
//!
//! File-size limits do not bound a pipe, so the reader does: at the limit it stops reading, keeps
//! what fitted and says so; the caller ends the tool.

use std::io;
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::run::{Captured, OutputPart};

/// Read at once: as much as a pipe holds by default.
const CHUNK_BYTES: usize = 64 * 1024;

/// Copies `source` into the new file `path` until it ends or `limit` bytes are there.
pub(super) async fn capture(
    mut source: impl AsyncRead + Unpin,
    path: PathBuf,
    limit: u64,
    part: OutputPart,
    over: mpsc::Sender<OutputPart>,
) -> io::Result<Captured> {
    let mut file = File::create_new(&path).await?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut captured = Captured {
        path,
        bytes: 0,
        truncated: false,
    };
    loop {
        let read = source.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        let room = limit - captured.bytes;
        let kept = read.min(usize::try_from(room).unwrap_or(usize::MAX));
        file.write_all(&buffer[..kept]).await?;
        captured.bytes += kept as u64;
        if kept < read {
            captured.truncated = true;
            // Nobody listens any more when the tool is being ended for another reason.
            let _ = over.send(part).await;
            break;
        }
    }
    file.flush().await?;
    Ok(captured)
}
