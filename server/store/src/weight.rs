//! Rows that may be large, read one by one and weighed as they come.
//!
//! A statement answers with as many bytes as the rows have; collecting them first and weighing them
//! afterwards would be too late. Once the budget is used up the rest is read off the connection
//! without being kept.

use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tamiz_core::Location;
use tamiz_core::budget::{ByteBudget, VALUE_BYTES, json_bytes};
use tamiz_core::location::Endpoint;

use crate::alert::{AlertEventRow, AlertOccurrenceRow, AlertRow};
use crate::error::StoreError;
use crate::finding::{ContentRow, FindingRow, OccurrenceRow, Said};
use crate::pcap_session::PcapSession;
use crate::task::TaskRow;
use crate::webhook::Attempt;

/// JSON takes more room parsed than written, for its short texts and numbers above all.
const PARSED_TIMES: u64 = 4;

/// What a transaction may read; without a budget anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowance(Option<Arc<ByteBudget>>);

impl Allowance {
    pub(crate) fn of(budget: Arc<ByteBudget>) -> Self {
        Self(Some(budget))
    }

    /// All of `rows`, as long as what `weigh` says of them fits.
    pub(crate) async fn collect<Row>(
        &self,
        rows: impl Stream<Item = Result<Row, sqlx::Error>>,
        weigh: impl Fn(&Row) -> u64,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = pin!(rows);
        let mut kept = Vec::new();
        while let Some(row) = rows.next().await {
            let row = row?;
            if let Some(budget) = &self.0 {
                budget.spend(weigh(&row))?;
            }
            kept.push(row);
        }
        Ok(kept)
    }
}

fn text(text: &str) -> u64 {
    text.len() as u64
}

fn maybe(text: Option<&String>) -> u64 {
    text.map_or(0, |text| text.len() as u64)
}

fn texts(list: &[String]) -> u64 {
    list.iter().map(|text| VALUE_BYTES + text.len() as u64).sum()
}

fn endpoint(endpoint: &Endpoint) -> u64 {
    text(&endpoint.host) + maybe(endpoint.protocol.as_ref())
}

fn place(place: &Location) -> u64 {
    let texts = match place {
        Location::File { path, snippet, .. } => text(path) + maybe(snippet.as_ref()),
        Location::Url {
            url,
            method,
            parameter,
            evidence,
        } => {
            let rest = [method, parameter, evidence];
            text(url) + rest.into_iter().map(|part| maybe(part.as_ref())).sum::<u64>()
        }
        Location::Endpoint(at) => endpoint(at),
        Location::Domain { name, record_type } => text(name) + maybe(record_type.as_ref()),
        Location::Flow {
            source, destination, ..
        } => endpoint(source) + endpoint(destination),
    };
    size_of::<Location>() as u64 + texts
}

/// What the texts of a content hold; what is not parsed yet is paid again by those who show it.
fn content(row: &ContentRow) -> u64 {
    let optional = [
        &row.rule_name,
        &row.severity_raw,
        &row.category,
        &row.cvss_vector,
        &row.remediation,
        &row.location_kind,
        &row.location_label,
        &row.file_path,
    ];
    let required = [&row.rule_id, &row.title, &row.message];
    required.into_iter().map(|part| text(part)).sum::<u64>()
        + optional.into_iter().map(|part| maybe(part.as_ref())).sum::<u64>()
        + texts(&row.cve)
        + row.refs.bytes()
        + row.tags.bytes()
        + row.locations.bytes()
}

/// What a finding says.
pub(crate) fn of_said(said: &Said) -> u64 {
    size_of::<Said>() as u64
        + maybe(said.tool_fingerprint.as_ref())
        + content(&said.content)
        + said.extra.bytes()
}

/// What a finding holds.
pub(crate) fn of_finding(row: &FindingRow) -> u64 {
    size_of::<FindingRow>() as u64 + text(&row.source_tool) + of_said(&row.said)
}

/// What an alert holds.
pub(crate) fn of_alert(row: &AlertRow) -> u64 {
    let decided = [&row.dismissed_comment, &row.dismissed_by, &row.assignee];
    size_of::<AlertRow>() as u64
        + text(&row.source_tool)
        + decided.into_iter().map(|part| maybe(part.as_ref())).sum::<u64>()
        + content(&row.content)
        + row.suppressions.0.values().map(json_bytes).sum::<u64>()
}

/// What a place of an alert holds.
pub(crate) fn of_alert_occurrence(row: &AlertOccurrenceRow) -> u64 {
    size_of::<AlertOccurrenceRow>() as u64
        + maybe(row.location_label.as_ref())
        + row.locations.0.iter().map(place).sum::<u64>()
}

/// What a change of an alert holds.
pub(crate) fn of_alert_event(row: &AlertEventRow) -> u64 {
    let values = [&row.before, &row.after];
    size_of::<AlertEventRow>() as u64
        + maybe(row.comment.as_ref())
        + values.into_iter().flatten().map(json_bytes).sum::<u64>()
}

/// What an occurrence holds.
pub(crate) fn of_occurrence(row: &OccurrenceRow) -> u64 {
    size_of::<OccurrenceRow>() as u64 + row.locations.0.iter().map(place).sum::<u64>()
}

/// What the session of a capture holds.
pub(crate) fn of_pcap_session(row: &PcapSession) -> u64 {
    size_of::<PcapSession>() as u64 + json_bytes(&row.protocol_stats) + json_bytes(&row.flows)
}

/// What a try at sending a webhook holds.
pub(crate) fn of_webhook_attempt(row: &Attempt) -> u64 {
    size_of::<Attempt>() as u64 + maybe(row.error.as_ref()) + maybe(row.answer.as_ref())
}

/// What a task holds.
pub(crate) fn of_task(row: &TaskRow) -> u64 {
    size_of::<TaskRow>() as u64
        + PARSED_TIMES * row.payload.bytes()
        + maybe(row.error_message.as_ref())
        + row.plugin_fault.as_ref().map_or(0, json_bytes)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn rows_are_read_until_the_budget_is_used_up() {
        let read = std::cell::Cell::new(0);
        let stones = || {
            stream::iter(std::iter::repeat_with(|| {
                read.set(read.get() + 1);
                Ok(30_u64)
            }))
        };
        let allowance = Allowance::of(Arc::new(ByteBudget::new(100)));
        let refused = allowance.collect(stones(), |stone| *stone).await;
        assert!(matches!(refused, Err(StoreError::TooMuch { bytes_max: 100 })));
        assert_eq!(read.get(), 4);
        let all = Allowance::default()
            .collect(stones().take(1_000), |stone| *stone)
            .await;
        assert_eq!(all.map(|rows| rows.len()).unwrap_or_default(), 1_000);
    }
}
