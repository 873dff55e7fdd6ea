//! The embedded Postgres against a real one: everything a crash can do to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::Instant;

use super::cluster::{Cluster, lock};
use super::server::Server;
use super::{EmbeddedError, EmbeddedPostgres, binaries, leftovers};

/// A start with `initdb` on a busy machine.
const WAIT: Duration = Duration::from_mins(2);
const GRACE: Duration = Duration::from_secs(20);

async fn sql(url: &str, statement: &str) -> Result<String, String> {
    let program = binaries::find(None).await.unwrap().program("psql");
    let output = Command::new(program)
        .args(["-XAtq", url, "-c", statement])
        .output()
        .await
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

async fn start(data_dir: &Path) -> EmbeddedPostgres {
    tokio::time::timeout(WAIT, EmbeddedPostgres::start(data_dir))
        .await
        .unwrap()
        .unwrap()
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_written_survives_the_death_of_every_process_and_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = start(folder.path()).await;
    let url = postgres.url().to_owned();
    sql(&url, "create table kept as select generate_series(1, 100) as id")
        .await
        .unwrap();

    // Everything dies at once, the supervisor brings it back.
    let first = postgres.pid().unwrap();
    for member in leftovers::members(&folder.path().join("postgres")).unwrap() {
        member.signal(Signal::KILL);
    }
    until("a new start", || postgres.pid().is_some_and(|pid| pid != first)).await;
    assert_eq!(sql(&url, "select count(*) from kept").await.unwrap(), "100");

    // The postmaster alone dies while a backend is busy.
    let second = postgres.pid().unwrap();
    let busy = tokio::spawn({
        let url = url.clone();
        async move { sql(&url, "insert into kept values (101); select pg_sleep(600)").await }
    });
    let query =
        "select count(*) from pg_stat_activity where query like '%pg_sleep(600)' and pid <> pg_backend_pid()";
    let deadline = Instant::now() + WAIT;
    while sql(&url, query).await.unwrap() != "1" {
        assert!(Instant::now() < deadline);
    }
    kill(second);
    until("another start", || {
        postgres.pid().is_some_and(|pid| pid != second)
    })
    .await;
    assert!(busy.await.unwrap().is_err());
    assert_eq!(sql(&url, "select count(*) from kept").await.unwrap(), "100");

    tokio::select! {
        error = postgres.failed() => panic!("{error}"),
        () = std::future::ready(()) => {}
    }
    let last = postgres.pid().unwrap();
    postgres.stop(GRACE).await;
    assert!(!Path::new("/proc").join(last.to_string()).exists());
    assert!(!folder.path().join("postgres/postmaster.pid").exists());

    let again = start(folder.path()).await;
    assert_eq!(
        sql(again.url(), "select count(*) from kept").await.unwrap(),
        "100"
    );
    again.stop(GRACE).await;
}

#[tokio::test]
async fn a_postgres_that_outlived_its_server_is_ended_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let held = lock(folder.path()).await.unwrap();
    let cluster = Cluster::open(folder.path()).await.unwrap();
    let orphan = Server::launch(&cluster).await.unwrap();
    sql(
        &cluster.url(),
        "create table kept (id int); insert into kept values (1)",
    )
    .await
    .unwrap();
    let pid = orphan.pid().unwrap();
    // As after a SIGKILL of its owner: nobody stops it, nobody holds the lock.
    std::mem::forget(orphan);
    drop(held);

    let postgres = start(folder.path()).await;
    assert_ne!(postgres.pid(), Some(pid));
    assert_eq!(
        sql(postgres.url(), "select count(*) from kept").await.unwrap(),
        "1"
    );
    postgres.stop(GRACE).await;
}

#[tokio::test]
async fn a_stale_pid_file_harms_neither_us_nor_the_process_that_has_the_pid_now() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).await.stop(GRACE).await;
    let cluster = folder.path().join("postgres");
    // Even one that works in the same folder is no Postgres.
    let mut stranger = Command::new("sleep")
        .arg("600")
        .current_dir(&cluster)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = stranger.id().unwrap();
    let lines = format!("{pid}\n/proc/self/fd/0\n1\n5432\n.\n\n 1 1\nready   \n");
    std::fs::write(cluster.join("postmaster.pid"), lines).unwrap();
    std::fs::write(cluster.join(".s.PGSQL.5432.lock"), format!("{pid}\n")).unwrap();

    let postgres = start(folder.path()).await;
    assert_eq!(sql(postgres.url(), "select 1").await.unwrap(), "1");
    assert!(stranger.try_wait().unwrap().is_none());
    postgres.stop(GRACE).await;
    stranger.kill().await.unwrap();
}

#[tokio::test]
async fn a_second_start_on_the_same_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await;
    let error = EmbeddedPostgres::start(folder.path()).await.unwrap_err();
    assert!(
        matches!(&error, EmbeddedError::InUse { holder, .. } if *holder == std::process::id().to_string())
    );
    assert_eq!(sql(postgres.url(), "select 1").await.unwrap(), "1");
    let shared = EmbeddedPostgres::running(folder.path()).await.unwrap();
    assert_eq!(shared.as_deref(), Some(postgres.url()));
    postgres.stop(GRACE).await;
    assert_eq!(EmbeddedPostgres::running(folder.path()).await.unwrap(), None);
}

#[tokio::test]
async fn a_long_and_odd_path_gets_a_short_socket() {
    let folder = tempfile::tempdir().unwrap();
    let deep: PathBuf = folder.path().join("with space & ünicode").join("d".repeat(100));
    let postgres = start(&deep).await;
    assert!(postgres.url().contains("tamiz-pg-"), "{}", postgres.url());
    assert_eq!(sql(postgres.url(), "show listen_addresses").await.unwrap(), "");
    let socket_dir = Cluster::open(&deep).await.unwrap().socket_dir;
    postgres.stop(GRACE).await;
    std::fs::remove_dir_all(socket_dir).unwrap();
}

#[tokio::test]
async fn a_cluster_that_was_half_made_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("postgres.new/base")).unwrap();
    let postgres = start(folder.path()).await;
    assert_eq!(sql(postgres.url(), "show data_checksums").await.unwrap(), "on");
    assert_eq!(
        sql(postgres.url(), "select current_user || ' ' || current_database()")
            .await
            .unwrap(),
        "tamiz_admin tamiz"
    );
    postgres.stop(GRACE).await;
}
