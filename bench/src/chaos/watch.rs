//! Looks at the queue many times a second: are all limits held, in every snapshot?
//!
//! One statement is one snapshot. It is asked past the breaking line, by the superuser.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::Outcome;

/// Between two looks, in psql's words.
const LOOK_PAUSE: &str = "\\watch 0.05";
/// Before a database that restarts is asked again.
const AGAIN_PAUSE: Duration = Duration::from_millis(50);
/// Of violations that are kept; the first ones tell enough.
const KEPT_MAX: usize = 50;

/// Every limit beside what counts against it: the counters of the lanes and the leased tickets.
const SNAPSHOT: &str = "
    with limits as (
        select tenant_id, null as scan_type, running_max as most from control.share
        union all
        select s.tenant_id, m.key, m.value::int from control.share s cross join jsonb_each_text(s.type_max) m),
    lanes as (select tenant_id, scan_type, sum(running)::int8 as n from control.lane group by 1, 2),
    tickets as (select tenant_id, scan_type, count(*) as n from control.ticket where state = 1 group by 1, 2)
    select t.name, l.scan_type, l.most,
           (select coalesce(sum(n), 0)::int8 from lanes x
            where x.tenant_id = l.tenant_id and (l.scan_type is null or x.scan_type = l.scan_type)) as counted,
           (select coalesce(sum(n), 0)::int8 from tickets x
            where x.tenant_id = l.tenant_id and (l.scan_type is null or x.scan_type = l.scan_type)) as leased,
           (select count(*) from control.ticket) as unfinished
    from limits l join control.tenant t on t.id = l.tenant_id";

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    scan_type: Option<String>,
    most: Option<i32>,
    counted: i64,
    leased: i64,
    unfinished: u64,
}

/// What was seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) looks: u64,
    pub(crate) violations: Vec<String>,
    /// Looks in which a limit was reached: without any, the run proves nothing about it.
    pub(crate) at_limit: BTreeMap<String, u64>,
}

/// Looks for as long as it lives.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    unfinished: Arc<AtomicU64>,
    looking: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(url: &str) -> Self {
        let (seen, unfinished) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicU64>::default());
        let looking = tokio::spawn(look_on(url.to_owned(), seen.clone(), unfinished.clone()));
        Self {
            seen,
            unfinished,
            looking,
        }
    }

    /// Tickets of the last look.
    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    pub(crate) fn seen(&self) -> Seen {
        // no code panics while it holds the lock
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look_on(url: String, seen: Arc<Mutex<Seen>>, unfinished: Arc<AtomicU64>) {
    // ends with its task
    loop {
        // it restarts, or this look came at its end
        let _ = look(&url, &seen, &unfinished).await;
        tokio::time::sleep(AGAIN_PAUSE).await;
    }
}

/// Looks until the database goes away.
async fn look(url: &str, seen: &Mutex<Seen>, unfinished: &AtomicU64) -> Outcome<()> {
    let mut asking = Command::new("psql")
        .args(["-qXtA", "-v", "ON_ERROR_STOP=1", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut questions = asking.stdin.take().ok_or("no stdin")?;
    let answers = asking.stdout.take().ok_or("no stdout")?;
    let statement = SNAPSHOT.replace('\n', " ");
    let question = format!("select jsonb_agg(s) from ({statement}) s {LOOK_PAUSE}\n");
    questions.write_all(question.as_bytes()).await?;
    let mut answers = BufReader::new(answers).lines();
    // one line each, as jsonb breaks none
    while let Some(line) = answers.next_line().await? {
        let rows: Vec<Row> = serde_json::from_str(&line)?;
        if let Some(row) = rows.first() {
            unfinished.store(row.unfinished, Ordering::Relaxed);
        }
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looks += 1;
        for row in rows {
            seen.take(&row);
        }
    }
    Ok(())
}

impl Seen {
    fn take(&mut self, row: &Row) {
        let what = row.scan_type.as_deref().unwrap_or("all");
        let most = row.most.map(i64::from);
        if most == Some(row.leased) {
            *self.at_limit.entry(format!("{} {what}", row.name)).or_default() += 1;
        }
        let over = most.is_some_and(|most| row.leased > most || row.counted > most);
        if (over || row.counted != row.leased) && self.violations.len() < KEPT_MAX {
            self.violations.push(format!(
                "look {}: {} {what}: {} leased, {} counted, at most {most:?}",
                self.looks, row.name, row.leased, row.counted
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_its_limit_or_counted_wrongly_is_a_violation() {
        let mut seen = Seen::default();
        for (most, counted, leased) in [(Some(2), 2, 2), (Some(2), 3, 3), (None, 9, 9), (None, 9, 8)] {
            let (name, scan_type) = ("acme".to_owned(), None);
            seen.take(&Row {
                name,
                scan_type,
                most,
                counted,
                leased,
                unfinished: 0,
            });
        }
        assert_eq!(seen.violations.len(), 2, "{:?}", seen.violations);
        assert_eq!(seen.at_limit["acme all"], 1);
    }
}
