//! What findings and alerts say alike: fields that both have, of the columns that both read.
//!
//! None of these groups is a type of the schema; their fields stand among those of `Finding` and `Alert` (`flatten`),
//! in as many pieces as the schema's order needs.

use async_graphql::{Context, Object};
use serde::de::DeserializeOwned;
use tamiz_core::{Location, ProjectId};
use tamiz_store::finding::ContentRow;
use tamiz_store::unparsed::Unparsed;

use super::answer_bytes::paid;
use super::exploitation::Exploitation;
use super::scalars::{Date, Json};
use super::session::Session;
use super::weakness::Weakness;
use super::words::Confidence;
use crate::api::errors::ApiError;

/// Which rule it is of.
pub(super) struct OfRule<'a>(pub(super) &'a ContentRow);

/// Which rule it is of.
#[Object(name = "ContentOfRule")]
impl OfRule<'_> {
    /// The tool's rule.
    async fn rule_id(&self) -> &str {
        &self.0.rule_id
    }

    /// The rule's readable name.
    async fn rule_name(&self) -> Option<&str> {
        self.0.rule_name.as_deref()
    }
}

/// How the tool rates it.
pub(super) struct Rated<'a>(pub(super) &'a ContentRow);

/// How the tool rates it.
#[Object(name = "ContentRated")]
impl Rated<'_> {
    /// How bad it is, in the tool's word.
    async fn severity_raw(&self) -> Option<&str> {
        self.0.severity_raw.as_deref()
    }

    /// How sure the tool is.
    fn confidence(&self) -> Result<Confidence, ApiError> {
        Confidence::of_rank(self.0.confidence)
    }
}

/// Which flaw it is, and what is known of it elsewhere.
pub(super) struct OfFlaw<'a>(pub(super) &'a ContentRow, pub(super) ProjectId);

/// Which flaw it is, and what is known of it elsewhere.
#[Object(name = "ContentOfFlaw")]
impl OfFlaw<'_> {
    /// `security`, `secret`, …
    async fn category(&self) -> Option<&str> {
        self.0.category.as_deref()
    }

    /// CWE numbers, the first is primary.
    async fn cwe(&self) -> &[i32] {
        &self.0.cwe
    }

    /// What the CWE numbers are called, and where they stand in the OWASP Top 10 of 2021 and of 2025.
    async fn weaknesses(&self) -> Vec<Weakness> {
        Weakness::all_of(&self.0.cwe)
    }

    /// What is known of its CVEs elsewhere: how likely they are exploited (EPSS), and whether they are (KEV), as
    /// `tamiz enrich` imported it. Null when nothing is known.
    async fn exploitation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "As it was known on this day; now, if not said.")] as_of: Option<Date>,
    ) -> Result<Option<Exploitation>, ApiError> {
        let session = Session::of(context)?;
        let named = self.0.cve.iter().chain([&self.0.rule_id]).map(String::as_str);
        let day = as_of.map(|day| day.0);
        // boxed for the reason that `Batch::load` tells
        Box::pin(Exploitation::of(session, self.1, named, day)).await
    }

    /// Advisory ids (CVE, GHSA, OSV).
    fn cve(&self, context: &Context<'_>) -> Result<&[String], ApiError> {
        paid(context, &self.0.cve[..])
    }

    /// As it stood in the report.
    async fn cvss_vector(&self) -> Option<&str> {
        self.0.cvss_vector.as_deref()
    }
}

/// What it says in words, and of which place.
pub(super) struct Told<'a>(pub(super) &'a ContentRow);

/// What it says in words, and of which place.
#[Object(name = "ContentTold")]
impl Told<'_> {
    /// One line.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The whole explanation.
    fn message(&self, context: &Context<'_>) -> Result<&str, ApiError> {
        Ok(paid(context, &self.0.message)?)
    }

    /// What to do about it.
    fn remediation(&self, context: &Context<'_>) -> Result<Option<&str>, ApiError> {
        Ok(paid(context, &self.0.remediation)?.as_deref())
    }

    /// `file`, `url`, `endpoint`, `domain` or `flow`; null if the tool names no place.
    async fn location_kind(&self) -> Option<&str> {
        self.0.location_kind.as_deref()
    }

    /// The primary place in one word.
    fn location(&self, context: &Context<'_>) -> Result<Option<&str>, ApiError> {
        Ok(paid(context, &self.0.location_label)?.as_deref())
    }

    /// The file, relative to the scanned root; a label.
    fn file(&self, context: &Context<'_>) -> Result<Option<&str>, ApiError> {
        Ok(paid(context, &self.0.file_path)?.as_deref())
    }
}

/// What it is labelled with.
pub(super) struct Labelled<'a>(pub(super) &'a ContentRow);

/// What it is labelled with.
#[Object(name = "ContentLabelled")]
impl Labelled<'_> {
    /// To read more; labels, never fetched.
    fn references(&self, context: &Context<'_>) -> Result<Vec<String>, ApiError> {
        texts(context, &self.0.refs)
    }

    /// Such as `owasp:A03:2021`.
    fn tags(&self, context: &Context<'_>) -> Result<Vec<String>, ApiError> {
        texts(context, &self.0.tags)
    }
}

fn texts(context: &Context<'_>, list: &Unparsed<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let list = parsed(list)?;
    paid(context, &list[..])?;
    Ok(list)
}

/// The primary place.
pub(super) fn first_place(row: &ContentRow) -> Result<Option<Location>, ApiError> {
    Ok(parsed(&row.locations)?.into_iter().next())
}

/// The source text at the primary place.
pub(super) fn snippet(context: &Context<'_>, row: &ContentRow) -> Result<Option<String>, ApiError> {
    let Some(Location::File { snippet, .. }) = first_place(row)? else {
        return Ok(None);
    };
    paid(context, &snippet)?;
    Ok(snippet)
}

/// All places as JSON.
pub(super) fn locations(context: &Context<'_>, row: &ContentRow) -> Result<Json, ApiError> {
    let all = serde_json::to_value(parsed(&row.locations)?).map_err(|error| ApiError::fault(&error))?;
    paid(context, &all)?;
    Ok(Json(all))
}

/// What a column of JSON holds.
pub(super) fn parsed<Value: DeserializeOwned>(column: &Unparsed<Value>) -> Result<Value, ApiError> {
    column.parse().map_err(|error| ApiError::of_store(&error))
}
