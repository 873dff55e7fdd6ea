//! What processes used, by `/proc`, and what Postgres was asked, by its log.

use std::path::{Path, PathBuf};

use super::contender::ROLE;
use crate::Outcome;
use crate::stand::{Stand, psql};

/// Seconds of a tick: `USER_HZ` is 100 wherever Linux runs.
const TICK_SECONDS: f64 = 0.01;

/// CPU seconds of a process and its children that are over.
fn of_process(pid: u32) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the name may hold blanks and brackets; what follows the last bracket does not
    let rest = text.rsplit_once(')').ok_or("no name in stat")?.1;
    let ticks = rest.split_whitespace().skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? * TICK_SECONDS)
}

/// The process of this one's parent.
fn parent_of(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(')')?.1;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// CPU seconds so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    pub(super) server: f64,
    pub(super) postgres: f64,
}

impl Cpu {
    /// Of that server, if there is one, and of the cluster: the postmaster, its children that are over, and those that
    /// are not.
    pub(super) fn now(server: Option<u32>, stand: &Stand) -> Outcome<Self> {
        let postmaster = postmaster(stand)?;
        let mut postgres = of_process(postmaster)?;
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if parent_of(pid) == Some(postmaster) {
                // one that ended meanwhile is in its parent's count next time
                postgres += of_process(pid).unwrap_or(0.0);
            }
        }
        let server = server.map_or(Ok(0.0), of_process)?;
        Ok(Self { server, postgres })
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            server: self.server - before.server,
            postgres: self.postgres - before.postgres,
        }
    }
}

fn cluster(stand: &Stand) -> Outcome<PathBuf> {
    Ok(psql(&stand.database_url, "show data_directory")?.into())
}

fn postmaster(stand: &Stand) -> Outcome<u32> {
    let text = std::fs::read_to_string(stand.folder.path().join("postgres/postgres/postmaster.pid"))
        .or_else(|_| std::fs::read_to_string(cluster(stand).unwrap_or_default().join("postmaster.pid")))?;
    Ok(text.lines().next().ok_or("no postmaster")?.parse()?)
}

/// Peak of the resident set, and what it holds now without what others share, in MB.
pub(super) fn memory_mb(pid: u32) -> Outcome<(f64, f64)> {
    let field = |file: &str, name: &str| -> Outcome<f64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(number.ok_or("no such field")?.parse::<f64>()? * 1024.0 / 1e6)
    };
    Ok((field("status", "VmHWM:")?, field("smaps_rollup", "Pss:")?))
}

/// What Postgres logs of the application's role while this lives.
pub(super) struct Log<'a> {
    stand: &'a Stand,
    path: PathBuf,
}

/// Statements that read, and those that begin, end and set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statements {
    pub(super) read: usize,
    pub(super) control: usize,
}

impl<'a> Log<'a> {
    /// Connections that are there go; those made from now on are logged.
    pub(super) fn start(stand: &'a Stand) -> Outcome<Self> {
        let path = stand.folder.path().join("postgres/postgres.log");
        let log = Self { stand, path };
        log.set("all")?;
        Ok(log)
    }

    fn set(&self, which: &str) -> Outcome<()> {
        for statement in [
            &*format!("alter role {ROLE} set log_statement = '{which}'"),
            &*format!("alter role {ROLE} set log_parameter_max_length = 0"),
            &*format!(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{ROLE}'"
            ),
        ] {
            psql(&self.stand.database_url, statement)?;
        }
        Ok(())
    }

    pub(super) fn so_far(&self) -> Outcome<Statements> {
        count(&self.path)
    }

    pub(super) fn end(self) -> Outcome<()> {
        self.set("none")
    }
}

fn count(log: &Path) -> Outcome<Statements> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let mut counted = Statements { read: 0, control: 0 };
    for line in text.lines() {
        let Some(statement) = statement_of(line) else {
            continue;
        };
        if is_control(statement) {
            counted.control += 1;
        } else {
            counted.read += 1;
        }
    }
    Ok(counted)
}

/// What follows `statement: ` or `execute NAME: ` in a line of the log.
fn statement_of(line: &str) -> Option<&str> {
    let simple = line.split_once("statement: ").map(|(_, text)| text);
    let prepared = || {
        let (_, rest) = line.split_once(" execute ")?;
        Some(rest.split_once(": ")?.1)
    };
    simple.or_else(prepared)
}

fn is_control(statement: &str) -> bool {
    let text = statement.trim_start().to_ascii_lowercase();
    [
        "begin",
        "commit",
        "rollback",
        "set ",
        "start transaction",
        "select set_config",
    ]
    .iter()
    .any(|word| text.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_from_what_surrounds_them() {
        let lines = [
            ("LOG:  statement: begin; set local tamiz.tenant_id = 'x'", true),
            (
                "LOG:  execute <unnamed>: select set_config(el->>0, el->>1, true) from x",
                true,
            ),
            ("LOG:  execute findings: select f.task_id", false),
            ("LOG:  statement: COMMIT", true),
        ];
        for (line, control) in lines {
            assert_eq!(statement_of(line).map(is_control), Some(control), "{line}");
        }
        assert_eq!(statement_of("LOG:  checkpoint starting: time"), None);
    }
}
