//! Scores of a day, stored where they changed.
//!
//! A score counts from its day until that of the next row of its CVE. Percentiles of nearly all CVEs move a little every
//! day, so one alone makes a row only when it moved by [`PERCENTILE_STEP`]: a day then has a few thousand rows instead of
//! three hundred thousand. Files may come in any order: what the file of the following day told without a row of its own
//! gets one when a row is put before it.

use tamiz_core::enrichment::EpssScore;

use super::file::OpenFile;
use crate::control_tx::ControlTx;
use crate::error::StoreError;

/// Scores that one statement takes.
pub const SCORES_PER_INSERT: usize = 10_000;
/// A percentile that moved by less since its row is not stored again while its score stays.
pub const PERCENTILE_STEP: f32 = 0.01;

/// Writes scores of the file's day, at most [`SCORES_PER_INSERT`]; of a CVE that comes twice the last one counts. Answers
/// how many rows were written.
///
/// Served by the key of `epss_score`.
///
/// # Errors
/// [`StoreError`] when the database does not take them.
pub async fn insert_scores(
    tx: &mut ControlTx,
    open: &OpenFile,
    scores: &[EpssScore],
) -> Result<u64, StoreError> {
    let cves: Vec<&str> = scores.iter().map(|score| score.cve.as_str()).collect();
    let values: Vec<f32> = scores.iter().map(|score| score.score).collect();
    let percentiles: Vec<f32> = scores.iter().map(|score| score.percentile).collect();
    let written = sqlx::query!(
        r#"
        with given as (
            select distinct on (cve) cve, score, percentile
            from unnest($3::text[], $4::real[], $5::real[]) with ordinality g(cve, score, percentile, n)
            order by cve, n desc),
        changed as materialized (
            select g.*, b.score as score_before, b.percentile as percentile_before
            from given g
            left join lateral (
                select s.score, s.percentile from control.epss_score s
                where s.cve = g.cve and s.date < $1 order by s.date desc limit 1) b on true
            where b.score is distinct from g.score or abs(b.percentile - g.percentile) >= $6),
        -- the following day said the same as the one before this, and so has no row yet
        told_after as (
            insert into control.epss_score (cve, date, score, percentile)
            select cve, $2::date, score_before, percentile_before from changed
            where $2::date is not null and score_before is not null
            on conflict (cve, date) do nothing)
        insert into control.epss_score (cve, date, score, percentile)
        select cve, $1, score, percentile from changed
        on conflict (cve, date) do update set score = excluded.score, percentile = excluded.percentile
        "#,
        open.file.date,
        open.next,
        &cves as &[&str],
        &values,
        &percentiles,
        PERCENTILE_STEP
    )
    .execute(tx.connection())
    .await?;
    Ok(written.rows_affected())
}

/// Takes the rows of a day away, for another file of it. What they told of the following days stays told.
pub(super) async fn clear_day(tx: &mut ControlTx, open: &OpenFile) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        with gone as (delete from control.epss_score where date = $1 returning cve, score, percentile)
        insert into control.epss_score (cve, date, score, percentile)
        select cve, $2::date, score, percentile from gone where $2::date is not null
        on conflict (cve, date) do nothing
        "#,
        open.file.date,
        open.next
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Drops rows that were over before the oldest file; the one that counted on its day stays.
pub(super) async fn forget_before_oldest(tx: &mut ControlTx) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        with oldest as (select min(date) as date from control.enrichment_file where kind = 'epss')
        delete from control.epss_score s using oldest
        where s.date < oldest.date and exists (
            select from control.epss_score later
            where later.cve = s.cve and later.date > s.date and later.date <= oldest.date)
        "#
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
