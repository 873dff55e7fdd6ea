//! Documents that say what the code says: dependencies, variables, codes, the map, links, scripts.

use std::collections::BTreeSet;

use crate::rust_text::{test_blocks, without_comments};
use crate::{check, exceptions, manifests, tree};

/// The words in backquotes in the first cell of every table row.
fn first_cells(path: &str) -> BTreeSet<String> {
    let rows = tree::file(path)
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`'))
        .map(|(word, _)| word.to_owned())
        .collect()
}

/// Every string literal outside of tests in Rust files below `folder`.
fn literals(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in tree::rust().filter(|file| file.path.starts_with(folder)) {
        if file.is_test() {
            continue;
        }
        let code = without_comments(file.text());
        let tests = test_blocks(&crate::rust_text::code_only(file.text()));
        for (at, _) in code
            .match_indices('"')
            .filter(|(at, _)| !tests.iter().any(|block| block.contains(at)))
        {
            // `env!` names variables of the build.
            if code[..at].ends_with("env!(") {
                continue;
            }
            if let Some((word, _)) = code[at + 1..].split_once('"') {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

fn differences(documented: &BTreeSet<String>, real: &BTreeSet<String>, document: &str) -> Vec<String> {
    let missing = real
        .difference(documented)
        .map(|name| format!("{document} does not name `{name}`"));
    let stale = documented
        .difference(real)
        .map(|name| format!("{document} names `{name}`, which is gone"));
    missing.chain(stale).collect()
}

#[test]
fn every_direct_dependency_is_explained() {
    let document = "docs/dependencies.md";
    let problems = differences(&first_cells(document), &manifests::foreign(), document);
    check(
        "docs/dependencies.md explains every direct dependency and no other",
        &problems,
    );
}

#[test]
fn every_configuration_variable_is_documented() {
    let document = "docs/configuration.md";
    let keys = without_comments(tree::file("server/app/src/config/keys.rs").text());
    let mut real = BTreeSet::new();
    for start in ["plain(\"", "unset(\"", "computed(\"", "name: \""] {
        let names = keys.split(start).skip(1).filter_map(|rest| rest.split_once('"'));
        real.extend(names.map(|(name, _)| format!("TAMIZ_{}", name.to_ascii_uppercase())));
    }
    assert!(real.len() > 20, "keys.rs is not understood any more");
    for folder in ["server/", "bench/", "plugins/", "tests/e2e/"] {
        real.extend(literals(folder).into_iter().filter(|word| is_variable(word)));
    }
    for file in tree::files().filter(|file| file.path.starts_with("scripts/")) {
        real.extend(words_in(file.text()).filter(|word| is_variable(word)));
    }
    let nobody = |name: &String| exceptions::VARIABLES.iter().any(|(one, _)| one == name);
    real.retain(|name| !nobody(name));
    let documented = words_in(tree::file(document).text())
        .filter(|word| is_variable(word))
        .collect();
    check(
        "docs/configuration.md names every variable",
        &differences(&documented, &real, document),
    );
}

fn is_variable(word: &str) -> bool {
    let name = word.strip_prefix("TAMIZ_").unwrap_or_default();
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        && !name.ends_with('_')
}

fn words_in(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    parts.filter(|part| !part.is_empty()).map(str::to_owned)
}

#[test]
fn every_error_code_is_documented() {
    let document = "docs/errors.md";
    let mut real = BTreeSet::new();
    for folder in [
        "server/core/src/refusal.rs",
        "server/app/src/api/",
        "server/app/src/wire.rs",
        "server/app/src/tool/unpack/",
    ] {
        real.extend(literals(folder).into_iter().filter(|word| is_code(word)));
    }
    for file in [
        "server/host/src/failure.rs",
        "server/app/src/plugins/mod.rs",
        "server/app/src/worker/candidates.rs",
    ] {
        real.extend(literals(file).into_iter().filter(|word| is_reason(word)));
    }
    assert!(
        real.contains("NOT_FOUND"),
        "refusal.rs is not understood any more"
    );
    check(
        "docs/errors.md names every code",
        &differences(&first_cells(document), &real, document),
    );
}

/// `plugin-deadline`: why a plugin failed its task.
fn is_reason(word: &str) -> bool {
    let rest = word.strip_prefix("plugin-").unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// `UPLOAD_EMPTY`, `INTERNAL`: how codes look, and nothing else among the literals of those folders.
fn is_code(word: &str) -> bool {
    word.len() > 5
        && !word.starts_with("TAMIZ_")
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        && !exceptions::NO_CODES.iter().any(|(one, _)| *one == word)
}

#[test]
fn every_module_is_on_the_map() {
    let map = tree::file("server/ARCHITECTURE.md").text();
    let mut modules = BTreeSet::new();
    for file in tree::rust() {
        let Some((_, inner)) = file
            .path
            .split_once("/src/")
            .filter(|(home, _)| home.starts_with("server/"))
        else {
            continue;
        };
        let module = inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs");
        if !matches!(module, "lib" | "main") && !module.ends_with("tests") {
            modules.insert(module.to_owned());
        }
    }
    let problems: Vec<String> = modules
        .into_iter()
        .filter(|module| !map.contains(&format!("`{module}`")))
        .collect();
    check(
        "server/ARCHITECTURE.md names every module in backquotes",
        &problems,
    );
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for file in tree::files().filter(|file| file.extension() == "md" && !file.path.contains("/cases/")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for rest in file.text().split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else {
                continue;
            };
            let target = target.split('#').next().unwrap_or(target);
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !tree::root().join(folder).join(target).exists() {
                problems.push(format!("{}: {target}", file.path));
            }
        }
    }
    check("a link in a document leads to a file", &problems);
}

#[test]
fn scripts_say_what_they_do() {
    let scripts = tree::files().filter(|file| file.path.starts_with("scripts/") || file.path == ".ci/run");
    let problems: Vec<String> = scripts
        .filter(|file| {
            let first = file.text().lines().find(|line| !line.starts_with("#!"));
            !first.is_some_and(|line| line.starts_with("# ") && line.len() > 20)
        })
        .map(|file| file.path.clone())
        .collect();
    check("a script opens with a comment that says what it does", &problems);
}

#[test]
fn the_readme_names_targets_that_exist() {
    let makefile = tree::file("Makefile").text();
    let readme = tree::file("README.md").text();
    let targets = readme.split("make ").skip(1).map(|rest| {
        rest.chars()
            .take_while(char::is_ascii_lowercase)
            .collect::<String>()
    });
    let marked = readme.split("`make ").count() - 1;
    let problems: Vec<String> = targets
        .filter(|target| !target.is_empty() && marked > 0)
        .filter(|target| {
            readme.contains(&format!("`make {target}")) && !makefile.contains(&format!("\n{target}:"))
        })
        .collect();
    check("README.md names targets of the Makefile", &problems);
    for target in ["demo", "test", "run"] {
        assert!(
            readme.contains(&format!("make {target}")),
            "README.md does not say `make {target}`"
        );
    }
}

#[test]
fn the_changelog_has_an_open_end_and_the_licence_is_whole() {
    assert!(tree::file("CHANGELOG.md").text().contains("\n## Unreleased\n"));
    let licence = tree::file("LICENSE").text();
    assert!(licence.contains("Apache License") && licence.contains("END OF TERMS AND CONDITIONS"));
}
