//! One alert as a SARIF result.

use serde_json::{Value, json};

use super::extras::{self, Rest};
use super::places::{fixable, places};
use super::rules::{Rule, confidence_word, level, result_score, tags, taxon, unique};
use crate::export::{Baseline, Exported, set, time};
use crate::location::Location;

/// The name of GitHub's own hash, by which it tells results apart. Only a tool's own is written under it.
const LINE_HASH: &str = "primaryLocationLineHash";

/// The result; its rule is the one at `index` of the run's.
pub(super) fn result(alert: &Exported, index: usize, rule: &Rule, version: Option<&str>) -> Value {
    let finding = &alert.finding;
    let mut rest = finding.extra.clone();
    let mut result = json!({
        "ruleId": finding.rule_id,
        "ruleIndex": index,
        "level": level(alert.severity),
        "message": { "text": alert.says() },
        "provenance": {
            "firstDetectionTimeUtc": time(alert.first_seen),
            "lastDetectionTimeUtc": time(alert.last_seen),
        },
    });
    // either all results of a run have them, or none has
    result["suppressions"] = json!(extras::suppressions(alert, &mut rest));
    set(
        &mut result,
        "baselineState",
        alert.baseline.map_or("", Baseline::as_str),
    );
    set(&mut result, "rank", extras::rank(&mut rest));
    set(
        &mut result,
        "occurrenceCount",
        extras::occurrence_count(&mut rest),
    );
    result["locations"] = located(alert, &mut rest);
    set(&mut result, "relatedLocations", extras::related(&mut rest));
    set(&mut result, "codeFlows", extras::code_flows(&mut rest));
    set(&mut result, "webRequest", web_request(alert));
    set(&mut result, "fixes", fixes(alert, &mut rest));
    let weaknesses = unique(&finding.cwe);
    set(
        &mut result,
        "taxa",
        weaknesses.into_iter().map(taxon).collect::<Vec<Value>>(),
    );
    let is_named = fingerprints(alert, &mut result);
    let mut properties = known_properties(alert);
    let mut own = own_properties(alert, rule, version, rest);
    if !is_named {
        set(&mut own, "toolFingerprint", finding.tool_fingerprint.clone());
    }
    properties["tamiz"] = own;
    result["properties"] = properties;
    result
}

/// The places, with the names of what is no file at the first.
fn located(alert: &Exported, rest: &mut Rest) -> Value {
    let mut places = places(alert);
    let names = extras::logical_places(rest);
    if let (Some(first), false) = (places.first_mut(), names.is_empty()) {
        match first["logicalLocations"].as_array_mut() {
            Some(already) => already.extend(names),
            None => first["logicalLocations"] = json!(names),
        }
    }
    Value::Array(places)
}

/// What was asked of a web server.
fn web_request(alert: &Exported) -> Value {
    let mut request = json!({});
    if let Some(Location::Url {
        url,
        method,
        parameter,
        ..
    }) = alert.finding.locations.first()
    {
        request["target"] = json!(url);
        set(&mut request, "method", method.as_deref());
        if let Some(parameter) = parameter {
            request["parameters"] = json!({ parameter.as_str(): "" });
        }
    }
    request
}

/// The text that repairs it, in the place of the first region; where there is none, it stays among the rest.
fn fixes(alert: &Exported, rest: &mut Rest) -> Value {
    let Some((artifact, region)) = fixable(alert) else {
        return Value::Null;
    };
    let Some(Value::String(text)) = rest.get("fix") else {
        return Value::Null;
    };
    let replacement = json!({ "deletedRegion": region, "insertedContent": { "text": text } });
    let mut fix = json!({
        "artifactChanges": [{ "artifactLocation": artifact, "replacements": [replacement] }],
    });
    if let Some(advice) = alert
        .finding
        .remediation
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        fix["description"] = json!({ "text": advice });
    }
    rest.remove("fix");
    json!([fix])
}

/// Ours helps to tell results apart; the tool's own tells. Whether the tool's has a name, as SARIF wants it.
fn fingerprints(alert: &Exported, result: &mut Value) -> bool {
    let ours = format!("tamiz/v{}", alert.fingerprint_version);
    result["partialFingerprints"] = json!({ ours: hex::encode(alert.fingerprint.0) });
    let Some(tools) = &alert.finding.tool_fingerprint else {
        return true;
    };
    match tools.split_once(':') {
        Some((LINE_HASH, value)) if !value.is_empty() => {
            result["partialFingerprints"][LINE_HASH] = json!(value);
        }
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            result["fingerprints"] = json!({ name: value });
        }
        _ => return false,
    }
    true
}

/// Those that several producers write.
fn known_properties(alert: &Exported) -> Value {
    let finding = &alert.finding;
    let mut properties = json!({ "security-severity": result_score(alert) });
    set(&mut properties, "tags", tags(alert));
    set(
        &mut properties,
        "category",
        finding.category.as_deref().unwrap_or_default(),
    );
    set(&mut properties, "confidence", confidence_word(finding.confidence));
    set(
        &mut properties,
        "cvssVector",
        finding.cvss_vector.as_deref().unwrap_or_default(),
    );
    set(&mut properties, "references", finding.references.clone());
    properties
}

/// What SARIF has no field for, and what the rule says otherwise.
fn own_properties(alert: &Exported, rule: &Rule, version: Option<&str>, rest: Rest) -> Value {
    let finding = &alert.finding;
    let mut own = json!({
        // SARIF's schema takes UUIDs of the versions 1 to 5 as `guid` and `correlationGuid`, and ours are of version 7
        "id": alert.id,
        "state": alert.state,
        "severity": alert.severity,
        "scanType": alert.scan_type.to_string(),
    });
    if finding.severity != alert.severity {
        own["reportedSeverity"] = json!(finding.severity);
    }
    set(&mut own, "severityRaw", finding.severity_raw.as_deref());
    set(&mut own, "cvssScore", alert.cvss_score);
    if finding.title != finding.message.lines().next().unwrap_or_default().trim() {
        own["title"] = json!(finding.title);
    }
    if finding.message != alert.says() {
        own["message"] = json!(finding.message);
    }
    if rule.name != finding.rule_name {
        own["ruleName"] = json!(finding.rule_name);
    }
    if rule.help != finding.remediation {
        own["remediation"] = json!(finding.remediation);
    }
    if alert.tool_version.as_deref() != version {
        own["toolVersion"] = json!(alert.tool_version);
    }
    set(&mut own, "cve", finding.cve.clone());
    if unique(&finding.cwe) != finding.cwe {
        own["cwe"] = json!(finding.cwe);
    }
    // among the tags are advisories, and each is there once
    let is_tag = |tag: &String| !finding.cve.contains(tag);
    if tags(alert)
        .into_iter()
        .filter(is_tag)
        .ne(finding.tags.iter().cloned())
    {
        own["tags"] = json!(finding.tags);
    }
    set(&mut own, "origin", json!(finding.origin));
    set(&mut own, "extra", Value::Object(rest));
    own
}
