//! What a finding says, as it is read: by findings, and by alerts of their newest sighting.
//!
//! Not here: contents as findings of the domain ([`super::contents`]), and writing them ([`super::insert_contents`]).

use sqlx::postgres::PgRow;
use sqlx::{ColumnIndex as _, FromRow, Postgres, QueryBuilder, Row as _};
use tamiz_core::Location;

use crate::unparsed::Unparsed;

/// The columns of contents that are shown.
#[derive(Debug, Clone)]
pub struct ContentRow {
    /// Which of the tool's rules.
    pub rule_id: String,
    /// The rule's readable name.
    pub rule_name: Option<String>,
    /// The tool's word.
    pub severity_raw: Option<String>,
    /// 0 unknown to 3 high.
    pub confidence: i16,
    /// `security`, …
    pub category: Option<String>,
    /// CWE numbers.
    pub cwe: Vec<i32>,
    /// Advisory ids.
    pub cve: Vec<String>,
    /// As it stood.
    pub cvss_vector: Option<String>,
    /// What it comes to.
    pub cvss_score: Option<f64>,
    /// One line.
    pub title: String,
    /// The whole explanation.
    pub message: String,
    /// What to do.
    pub remediation: Option<String>,
    /// `file`, `url`, …
    pub location_kind: Option<String>,
    /// The primary place in one word.
    pub location_label: Option<String>,
    /// The primary place's file.
    pub file_path: Option<String>,
    /// And line.
    pub line: Option<i32>,
    /// All places.
    pub locations: Unparsed<Vec<Location>>,
    /// To read more.
    pub refs: Unparsed<Vec<String>>,
    /// Such as `owasp:A03:2021`.
    pub tags: Unparsed<Vec<String>>,
}

/// By position from the first of [`COLUMNS`] on: pages have thousands of rows, and a name is looked up in each.
impl<'r> FromRow<'r, PgRow> for ContentRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let first = "rule_id".index(row)?;
        Ok(Self {
            rule_id: row.try_get(first)?,
            rule_name: row.try_get(first + 1)?,
            severity_raw: row.try_get(first + 2)?,
            confidence: row.try_get(first + 3)?,
            category: row.try_get(first + 4)?,
            cwe: row.try_get(first + 5)?,
            cve: row.try_get(first + 6)?,
            cvss_vector: row.try_get(first + 7)?,
            cvss_score: row.try_get(first + 8)?,
            title: row.try_get(first + 9)?,
            message: row.try_get(first + 10)?,
            remediation: row.try_get(first + 11)?,
            location_kind: row.try_get(first + 12)?,
            location_label: row.try_get(first + 13)?,
            file_path: row.try_get(first + 14)?,
            line: row.try_get(first + 15)?,
            locations: row.try_get(first + 16)?,
            refs: row.try_get(first + 17)?,
            tags: row.try_get(first + 18)?,
        })
    }
}

/// Its columns in its order, of a query that calls contents `c` and where no other column is called `rule_id`.
pub(crate) const COLUMNS: &str = "c.rule_id, c.rule_name, c.severity_raw, c.confidence, c.category, c.cwe, c.cve, \
    c.cvss_vector, c.cvss_score::float8 as cvss_score, c.title, c.message, c.remediation, c.location_kind, \
    c.location_label, c.file_path, c.line, c.locations, c.refs, c.tags";

/// Conditions on contents: one of these rules, if any is named, and in exactly this file, or under it when it ends in `/`.
pub(crate) fn push_conditions(query: &mut QueryBuilder<Postgres>, rules: &[String], file: Option<&str>) {
    if !rules.is_empty() {
        query
            .push(" and c.rule_id = any(")
            .push_bind(rules.to_vec())
            .push(")");
    }
    if let Some(file) = file {
        if file.ends_with('/') {
            query
                .push(" and starts_with(c.file_path, ")
                .push_bind(file.to_owned())
                .push(")");
        } else {
            query.push(" and c.file_path = ").push_bind(file.to_owned());
        }
    }
}
