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

fn shared(one: &Finding, other: &Finding, groups: &Groups) -> Vec<RelatedBy> {
    let others = keys(other, groups);
    let mut shared = keys(one, groups);
    shared.retain(|key| others.contains(key));
    shared.iter().map(|key| key.by).collect()
}

#[test]
fn the_same_advisory_relates_by_any_of_its_ids() {
    let trivy = dependency("CVE-2014-3744", &["CVE-2014-3744"]);
    let osv = dependency("GHSA-69rr-wvh9-6c4q", &["GHSA-69rr-wvh9-6c4q"]);
    let mut groups = Groups::default();
    assert_eq!(shared(&trivy, &osv, &groups), []);
    let told = dependency("GHSA-69rr-wvh9-6c4q", &["CVE-2014-3744"]);
    assert_eq!(shared(&trivy, &told, &groups), [RelatedBy::Advisory]);
    groups.join(aliases::told(&aliases::named(&told))).unwrap();
    assert_eq!(shared(&trivy, &osv, &groups), [RelatedBy::Advisory]);
    assert_eq!(keys(&told, &groups).len(), 1);
}

#[test]
fn packages_in_one_file_are_not_related_by_their_weakness() {
    let groups = Groups::default();
    let one = dependency("CVE-2014-3744", &["CVE-2014-3744"]);
    let other = dependency("CVE-2019-0001", &["CVE-2019-0001"]);
    assert_eq!(shared(&one, &other, &groups), []);
    let unnamed = dependency("licence", &[]);
    assert_eq!(keys(&unnamed, &groups), []);
    // a report that names the file alone
    let bare = |id: &str| Finding {
        cve: vec![id.into()],
        ..at("scanner", &[22], file("package-lock.json", 1, 1))
    };
    assert_eq!(
        shared(&bare("CVE-2014-3744"), &bare("CVE-2019-0001"), &groups),
        []
    );
}

#[test]
fn an_advisory_found_at_work_relates_by_its_place_too() {
    let groups = Groups::default();
    let nuclei = Finding {
        cve: vec!["CVE-2021-0001".into()],
        ..at("nuclei", &[79], url("https://shop.test/search?q=x", None))
    };
    let zap = at("zap", &[79], url("https://shop.test/search", Some("q")));
    assert_eq!(shared(&nuclei, &zap, &groups), [RelatedBy::Weakness]);
    let trivy = dependency("CVE-2021-0001", &[]);
    assert_eq!(shared(&nuclei, &trivy, &groups), [RelatedBy::Advisory]);
}

#[test]
fn a_bulletin_relates_only_what_names_no_flaw() {
    let groups = Groups::default();
    let bare = dependency("DSA-5020-1", &[]);
    assert_eq!(shared(&bare, &bare.clone(), &groups), [RelatedBy::Advisory]);
    let with_cve = dependency("DSA-5020-1", &["CVE-2021-44228"]);
    assert_eq!(shared(&bare, &with_cve, &groups), []);
}

#[test]
fn the_same_weakness_at_the_same_path_shares_a_key() {
    let groups = Groups::default();
    let semgrep = at("semgrep", &[89, 564], file("./src/db.py", 10, 12));
    for (other, expected) in [
        (
            at("bandit", &[89], file("src\\db.py", 90, 90)),
            &[RelatedBy::Weakness][..],
        ),
        (at("bandit", &[79], file("src/db.py", 10, 10)), &[]),
        (at("bandit", &[89], file("src/other.py", 10, 10)), &[]),
        (at("zap", &[89], url("http://shop.test/src/db.py", None)), &[]),
        (at("bandit", &[], file("src/db.py", 10, 10)), &[]),
    ] {
        assert_eq!(
            shared(&semgrep, &other, &groups),
            expected,
            "{:?}",
            other.locations
        );
    }
    let zap = at("zap", &[79], url("https://Shop.test/users/7?x=1", Some("x")));
    let nuclei = at("nuclei", &[79], url("https://shop.test/users/19", None));
    assert_eq!(shared(&zap, &nuclei, &groups), [RelatedBy::Weakness]);
}

#[test]
fn keys_are_few_and_each_is_there_once() {
    let groups = Groups::default();
    let cwe: Vec<u32> = (1..100).chain(1..100).collect();
    assert_eq!(keys(&at("tool", &cwe, file("a", 1, 1)), &groups).len(), EACH_MAX);
    let ids: Vec<String> = (1000..1100).map(|number| format!("CVE-2020-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(keys(&dependency("rule", &ids), &groups).len(), EACH_MAX);
    assert_eq!(keys(&at("tool", &[79, 79], file("a", 1, 1)), &groups).len(), 1);
    assert_eq!(keys(&at("tool", &[79], file("", 1, 1)), &groups), []);
    assert_eq!(keys(&plain(), &groups), []);
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
