//! Trivy's `ExperimentalModifiedFindings` (`--show-suppressed`): a record of any kind, and why it is taken out:
//! `{"Type", "Status", "Statement", "Source", "Finding"}`.

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::json::lenient::Text;
use tamiz_sdk::report::{Element, Session, Stop};

use super::trivy::Target;
use super::trivy_records::Kind;

/// What is taken out by a `.trivyignore` or a VEX document, and why.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Modified<'a> {
    #[serde(borrow, rename = "Type")]
    kind: Text<'a>,
    /// `ignored`, or the word of VEX.
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    statement: Text<'a>,
    /// The file that says it.
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    finding: Option<&'a RawValue>,
}

pub(super) fn convert(session: &mut Session<'_>, element: &Element<'_>, target: &Target) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(modified) = element.read_or_lose::<Modified<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let (Some(kind), Some(finding)) = (Kind::named(modified.kind.text()), modified.finding) else {
        let why = "is taken out by the tool's rules, and says nothing that is read";
        session.leave_out_record("finding-suppressed", element, why);
        return Ok(());
    };
    let target = Target {
        suppressed: Some(modified.justification()),
        ..target.clone()
    };
    let name = format!("{}.Finding", element.name());
    // where the whole record stands: a report that is cut inside it has no such finding
    let finding = Element::named(&name, finding.get().as_bytes(), element.span);
    kind.convert(session, &finding, &target)
}

impl Modified<'_> {
    /// `not_affected: nobody calls it (shop.openvex.json)`.
    fn justification(&self) -> String {
        let mut why = self.status.text().to_owned();
        let statement = self.statement.text();
        if !matches!(statement, "" | "N/A") {
            why = format!("{why}: {statement}");
        }
        if !self.source.text().is_empty() {
            why = format!("{why} ({})", self.source.text());
        }
        why
    }
}
