//! The rules that scans use when a task brings none.
//!
//! Tools read files, so the bundled rules, which the binary carries, are written below the worker's
//! data folder; a file that differs (an older version, a change by hand) is replaced as a whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `rules/semgrep/tamiz.yml` of the source tree.
const SEMGREP: &str = include_str!("../../../../rules/semgrep/tamiz.yml");

/// The bundled semgrep rules as a file below `folder`, which is made if absent.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn bundled(folder: &Path) -> io::Result<PathBuf> {
    let rules = folder.join("rules").join("semgrep");
    let path = rules.join("tamiz.yml");
    if fs::read(&path).is_ok_and(|present| present == SEMGREP.as_bytes()) {
        return Ok(path);
    }
    fs::create_dir_all(&rules)?;
    // A reader sees the old rules or the new ones: several workers may share the folder.
    let mut draft = tempfile::NamedTempFile::new_in(&rules)?;
    draft.write_all(SEMGREP.as_bytes())?;
    draft.persist(&path)?;
    Ok(path)
}

/// The rules to scan with: the operator's (`TAMIZ_RULES`) if configured, else the bundled ones.
///
/// # Errors
/// When the operator's rules are not there, or the bundled ones cannot be written.
pub fn of_worker(configured: Option<&Path>, folder: &Path) -> io::Result<PathBuf> {
    match configured {
        Some(path) => fs::canonicalize(path),
        None => bundled(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_rules_are_written_once_and_mended() {
        let folder = tempfile::tempdir().expect("folder");
        let path = bundled(folder.path()).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("rules"), SEMGREP);
        fs::write(&path, "rules: []").expect("change");
        assert_eq!(bundled(folder.path()).expect("mended"), path);
        assert_eq!(fs::read_to_string(&path).expect("rules"), SEMGREP);
        assert_eq!(
            fs::read_dir(path.parent().expect("folder"))
                .expect("list")
                .count(),
            1
        );
    }

    #[test]
    fn configured_rules_must_be_there() {
        let folder = tempfile::tempdir().expect("folder");
        let refused = of_worker(Some(&folder.path().join("absent.yml")), folder.path());
        assert_eq!(refused.expect_err("absent").kind(), io::ErrorKind::NotFound);
    }
}
