//! CycloneDX 1.6 on its way out: the vulnerabilities of a project's packages with their analyses (a VEX document).
//!
//! Every alert about a package that names an advisory is a vulnerability of its own, because each may be analysed
//! otherwise. The packages stand at the end; as many as one file may have are kept in memory.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::package::{Package, advisories};
use super::vex::{Status, justification, product, said};
use super::{Exported, Head, Writer, set, time, write};
use crate::alert::DismissalReason;

/// Packages of one file, some hundred bytes each.
const PACKAGES_PER_FILE_MAX: usize = 50_000;

/// Writes CycloneDX.
#[derive(Debug)]
pub struct CycloneDx {
    head: Head,
    files: u128,
    vulnerabilities: u64,
    packages: BTreeMap<String, (String, String)>,
}

impl CycloneDx {
    /// Nothing is written before [`Writer::begin`].
    pub const fn new(head: Head) -> Self {
        Self {
            head,
            files: 0,
            vulnerabilities: 0,
            packages: BTreeMap::new(),
        }
    }

    /// What the document is about.
    fn metadata(&self) -> Value {
        let product = product(&self.head);
        let mut component = json!({
            "type": "application",
            "bom-ref": product,
            "name": self.head.project,
        });
        if product.starts_with("pkg:") {
            component["purl"] = json!(product);
        }
        let tool = json!({ "type": "application", "name": "Tamiz", "version": self.head.version });
        json!({
            "timestamp": time(self.head.made_at),
            "tools": { "components": [tool] },
            "authors": [{ "name": self.head.author }],
            "component": component,
        })
    }
}

impl Writer for CycloneDx {
    fn begin(&mut self, out: &mut Vec<u8>) {
        // every document has a serial number of its own
        let serial = Uuid::from_u128(self.head.id.as_u128().wrapping_add(self.files));
        self.files += 1;
        self.vulnerabilities = 0;
        self.packages.clear();
        let head = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": format!("urn:uuid:{serial}"),
            "version": 1,
            "metadata": self.metadata(),
        });
        write(out, &head);
        // two members follow
        out.pop();
        out.extend_from_slice(b",\"vulnerabilities\":[");
    }

    fn next_file_before(&self, alert: &Exported) -> bool {
        self.packages.len() >= PACKAGES_PER_FILE_MAX
            && Package::of(&alert.finding).is_some_and(|package| !self.packages.contains_key(&package.url))
    }

    fn alert(&mut self, alert: &Exported, out: &mut Vec<u8>) -> bool {
        let Some(package) = Package::of(&alert.finding) else {
            return false;
        };
        let Some(vulnerability) = vulnerability(alert, &package) else {
            return false;
        };
        out.extend_from_slice(if self.vulnerabilities > 0 { b",\n" } else { b"\n" });
        self.vulnerabilities += 1;
        write(out, &vulnerability);
        let (name, version) = (package.name, package.version);
        self.packages
            .entry(package.url)
            .or_insert_with(|| (name.to_owned(), version.to_owned()));
        true
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n],\"components\":[");
        for (index, (url, (name, version))) in std::mem::take(&mut self.packages).into_iter().enumerate() {
            let mut component = json!({ "type": "library", "bom-ref": url, "name": name, "purl": url });
            set(&mut component, "version", version);
            out.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
            write(out, &component);
        }
        out.extend_from_slice(b"\n]}\n");
    }
}

fn vulnerability(alert: &Exported, package: &Package<'_>) -> Option<Value> {
    let finding = &alert.finding;
    let ids = advisories(finding);
    let (id, others) = ids.split_first()?;
    let others = others
        .iter()
        .map(|id| json!({ "id": id, "source": { "name": database(id) } }));
    let mut vulnerability = json!({
        "bom-ref": alert.id,
        "id": id,
        "source": { "name": database(id) },
        "ratings": [rating(alert)],
        "analysis": analysis(alert, package),
        "affects": [{ "ref": package.url }],
    });
    set(&mut vulnerability, "references", others.collect::<Vec<Value>>());
    set(
        &mut vulnerability,
        "cwes",
        finding
            .cwe
            .iter()
            .copied()
            .filter(|number| *number > 0)
            .collect::<Vec<u32>>(),
    );
    set(&mut vulnerability, "description", finding.title.as_str());
    set(&mut vulnerability, "detail", finding.message.as_str());
    set(
        &mut vulnerability,
        "recommendation",
        finding.remediation.as_deref(),
    );
    let addresses = finding.references.iter().map(|url| json!({ "url": url }));
    set(
        &mut vulnerability,
        "advisories",
        addresses.collect::<Vec<Value>>(),
    );
    Some(vulnerability)
}

/// The list that an id is of: what stands before its first hyphen.
fn database(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}

fn rating(alert: &Exported) -> Value {
    let mut rating = json!({ "severity": alert.severity });
    set(&mut rating, "score", alert.cvss_score);
    if let Some(vector) = alert
        .finding
        .cvss_vector
        .as_deref()
        .filter(|vector| !vector.is_empty())
    {
        rating["vector"] = json!(vector);
        rating["method"] = json!(match vector.get(..8) {
            Some("CVSS:4.0") => "CVSSv4",
            Some("CVSS:3.1") => "CVSSv31",
            Some("CVSS:3.0") => "CVSSv3",
            _ if vector.starts_with("CVSS:") => "other",
            _ => "CVSSv2",
        });
    }
    rating
}

fn analysis(alert: &Exported, package: &Package<'_>) -> Value {
    let said = said(alert, package);
    let named = said.justification.and_then(justification);
    let state = match (said.status, named) {
        (Status::NotAffected, None) => "false_positive",
        (Status::NotAffected, Some(_)) => "not_affected",
        (Status::Affected, _) => "exploitable",
        (Status::Fixed, _) => "resolved",
        (Status::UnderInvestigation, _) => "in_triage",
    };
    let mut analysis = json!({
        "state": state,
        "firstIssued": time(alert.first_seen),
        "lastUpdated": time(alert.since()),
    });
    if let Some((_, word)) = named {
        analysis["justification"] = json!(word);
    }
    if said.reason == Some(DismissalReason::WontFix) {
        analysis["response"] = json!(["will_not_fix"]);
    }
    if alert.state.is_open() && !package.fixed.is_empty() {
        analysis["response"] = json!(["update"]);
    }
    set(&mut analysis, "detail", said.note.unwrap_or(said.text));
    analysis
}
