//! Findings of several tools, and whether they are related.

use serde_json::json;

use super::*;
use crate::finding::tests::plain;

fn place_of(value: serde_json::Value) -> Location {
    serde_json::from_value(value).unwrap()
}

fn file(path: &str, start: u32, end: u32) -> Location {
    place_of(json!({"kind": "file", "path": path, "start": {"line": start}, "end": {"line": end}}))
}

fn url(url: &str, parameter: Option<&str>) -> Location {
    place_of(json!({"kind": "url", "url": url, "parameter": parameter}))
}

fn at(tool: &str, cwe: &[u32], location: Location) -> Finding {
    Finding {
        tool: tool.into(),
        rule_id: format!("{tool}.rule"),
        cwe: cwe.to_vec(),
        locations: vec![location],
        ..plain()
    }
}

fn dependency(rule: &str, cve: &[&str]) -> Finding {
    Finding {
        rule_id: rule.into(),
        category: Some("dependency".into()),
        cve: cve.iter().map(|id| (*id).to_owned()).collect(),
        extra: json!({"package": "st"}).as_object().cloned().unwrap(),
        ..at("scanner", &[22], file("package-lock.json", 1, 1))
    }
}

fn place(finding: &Finding) -> Option<PartHash> {
    Traits::of(finding).place
}

fn named(finding: &Finding) -> Vec<String> {
    let named = Traits::of(finding).advisories;
    named.iter().map(|id| id.as_str().to_owned()).collect()
}

#[test]
fn advisories_are_told_in_one_spelling_the_best_known_first() {
    let told = dependency("GHSA-69rr-wvh9-6c4q", &["cve-2014-3744"]);
    assert_eq!(named(&told), ["CVE-2014-3744", "GHSA-69rr-wvh9-6c4q"]);
    assert_eq!(named(&dependency("licence", &[])), [""; 0]);
}

#[test]
fn packages_in_one_file_have_no_place_of_their_own() {
    assert_eq!(place(&dependency("CVE-2014-3744", &["CVE-2014-3744"])), None);
    assert_eq!(place(&dependency("licence", &[])), None);
    // a report that names the file alone
    let bare = Finding {
        cve: vec!["CVE-2014-3744".into()],
        ..at("scanner", &[22], file("package-lock.json", 1, 1))
    };
    assert_eq!(place(&bare), None);
}

#[test]
fn an_advisory_found_at_work_has_its_place_too() {
    let nuclei = Finding {
        cve: vec!["CVE-2021-0001".into()],
        ..at("nuclei", &[79], url("https://shop.test/search?q=x", None))
    };
    let zap = at("zap", &[79], url("https://shop.test/search", Some("q")));
    assert_eq!(place(&nuclei), place(&zap));
    assert!(place(&zap).is_some());
    assert_eq!(named(&nuclei), ["CVE-2021-0001"]);
}

#[test]
fn a_bulletin_counts_only_for_what_names_no_flaw() {
    assert_eq!(named(&dependency("DSA-5020-1", &[])), ["DSA-5020-1"]);
    assert_eq!(
        named(&dependency("DSA-5020-1", &["CVE-2021-44228"])),
        ["CVE-2021-44228"]
    );
}

#[test]
fn equal_places_have_equal_hashes() {
    let semgrep = at("semgrep", &[89, 564], file("./src/db.py", 10, 12));
    for (other, same) in [
        (at("bandit", &[89], file("src\\db.py", 90, 90)), true),
        (at("bandit", &[89], file("src/other.py", 10, 10)), false),
        (at("zap", &[89], url("http://shop.test/src/db.py", None)), false),
        (at("bandit", &[], file("src/db.py", 10, 10)), false),
    ] {
        assert_eq!(place(&semgrep) == place(&other), same, "{:?}", other.locations);
    }
    let zap = at("zap", &[79], url("https://Shop.test/users/7?x=1", Some("x")));
    let nuclei = at("nuclei", &[79], url("https://shop.test/users/19", None));
    assert_eq!(place(&zap), place(&nuclei));
    assert_eq!(place(&at("tool", &[79], file("", 1, 1))), None);
    assert_eq!(Traits::of(&plain()), Traits::default());
}

#[test]
fn advisories_are_few_and_each_is_there_once() {
    let ids: Vec<String> = (1000..1100).map(|number| format!("CVE-2020-{number}")).collect();
    let ids: Vec<&str> = ids.iter().chain(&ids).map(String::as_str).collect();
    assert_eq!(named(&dependency("rule", &ids)).len(), ADVISORIES_MAX);
}

#[test]
fn lines_are_the_same_place_when_they_are_close() {
    let whole = place_of(json!({"kind": "file", "path": "a.py"}));
    for (one, other, same) in [
        (file("a.py", 10, 12), file("./a.py", 12, 20), true),
        (file("a.py", 10, 12), file("a.py", 15, 15), true),
        (file("a.py", 10, 12), file("a.py", 16, 16), false),
        (file("a.py", 10, 90), file("a.py", 50, 51), true),
        (file("a.py", 10, 3), file("a.py", 7, 7), true),
        (file("a.py", 10, 12), file("b.py", 10, 12), false),
        (file("a.py", 1, 1), whole.clone(), false),
        (whole.clone(), whole, true),
        (file("", 1, 1), file("", 1, 1), false),
    ] {
        assert_eq!(is_same_place(&one, &other), same, "{one:?} {other:?}");
        assert_eq!(is_same_place(&other, &one), same, "{other:?} {one:?}");
    }
}

#[test]
fn other_places_are_compared_by_what_both_say() {
    let endpoint = |host: &str, port: u16| place_of(json!({"kind": "endpoint", "host": host, "port": port}));
    let domain = |name: &str, kind: Option<&str>| {
        place_of(json!({"kind": "domain", "name": name, "record_type": kind}))
    };
    let flow = |port: u16| {
        place_of(
            json!({"kind": "flow", "source": {"host": "10.0.0.1", "port": port},
                        "destination": {"host": "10.0.0.2", "port": 21}}),
        )
    };
    let (query, id) = (Some("q"), Some("id"));
    for (one, other, same) in [
        (
            url("http://a.test/s?q=1", query),
            url("http://a.test/s", Some("Q")),
            true,
        ),
        (url("http://a.test/s", query), url("http://a.test/s", None), true),
        (url("http://a.test/s", query), url("http://a.test/s", id), false),
        (
            url("http://a.test/s", query),
            url("http://b.test/s", query),
            false,
        ),
        (endpoint("A.test.", 443), endpoint("a.test", 443), true),
        (endpoint("a.test", 443), endpoint("a.test", 8443), false),
        (endpoint("a.test", 443), url("https://a.test/", None), false),
        (domain("A.test.", Some("MX")), domain("a.test", None), true),
        (domain("a.test", Some("MX")), domain("a.test", Some("TXT")), false),
        (flow(50_000), flow(50_001), true),
    ] {
        assert_eq!(is_same_place(&one, &other), same, "{one:?} {other:?}");
        assert_eq!(is_same_place(&other, &one), same, "{other:?} {one:?}");
    }
}
