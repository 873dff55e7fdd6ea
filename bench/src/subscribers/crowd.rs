//! The subscribers: each a task with a websocket that notes which events it saw, and when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tamiz_core::TaskId;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::socket::Socket;
use super::writer::Writer;
use crate::Outcome;
use crate::stand::Stand;

/// Handshakes under way at once: more wait in the listener's queue.
const OPENING_MAX: usize = 64;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// What a subscriber saw.
#[derive(Default)]
struct Seen {
    /// Number of the last event; the next one is one more.
    last: AtomicUsize,
    /// Number and time of those that came live.
    times: Mutex<Vec<(usize, Instant)>>,
    /// Says that it shall reconnect.
    disturbed: Notify,
}

/// All of them; they end with the value.
pub(super) struct Crowd {
    seen: Vec<Arc<Seen>>,
    /// What went wrong first.
    trouble: Arc<Mutex<Option<String>>>,
    _tasks: JoinSet<()>,
}

/// What each connects with.
struct Wish {
    port: u16,
    token: String,
    task: TaskId,
    opening: Semaphore,
}

impl Crowd {
    /// Opens so many and waits until each has what was told so far.
    pub(super) async fn open(stand: &Stand, writer: &Writer, subscribers: usize) -> Outcome<Self> {
        let wish = Arc::new(Wish {
            port: stand.port,
            token: stand.client.token().to_owned(),
            task: writer.task,
            opening: Semaphore::new(OPENING_MAX),
        });
        let trouble = Arc::new(Mutex::new(None));
        let mut tasks = JoinSet::new();
        let seen: Vec<Arc<Seen>> = (0..subscribers).map(|_| Arc::default()).collect();
        for (number, seen) in seen.iter().enumerate() {
            let (wish, seen, trouble) = (Arc::clone(&wish), Arc::clone(seen), Arc::clone(&trouble));
            tasks.spawn(async move {
                if let Err(error) = subscriber(&wish, number, &seen).await
                    && let Ok(mut trouble) = trouble.lock()
                {
                    trouble.get_or_insert(format!("subscriber {number}: {error}"));
                }
            });
        }
        let crowd = Self {
            seen,
            trouble,
            _tasks: tasks,
        };
        crowd.heard(writer.told(), super::PATIENCE).await?;
        // the first events were there before them
        crowd.take_times(writer);
        Ok(crowd)
    }

    /// Returns when all have seen the event of that number.
    pub(super) async fn heard(&self, seq: usize, patience: Duration) -> Outcome<()> {
        let deadline = Instant::now() + patience;
        let is_behind = |seen: &&Arc<Seen>| seen.last.load(Ordering::Relaxed) < seq;
        while self.seen.iter().any(|seen| is_behind(&seen)) {
            if let Some(trouble) = self.trouble.lock().ok().and_then(|trouble| trouble.clone()) {
                return Err(trouble.into());
            }
            if Instant::now() > deadline {
                let behind = self.seen.iter().filter(is_behind).count();
                return Err(
                    format!("{behind} subscribers have not seen event {seq} after {patience:?}").into(),
                );
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    /// Milliseconds from the commit to the receipt, by event, of what was received since the last call.
    pub(super) fn take_times(&self, writer: &Writer) -> BTreeMap<usize, Vec<f64>> {
        let mut all: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for seen in &self.seen {
            let times = seen.times.lock().map(|mut times| std::mem::take(&mut *times));
            for (seq, at) in times.unwrap_or_default() {
                if let Some(begun) = writer.begun(seq) {
                    let took = at.saturating_duration_since(begun).as_secs_f64() * 1e3;
                    all.entry(seq).or_default().push(took);
                }
            }
        }
        all
    }

    /// Lets one in so many reconnect, at random; answers how many.
    pub(super) fn disturb(&self, one_in: usize) -> usize {
        let chosen = self.seen.iter().filter(|_| rand::random_range(0..one_in) == 0);
        chosen.map(|seen| seen.disturbed.notify_one()).count()
    }

    /// That each saw all events up to this one, once: a gap or a repetition ended its task.
    pub(super) fn check(&self, told: usize) -> Outcome<()> {
        if let Some(trouble) = self.trouble.lock().ok().and_then(|trouble| trouble.clone()) {
            return Err(trouble.into());
        }
        match self
            .seen
            .iter()
            .find(|seen| seen.last.load(Ordering::Relaxed) != told)
        {
            Some(seen) => Err(format!("a subscriber saw {:?} of {told} events", seen.last).into()),
            None => Ok(()),
        }
    }
}

/// Watches for ever; when it is disturbed it drops its connection and goes on, by another, after the last it saw.
async fn subscriber(wish: &Wish, number: usize, seen: &Seen) -> Outcome<()> {
    loop {
        let mut socket = {
            let _opening = wish.opening.acquire().await?;
            subscribe(wish, number, seen.last.load(Ordering::Relaxed)).await?
        };
        let watched = async {
            loop {
                let seq = socket.next(seq_of).await?;
                let expected = seen.last.load(Ordering::Relaxed) + 1;
                if seq != expected {
                    return Outcome::<()>::Err(format!("event {seq} came where {expected} was due").into());
                }
                if let Ok(mut times) = seen.times.lock() {
                    times.push((seq, Instant::now()));
                }
                seen.last.store(seq, Ordering::Relaxed);
            }
        };
        tokio::select! {
            ended = watched => ended?,
            () = seen.disturbed.notified() => {}
        }
    }
}

async fn subscribe(wish: &Wish, number: usize, after: usize) -> Outcome<Socket> {
    let mut socket = Socket::connect(wish.port, number, &wish.token).await?;
    socket.send(r#"{"type":"connection_init"}"#).await?;
    socket
        .next(|text| {
            if text.contains("connection_ack") {
                Ok(())
            } else {
                Err(format!("no ack but {text}").into())
            }
        })
        .await?;
    let query = format!(
        r#"subscription{{taskEvents(taskId:\"{}\",after:{after}){{seq}}}}"#,
        wish.task
    );
    let subscription = format!(r#"{{"id":"1","type":"subscribe","payload":{{"query":"{query}"}}}}"#);
    socket.send(&subscription).await?;
    Ok(socket)
}

/// The number in a `next` message.
fn seq_of(text: &str) -> Outcome<usize> {
    let number = text.split_once("\"seq\":").map(|(_, rest)| rest);
    let digits = number.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next());
    match digits.map(str::parse) {
        Some(Ok(seq)) if text.contains("\"next\"") => Ok(seq),
        _ => Err(format!("no event but {}", text.chars().take(300).collect::<String>()).into()),
    }
}
