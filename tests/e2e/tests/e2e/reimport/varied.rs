//! Every code report says the same after its results were reordered, its lines moved, a file renamed, its messages
//! reworded and its tool upgraded: no alert is lost or doubled.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{AT_ONCE, Case, bytes, cases, comparison, imported};
use crate::harness::{App, Client};

/// Formats whose files the changes below understand.
const FORMATS: [&str; 10] = [
    "bandit/",
    "checkov/",
    "eslint/",
    "gitleaks/",
    "hadolint/",
    "opengrep/",
    "ruff/",
    "sarif/",
    "semgrep/",
    "shellcheck/",
];
const LINES: [&str; 9] = [
    "line",
    "startLine",
    "endLine",
    "line_number",
    "StartLine",
    "EndLine",
    "row",
    "file_line_range",
    "line_range",
];
const PATHS: [&str; 6] = ["path", "uri", "filename", "filePath", "File", "file"];
const MESSAGES: [&str; 4] = ["message", "issue_text", "Description", "details"];
const LISTS: [&str; 4] = ["results", "runs", "comments", "messages"];
const SHIFT: u64 = 3;

/// Applies a change to every member of every object, children first.
fn each(value: &mut Value, change: &mut dyn FnMut(&str, &mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                each(member, change);
                change(key, member);
            }
        }
        _ => {}
    }
}

fn reordered(report: &mut Value) {
    if let Some(items) = report.as_array_mut() {
        items.reverse();
    }
    each(report, &mut |key, value| {
        if let (true, Some(items)) = (LISTS.contains(&key), value.as_array_mut()) {
            items.reverse();
        }
    });
}

fn shifted(report: &mut Value) {
    let plus = |value: &mut Value| {
        if let Some(line) = value.as_u64().filter(|line| *line > 0) {
            *value = json!(line + SHIFT);
        }
    };
    each(report, &mut |key, value| match value {
        Value::Array(items) if LINES.contains(&key) => items.iter_mut().for_each(plus),
        Value::Array(lines) if key == "code_block" => lines.iter_mut().for_each(|line| plus(&mut line[0])),
        Value::Number(_) if LINES.contains(&key) => plus(value),
        // bandit's and gosec's, with a number in front of each line
        Value::String(code) if key == "code" => *code = renumbered(code, " "),
        Value::Object(snippet) if key == "snippet" => {
            if let Some(Value::String(text)) = snippet.get_mut("text") {
                *text = renumbered(text, ": ");
            }
        }
        _ => {}
    });
}

/// A quotation whose lines begin with their numbers.
fn renumbered(code: &str, behind: &str) -> String {
    let moved = code.lines().map(|line| {
        let (number, rest) = line.split_once(behind).unwrap_or((line, ""));
        number.parse::<u64>().map_or(line.to_owned(), |number| {
            format!("{}{behind}{rest}", number + SHIFT)
        })
    });
    moved.collect::<Vec<_>>().join("\n")
}

fn reworded(report: &mut Value) {
    let other = |text: &mut String| *text = format!("In other words: {text}");
    each(report, &mut |key, value| match value {
        Value::String(text) if MESSAGES.contains(&key) => other(text),
        Value::Object(message) if key == "message" => {
            if let Some(Value::String(text)) = message.get_mut("text") {
                other(text);
            }
        }
        _ => {}
    });
}

fn upgraded(report: &mut Value) {
    each(report, &mut |key, value| {
        if let (true, Some(driver)) = (key == "driver", value.as_object_mut()) {
            for key in ["version", "semanticVersion"] {
                driver.insert(key.into(), json!("99.0.1"));
            }
        }
    });
    if report.get("version").is_some() && report.get("runs").is_none() {
        report["version"] = json!("99.0.1");
    }
}

/// The file with most results goes into another folder.
fn renamed(report: &mut Value) {
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    each(report, &mut |key, value| {
        if let (true, Some(path)) = (PATHS.contains(&key), value.as_str()) {
            *files.entry(path.to_owned()).or_default() += usize::from(path.contains('.'));
        }
    });
    let Some((file, _)) = files.into_iter().max_by_key(|(_, count)| *count) else {
        return;
    };
    let (folder, name) = file
        .rsplit_once('/')
        .map_or(("", file.as_str()), |(folder, name)| (folder, name));
    let slash = if folder.is_empty() { "" } else { "/" };
    let moved = format!("{folder}{slash}moved/{name}");
    each(report, &mut |key, value| {
        if PATHS.contains(&key) && value.as_str() == Some(&file) {
            *value = json!(moved);
        }
    });
}

/// What a change did that it must not.
async fn changed(
    app: &App,
    acme: &Client,
    case: &Case,
    name: &str,
    changes: &[fn(&mut Value)],
) -> Option<String> {
    let mut report: Value = serde_json::from_slice(&case.bytes).ok()?;
    let project = acme.project(&format!("{} {name}", case.path)).await;
    let first = imported(acme, &project, case.scan_type, case.name(), bytes(&report)).await;
    let before = comparison(app, &first);
    if before.is_null() {
        return None;
    }
    // that one names a result's rule in its message alone
    let names_rules_in_messages = case.path == "sarif/gitleaks-version-7.sarif";
    for change in changes {
        if !(names_rules_in_messages && std::ptr::fn_addr_eq(*change, reworded as fn(&mut Value))) {
            change(&mut report);
        }
    }
    let second = imported(acme, &project, case.scan_type, case.name(), bytes(&report)).await;
    let after = comparison(app, &second);
    let is_kept = ["new", "fixed", "reopened"].iter().all(|what| after[what] == 0)
        && after["unchanged"] == before["new"];
    (!is_kept).then(|| format!("{} {name}: {} alerts, then {after}", case.path, before["new"]))
}

/// The name of a set of changes, and the changes.
type Change = (&'static str, Vec<fn(&mut Value)>);

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_every_code_report_that_was_changed_otherwise_tracks_all_of_it() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let changes: Vec<Change> = vec![
        ("reordered", vec![reordered]),
        ("shifted", vec![shifted]),
        ("renamed", vec![renamed]),
        ("reworded and upgraded", vec![reworded, upgraded]),
        ("all of it", vec![reordered, shifted, renamed, reworded, upgraded]),
    ];
    let all = cases("codeaudit").into_iter();
    let all: Vec<Case> = all
        .filter(|case| FORMATS.iter().any(|format| case.path.starts_with(format)))
        .collect();
    assert!(all.len() > 40, "{} cases", all.len());
    let tries = all
        .iter()
        .flat_map(|case| changes.iter().map(move |(name, changes)| (case, name, changes)));
    let tries = stream::iter(tries).map(|(case, name, changes)| changed(&app, &acme, case, name, changes));
    let lost: Vec<Option<String>> = tries.buffer_unordered(AT_ONCE).collect().await;
    let mut lost: Vec<String> = lost.into_iter().flatten().collect();
    lost.sort();
    assert!(lost.is_empty(), "{}:\n{}", lost.len(), lost.join("\n"));
}
