//! The imported files: which days a series has, and how many are kept.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::epss;
use crate::control_tx::ControlTx;
use crate::error::StoreError;

/// Files of one series that are kept: daily ones of more than a year. With the next one the oldest goes.
pub const FILES_MAX: i64 = 400;
/// Imports take turns: each compares itself with its neighbours.
const TURN: i64 = 0x7461_6d69_7a65_6e72;

/// What a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Scores of how likely CVEs are exploited.
    Epss,
    /// The catalogue of those that are.
    Kev,
}

impl Series {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epss => "epss",
            Self::Kev => "kev",
        }
    }
}

/// A file that is to be imported.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// What it is of.
    pub series: Series,
    /// The model of scores, the version of a catalogue.
    pub model: Option<String>,
    /// The day that it speaks of.
    pub date: NaiveDate,
    /// Of its bytes, decompressed.
    pub sha256: [u8; 32],
}

/// How an import began.
#[derive(Debug)]
pub enum Begun {
    /// Its rows may be written.
    Open(OpenFile),
    /// This very file was imported for this day before: there is nothing to do.
    AlreadyThere,
    /// All [`FILES_MAX`] files are of later days; the oldest is of this one.
    TooOld(NaiveDate),
}

/// A file whose rows are being written.
#[derive(Debug)]
pub struct OpenFile {
    pub(super) file: NewFile,
    /// The day of the next file of the series.
    pub(super) next: Option<NaiveDate>,
}

/// A file that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedFile {
    /// `epss` or `kev`.
    pub series: String,
    /// The model of scores, the version of a catalogue.
    pub model: Option<String>,
    /// The day that it speaks of.
    pub date: NaiveDate,
    /// Rows that were taken.
    pub rows: i64,
    /// Of its bytes, decompressed.
    pub sha256: Vec<u8>,
    /// When.
    pub imported_at: DateTime<Utc>,
}

/// Begins to import a file, when it is this import's turn. Another file of the same day is replaced.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn begin(tx: &mut ControlTx, file: NewFile) -> Result<Begun, StoreError> {
    tx.take_turn(TURN).await?;
    let series = file.series.as_str();
    // served by enrichment_file_day_key
    let found = sqlx::query!(
        r#"
        select (select sha256 from control.enrichment_file where kind = $1 and date = $2) as of_day,
               (select min(date) from control.enrichment_file where kind = $1 and date > $2) as next,
               (select count(*) from control.enrichment_file where kind = $1) as "count!",
               (select min(date) from control.enrichment_file where kind = $1) as oldest
        "#,
        series,
        file.date
    )
    .fetch_one(tx.connection())
    .await?;
    if found.of_day.as_deref() == Some(&file.sha256[..]) {
        return Ok(Begun::AlreadyThere);
    }
    if let Some(oldest) = found.oldest.filter(|oldest| *oldest > file.date)
        && found.count >= FILES_MAX
    {
        return Ok(Begun::TooOld(oldest));
    }
    let open = OpenFile {
        next: found.next,
        file,
    };
    if found.of_day.is_some() && open.file.series == Series::Epss {
        epss::clear_day(tx, &open).await?;
    }
    Ok(Begun::Open(open))
}

/// Notes the file, of which so many rows were taken, and drops what is older than the oldest that is kept.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn finish(tx: &mut ControlTx, open: OpenFile, rows: u64) -> Result<(), StoreError> {
    let OpenFile { file, .. } = open;
    let series = file.series.as_str();
    sqlx::query!(
        r#"
        insert into control.enrichment_file (id, kind, model, date, rows, sha256)
        values ($1, $2, $3, $4, $5, $6)
        on conflict on constraint enrichment_file_day_key do update set
            model = excluded.model, rows = excluded.rows, sha256 = excluded.sha256, imported_at = now()
        "#,
        Uuid::now_v7(),
        series,
        file.model,
        file.date,
        rows.cast_signed(),
        &file.sha256
    )
    .execute(tx.connection())
    .await?;
    let gone = sqlx::query!(
        r#"
        delete from control.enrichment_file where kind = $1 and date < (
            select date from control.enrichment_file where kind = $1 order by date desc offset $2 limit 1)
        "#,
        series,
        FILES_MAX - 1
    )
    .execute(tx.connection())
    .await?;
    if gone.rows_affected() > 0 && file.series == Series::Epss {
        epss::forget_before_oldest(tx).await?;
    }
    Ok(())
}

/// The imported files of both series, the newest days first: at most twice [`FILES_MAX`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn files(tx: &mut ControlTx) -> Result<Vec<ImportedFile>, StoreError> {
    let files = sqlx::query_as!(
        ImportedFile,
        r#"
        select kind as series, model, date, rows, sha256, imported_at from control.enrichment_file
        order by date desc, kind limit $1
        "#,
        2 * FILES_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(files)
}
