//! A database whose statements wait until the test lets them go on.

use std::io::Write as _;
use std::time::Duration;

use crate::api::test_tenant::Platform;

/// A lock on a table, held by a client of its own, so that whatever reads it waits.
pub(super) struct SlowDatabase {
    holder: std::process::Child,
    url: String,
}

/// A machine under load takes a while.
const NOTICED: Duration = Duration::from_mins(1);

impl SlowDatabase {
    pub(super) async fn lock(platform: &Platform, table: &str) -> Self {
        let mut child = std::process::Command::new("psql")
            .args(["-qX", &platform.url()])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // it holds the lock until its input ends
        let lock = format!("begin;\nlock table {table} in access exclusive mode;\n");
        child.stdin.as_mut().unwrap().write_all(lock.as_bytes()).unwrap();
        let slow = Self {
            holder: child,
            url: platform.url(),
        };
        let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
                    and relation = '{table}'::regclass
                    and database = (select oid from pg_database where datname = current_database())";
        slow.until(&held.replace("{table}", table), 1).await;
        slow
    }

    /// Waits until so many statements of requests wait for the lock.
    pub(super) async fn until_waiting(&self, count: i64) {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                       and usename = 'tamiz_app' and wait_event_type = 'Lock'";
        self.until(waiting, count).await;
    }

    async fn until(&self, question: &str, count: i64) {
        let deadline = tokio::time::Instant::now() + NOTICED;
        while self.count(question) != count {
            let is_late = tokio::time::Instant::now() >= deadline;
            assert!(!is_late, "never {count}: {question}\n{}", self.activity());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One number out of the database.
    fn count(&self, question: &str) -> i64 {
        self.said(question).trim().parse().unwrap()
    }

    /// What the database does right now, for who reads of a test that failed.
    fn activity(&self) -> String {
        self.said(
            "select pid, usename, state, wait_event_type, pg_blocking_pids(pid), query
             from pg_stat_activity where datname = current_database()",
        )
    }

    fn said(&self, question: &str) -> String {
        let said = std::process::Command::new("psql")
            .args(["-qXtA", &self.url, "-c", question])
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    pub(super) fn release(self) {
        drop(self);
    }
}

impl Drop for SlowDatabase {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
