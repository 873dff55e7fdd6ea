//! Where runs and files end, and what code hosts demand of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{files, list, text};
use crate::export::samples::{all, code, head};
use crate::export::sarif::{Limits, Sarif};
use crate::export::{Exported, Writer};

fn numbered(tool: &str, rule: usize) -> Exported {
    let mut alert = code();
    alert.finding.tool = tool.into();
    alert.finding.rule_id = format!("rule-{rule}");
    alert
}

#[test]
fn a_run_is_of_one_tool_and_ends_at_its_limits_and_a_file_at_its_own() {
    let limits = Limits {
        runs_per_file: 2,
        results_per_run: 3,
        rules_per_run: 2,
        ..Limits::GITHUB
    };
    let alerts: Vec<Exported> = [
        ("a", 1),
        ("a", 1),
        ("a", 1),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 1),
    ]
    .map(|(tool, rule)| numbered(tool, rule))
    .into();
    let files = files(&alerts, limits);
    let shape: Vec<Vec<(&str, usize, usize)>> = files
        .iter()
        .map(|file| {
            let runs = list(file, "/runs").iter();
            runs.map(|run| {
                (
                    text(run, "/tool/driver/name"),
                    list(run, "/results").len(),
                    list(run, "/tool/driver/rules").len(),
                )
            })
            .collect()
        })
        .collect();
    assert_eq!(shape, [[("a", 3, 1), ("a", 2, 2)], [("a", 1, 1), ("b", 1, 1)]]);
    let categories = files.iter().flat_map(|file| list(file, "/runs"));
    let categories: Vec<&str> = categories.map(|run| text(run, "/automationDetails/id")).collect();
    assert_eq!(
        categories,
        [
            "tamiz/shop/a/2027-01-15",
            "tamiz/shop/a/part-2/2027-01-15",
            "tamiz/shop/a/part-3/2027-01-15",
            "tamiz/shop/b/2027-01-15",
        ]
    );
}

#[test]
fn parts_are_numbered_on_behind_the_files_of_another_writer() {
    let limits = Limits {
        results_per_run: 1,
        ..Limits::GITHUB
    };
    let category = |mut writer: Sarif, tool: &str| {
        let mut out = Vec::new();
        writer.begin(&mut out);
        writer.alert(&numbered(tool, 1), &mut out);
        writer.end(&mut out);
        let file: Value = serde_json::from_slice(&out).unwrap();
        let category = text(&file["runs"][0], "/automationDetails/id").to_owned();
        (category, writer.parts_of(tool))
    };
    let continued = || Sarif::continued(head(), limits, "a".into(), 2);
    assert_eq!(continued().parts_of("a"), 2);
    assert_eq!(
        category(continued(), "a"),
        ("tamiz/shop/a/part-3/2027-01-15".to_owned(), 3)
    );
    assert_eq!(
        category(continued(), "b"),
        ("tamiz/shop/b/2027-01-15".to_owned(), 1)
    );
    assert_eq!(Sarif::new(head(), limits).parts_of("a"), 0);
}

#[test]
fn a_file_ends_when_it_is_long() {
    let alerts: Vec<Exported> = (0..40).map(|rule| numbered("a", rule)).collect();
    let limits = Limits {
        bytes_per_file: 30_000,
        ..Limits::GITHUB
    };
    let files = files(&alerts, limits);
    assert!(files.len() > 3, "{}", files.len());
    for file in &files {
        let bytes = file.to_string().len();
        assert!(bytes < 40_000, "{bytes}");
    }
    let results = files.iter().flat_map(|file| list(file, "/runs/0/results"));
    assert_eq!(results.count(), alerts.len());
}

#[test]
fn the_memory_of_a_run_is_its_rules_and_not_its_results() {
    let mut writer = Sarif::new(head(), Limits::GITHUB);
    let mut out = Vec::new();
    writer.begin(&mut out);
    let mut after_one = 0;
    for number in 0..1_000 {
        out.clear();
        assert!(!writer.next_file_before(&code()));
        writer.alert(&code(), &mut out);
        let kept = writer.run.as_ref().unwrap().rules.bytes();
        if number == 0 {
            after_one = kept;
        }
        assert_eq!(kept, after_one);
    }
}

#[test]
fn no_alerts_are_still_a_run() {
    let files = files(&[], Limits::GITHUB);
    assert_eq!(files.len(), 1);
    assert_eq!(text(&files[0], "/runs/0/tool/driver/name"), "tamiz");
    assert!(files[0].pointer("/runs/0/results").unwrap().is_array());
}

#[test]
fn every_result_has_what_code_hosts_demand() {
    let file = files(&all(), Limits::GITHUB).remove(0);
    let mut categories = BTreeSet::new();
    for run in list(&file, "/runs") {
        assert!(categories.insert(text(run, "/automationDetails/id")));
        let rules = list(run, "/tool/driver/rules");
        for rule in rules {
            for pointer in [
                "/id",
                "/shortDescription/text",
                "/fullDescription/text",
                "/help/text",
            ] {
                assert!(!text(rule, pointer).trim().is_empty(), "{pointer}");
            }
            assert!(list(rule, "/properties/tags").len() <= 20);
            let score = rule.pointer("/properties/security-severity");
            let score = score.map(|score| score.as_str().unwrap().parse::<f64>().unwrap());
            assert!(
                score.is_none_or(|score| (0.1..=10.0).contains(&score)),
                "{score:?}"
            );
        }
        for result in list(run, "/results") {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(!text(result, "/message/text").is_empty());
            assert!(result["suppressions"].is_array());
            assert_eq!(text(result, "/partialFingerprints/tamiz~1v2"), "ab".repeat(32));
            assert!(!list(result, "/locations").is_empty());
            for place in list(result, "/locations") {
                let uri = text(place, "/physicalLocation/artifactLocation/uri");
                assert!(!uri.is_empty());
                assert!(!uri.contains(':') || uri.starts_with("file:///"), "{uri}");
            }
        }
    }
}

#[test]
fn a_rule_says_only_what_all_its_results_say() {
    let mut second = code();
    second.finding.title = "Another title".into();
    second.finding.tags = vec!["backend".into()];
    second.finding.cwe = vec![20];
    second.finding.references.remove(0);
    second.cvss_score = Some(9.1);
    let file = files(&[code(), second], Limits::GITHUB).remove(0);
    let rule = &list(&file, "/runs/0/tool/driver/rules")[0];
    assert_eq!(text(rule, "/shortDescription/text"), "SQL injection");
    assert_eq!(text(rule, "/helpUri"), "https://shop.test/more");
    assert_eq!(
        rule["properties"]["tags"],
        serde_json::json!([
            "external/cwe/cwe-20",
            "backend",
            "CVE-2026-0001",
            "GHSA-aaaa-bbbb-cccc"
        ])
    );
    assert_eq!(rule["properties"]["security-severity"], "9.1");
    assert_eq!(list(rule, "/relationships").len(), 1);
}

#[test]
fn a_tools_own_line_hash_is_the_only_one_under_its_name() {
    let mut alert = code();
    alert.finding.tool_fingerprint = Some("primaryLocationLineHash:39fa2ee980eb94b0:1".into());
    let file = files(&[alert, code()], Limits::GITHUB).remove(0);
    let [first, second] = list(&file, "/runs/0/results") else {
        panic!("two results")
    };
    let pointer = "/partialFingerprints/primaryLocationLineHash";
    assert_eq!(text(first, pointer), "39fa2ee980eb94b0:1");
    assert_eq!(text(second, pointer), "");
    assert_eq!(text(second, "/fingerprints/matchBasedId~1v1"), "0123abcd");
}
