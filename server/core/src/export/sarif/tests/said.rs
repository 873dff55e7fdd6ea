//! A SARIF result is read back into the finding that it was made of: nothing is lost, and what SARIF has fields for
//! is read from those.

use serde_json::{Map, Value, json};

use super::{files, list, text};
use crate::alert::{Dismissal, DismissalReason};
use crate::export::Exported;
use crate::export::samples::{all, code, dismissal, package, secret};
use crate::export::sarif::Limits;
use crate::finding::Finding;
use crate::location::{Location, Position};
use crate::severity::{Confidence, Severity};

/// The finding that a result says, with its rule's help.
fn finding(run: &Value, result: &Value) -> Finding {
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &run["tool"]["driver"]["rules"][index];
    let own = &result["properties"]["tamiz"];
    let or = |key: &str, value: Value| own.get(key).cloned().unwrap_or(value);
    let message = or("message", result["message"]["text"].clone());
    let first_line = message
        .as_str()
        .unwrap()
        .lines()
        .next()
        .unwrap_or_default()
        .trim();
    let title = or("title", json!(first_line));
    let has_help = rule["help"]["text"] != rule["fullDescription"]["text"];
    let help = if has_help {
        rule["help"]["text"].clone()
    } else {
        Value::Null
    };
    let said = json!({
        "tool": run["tool"]["driver"]["name"],
        "rule_id": result["ruleId"],
        "rule_name": or("ruleName", rule["name"].clone()),
        "title": title,
        "message": message,
        "severity": or("reportedSeverity", json!(severity(result))),
        "severity_raw": own["severityRaw"],
        "confidence": or("confidence", result["properties"]["confidence"].clone()),
        "category": result["properties"]["category"],
        "locations": places(result, false),
        "cwe": or("cwe", numbers(result)),
        "cve": or("cve", json!([])),
        "cvss_vector": result["properties"]["cvssVector"],
        "references": list(result, "/properties/references"),
        "tags": or("tags", json!(plain_tags(result))),
        "remediation": or("remediation", help),
        "tool_fingerprint": or("toolFingerprint", tool_fingerprint(result)),
        "origin": own["origin"],
        "extra": extra(result),
    });
    let Value::Object(mut said) = said else {
        panic!("an object")
    };
    if said["confidence"].is_null() {
        said["confidence"] = json!(Confidence::Unknown);
    }
    serde_json::from_value(Value::Object(said)).unwrap()
}

/// By the score, as importers read it.
fn severity(result: &Value) -> Severity {
    match text(result, "/properties/security-severity")
        .parse::<f64>()
        .unwrap()
    {
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        score if score > 0.0 => Severity::Low,
        _ => Severity::Info,
    }
}

fn numbers(result: &Value) -> Value {
    let taxa = list(result, "/taxa").iter();
    taxa.map(|taxon| {
        assert_eq!(text(taxon, "/toolComponent/name"), "CWE");
        text(taxon, "/id").parse::<u32>().unwrap()
    })
    .collect()
}

fn plain_tags(result: &Value) -> Vec<&Value> {
    let advisories = list(result, "/properties/tamiz/cve");
    let tags = list(result, "/properties/tags").iter();
    tags.filter(|tag| !advisories.contains(tag)).collect()
}

fn tool_fingerprint(result: &Value) -> Value {
    let Some(prints) = result["fingerprints"].as_object() else {
        return Value::Null;
    };
    let (name, value) = prints.iter().next().unwrap();
    json!(format!("{name}:{}", value.as_str().unwrap()))
}

/// The finding's own places, or the further ones.
fn places(result: &Value, further: bool) -> Vec<Location> {
    let places = list(result, "/locations").iter();
    let places = places.filter(|place| {
        let is_further = place.pointer("/properties/tamiz/further").is_some();
        place.pointer("/properties/tamiz/standsIn").is_none() && is_further == further
    });
    places.map(place).collect()
}

fn place(place: &Value) -> Location {
    if let Some(exact) = place.pointer("/properties/tamiz/place") {
        return serde_json::from_value(exact.clone()).unwrap();
    }
    let region = &place["physicalLocation"]["region"];
    let number = |key: &str| region[key].as_u64().map(|number| u32::try_from(number).unwrap());
    let position = |line: &str, column: &str| {
        number(line).map(|line| Position {
            line,
            column: number(column),
        })
    };
    Location::File {
        path: path(place).unwrap(),
        start: position("startLine", "startColumn"),
        end: position("endLine", "endColumn"),
        snippet: region["snippet"]["text"].as_str().map(str::to_owned),
    }
}

fn path(place: &Value) -> Option<String> {
    let uri = place
        .pointer("/physicalLocation/artifactLocation/uri")?
        .as_str()?;
    let path = uri.strip_prefix("file://").unwrap_or(uri);
    let url = url::Url::parse("http://host/").unwrap().join(path).unwrap();
    let decoded = url
        .path()
        .split('%')
        .enumerate()
        .fold(Vec::new(), |mut bytes, (index, part)| {
            if index == 0 {
                bytes.extend(part.bytes());
            } else {
                bytes.extend(hex::decode(&part[..2]).unwrap());
                bytes.extend(part[2..].bytes());
            }
            bytes
        });
    let decoded = String::from_utf8(decoded).unwrap();
    Some(if path.starts_with('/') {
        decoded
    } else {
        decoded[1..].to_owned()
    })
}

/// What SARIF has fields for is put back under converters' keys.
fn extra(result: &Value) -> Map<String, Value> {
    let own = result
        .pointer("/properties/tamiz/extra")
        .and_then(Value::as_object);
    let mut extra = own.cloned().unwrap_or_default();
    let mut put = |key: &str, value: Value| {
        if !matches!(&value, Value::Null) && value != json!([]) {
            extra.insert(key.to_owned(), value);
        }
    };
    let fix = result.pointer("/fixes/0/artifactChanges/0/replacements/0/insertedContent/text");
    put("fix", fix.cloned().unwrap_or_default());
    put("rank", result["rank"].clone());
    put("occurrence-count", result["occurrenceCount"].clone());
    let flow = list(result, "/codeFlows/0/threadFlows/0/locations").iter();
    put(
        "code-flow",
        flow.map(|step| explanation(&step["location"])).collect(),
    );
    put(
        "related",
        list(result, "/relatedLocations")
            .iter()
            .map(explanation)
            .collect(),
    );
    let names = list(result, "/locations/0/logicalLocations").iter();
    let names: Vec<&Value> = names.map(|name| &name["fullyQualifiedName"]).collect();
    if let Some(first) = names.first() {
        put("logical-location", (*first).clone());
    }
    if names.len() > 1 {
        put("logical-locations", json!(names));
    }
    let (mut accepted, mut not_accepted) = (Vec::new(), Vec::new());
    for item in list(result, "/suppressions") {
        if item.pointer("/properties/tamiz/dismissal").is_some() {
            continue;
        }
        let kind = item.pointer("/properties/tamiz/kind").unwrap_or(&item["kind"]);
        let mut said = json!({ "kind": kind, "justification": text(item, "/justification") });
        if item["status"] == "accepted" {
            accepted.push(said);
        } else {
            said["status"] = item["status"].clone();
            not_accepted.push(said);
        }
    }
    put("suppressions", json!(accepted));
    put("suppressions-not-accepted", json!(not_accepted));
    extra
}

fn explanation(location: &Value) -> Value {
    let message = text(location, "/message/text");
    match text(location, "/logicalLocations/0/fullyQualifiedName") {
        "" => json!({
            "path": path(location),
            "line": location.pointer("/physicalLocation/region/startLine"),
            "message": message,
        }),
        place => json!({ "place": place, "message": message }),
    }
}

/// Every result's finding, in order.
fn read(alerts: &[Exported]) -> Vec<(Finding, Value)> {
    let file = files(alerts, Limits::GITHUB).remove(0);
    let runs = list(&file, "/runs").iter();
    runs.flat_map(|run| {
        let results = list(run, "/results").iter();
        results
            .map(|result| (finding(run, result), result.clone()))
            .collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn a_result_says_all_that_its_finding_says() {
    let alerts = all();
    let said = read(&alerts);
    assert_eq!(said.len(), alerts.len());
    for (alert, (finding, result)) in alerts.iter().zip(&said) {
        assert_eq!(finding, &alert.finding, "{result:#}");
    }
}

#[test]
fn a_result_that_differs_from_its_rules_first_one_still_says_all() {
    let mut second = code();
    second.finding.rule_name = None;
    second.finding.remediation = None;
    second.finding.confidence = Confidence::Unknown;
    second.finding.severity = Severity::Critical;
    second.finding.category = None;
    second.finding.tags = vec!["CVE-2026-0001".into(), "x".into(), "x".into()];
    second.severity = Severity::Critical;
    let mut third = code();
    third.finding.remediation = Some("long ".repeat(2_000));
    third.severity = Severity::Low;
    let alerts = [code(), second, third];
    for (alert, (finding, _)) in alerts.iter().zip(read(&alerts)) {
        assert_eq!(finding, alert.finding);
    }
}

#[test]
fn what_an_extra_says_in_another_way_stays_as_it_is() {
    let mut alert = code();
    for key in [
        "code-flow",
        "related",
        "suppressions",
        "rank",
        "fix",
        "logical-locations",
    ] {
        alert
            .finding
            .extra
            .insert(key.into(), json!({ "of": ["another", 1] }));
    }
    alert.finding.extra.remove("logical-location");
    let (finding, _) = read(&[alert.clone()]).remove(0);
    assert_eq!(finding, alert.finding);
}

#[test]
fn an_alert_says_its_state_places_and_times() {
    let (_, result) = read(&[secret()]).remove(0);
    assert_eq!(text(&result, "/baselineState"), "updated");
    assert_eq!(text(&result, "/properties/tamiz/id"), secret().id.to_string());
    assert_eq!(text(&result, "/level"), "note");
    assert_eq!(
        text(&result, "/provenance/firstDetectionTimeUtc"),
        "2027-01-15T08:00:00Z"
    );
    assert_eq!(
        text(&result, "/provenance/lastDetectionTimeUtc"),
        "2027-01-15T09:00:00Z"
    );
    // the one that the finding has itself is not there twice
    assert_eq!(places(&result, true), secret().places[..1]);
    let [suppression] = list(&result, "/suppressions") else {
        panic!("one suppression")
    };
    assert_eq!(text(suppression, "/kind"), "external");
    assert_eq!(text(suppression, "/status"), "accepted");
    assert_eq!(
        text(suppression, "/justification"),
        "used-in-tests: seen by the team: fine"
    );
    let written: Dismissal =
        serde_json::from_value(suppression["properties"]["tamiz"]["dismissal"].clone()).unwrap();
    assert_eq!(written, dismissal(DismissalReason::UsedInTests));
}

#[test]
fn a_package_keeps_its_advisories_score_and_versions() {
    let (_, result) = read(&[package()]).remove(0);
    assert_eq!(result["properties"]["security-severity"], "7.2");
    assert_eq!(
        result["properties"]["tags"],
        json!(["CVE-2021-23337", "GHSA-35jh-r3h4-6jhm"])
    );
    assert_eq!(
        text(&result, "/properties/tamiz/extra/package-url"),
        "pkg:npm/lodash@4.17.20"
    );
    let mut scored = package();
    scored.finding.severity_raw = Some("8.25".into());
    let (_, result) = read(&[scored]).remove(0);
    assert_eq!(result["properties"]["security-severity"], "8.25");
}
