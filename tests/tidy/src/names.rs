//! Names that say nothing, and places that are no business of a committed file.

use crate::{check, exceptions, tree};

/// Module and folder names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// Folders of one machine, and hosts of package registries: both would be wrong elsewhere.
const PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tm", "p/w/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", "."),
    concat!("deb.", "debian"),
    concat!("proxy.golang", ".org"),
];

#[test]
fn no_module_has_an_empty_name() {
    let mut problems = Vec::new();
    for file in tree::files().filter(|file| !is_data(&file.path)) {
        for part in file.path.split('/') {
            let stem = part.split('.').next().unwrap_or(part);
            let empty = EMPTY_NAMES.contains(&stem)
                || stem.ends_with("_manager")
                || stem.ends_with("_utils")
                || stem.ends_with("_helpers")
                || stem.starts_with("new_")
                || stem.starts_with("v2_");
            if empty {
                problems.push(file.path.clone());
            }
        }
    }
    check("a name says what is inside", &problems);
}

#[test]
fn no_file_names_this_machine_or_a_registry() {
    let mut problems = Vec::new();
    for file in tree::files().filter(|file| !is_data(&file.path) && file.extension() != "lock") {
        let excepted = exceptions::PLACES.iter().any(|(path, _)| *path == file.path);
        for (number, line) in file.text().lines().enumerate() {
            for place in PLACES.iter().filter(|place| line.contains(**place)) {
                if !excepted {
                    problems.push(format!("{}:{}: {place}", file.path, number + 1));
                }
            }
        }
    }
    check(
        "no committed file names a machine's folder or a registry's host",
        &problems,
    );
}

/// What tools and other people wrote is kept as it is.
fn is_data(path: &str) -> bool {
    let folders = [
        "plugins/codeaudit/cases/",
        "tests/fixtures/",
        "demo/",
        "server/app/assets/",
        "server/store/.sqlx/",
    ];
    folders.iter().any(|folder| path.starts_with(folder))
}
