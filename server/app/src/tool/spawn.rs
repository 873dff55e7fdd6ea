//! Starting programs from a thread that lives as long as the process.
//!
//! A box dies with its parent, and to the kernel the parent is the *thread* that started it. Threads
//! of a runtime come and go (those of `spawn_blocking` after seconds), so one thread of our own
//! starts all tools, whichever thread asks.

use std::io;
use std::sync::{OnceLock, mpsc};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Job {
    command: Command,
    /// The runtime that will watch the child.
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

static STARTER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Starts `command`; the child is killed when it is dropped if the command says so.
pub(super) async fn spawn(command: Command) -> io::Result<Child> {
    let (answer, started) = oneshot::channel();
    let job = Job {
        command,
        runtime: Handle::current(),
        answer,
    };
    let gone = || io::Error::other("the thread that starts tools is gone");
    starter()?.send(job).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

fn starter() -> io::Result<&'static mpsc::Sender<Job>> {
    if let Some(sender) = STARTER.get() {
        return Ok(sender);
    }
    let (sender, jobs) = mpsc::channel();
    thread::Builder::new()
        .name("tool-starter".to_owned())
        .spawn(move || serve(&jobs))?;
    // Of two that came first at once one wins; the other's thread ends with its channel.
    Ok(STARTER.get_or_init(|| sender))
}

fn serve(jobs: &mpsc::Receiver<Job>) {
    while let Ok(mut job) = jobs.recv() {
        let _inside = job.runtime.enter();
        // Whoever asked and no longer waits gets the child dropped, and with it killed.
        let _ = job.answer.send(job.command.spawn());
    }
}
