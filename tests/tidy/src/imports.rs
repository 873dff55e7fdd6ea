//! Who may import whom inside the server's crate `tamiz`, and that SQL stays in the store.
//!
//! The directions are those of `server/ARCHITECTURE.md`; Cargo keeps the ones between crates (see
//! `fences`).

use std::collections::BTreeSet;

use crate::rust_text::{code_only, line_of, words};
use crate::{check, exceptions, tree};

/// A module of `server/app/src` and the modules beside it that it must not name.
const NEVER: &[(&str, &[&str])] = &[
    ("tool", &["api", "flow", "worker", "cli"]),
    ("blob", &["api", "flow", "worker", "cli", "tool"]),
    (
        "config",
        &["api", "flow", "worker", "cli", "tool", "blob", "embedded"],
    ),
    ("embedded", &["api", "flow", "worker", "cli", "tool", "blob"]),
    ("author", &["api", "flow", "worker", "cli", "embedded"]),
    (
        "telemetry",
        &["api", "flow", "worker", "cli", "tool", "blob", "embedded"],
    ),
    (
        "target",
        &["api", "flow", "worker", "cli", "tool", "blob", "embedded"],
    ),
    (
        "oci",
        &["api", "flow", "worker", "cli", "tool", "blob", "embedded"],
    ),
    ("spool", &["api", "flow", "worker", "cli", "tool", "blob"]),
    ("platform", &["api", "flow", "worker", "cli", "tool"]),
    (
        "wire",
        &["api", "flow", "worker", "cli", "tool", "blob", "embedded"],
    ),
    ("flow", &["api", "cli", "worker"]),
    ("api", &["worker", "cli", "tool", "embedded"]),
    ("worker", &["api", "cli", "embedded"]),
];

const APP: &str = "server/app/src/";

#[test]
fn modules_of_the_server_look_in_one_direction() {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for file in tree::rust() {
        let Some(inner) = file.path.strip_prefix(APP) else {
            continue;
        };
        let module: Vec<&str> = module_path(inner);
        let Some((own, never)) = NEVER.iter().find(|(own, _)| module.first() == Some(own)) else {
            continue;
        };
        let code = code_only(file.text());
        for (at, other) in named_modules(&code, &module) {
            if !never.contains(&other.as_str()) {
                continue;
            }
            let excepted = |(path, name, _): &(&str, &str, &str)| *path == file.path && *name == other;
            match exceptions::IMPORTS.iter().position(excepted) {
                Some(index) => _ = used.insert(index),
                None => problems.push(format!(
                    "{}:{}: `{own}` names `{other}`",
                    file.path,
                    line_of(&code, at)
                )),
            }
        }
    }
    let unneeded = (0..exceptions::IMPORTS.len()).filter(|index| !used.contains(index));
    problems.extend(
        unneeded.map(|index| format!("{:?} needs no exception any more", exceptions::IMPORTS[index])),
    );
    check("imports go one way", &problems);
}

/// `tool/unpack/names.rs` is `["tool", "unpack", "names"]`, `tool/mod.rs` is `["tool"]`.
fn module_path(inner: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = inner.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// The modules at the crate's top that the code names through `crate::` or enough `super::`.
fn named_modules(code: &str, module: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "tamiz"] {
        for at in words(code, root) {
            if let Some(rest) = code[at + root.len()..].strip_prefix("::") {
                found.extend(heads(rest).into_iter().map(|name| (at, name)));
            }
        }
    }
    for at in words(code, "super") {
        if code[..at].ends_with("::") {
            continue;
        }
        let mut rest = &code[at..];
        let mut ups = 0;
        while let Some(shorter) = rest.strip_prefix("super::") {
            rest = shorter;
            ups += 1;
        }
        if ups == module.len() {
            found.extend(heads(rest).into_iter().map(|name| (at, name)));
        }
    }
    found
}

/// `api::x` is `["api"]`, `{api::{a, b}, flow}` is `["api", "flow"]`.
fn heads(rest: &str) -> Vec<String> {
    let word = |text: &str| {
        let characters = text.trim_start().chars();
        characters
            .take_while(|character| character.is_alphanumeric() || *character == '_')
            .collect::<String>()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let mut heads = vec![word(group)];
    let mut depth = 1;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 1 => heads.push(word(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

#[test]
fn sql_stands_in_the_store_alone() {
    // plugins see no database; their texts speak of updates
    let store = ["server/store/", "bench/", "plugins/"];
    let mut problems = Vec::new();
    for file in tree::rust()
        .filter(|file| !file.is_test() && !store.iter().any(|folder| file.path.starts_with(folder)))
    {
        for (number, line) in file.text().lines().enumerate() {
            let line = line.to_ascii_lowercase();
            let statement = [
                " from ",
                "\"insert into ",
                "\"delete from ",
                "\"update ",
                "\"select ",
            ];
            let reads = line.contains("\"select ") && line.contains(statement[0]);
            let writes = statement[1..4].iter().any(|start| line.contains(start)) && !line.contains("//");
            let excepted = exceptions::SQL.iter().any(|(path, _)| *path == file.path);
            if (reads || writes) && !excepted {
                problems.push(format!("{}:{}: a statement", file.path, number + 1));
            }
        }
    }
    check("SQL stands in server/store alone", &problems);
}

#[test]
fn imports_are_read_in_every_spelling() {
    let names = |code: &str| -> Vec<String> {
        named_modules(code, &["tool", "run"])
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    };
    assert_eq!(names("use crate::api::x;"), ["api"]);
    assert_eq!(names("use crate::{blob::{a, b}, flow};"), ["blob", "flow"]);
    assert_eq!(names("use super::super::worker;"), ["worker"]);
    assert!(names("use super::boxed; use super::super::super::x;").is_empty());
}
