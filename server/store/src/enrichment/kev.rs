//! The catalogue of known exploited vulnerabilities: what is in the newest one, and since when and until when others were.

use chrono::NaiveDate;
use serde::Serialize;
use tamiz_core::enrichment::{Kev, KevCatalogue};

use super::file::OpenFile;
use crate::control_tx::ControlTx;
use crate::error::StoreError;

/// Entries that one statement takes.
pub const ENTRIES_PER_INSERT: usize = 1_000;

/// An entry as it is sent.
#[derive(Serialize)]
struct Sent<'a> {
    cve: &'a str,
    added_on: NaiveDate,
    due_on: Option<NaiveDate>,
    vendor: &'a str,
    product: &'a str,
    name: &'a str,
    description: &'a str,
    action: &'a str,
    has_ransomware_use: bool,
    notes: &'a str,
    cwe: &'a [u32],
}

impl<'a> From<&'a Kev> for Sent<'a> {
    fn from(entry: &'a Kev) -> Self {
        Self {
            cve: entry.cve.as_str(),
            added_on: entry.added,
            due_on: entry.due,
            vendor: &entry.vendor,
            product: &entry.product,
            name: &entry.name,
            description: &entry.description,
            action: &entry.action,
            has_ransomware_use: entry.has_ransomware_use,
            notes: &entry.notes,
            cwe: &entry.cwe,
        }
    }
}

/// Writes a catalogue and answers how many entries are withdrawn by it: those that it no longer has. One with rows that
/// were left out withdraws nothing. What an older catalogue says of an entry that a newer one has does not count; one
/// that no newer one has was withdrawn by the next.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn put_catalogue(
    tx: &mut ControlTx,
    open: &OpenFile,
    catalogue: &KevCatalogue,
) -> Result<u64, StoreError> {
    for part in catalogue.entries.chunks(ENTRIES_PER_INSERT) {
        match open.next {
            None => put_newest(tx, open, part).await?,
            Some(next) => put_older(tx, open, next, part).await?,
        }
    }
    if open.next.is_some() || !catalogue.faults.is_empty() {
        return Ok(0);
    }
    withdraw_others(tx, open, &catalogue.entries).await
}

/// What an earlier file of the same day alone had was never there; what earlier days had is withdrawn.
async fn withdraw_others(tx: &mut ControlTx, open: &OpenFile, entries: &[Kev]) -> Result<u64, StoreError> {
    let cves: Vec<&str> = entries.iter().map(|entry| entry.cve.as_str()).collect();
    let withdrawn = sqlx::query_scalar!(
        r#"
        with never as (
            delete from control.kev_entry where first_listed_on = $1 and not cve = any($2)),
        withdrawn as (
            update control.kev_entry set withdrawn_on = $1
            where withdrawn_on is null and first_listed_on < $1 and not cve = any($2) returning cve)
        select count(*) as "count!" from withdrawn
        "#,
        open.file.date,
        &cves as &[&str]
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(withdrawn.cast_unsigned())
}

/// Of the newest catalogue: what it says counts.
async fn put_newest(tx: &mut ControlTx, open: &OpenFile, entries: &[Kev]) -> Result<(), StoreError> {
    let sent: Vec<Sent<'_>> = entries.iter().map(Sent::from).collect();
    sqlx::query!(
        r#"
        insert into control.kev_entry as k
            (cve, added_on, due_on, vendor, product, name, description, action, has_ransomware_use, notes, cwe,
             first_listed_on)
        select g.*, $2 from jsonb_to_recordset($1) g(cve text, added_on date, due_on date, vendor text, product text,
            name text, description text, action text, has_ransomware_use boolean, notes text, cwe integer[])
        on conflict (cve) do update set
            added_on = excluded.added_on, due_on = excluded.due_on, vendor = excluded.vendor,
            product = excluded.product, name = excluded.name, description = excluded.description,
            action = excluded.action, has_ransomware_use = excluded.has_ransomware_use, notes = excluded.notes,
            cwe = excluded.cwe, first_listed_on = least(k.first_listed_on, excluded.first_listed_on),
            withdrawn_on = null
        "#,
        sqlx::types::Json(&sent) as _,
        open.file.date
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Of a catalogue that has a next one, of this day: only since when and until when an entry was there can be news.
async fn put_older(
    tx: &mut ControlTx,
    open: &OpenFile,
    next: NaiveDate,
    entries: &[Kev],
) -> Result<(), StoreError> {
    let sent: Vec<Sent<'_>> = entries.iter().map(Sent::from).collect();
    sqlx::query!(
        r#"
        insert into control.kev_entry as k
            (cve, added_on, due_on, vendor, product, name, description, action, has_ransomware_use, notes, cwe,
             first_listed_on, withdrawn_on)
        select g.*, $2, $3 from jsonb_to_recordset($1) g(cve text, added_on date, due_on date, vendor text,
            product text, name text, description text, action text, has_ransomware_use boolean, notes text,
            cwe integer[])
        on conflict (cve) do update set
            first_listed_on = least(k.first_listed_on, excluded.first_listed_on),
            -- an older one still took it for gone
            withdrawn_on = case when k.withdrawn_on <= $2 then $3 else k.withdrawn_on end
        "#,
        sqlx::types::Json(&sent) as _,
        open.file.date,
        next
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
