//! The streams of a tool, counted on their way into files.
//!
//! File-size limits do not bound a pipe, so the reader does: at the limit it stops reading, keeps
//! what fitted and says so; the caller ends the tool.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::outcome::{Captured, OutputPart};

/// Read at once: as much as a pipe holds by default.
const CHUNK_BYTES: usize = 64 * 1024;

/// Stdout and stderr of a running tool; reading stops when this is dropped.
#[derive(Debug)]
pub(super) struct Streams {
    /// Tells of a stream that reached its limit.
    pub(super) overflow: mpsc::Receiver<OutputPart>,
    stdout: AbortOnDropHandle<io::Result<Captured>>,
    stderr: AbortOnDropHandle<io::Result<Captured>>,
}

impl Streams {
    /// Reads the child's pipes into `stdout.txt` and `stderr.txt` of `folder`, each to `limit` bytes.
    pub(super) fn listen(child: &mut Child, folder: &Path, limit: u64) -> io::Result<Self> {
        let piped = || io::Error::other("a stream of the box is not piped");
        let stdout = child.stdout.take().ok_or_else(piped)?;
        let stderr = child.stderr.take().ok_or_else(piped)?;
        let (over, overflow) = mpsc::channel(2);
        let (out, err) = (folder.join("stdout.txt"), folder.join("stderr.txt"));
        let stdout = capture(stdout, out, limit, OutputPart::Stdout, over.clone());
        let stderr = capture(stderr, err, limit, OutputPart::Stderr, over);
        Ok(Self {
            overflow,
            stdout: AbortOnDropHandle::new(tokio::spawn(stdout)),
            stderr: AbortOnDropHandle::new(tokio::spawn(stderr)),
        })
    }

    /// Waits for both streams' ends; what was kept of stdout and of stderr.
    pub(super) async fn kept(self) -> io::Result<(Captured, Captured)> {
        let stdout = self.stdout.await.map_err(io::Error::other)??;
        let stderr = self.stderr.await.map_err(io::Error::other)??;
        Ok((stdout, stderr))
    }
}

/// Copies `source` into the new file `path` until it ends or `limit` bytes are there.
async fn capture(
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
