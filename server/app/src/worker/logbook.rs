//! What a worker says of a task while it works on it, for the task's owner: in batches, never waited for.
//!
//! A log is worth less than the work: lines that the server does not take are tried once more and then left out.
//! Words for the owner only; what went wrong inside this machine or the database is in the operator's log.
//!
//! Not here: how much a task may have, and the fence (`tamiz_store::worker_log`); what watchers hear (`reporter`).

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use tamiz_core::summary::Summary;
use tamiz_core::{Diagnostic, LogLevel};
use tamiz_store::worker_log::{LINES_AT_ONCE_MAX, LineLevel, NewLine, Written};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::desk::TaskDesk;

/// Lines are gathered this long: each batch is a transaction, and nobody reads along line by line.
const BATCH_PAUSE: Duration = Duration::from_secs(2);
/// Lines that may wait for the server; what comes beyond is left out and counted.
const WAITING_MAX: usize = 1_000;
/// What stands for a secret.
const MASK: &str = "***";
/// Parts of names behind which secrets stand.
const SECRET_NAMES: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "authorization",
];

struct Said {
    level: LineLevel,
    message: String,
    at: Instant,
}

/// The attempt's pen. Never waits.
#[derive(Debug, Clone)]
pub(crate) struct Logbook {
    lines: mpsc::Sender<Said>,
}

impl Logbook {
    /// Starts the writing side. It ends when the last clone is dropped and its lines are handed in.
    pub(crate) fn start(desk: TaskDesk) -> (Self, JoinHandle<()>) {
        let (lines, queue) = mpsc::channel(WAITING_MAX);
        (Self { lines }, tokio::spawn(write_all(desk, queue)))
    }

    /// A step.
    pub(crate) fn info(&self, message: impl AsRef<str>) {
        self.say(LineLevel::Info, message.as_ref());
    }

    /// The first line of an attempt.
    pub(crate) fn begins(&self, attempt: i32, limit: Duration) {
        self.info(format!("attempt {attempt} begins, {} s at most", limit.as_secs()));
    }

    /// What happened before the report was read.
    pub(crate) fn diagnostics(&self, notes: &[Diagnostic]) {
        for note in notes {
            let level = match note.level {
                LogLevel::Error => LineLevel::Error,
                LogLevel::Warn => LineLevel::Warn,
                LogLevel::Info | LogLevel::Debug => LineLevel::Info,
            };
            self.say(level, &format!("{}: {}", note.code, note.message));
        }
    }

    /// What the plugin read, and how much it remarked on; its remarks are in the result.
    pub(crate) fn summary(&self, summary: &Summary) {
        let of_level = |level| {
            let remarks = summary.diagnostics.iter();
            remarks.filter(|remark| remark.level == level).count()
        };
        let plugin = summary.plugin.as_ref();
        let plugin = plugin.map_or_else(String::new, |plugin| {
            format!("{} {} ", plugin.name, plugin.version)
        });
        self.info(format!(
            "{plugin}read {} records: {} findings, {} occurrences, {} records skipped; it remarked {} errors, \
             {} warnings, {} more",
            summary.records,
            summary.findings,
            summary.occurrences,
            summary.skipped,
            of_level(LogLevel::Error),
            of_level(LogLevel::Warn),
            summary.diagnostics_dropped
        ));
    }

    /// The same with a level that is known at run time.
    pub(crate) fn say(&self, level: LineLevel, message: &str) {
        let said = Said {
            level,
            message: redacted(message),
            at: Instant::now(),
        };
        if self.lines.try_send(said).is_err() {
            // the writing side is behind, or the log is full
            metrics::counter!("tamiz_worker_log_lines_total", "end" => "left_out").increment(1);
        }
    }
}

async fn write_all(desk: TaskDesk, mut queue: mpsc::Receiver<Said>) {
    let mut waiting: Vec<Said> = Vec::new();
    while let Some(first) = queue.recv().await {
        waiting.push(first);
        let due = Instant::now() + BATCH_PAUSE;
        let mut is_open = true;
        while is_open && waiting.len() < LINES_AT_ONCE_MAX {
            tokio::select! {
                biased;
                next = queue.recv() => match next {
                    Some(said) => waiting.push(said),
                    None => is_open = false,
                },
                () = sleep_until(due) => break,
            }
        }
        if !hand_in(&desk, &mut waiting).await {
            return;
        }
    }
    if !waiting.is_empty() {
        // the last try; nobody waits for more
        hand_in(&desk, &mut waiting).await;
    }
}

/// `false` when no more lines are taken. Lines that the server did not take stay, but not more than one batch.
async fn hand_in(desk: &TaskDesk, waiting: &mut Vec<Said>) -> bool {
    let now = Instant::now();
    let lines: Vec<NewLine> = waiting
        .iter()
        .map(|said| NewLine {
            level: said.level,
            message: said.message.clone(),
            age: now.saturating_duration_since(said.at),
        })
        .take(LINES_AT_ONCE_MAX)
        .collect();
    let (end, goes_on) = match desk.log(&lines).await {
        Ok(Written::All) => ("written", true),
        Ok(Written::Full) => ("left_out", false),
        Ok(Written::Late) => ("late", false),
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "a task's log was not kept");
            let over = waiting.len().saturating_sub(LINES_AT_ONCE_MAX / 2);
            waiting.drain(..over);
            return true;
        }
    };
    metrics::counter!("tamiz_worker_log_lines_total", "end" => end).increment(lines.len() as u64);
    waiting.clear();
    goes_on
}

/// A command line as a person would type it, without what only the caller may know.
pub(crate) fn command_line(program: &str, args: &[String]) -> String {
    let mut line = program.to_owned();
    let mut hides_next = false;
    for arg in args {
        line.push(' ');
        if hides_next && !arg.starts_with('-') {
            line.push_str(MASK);
            hides_next = false;
            continue;
        }
        hides_next = arg.starts_with('-') && !arg.contains('=') && names_secret(arg);
        let word = redacted_word(arg);
        let is_plain =
            !word.is_empty() && !word.contains(|letter: char| letter.is_whitespace() || letter == '\'');
        if is_plain {
            line.push_str(&word);
        } else {
            let _ = write!(line, "'{}'", word.replace('\'', r"'\''"));
        }
    }
    line
}

/// The passwords of URLs, and values behind names that say what they are, are masked.
fn redacted(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    words.map(redacted_word).collect()
}

fn redacted_word(word: &str) -> String {
    if let Some((name, value)) = word.split_once('=')
        && names_secret(name)
        && !value.trim_end().is_empty()
    {
        let blank = &value[value.trim_end().len()..];
        return format!("{name}={MASK}{blank}");
    }
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let name = user.split(':').next().unwrap_or_default();
            let path = &rest[authority.len()..];
            format!("{scheme}://{name}:{MASK}@{host}{path}")
        }
        _ => word.to_owned(),
    }
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_get_into_the_log() {
        for (said, kept) in [
            (
                "calling http://u:hunter2@shop.example/a b",
                "calling http://u:***@shop.example/a b",
            ),
            ("http://u@shop.example/?a=b", "http://u@shop.example/?a=b"),
            (
                "--api-key=hunter2 and PASSWORD=hunter2\nend",
                "--api-key=*** and PASSWORD=***\nend",
            ),
            ("done, 12 findings", "done, 12 findings"),
        ] {
            assert_eq!(redacted(said), kept);
        }
        let args = ["--auth-token", "hunter2", "-o", "a b", "--password=x", "it's", ""].map(str::to_owned);
        assert_eq!(
            command_line("nuclei", &args),
            r"nuclei --auth-token *** -o 'a b' --password=*** 'it'\''s' ''"
        );
    }
}
