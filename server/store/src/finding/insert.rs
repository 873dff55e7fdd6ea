//! Writing findings in batches of arrays (`COPY` is refused under row-level security).

use tamiz_core::fingerprint::{self, Fingerprint};
use tamiz_core::{Finding, FindingId, Location, ProjectId, TaskId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Rows of one statement: beyond a thousand nothing is gained, and a statement stays under a few
/// megabytes.
pub const ROWS_PER_INSERT: usize = 1_000;

/// A finding with the identity that the platform gave it.
#[derive(Debug, Clone)]
pub struct StoredFinding {
    /// Its id.
    pub id: FindingId,
    /// Its content identity.
    pub fingerprint: Fingerprint,
    /// What its CVSS vector comes to.
    pub cvss_score: Option<f64>,
    /// The finding.
    pub finding: Finding,
}

/// One array per column, ready for `unnest`.
#[derive(Default)]
struct Columns {
    id: Vec<Uuid>,
    tool: Vec<String>,
    rule_id: Vec<String>,
    rule_name: Vec<Option<String>>,
    severity: Vec<i16>,
    severity_raw: Vec<Option<String>>,
    confidence: Vec<i16>,
    category: Vec<Option<String>>,
    cwe: Vec<String>,
    cve: Vec<String>,
    cvss_vector: Vec<Option<String>>,
    cvss_score: Vec<Option<f64>>,
    title: Vec<String>,
    message: Vec<String>,
    remediation: Vec<Option<String>>,
    location_kind: Vec<Option<String>>,
    location_label: Vec<Option<String>>,
    file_path: Vec<Option<String>>,
    line: Vec<Option<i32>>,
    locations: Vec<String>,
    refs: Vec<String>,
    tags: Vec<String>,
    fingerprint: Vec<Vec<u8>>,
    tool_fingerprint: Vec<Option<String>>,
    extra: Vec<String>,
}

impl Columns {
    fn push(&mut self, stored: StoredFinding) -> Result<(), StoreError> {
        let finding = stored.finding;
        let primary = finding.locations.first();
        self.location_kind
            .push(primary.map(|place| place.kind().to_owned()));
        self.location_label.push(primary.map(Location::label));
        let (path, line) = match primary {
            Some(Location::File { path, start, .. }) => (
                Some(path.clone()),
                start
                    .and_then(|at| i32::try_from(at.line).ok())
                    .filter(|line| *line > 0),
            ),
            _ => (None, None),
        };
        self.file_path.push(path);
        self.line.push(line);
        self.locations.push(json(&finding.locations)?);
        self.refs.push(json(&finding.references)?);
        self.tags.push(json(&finding.tags)?);
        self.extra.push(json(&finding.extra)?);
        self.cwe
            .push(array_literal(finding.cwe.iter().map(u32::to_string)));
        self.cve.push(array_literal(finding.cve.into_iter()));
        self.id.push(stored.id.uuid());
        self.fingerprint.push(stored.fingerprint.0.to_vec());
        self.tool.push(finding.tool);
        self.rule_id.push(finding.rule_id);
        self.rule_name.push(finding.rule_name);
        self.severity.push(finding.severity.rank());
        self.severity_raw.push(finding.severity_raw);
        self.confidence.push(finding.confidence.rank());
        self.category.push(finding.category);
        self.cvss_vector.push(finding.cvss_vector);
        self.cvss_score.push(stored.cvss_score);
        self.title.push(finding.title);
        self.message.push(finding.message);
        self.remediation.push(finding.remediation);
        self.tool_fingerprint.push(finding.tool_fingerprint);
        Ok(())
    }
}

/// Inserts at most [`ROWS_PER_INSERT`] findings of one task in one statement.
///
/// # Errors
/// [`StoreError`] when the database does not take them.
pub async fn insert(
    tx: &mut TenantTx,
    project: ProjectId,
    task: TaskId,
    batch: Vec<StoredFinding>,
) -> Result<u64, StoreError> {
    let mut columns = Columns::default();
    for stored in batch {
        columns.push(stored)?;
    }
    let done = sqlx::query!(
        r#"
        insert into tenant.finding
            (tenant_id, project_id, task_id, fingerprint_version, id, source_tool, rule_id, rule_name,
             severity, severity_raw, confidence, category, cwe, cve, cvss_vector, title, message, remediation,
             location_kind, location_label, file_path, line, locations, refs, tags, fingerprint,
             tool_fingerprint, extra, cvss_score)
        select $1, $2, $3, $4, x.id, x.tool, x.rule_id, x.rule_name, x.severity, x.severity_raw, x.confidence,
               x.category, x.cwe::int[], x.cve::text[], x.cvss_vector, x.title, x.message, x.remediation,
               x.location_kind, x.location_label, x.file_path, x.line, x.locations::jsonb, x.refs::jsonb,
               x.tags::jsonb, x.fingerprint, x.tool_fingerprint, x.extra::jsonb,
               x.cvss_score::numeric(3, 1)
        from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::text[],
                    $11::smallint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
                    $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::int[], $23::text[],
                    $24::text[], $25::text[], $26::bytea[], $27::text[], $28::text[], $29::float8[])
             x(id, tool, rule_id, rule_name, severity, severity_raw, confidence, category, cwe, cve,
               cvss_vector, title, message, remediation, location_kind, location_label, file_path, line,
               locations, refs, tags, fingerprint, tool_fingerprint, extra, cvss_score)
        "#,
        tx.tenant(),
        project.uuid(),
        task.uuid(),
        fingerprint::VERSION,
        &columns.id,
        &columns.tool,
        &columns.rule_id,
        &columns.rule_name as &[Option<String>],
        &columns.severity,
        &columns.severity_raw as &[Option<String>],
        &columns.confidence,
        &columns.category as &[Option<String>],
        &columns.cwe,
        &columns.cve,
        &columns.cvss_vector as &[Option<String>],
        &columns.title,
        &columns.message,
        &columns.remediation as &[Option<String>],
        &columns.location_kind as &[Option<String>],
        &columns.location_label as &[Option<String>],
        &columns.file_path as &[Option<String>],
        &columns.line as &[Option<i32>],
        &columns.locations,
        &columns.refs,
        &columns.tags,
        &columns.fingerprint,
        &columns.tool_fingerprint as &[Option<String>],
        &columns.extra,
        &columns.cvss_score as &[Option<f64>]
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_string(value)
        .map_err(|error| StoreError::unreadable("finding", &error.to_string()))?;
    // jsonb cannot hold U+0000 (PostgreSQL manual, 8.14); it carries no meaning in a finding
    Ok(if text.contains("\\u0000") {
        without_nul(&text)
    } else {
        text
    })
}

/// Takes `\u0000` escapes out of a JSON text, leaving an escaped backslash before `u0000` alone.
fn without_nul(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = if escape.starts_with("\\u") { 6 } else { 2 };
        let (escape, after) = escape.split_at(length.min(escape.len()));
        if escape != "\\u0000" {
            out.push_str(escape);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A Postgres array literal (manual, 8.15.6): elements quoted, quotes and backslashes escaped.
fn array_literal(items: impl Iterator<Item = String>) -> String {
    let mut literal = String::from("{");
    for (index, item) in items.enumerate() {
        if index > 0 {
            literal.push(',');
        }
        literal.push('"');
        for character in item.chars().filter(|character| *character != '\0') {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_elements_are_quoted() {
        let items = ["CVE-1", "a\"b\\c", "{,}"].map(str::to_owned);
        assert_eq!(array_literal(items.into_iter()), r#"{"CVE-1","a\"b\\c","{,}"}"#);
        assert_eq!(array_literal(std::iter::empty()), "{}");
    }

    #[test]
    fn nul_goes_and_an_escaped_backslash_stays() {
        assert_eq!(without_nul(r#"["a\u0000b\\u0000\n"]"#), r#"["ab\\u0000\n"]"#);
    }
}
