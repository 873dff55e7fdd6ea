//! OpenVEX 0.2.0 on its way out: a statement for every alert about a package that names an advisory.
//!
//! The product is the project, the package its subcomponent: whether an advisory does harm was decided for the
//! project, not for everybody who uses the package. A dismissal stands in `status_notes`, by which an import knows it
//! again. OpenVEX wants one statement at least; an export without such alerts has none.

use serde_json::{Value, json};

use super::package::{Package, advisories};
use super::place::is_uri;
use super::vex::{Status, product, said};
use super::{Exported, Head, Writer, set, time, write};

/// Writes OpenVEX.
#[derive(Debug)]
pub struct OpenVex {
    head: Head,
    statements: u64,
}

impl OpenVex {
    /// Nothing is written before [`Writer::begin`].
    pub const fn new(head: Head) -> Self {
        Self { head, statements: 0 }
    }
}

impl Writer for OpenVex {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.statements = 0;
        let head = json!({
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": format!("urn:uuid:{}", self.head.id),
            "author": self.head.author,
            "timestamp": time(self.head.made_at),
            "version": 1,
            "tooling": format!("Tamiz {}", self.head.version),
        });
        write(out, &head);
        // the statements follow as the last member
        out.pop();
        out.extend_from_slice(b",\"statements\":[");
    }

    fn alert(&mut self, alert: &Exported, out: &mut Vec<u8>) -> bool {
        let Some(statement) = statement(alert, &self.head) else {
            return false;
        };
        out.extend_from_slice(if self.statements > 0 { b",\n" } else { b"\n" });
        self.statements += 1;
        write(out, &statement);
        true
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n]}\n");
    }
}

fn statement(alert: &Exported, head: &Head) -> Option<Value> {
    let package = Package::of(&alert.finding)?;
    let ids = advisories(&alert.finding);
    let (name, aliases) = ids.split_first()?;
    let mut vulnerability = json!({ "name": name });
    set(&mut vulnerability, "aliases", aliases.to_vec());
    set(&mut vulnerability, "description", alert.finding.title.as_str());
    let said = said(alert, &package);
    let mut part = json!({ "identifiers": { "purl": package.url } });
    if is_uri(&package.url) {
        part["@id"] = json!(package.url);
    }
    let mut statement = json!({
        "@id": format!("urn:uuid:{}", alert.id),
        "vulnerability": vulnerability,
        "products": [{ "@id": product(head), "subcomponents": [part] }],
        "status": said.status,
        "timestamp": time(alert.since()),
    });
    // one of the two, and not both
    match (said.status, said.justification) {
        (Status::NotAffected, Some(word)) => statement["justification"] = json!(word),
        (Status::NotAffected, None) => statement["impact_statement"] = json!(said.text),
        (Status::Affected, _) => statement["action_statement"] = json!(said.text),
        (Status::Fixed | Status::UnderInvestigation, _) => {}
    }
    set(&mut statement, "status_notes", said.note);
    Some(statement)
}
