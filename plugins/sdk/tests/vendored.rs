//! A copy of this crate stands alone in a plugin's own project: nothing of its manifest is inherited, and
//! what is written out instead says what the workspace says.

#![expect(clippy::expect_used, reason = "a test's own code")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The lines of each table of a manifest, without comments.
fn tables(manifest: &str) -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
    let text = fs::read_to_string(&path).expect(manifest);
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.starts_with('[') {
            line.clone_into(&mut table);
        } else {
            tables.entry(table.clone()).or_default().push(line.to_owned());
        }
    }
    tables
}

#[test]
fn the_manifest_inherits_nothing_and_says_what_the_workspace_says() {
    let (own, workspace) = (tables("Cargo.toml"), tables("../Cargo.toml"));
    for lines in own.values() {
        assert!(lines.iter().all(|line| !line.contains("workspace")), "{lines:?}");
    }
    for lint in ["rust", "clippy"] {
        assert_eq!(
            own[&format!("[lints.{lint}]")],
            workspace[&format!("[workspace.lints.{lint}]")]
        );
    }
    let package = &own["[package]"];
    for line in &workspace["[workspace.package]"] {
        assert!(package.contains(line), "{line}");
    }
    for line in own["[dependencies]"].iter().chain(&own["[dev-dependencies]"]) {
        let line = line.replace(", optional = true", "");
        assert!(workspace["[workspace.dependencies]"].contains(&line), "{line}");
    }
}

/// What is compiled is the frozen world, wherever the crate lies.
#[test]
fn the_interface_is_that_of_the_repository() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    assert_eq!(read("wit/scanner.wit"), read("../../wit/v1/scanner.wit"));
}
