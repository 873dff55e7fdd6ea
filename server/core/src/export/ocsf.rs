//! OCSF 1.8 findings, one JSON object a line.
//!
//! The class follows what the alert is: a Vulnerability Finding (2002) where it names an advisory or a weakness
//! class, of which that class demands exactly one for each vulnerability; a Detection Finding (2004) for everything
//! else: what was seen in a capture, secrets, settings. What OCSF has no attribute for stands under `unmapped`.

use core::net::IpAddr;

use serde_json::{Value, json};

use super::package::{Package, advisories, is_cve};
use super::{Exported, Head, Writer, set, write};
use crate::alert::AlertState;
use crate::identity::Kind;
use crate::identity::Parts;
use crate::location::{Endpoint, Location};
use crate::severity::{Confidence, Severity};
use crate::weakness;

/// Of the schema that the objects are made by.
const VERSION: &str = "1.8.0";
/// The category of all findings.
const FINDINGS: u32 = 2;
/// The words of OCSF's `http_request.http_method`.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Writes OCSF.
#[derive(Debug)]
pub struct Ocsf {
    head: Head,
}

/// A class of events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Vulnerability,
    Detection,
}

impl Ocsf {
    /// Every line stands for itself.
    pub const fn new(head: Head) -> Self {
        Self { head }
    }
}

impl Writer for Ocsf {
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    fn alert(&mut self, alert: &Exported, out: &mut Vec<u8>) -> bool {
        write(out, &event(alert, &self.head));
        out.push(b'\n');
        true
    }

    fn end(&mut self, _out: &mut Vec<u8>) {}
}

fn event(alert: &Exported, head: &Head) -> Value {
    let class = class(alert);
    let (class_uid, class_name) = match class {
        Class::Vulnerability => (2002, "Vulnerability Finding"),
        Class::Detection => (2004, "Detection Finding"),
    };
    let (activity, activity_name) = match alert.state {
        AlertState::Dismissed | AlertState::Fixed => (3, "Close"),
        _ if alert.first_seen == alert.last_seen => (1, "Create"),
        _ => (2, "Update"),
    };
    let (status, status_name) = match alert.state {
        AlertState::Open | AlertState::Reopened => (1, "New"),
        AlertState::Dismissed => (3, "Suppressed"),
        AlertState::Fixed => (4, "Resolved"),
    };
    let (confidence, confidence_name) = confidence(alert.finding.confidence);
    let (severity, severity_name) = severity(alert.severity);
    let mut event = json!({
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": FINDINGS,
        "category_name": "Findings",
        "class_uid": class_uid,
        "class_name": class_name,
        "type_uid": class_uid * 100 + activity,
        "type_name": format!("{class_name}: {activity_name}"),
        "time": alert.since().timestamp_millis(),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "confidence_id": confidence,
        "confidence": confidence_name,
        "message": alert.says(),
        "metadata": {
            "version": VERSION,
            "product": { "name": "Tamiz", "vendor_name": "Tamiz", "version": head.version },
            "log_name": head.project,
        },
        "finding_info": finding_info(alert),
    });
    if let (AlertState::Dismissed, Some(dismissal)) = (alert.state, &alert.dismissal) {
        event["status_detail"] = json!(dismissal.reason);
        set(&mut event, "comment", dismissal.comment.as_deref());
    }
    if is_named(alert) {
        event["vulnerabilities"] = json!([vulnerability(alert)]);
    }
    if class == Class::Detection {
        let places = alert.all_places();
        set(
            &mut event,
            "evidences",
            places.map(evidence).collect::<Vec<Value>>(),
        );
        set(&mut event, "remediation", remediation(alert));
    }
    set(&mut event, "resources", resources(alert));
    set(&mut event, "unmapped", unmapped(alert));
    event
}

fn class(alert: &Exported) -> Class {
    let finding = &alert.finding;
    let is_secret = finding.extra.contains_key("secret");
    let is_flow = Parts::of(finding, None).kind == Kind::Flow;
    if is_named(alert) && !is_secret && !is_flow {
        Class::Vulnerability
    } else {
        Class::Detection
    }
}

/// Whether a vulnerability can be made of it: one has to be named by an advisory or a weakness class.
fn is_named(alert: &Exported) -> bool {
    !alert.finding.cve.is_empty() || !alert.finding.cwe.is_empty()
}

const fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

const fn confidence(confidence: Confidence) -> (u8, &'static str) {
    match confidence {
        Confidence::Unknown => (0, "Unknown"),
        Confidence::Low => (1, "Low"),
        Confidence::Medium => (2, "Medium"),
        Confidence::High => (3, "High"),
    }
}

fn finding_info(alert: &Exported) -> Value {
    let finding = &alert.finding;
    let mut product = json!({ "name": finding.tool });
    set(&mut product, "version", alert.tool_version.as_deref());
    let mut rule = json!({ "type_id": 1, "type": "Rule", "uid": finding.rule_id });
    set(&mut rule, "name", finding.rule_name.as_deref());
    let mut info = json!({
        "uid": alert.id,
        "uid_alt": hex::encode(alert.fingerprint.0),
        "title": finding.title,
        "analytic": rule,
        "data_sources": [finding.tool],
        "product": product,
        "created_time": alert.first_seen.timestamp_millis(),
        "first_seen_time": alert.first_seen.timestamp_millis(),
        "last_seen_time": alert.last_seen.timestamp_millis(),
    });
    set(&mut info, "desc", finding.message.as_str());
    set(
        &mut info,
        "types",
        finding.category.iter().cloned().collect::<Vec<String>>(),
    );
    if !finding.tags.is_empty() {
        info["tags"] = json!([{ "name": "tags", "values": finding.tags }]);
    }
    info
}

/// By its CVE, else by another advisory, else by its weakness class: one of them, as the schema has it.
fn vulnerability(alert: &Exported) -> Value {
    let finding = &alert.finding;
    let mut vulnerability = json!({
        "title": finding.title,
        "severity": severity(alert.severity).1,
        "first_seen_time": alert.first_seen.timestamp_millis(),
        "last_seen_time": alert.last_seen.timestamp_millis(),
    });
    let package = Package::of(finding);
    let weaknesses: Vec<Value> = finding.cwe.iter().map(|number| cwe(*number)).collect();
    let ids = advisories(finding);
    match ids.first() {
        Some(id) if is_cve(id) => {
            let mut cve = json!({ "uid": id });
            set(&mut cve, "cvss", cvss(alert));
            set(&mut cve, "related_cwes", weaknesses);
            vulnerability["cve"] = cve;
        }
        Some(id) => {
            let mut advisory = json!({ "uid": id, "title": finding.title });
            set(&mut advisory, "related_cwes", weaknesses);
            vulnerability["advisory"] = advisory;
        }
        None => set(&mut vulnerability, "cwe", weaknesses.first().cloned()),
    }
    let others = ids.iter().skip(1).copied().collect::<Vec<&str>>();
    set(&mut vulnerability, "related_vulnerabilities", others);
    set(&mut vulnerability, "desc", finding.message.as_str());
    set(&mut vulnerability, "category", finding.category.as_deref());
    set(&mut vulnerability, "references", finding.references.clone());
    set(&mut vulnerability, "remediation", remediation(alert));
    if let Some(package) = package {
        vulnerability["is_fix_available"] = json!(!package.fixed.is_empty());
        set(&mut vulnerability, "affected_packages", affected(&package, alert));
    }
    let code = alert.all_places().filter_map(|place| affected_code(place, alert));
    let code: Vec<Value> = code.collect();
    set(&mut vulnerability, "affected_code", code);
    vulnerability
}

fn cwe(number: u32) -> Value {
    json!({
        "uid": format!("CWE-{number}"),
        "src_url": weakness::page(number),
    })
}

/// The score and what it was made of.
fn cvss(alert: &Exported) -> Value {
    let Some(score) = alert.cvss_score else {
        return Value::Null;
    };
    let vector = alert.finding.cvss_vector.as_deref().unwrap_or_default();
    let named = vector
        .strip_prefix("CVSS:")
        .and_then(|rest| rest.split('/').next());
    let mut cvss = json!({
        "base_score": score,
        "version": named.unwrap_or(if vector.is_empty() { "3.1" } else { "2.0" }),
    });
    set(&mut cvss, "vector_string", vector);
    json!([cvss])
}

/// The schema wants a version; a package without one stands among the resources only.
fn affected(package: &Package<'_>, alert: &Exported) -> Value {
    if package.version.is_empty() {
        return Value::Null;
    }
    let mut affected = json!({
        "name": package.name,
        "version": package.version,
        "purl": package.url,
    });
    set(&mut affected, "fixed_in_version", package.fixed);
    set(&mut affected, "package_manager", package.ecosystem);
    set(&mut affected, "remediation", remediation(alert));
    if let Some(Location::File { path, .. }) = alert.finding.locations.first() {
        set(&mut affected, "path", path.as_str());
    }
    json!([affected])
}

fn affected_code(place: &Location, alert: &Exported) -> Option<Value> {
    let Location::File { path, start, end, .. } = place else {
        return None;
    };
    let mut code = json!({
        "file": file(path),
        "rule": { "uid": alert.finding.rule_id },
    });
    for (line_key, column_key, at) in [
        ("start_line", "start_column", start),
        ("end_line", "end_column", end),
    ] {
        set(&mut code, line_key, at.map(|at| at.line));
        set(&mut code, column_key, at.and_then(|at| at.column));
    }
    Some(code)
}

fn file(path: &str) -> Value {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    json!({ "name": name, "path": path, "type_id": 1, "type": "Regular File" })
}

fn remediation(alert: &Exported) -> Value {
    match alert.finding.remediation.as_deref() {
        Some(text) if !text.is_empty() => json!({ "desc": text }),
        _ => Value::Null,
    }
}

/// A place as what was found there.
fn evidence(place: &Location) -> Value {
    match place {
        Location::File { path, .. } => json!({ "file": file(path), "data": place }),
        Location::Url { url, method, .. } => {
            let url = json!({ "url_string": url });
            let mut request = json!({ "url": url });
            if let Some(method) = method.as_deref().filter(|method| METHODS.contains(method)) {
                request["http_method"] = json!(method);
            }
            json!({ "url": url, "http_request": request, "data": place })
        }
        Location::Endpoint(at) => json!({ "dst_endpoint": endpoint(at) }),
        Location::Domain { name, record_type } => {
            let mut query = json!({ "hostname": name });
            set(&mut query, "type", record_type.as_deref());
            json!({ "query": query })
        }
        Location::Flow {
            source,
            destination,
            packet,
        } => {
            let mut evidence = json!({
                "src_endpoint": endpoint(source),
                "dst_endpoint": endpoint(destination),
            });
            if let Some(packet) = packet {
                evidence["data"] = json!({ "packet": packet });
            }
            evidence
        }
    }
}

fn endpoint(at: &Endpoint) -> Value {
    let key = if at.host.parse::<IpAddr>().is_ok() {
        "ip"
    } else {
        "hostname"
    };
    let mut endpoint = json!({ key: at.host });
    set(&mut endpoint, "port", at.port);
    set(&mut endpoint, "svc_name", at.protocol.as_deref());
    endpoint
}

/// What is affected: the package, and each place.
fn resources(alert: &Exported) -> Vec<Value> {
    let mut resources = Vec::new();
    if let Some(package) = Package::of(&alert.finding) {
        let mut resource = json!({ "uid": package.url, "name": package.name, "type": "package" });
        set(&mut resource, "version", package.version);
        resources.push(resource);
    }
    for place in alert.all_places() {
        let label = place.label();
        if !label.is_empty() {
            resources.push(json!({ "name": label, "type": place.kind() }));
        }
    }
    resources
}

fn unmapped(alert: &Exported) -> Value {
    let mut unmapped = json!({ "scan_type": alert.scan_type.to_string(), "state": alert.state });
    set(
        &mut unmapped,
        "severity_raw",
        alert.finding.severity_raw.as_deref(),
    );
    set(
        &mut unmapped,
        "tool_fingerprint",
        alert.finding.tool_fingerprint.as_deref(),
    );
    set(
        &mut unmapped,
        "baseline",
        alert.baseline.map_or("", |it| it.as_str()),
    );
    if class(alert) == Class::Detection {
        set(&mut unmapped, "references", alert.finding.references.clone());
    }
    set(&mut unmapped, "extra", Value::Object(alert.finding.extra.clone()));
    unmapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::samples;

    fn written(alert: &Exported) -> Value {
        let mut out = Vec::new();
        let mut writer = Ocsf::new(samples::head());
        writer.begin(&mut out);
        assert!(writer.alert(alert, &mut out));
        writer.end(&mut out);
        let line = out.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n'), "one line");
        serde_json::from_slice(line).unwrap()
    }

    #[test]
    fn every_alert_is_of_the_class_that_fits_it() {
        for (alert, class, severity, status, activity, at) in [
            (samples::code(), 2002, 4, 1, 2, 3_600),
            (samples::package(), 2002, 4, 1, 2, 3_600),
            // dismissed later than it was seen
            (samples::secret(), 2004, 2, 3, 3, 7_200),
            (samples::web(), 2004, 1, 1, 2, 3_600),
            // with a weakness class, but seen in a capture
            (samples::flow(), 2004, 4, 4, 3, 3_600),
        ] {
            let event = written(&alert);
            assert_eq!(event["class_uid"], class, "{event:#}");
            assert_eq!(event["type_uid"], class * 100 + activity);
            assert_eq!(event["severity_id"], severity);
            assert_eq!(event["status_id"], status);
            assert_eq!(event["time"], samples::at(at).timestamp_millis());
            assert_eq!(event["finding_info"]["uid"], alert.id.to_string());
        }
    }

    #[test]
    fn a_vulnerability_is_named_by_one_of_cve_advisory_and_weakness() {
        let mut advisory = samples::package();
        advisory.finding.cve.remove(0);
        let mut weakness = samples::code();
        weakness.finding.cve.clear();
        for (alert, pointer, id) in [
            (samples::package(), "/cve/uid", "CVE-2021-23337"),
            (advisory, "/advisory/uid", "GHSA-35jh-r3h4-6jhm"),
            (weakness, "/cwe/uid", "CWE-89"),
        ] {
            let vulnerability = written(&alert)["vulnerabilities"][0].clone();
            assert_eq!(vulnerability.pointer(pointer), Some(&json!(id)));
            let keys = ["cve", "advisory", "cwe"].into_iter();
            assert_eq!(keys.filter(|key| vulnerability.get(key).is_some()).count(), 1);
        }
        let package = written(&samples::package());
        let package = &package["vulnerabilities"][0]["affected_packages"][0];
        assert_eq!(package["purl"], "pkg:npm/lodash@4.17.20");
        assert_eq!(package["fixed_in_version"], "4.17.21");
    }

    #[test]
    fn a_conversation_is_evidence_with_both_ends() {
        let evidence = written(&samples::flow())["evidences"][0].clone();
        let source = json!({ "ip": "10.0.0.1", "port": 40_000, "svc_name": "tcp/http" });
        assert_eq!(evidence["src_endpoint"], source);
        assert_eq!(evidence["dst_endpoint"]["hostname"], "shop.test");
        assert_eq!(evidence["data"], json!({ "packet": 7 }));
    }
}
