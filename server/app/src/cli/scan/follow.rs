//! Watching a task to its end over a connection that may be cut.
//!
//! Every event has a sequence number; whoever comes back with the last one misses nothing. The task's
//! own status is asked whenever a stream ends, so a lost last event cannot make this wait for ever.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::super::CliError;
use super::client::Client;
use super::documents::{self, TASK_EVENTS};
use super::progress::Progress;
use super::sse::Events;

/// Streams in a row that brought nothing before this gives up. With the waits two minutes; some more
/// when nobody answers, for the question after each stream is tried for a quarter of a minute.
const BARREN_MAX: u32 = 15;
/// The wait before the next stream after one that brought nothing; doubles up to the longest.
const BACKOFF_MILLISECONDS: u64 = 250;
const BACKOFF_MILLISECONDS_MAX: u64 = 10_000;
/// The server sends something, if only a comment, more often than this; silence means a dead line.
const SILENCE_SECONDS_MAX: u64 = 60;

/// Where an answer has the code of its first error.
const ERROR_CODE: &str = "/errors/0/extensions/code";
/// The code of a stream that was not read in time.
const SLOW_CONSUMER: &str = "SLOW_CONSUMER";

/// How one stream ended.
enum Ended {
    /// the task is done
    Final,
    /// cut or complete, after so many events
    Cut { events: u32 },
}

/// Shows the task's progress until nothing more happens to it.
pub(super) async fn to_the_end(client: &Client, task: &str, progress: &Progress) -> Result<(), CliError> {
    let mut after: Option<i64> = None;
    let mut barren = 0;
    loop {
        let mut problem = match watch(client, task, &mut after, progress).await {
            Ok(Ended::Final) => return Ok(()),
            Ok(Ended::Cut { events }) => {
                barren = if events > 0 { 0 } else { barren + 1 };
                None
            }
            Err(error @ CliError::Unavailable(_)) => Some(error),
            Err(error) => return Err(error),
        };
        barren += u32::from(problem.is_some());
        let doubled = BACKOFF_MILLISECONDS << barren.min(10);
        tokio::time::sleep(Duration::from_millis(doubled.min(BACKOFF_MILLISECONDS_MAX))).await;
        match documents::task_status(client, task).await {
            Ok(status) if documents::is_final(&status) => return Ok(()),
            Ok(_) => {}
            // a server that is away for a while still has the task when it is back
            Err(error @ CliError::Unavailable(_)) => {
                barren += 1;
                problem = Some(error);
            }
            Err(error) => return Err(error),
        }
        if barren > BARREN_MAX {
            let text = "the server sends no events of the task";
            return Err(problem.unwrap_or_else(|| CliError::Unavailable(text.to_owned())));
        }
    }
}

async fn watch(
    client: &Client,
    task: &str,
    after: &mut Option<i64>,
    progress: &Progress,
) -> Result<Ended, CliError> {
    let response = client
        .subscribe(TASK_EVENTS, json!({ "id": task, "after": *after }))
        .await?;
    let mut pieces = response.bytes_stream();
    let mut events = Events::default();
    let mut count = 0;
    let silence = Duration::from_secs(SILENCE_SECONDS_MAX);
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(silence, pieces.next()).await {
        for event in events.feed(&piece).map_err(|error| CliError::failed(&error))? {
            match event.name.as_str() {
                "next" => {
                    let message: Value =
                        serde_json::from_str(&event.data).map_err(|error| CliError::failed(&error))?;
                    // this program was stopped for a while, and the rest is there when it comes back
                    if message
                        .pointer(ERROR_CODE)
                        .is_some_and(|code| code == SLOW_CONSUMER)
                    {
                        return Ok(Ended::Cut { events: count });
                    }
                    let event = documents::event_of(message)?;
                    if after.is_some_and(|last| event.seq <= last) {
                        continue;
                    }
                    *after = Some(event.seq);
                    count += 1;
                    progress.show(&event);
                    if documents::is_final(&event.status) {
                        return Ok(Ended::Final);
                    }
                }
                "complete" => return Ok(Ended::Cut { events: count }),
                _ => {}
            }
        }
    }
    Ok(Ended::Cut { events: count })
}
