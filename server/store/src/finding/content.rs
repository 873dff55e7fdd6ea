//! What findings say, stored once per project: by a hash of it, however many scans say it.

use std::collections::{HashMap, HashSet};

use sqlx::types::Json;
use tamiz_core::identity::PartHash;
use tamiz_core::{Confidence, Finding, Location, ProjectId, Severity};
use uuid::Uuid;

use crate::error::{StoreError, ranked};
use crate::tenant_tx::TenantTx;

/// Contents of one statement: a statement stays under a few megabytes.
pub const CONTENTS_PER_INSERT: usize = 1_000;

/// What a finding says, on its way into the database.
#[derive(Debug, Clone)]
pub struct NewContent {
    /// The hash of what it says.
    pub id: PartHash,
    /// What its CVSS vector comes to.
    pub cvss_score: Option<f64>,
    /// What it says.
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
    tool_fingerprint: Vec<Option<String>>,
    extra: Vec<String>,
}

impl Columns {
    fn push(&mut self, stored: NewContent) -> Result<(), StoreError> {
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
        self.id.push(Uuid::from_bytes(stored.id));
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

/// Which of these contents the project does not have yet. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn missing_contents(
    tx: &mut TenantTx,
    project: ProjectId,
    ids: &[PartHash],
) -> Result<HashSet<PartHash>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().copied().map(Uuid::from_bytes).collect();
    let missing = sqlx::query_scalar!(
        r#"
        select x.id as "id!" from unnest($3::uuid[]) x(id)
        left join lateral (select true as is_there from tenant.finding_content c
                           where c.tenant_id = $1 and c.project_id = $2 and c.id = x.id limit 1) c on true
        where c.is_there is null
        "#,
        tx.tenant(),
        project.uuid(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(missing.into_iter().map(Uuid::into_bytes).collect())
}

/// Inserts contents that the project does not have, at most [`CONTENTS_PER_INSERT`]. The project is held.
///
/// # Errors
/// [`StoreError`] when the database does not take them.
pub async fn insert_contents(
    tx: &mut TenantTx,
    project: ProjectId,
    batch: Vec<NewContent>,
) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    for stored in batch {
        columns.push(stored)?;
    }
    sqlx::query!(
        r#"
        insert into tenant.finding_content
            (tenant_id, project_id, id, source_tool, rule_id, rule_name, severity, severity_raw, confidence, category,
             cwe, cve, cvss_vector, title, message, remediation, location_kind, location_label, file_path, line,
             locations, refs, tags, tool_fingerprint, extra, cvss_score)
        select $1, $2, x.id, x.tool, x.rule_id, x.rule_name, x.severity, x.severity_raw, x.confidence,
               x.category, x.cwe::int[], x.cve::text[], x.cvss_vector, x.title, x.message, x.remediation,
               x.location_kind, x.location_label, x.file_path, x.line, x.locations::jsonb, x.refs::jsonb,
               x.tags::jsonb, x.tool_fingerprint, x.extra::jsonb, x.cvss_score::numeric(3, 1)
        from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::text[],
                    $9::smallint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                    $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::int[], $21::text[],
                    $22::text[], $23::text[], $24::text[], $25::text[], $26::float8[])
             x(id, tool, rule_id, rule_name, severity, severity_raw, confidence, category, cwe, cve,
               cvss_vector, title, message, remediation, location_kind, location_label, file_path, line,
               locations, refs, tags, tool_fingerprint, extra, cvss_score)
        on conflict do nothing
        "#,
        tx.tenant(),
        project.uuid(),
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
        &columns.tool_fingerprint as &[Option<String>],
        &columns.extra,
        &columns.cvss_score as &[Option<f64>]
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What these contents say, as far as the project has them; with rules, those of these rules alone.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub(crate) async fn contents(
    tx: &mut TenantTx,
    project: ProjectId,
    ids: &[Uuid],
    rules: Option<&[String]>,
) -> Result<HashMap<Uuid, Finding>, StoreError> {
    let mut findings = HashMap::new();
    for part in ids.chunks(CONTENTS_PER_INSERT) {
        let rows = sqlx::query!(
            r#"
            select id, source_tool, rule_id, rule_name, severity, severity_raw, confidence, category, cwe, cve,
                   cvss_vector, title, message, remediation, locations as "locations: Json<Vec<Location>>",
                   refs as "refs: Json<Vec<String>>", tags as "tags: Json<Vec<String>>", tool_fingerprint,
                   extra as "extra: Json<serde_json::Map<String, serde_json::Value>>"
            from tenant.finding_content
            where tenant_id = $1 and project_id = $2 and id = any($3) and ($4::text[] is null or rule_id = any($4))
            "#,
            tx.tenant(),
            project.uuid(),
            part,
            rules
        )
        .fetch_all(tx.connection())
        .await?;
        for row in rows {
            let finding = Finding {
                tool: row.source_tool,
                rule_id: row.rule_id,
                rule_name: row.rule_name,
                title: row.title,
                message: row.message,
                severity: ranked("severity", row.severity, Severity::from_rank)?,
                severity_raw: row.severity_raw,
                confidence: ranked("confidence", row.confidence, Confidence::from_rank)?,
                category: row.category,
                locations: row.locations.0,
                cwe: row.cwe.into_iter().map(i32::cast_unsigned).collect(),
                cve: row.cve,
                cvss_vector: row.cvss_vector,
                references: row.refs.0,
                tags: row.tags.0,
                remediation: row.remediation,
                tool_fingerprint: row.tool_fingerprint,
                origin: None,
                extra: row.extra.0,
            };
            findings.insert(row.id, finding);
        }
    }
    Ok(findings)
}

/// The paths of these contents in the way in which identities spell them, as far as they are of files.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub(crate) async fn paths(
    tx: &mut TenantTx,
    project: ProjectId,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, String>, StoreError> {
    let mut paths = HashMap::new();
    for part in ids.chunks(CONTENTS_PER_INSERT) {
        let rows = sqlx::query!(
            r#"
            select id, file_path as "file_path!" from tenant.finding_content
            where tenant_id = $1 and project_id = $2 and id = any($3) and file_path is not null
            "#,
            tx.tenant(),
            project.uuid(),
            part
        )
        .fetch_all(tx.connection())
        .await?;
        paths.extend(
            rows.into_iter()
                .map(|row| (row.id, tamiz_core::identity::path(&row.file_path))),
        );
    }
    Ok(paths)
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

/// A Postgres array literal (manual, 8.15.6): elements quoted, quotes and backslashes escaped. For columns of arrays,
/// because an array of arrays must be rectangular.
pub(crate) fn array_literal(items: impl Iterator<Item = String>) -> String {
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
