//! The `Cargo.toml` files, as far as tidy needs them: which crates each names.

use std::collections::BTreeSet;

use crate::tree;

/// One package or workspace and the crates it names directly.
pub(crate) struct Manifest {
    pub(crate) path: &'static str,
    /// With the section, `dev-dependencies` and the like.
    pub(crate) dependencies: Vec<(String, String)>,
}

impl Manifest {
    /// Whether the crate is named outside of tests.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.dependencies
            .iter()
            .any(|(section, dependency)| section != "dev-dependencies" && dependency == name)
    }
}

/// All of them, the roots too.
pub(crate) fn all() -> Vec<Manifest> {
    tree::files()
        .filter(|file| file.name() == "Cargo.toml")
        .map(|file| Manifest {
            path: &file.path,
            dependencies: dependencies(file.text()),
        })
        .collect()
}

/// Names in every `[…dependencies]` table; ours (`tamiz…`) too.
fn dependencies(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            // `[dependencies.name]` names one as well.
            if let Some((table, name)) = section.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                found.push((table.to_owned(), name.to_owned()));
            }
        } else if section.ends_with("dependencies")
            && let Some((key, _)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let name = key.split('.').next().unwrap_or(key).trim().trim_matches('"');
            found.push((section.clone(), name.to_owned()));
        }
    }
    found
}

/// The crates of others that any package names.
pub(crate) fn foreign() -> BTreeSet<String> {
    let members = all().into_iter().flat_map(|manifest| manifest.dependencies);
    members
        .filter(|(section, name)| section != "workspace.dependencies" && !name.starts_with("tamiz"))
        .map(|(_, name)| name)
        .collect()
}

#[test]
fn what_the_workspace_offers_is_used() {
    let used = foreign();
    let problems: Vec<String> = all()
        .into_iter()
        .flat_map(|manifest| {
            let unused = manifest.dependencies.into_iter().filter(|(section, name)| {
                section == "workspace.dependencies" && !name.starts_with("tamiz") && !used.contains(name)
            });
            unused
                .map(move |(_, name)| format!("{}: `{name}` is used by nobody", manifest.path))
                .collect::<Vec<_>>()
        })
        .collect();
    crate::check("a workspace dependency is used", &problems);
}

#[test]
fn dependencies_are_read_from_every_table() {
    let text = "[dependencies]\na.workspace = true\nb = \"1\"\n[dev-dependencies.c]\nversion = \"1\"\n[lints]\nx = 1";
    let names: Vec<String> = dependencies(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}
