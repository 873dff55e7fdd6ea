//! The fences between crates: who may depend on whom, and who alone names a big dependency.

use crate::manifests::{self, Manifest};
use crate::rust_text::{code_only, line_of, words};
use crate::{check, tree};

/// Crates of ours that a package may name; packages that are not listed may name any.
const ALLOWED: &[(&str, &[&str])] = &[
    ("server/core/Cargo.toml", &[]),
    ("server/store/Cargo.toml", &["tamiz-core"]),
    ("server/records/Cargo.toml", &["tamiz-sdk"]),
    ("server/host/Cargo.toml", &["tamiz-core", "tamiz-records"]),
    (
        "server/app/Cargo.toml",
        &["tamiz-core", "tamiz-store", "tamiz-host"],
    ),
    ("tests/tidy/Cargo.toml", &[]),
    ("plugins/sdk/Cargo.toml", &[]),
];

/// What one crate alone may name, with the folder of that crate.
const ALONE: &[(&str, &str)] = &[
    ("sqlx", "server/store/"),
    ("wasmtime", "server/host/"),
    ("wasmparser", "server/host/"),
    ("wit_bindgen", "plugins/sdk/"),
];

/// What pure rules have no use for.
const NOT_IN_CORE: &[&str] = &["tokio", "futures-util", "tracing", "reqwest", "rustix"];

#[test]
fn crates_of_ours_depend_in_one_direction() {
    let mut problems = Vec::new();
    for manifest in manifests::all() {
        for (section, name) in &manifest.dependencies {
            let ours = name.starts_with("tamiz") && section != "workspace.dependencies";
            if ours && !may(&manifest, name) {
                problems.push(format!("{} names {name}", manifest.path));
            }
        }
    }
    check("crates depend in one direction", &problems);
}

fn may(manifest: &Manifest, name: &str) -> bool {
    // A plugin sees the SDK and nothing else of ours.
    if manifest.path.starts_with("plugins/") && manifest.path != "plugins/sdk/Cargo.toml" {
        return name == "tamiz-sdk";
    }
    let listed = ALLOWED.iter().find(|(path, _)| *path == manifest.path);
    listed.is_none_or(|(_, allowed)| allowed.contains(&name))
}

#[test]
fn big_dependencies_have_one_home() {
    let mut problems = Vec::new();
    for (name, home) in ALONE {
        let package = name.replace('_', "-");
        for manifest in manifests::all() {
            if manifest.uses(&package) && !manifest.path.starts_with(home) && !is_workspace(&manifest) {
                problems.push(format!("{} depends on {package}", manifest.path));
            }
        }
        for file in tree::rust().filter(|file| !file.path.starts_with(home)) {
            let code = code_only(file.text());
            let uses = words(&code, name).filter(|at| code[at + name.len()..].trim_start().starts_with("::"));
            problems.extend(uses.map(|at| format!("{}:{}: names {name}", file.path, line_of(&code, at))));
        }
    }
    check("one crate alone names it", &problems);
}

fn is_workspace(manifest: &Manifest) -> bool {
    matches!(manifest.path, "Cargo.toml" | "plugins/Cargo.toml")
}

#[test]
fn core_does_nothing_but_think() {
    let manifest = manifests::all()
        .into_iter()
        .find(|manifest| manifest.path == "server/core/Cargo.toml")
        .unwrap();
    let mut problems: Vec<String> = NOT_IN_CORE
        .iter()
        .filter(|name| manifest.uses(name))
        .map(|name| format!("it depends on {name}"))
        .collect();
    for file in tree::rust().filter(|file| file.path.starts_with("server/core/src/")) {
        let code = code_only(file.text());
        for word in [
            "std::fs",
            "std::net",
            "std::process",
            "std::env",
            "SystemTime::now",
            "Utc::now",
            "Instant::now",
        ] {
            problems.extend(
                code.match_indices(word)
                    .map(|(at, _)| format!("{}:{}: {word}", file.path, line_of(&code, at))),
            );
        }
        let asynchronous = words(&code, "async").next();
        problems.extend(asynchronous.map(|at| format!("{}:{}: async", file.path, line_of(&code, at))));
    }
    check("core has no IO, no clock and no async", &problems);
}
