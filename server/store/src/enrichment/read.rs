//! What is known of CVEs, for a tenant's own rows.

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// How likely a CVE is exploited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epss {
    /// The probability within 30 days, 0 to 1.
    pub score: f32,
    /// The part of all CVEs with at most this score, 0 to 1.
    pub percentile: f32,
    /// Since when it is so.
    pub date: NaiveDate,
}

/// An entry of the catalogue of known exploited vulnerabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KevListing {
    /// The day it came into the catalogue.
    pub added_on: NaiveDate,
    /// Until when agencies must act.
    pub due_on: Option<NaiveDate>,
    /// The vulnerability's name.
    pub name: String,
    /// Whether campaigns of ransomware are known to use it.
    pub has_ransomware_use: bool,
}

/// What is known of one CVE.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its score.
    pub epss: Option<Epss>,
    /// Its entry.
    pub kev: Option<KevListing>,
}

/// What is known of these CVEs now, or was on a day; those of which nothing is known are left out.
///
/// Public facts: no row of a tenant is read. Served by the keys of `epss_score` and `kev_entry`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_cves(
    tx: &mut TenantTx,
    cves: &[String],
    as_of: Option<NaiveDate>,
) -> Result<HashMap<String, Known>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select c.cve as "cve!", e.score as "score?", e.percentile as "percentile?", e.date as "date?",
               k.added_on as "added_on?", k.due_on as "due_on?", k.name as "name?",
               k.has_ransomware_use as "has_ransomware_use?"
        from unnest($1::text[]) c(cve)
        left join lateral (
            select s.score, s.percentile, s.date from control.epss_score s
            where s.cve = c.cve and s.date <= coalesce($2::date, 'infinity') order by s.date desc limit 1) e on true
        left join control.kev_entry k on k.cve = c.cve and k.added_on <= coalesce($2::date, 'infinity')
            and coalesce(k.withdrawn_on, 'infinity') > coalesce($2::date, '9999-12-31')
        where e.score is not null or k.cve is not null
        "#,
        cves,
        as_of
    )
    .fetch_all(tx.connection())
    .await?;
    let known = rows.into_iter().map(|row| {
        let epss = row.score.zip(row.percentile).zip(row.date);
        let epss = epss.map(|((score, percentile), date)| Epss {
            score,
            percentile,
            date,
        });
        let entry = row.added_on.zip(row.name).zip(row.has_ransomware_use);
        let kev = entry.map(|((added_on, name), has_ransomware_use)| KevListing {
            added_on,
            due_on: row.due_on,
            name,
            has_ransomware_use,
        });
        (row.cve, Known { epss, kev })
    });
    Ok(known.collect())
}
