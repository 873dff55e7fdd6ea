//! Finding the server programs of PostgreSQL 15 or newer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::EmbeddedError;

/// The oldest release whose features the migrations use.
const MAJOR_MIN: u32 = 15;

/// Asking a program for its version takes milliseconds; one that hangs is broken.
const VERSION_SECONDS_MAX: u64 = 10;

/// A folder with the server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Finds the programs: `TAMIZ_PG_BINDIR` and nothing else when it is set, else `pg_config --bindir`,
/// `PATH` and the folders distributions use. An existing cluster needs the release that made it.
pub(super) async fn find(needed: Option<u32>) -> Result<Binaries, EmbeddedError> {
    let named = std::env::var_os("TAMIZ_PG_BINDIR")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let candidates = match &named {
        Some(dir) => vec![dir.clone()],
        None => candidates().await,
    };
    let mut seen: Vec<Binaries> = Vec::new();
    for dir in candidates {
        if seen.iter().any(|binaries| binaries.dir == dir) {
            continue;
        }
        let Some(major) = major_in(&dir).await else {
            continue;
        };
        let binaries = Binaries { dir, major };
        if major >= MAJOR_MIN && needed.is_none_or(|needed| needed == major) {
            return Ok(binaries);
        }
        seen.push(binaries);
    }
    Err(EmbeddedError::Binaries(advice(named.as_deref(), needed, &seen)))
}

fn advice(named: Option<&Path>, needed: Option<u32>, seen: &[Binaries]) -> String {
    if let Some(dir) = named {
        let wanted = needed.map_or(format!("{MAJOR_MIN} or newer"), |major| major.to_string());
        return format!(
            "TAMIZ_PG_BINDIR={} does not hold the programs `postgres` and `initdb` of PostgreSQL {wanted}",
            dir.display()
        );
    }
    if let Some(needed) = needed {
        return format!(
            "the data folder was made by PostgreSQL {needed}, which is not installed: \
             `apt-get install postgresql-{needed}` (or set TAMIZ_PG_BINDIR or DATABASE_URL)"
        );
    }
    let old: Vec<String> = seen.iter().map(|binaries| binaries.major.to_string()).collect();
    let found = if old.is_empty() {
        String::new()
    } else {
        format!(" (found only {})", old.join(", "))
    };
    format!(
        "PostgreSQL {MAJOR_MIN} or newer is not installed{found}: `apt-get install postgresql` on Debian or \
         Ubuntu, `dnf install postgresql-server` on Fedora (or set TAMIZ_PG_BINDIR or DATABASE_URL)"
    )
}

async fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(text) = output_of(Path::new("pg_config"), "--bindir").await {
        dirs.push(PathBuf::from(text.trim()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    dirs.extend(std::env::split_paths(&path).filter(|dir| dir.is_absolute()));
    dirs.extend(versioned("/usr/lib/postgresql", "", "bin"));
    dirs.extend(versioned("/usr", "pgsql-", "bin"));
    dirs.push(PathBuf::from("/usr/local/pgsql/bin"));
    dirs
}

/// `<parent>/<prefix><number>/<leaf>`, highest number first.
fn versioned(parent: &str, prefix: &str, leaf: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join(leaf)))
        })
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The release of the server programs in a folder, if both are there.
async fn major_in(dir: &Path) -> Option<u32> {
    if !dir.join("initdb").is_file() || !dir.join("postgres").is_file() {
        return None;
    }
    parse_major(&output_of(&dir.join("postgres"), "--version").await?)
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` and `postgres (PostgreSQL) 18beta1`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits = version
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

async fn output_of(program: &Path, argument: &str) -> Option<String> {
    let mut command = Command::new(program);
    command
        .arg(argument)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(VERSION_SECONDS_MAX), command.output()).await;
    let output = output.ok()?.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_every_spelling() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("postgres"), None);
    }

    #[test]
    fn what_is_missing_is_said_in_one_line_with_what_to_install() {
        let old = [Binaries {
            dir: PathBuf::from("/old"),
            major: 13,
        }];
        let text = advice(None, None, &old);
        assert!(
            text.contains("found only 13") && text.contains("apt-get install postgresql"),
            "{text}"
        );
        assert!(advice(None, Some(16), &old).contains("postgresql-16"));
        assert!(advice(Some(Path::new("/x")), None, &[]).contains("TAMIZ_PG_BINDIR=/x"));
        assert!(!text.contains('\n'));
    }
}
