//! Imports a file of EPSS scores or of the KEV catalogue: one transaction per file, so that readers see a day whole.
//!
//! The file is read twice, for its hash and for its rows: the same file again is known before a row is written.
//!
//! Not here: opening and unpacking it (the command line), what a row must be (core's `enrichment`), and how a series is
//! stored (the store's).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use chrono::{Days, NaiveDate};
use sha2::{Digest, Sha256};
use tamiz_core::enrichment::{EnrichmentError, EpssScore, EpssScores, FileKind, KevCatalogue, RowFault};
use tamiz_store::enrichment::{self, Begun, FILES_MAX, NewFile, OpenFile, SCORES_PER_INSERT, Series};
use tamiz_store::{ControlTx, Store, StoreError};

/// A file, unpacked: one of today's has some ten MB.
pub const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// So much of a file tells what it is.
const START_BYTES: u64 = 1_024;

/// A file, and what is known besides it.
#[derive(Debug)]
pub struct EnrichmentOrder {
    /// Its plain bytes.
    pub file: File,
    /// The day that it speaks of, where the file does not tell.
    pub date: Option<NaiveDate>,
    /// UTC.
    pub today: NaiveDate,
}

/// What an import came to.
#[derive(Debug)]
pub struct EnrichmentAnswer {
    /// What the file is of.
    pub series: Series,
    /// The day that it speaks of.
    pub date: NaiveDate,
    /// The model of scores, the version of a catalogue.
    pub model: Option<String>,
    /// It was imported before, and nothing was read.
    pub was_there: bool,
    /// Rows that were taken.
    pub rows: u64,
    /// Of them, scores that changed; of a catalogue, entries that it has no more.
    pub changed: u64,
    /// Rows that were left out.
    pub faults: Vec<RowFault>,
}

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportEnrichmentError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// More bytes than such a file has.
    #[error("the file has more than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// It is something else.
    #[error("the file is neither EPSS scores (CSV) nor the KEV catalogue (CSV or JSON)")]
    UnknownKind,
    /// It is one, and wrong.
    #[error("the file is refused")]
    Refused(#[from] EnrichmentError),
    /// Nobody says which day it is of.
    #[error("the file does not tell its day: say it with --date YYYY-MM-DD")]
    NoDate,
    /// It is of another day than was said.
    #[error("the file is of {found}, not of {told}")]
    OtherDate {
        /// By the file.
        found: NaiveDate,
        /// By the caller.
        told: NaiveDate,
    },
    /// A day that has not come: it would be the newest until then.
    #[error("{0} has not come yet")]
    Future(NaiveDate),
    /// All files that are kept are newer.
    #[error("{FILES_MAX} files are kept, the oldest of {oldest}: one of {date} would go at once")]
    TooOld {
        /// Of the file.
        date: NaiveDate,
        /// Of the oldest.
        oldest: NaiveDate,
    },
    /// The database did not do its part.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Imports the file; `progress` is told how many rows are written. All of it or nothing.
///
/// # Errors
/// [`ImportEnrichmentError`]; then nothing has changed.
pub async fn import_enrichment(
    store: &Store,
    order: EnrichmentOrder,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<EnrichmentAnswer, ImportEnrichmentError> {
    let mut file = order.file.try_clone()?;
    let (kind, sha256) = look(&mut file)?;
    let day = |found: Option<NaiveDate>| day_of(found, &order);
    match kind {
        FileKind::Epss => {
            let scores = EpssScores::open(BufReader::new(file))?;
            let head = scores.head().clone();
            let new = NewFile {
                series: Series::Epss,
                model: head.model,
                date: day(head.date)?,
                sha256,
            };
            import_scores(store, new, scores, progress).await
        }
        FileKind::KevCsv | FileKind::KevJson => {
            let catalogue = match kind {
                FileKind::KevJson => KevCatalogue::from_json(file)?,
                _ => KevCatalogue::from_csv(BufReader::new(file))?,
            };
            let released = catalogue.head.released.map(|time| time.date_naive());
            let new = NewFile {
                series: Series::Kev,
                model: catalogue
                    .head
                    .version
                    .clone()
                    .filter(|version| !version.is_empty()),
                date: day(released)?,
                sha256,
            };
            import_catalogue(store, new, catalogue).await
        }
    }
}

/// What the file is and its hash; it is at its beginning again.
fn look(file: &mut File) -> Result<(FileKind, [u8; 32]), ImportEnrichmentError> {
    file.rewind()?;
    let mut start = Vec::new();
    file.take(START_BYTES).read_to_end(&mut start)?;
    let kind = FileKind::of(&start).ok_or(ImportEnrichmentError::UnknownKind)?;
    file.rewind()?;
    let sha256 = hash(BufReader::new(&*file))?;
    file.rewind()?;
    Ok((kind, sha256))
}

fn hash(mut file: impl BufRead) -> Result<[u8; 32], ImportEnrichmentError> {
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    loop {
        let bytes = file.fill_buf()?;
        let count = bytes.len();
        size_bytes += count as u64;
        if size_bytes > FILE_BYTES_MAX {
            return Err(ImportEnrichmentError::TooLarge);
        }
        if count == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(bytes);
        file.consume(count);
    }
}

/// The day that the file itself tells, else the one that was told.
fn day_of(found: Option<NaiveDate>, order: &EnrichmentOrder) -> Result<NaiveDate, ImportEnrichmentError> {
    let date = match (found, order.date) {
        (Some(found), Some(told)) if found != told => {
            return Err(ImportEnrichmentError::OtherDate { found, told });
        }
        (found, told) => found.or(told).ok_or(ImportEnrichmentError::NoDate)?,
    };
    // somewhere it is tomorrow already
    if date > order.today + Days::new(1) {
        return Err(ImportEnrichmentError::Future(date));
    }
    Ok(date)
}

/// Where writing rows goes on, or why there are none to write.
async fn begin(
    tx: &mut ControlTx,
    new: NewFile,
    answer: &mut EnrichmentAnswer,
) -> Result<Option<OpenFile>, ImportEnrichmentError> {
    let date = new.date;
    match enrichment::begin(tx, new).await? {
        Begun::Open(open) => Ok(Some(open)),
        Begun::AlreadyThere => {
            answer.was_there = true;
            Ok(None)
        }
        Begun::TooOld(oldest) => Err(ImportEnrichmentError::TooOld { date, oldest }),
    }
}

/// Nothing was done yet.
fn answer_to(new: &NewFile) -> EnrichmentAnswer {
    EnrichmentAnswer {
        series: new.series,
        date: new.date,
        model: new.model.clone(),
        was_there: false,
        rows: 0,
        changed: 0,
        faults: Vec::new(),
    }
}

async fn import_scores(
    store: &Store,
    new: NewFile,
    mut scores: EpssScores<BufReader<File>>,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<EnrichmentAnswer, ImportEnrichmentError> {
    let mut answer = answer_to(&new);
    let mut tx = store.begin_control().await?;
    let Some(open) = begin(&mut tx, new, &mut answer).await? else {
        return Ok(answer);
    };
    loop {
        let batch: Vec<EpssScore> = scores
            .by_ref()
            .take(SCORES_PER_INSERT)
            .collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        answer.changed += enrichment::insert_scores(&mut tx, &open, &batch).await?;
        answer.rows += batch.len() as u64;
        progress(answer.rows);
    }
    if answer.rows == 0 {
        return Err(EnrichmentError::Empty.into());
    }
    answer.faults = scores.faults().to_vec();
    enrichment::finish(&mut tx, open, answer.rows).await?;
    tx.commit().await?;
    Ok(answer)
}

async fn import_catalogue(
    store: &Store,
    new: NewFile,
    catalogue: KevCatalogue,
) -> Result<EnrichmentAnswer, ImportEnrichmentError> {
    if catalogue.entries.is_empty() {
        return Err(EnrichmentError::Empty.into());
    }
    let mut answer = answer_to(&new);
    let mut tx = store.begin_control().await?;
    let Some(open) = begin(&mut tx, new, &mut answer).await? else {
        return Ok(answer);
    };
    answer.rows = catalogue.entries.len() as u64;
    answer.changed = enrichment::put_catalogue(&mut tx, &open, &catalogue).await?;
    answer.faults = catalogue.faults;
    enrichment::finish(&mut tx, open, answer.rows).await?;
    tx.commit().await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn order(told: Option<&str>) -> EnrichmentOrder {
        EnrichmentOrder {
            file: tempfile::tempfile().unwrap(),
            date: told.map(|day| day.parse().unwrap()),
            today: "2025-03-14".parse().unwrap(),
        }
    }

    #[test]
    fn the_day_is_the_files_own_or_the_one_that_was_told() {
        for (found, told, expected) in [
            (Some("2025-03-01"), None, Ok("2025-03-01")),
            (None, Some("2025-03-02"), Ok("2025-03-02")),
            (Some("2025-03-15"), Some("2025-03-15"), Ok("2025-03-15")),
            (Some("2025-03-16"), None, Err("2025-03-16 has not come yet")),
            (
                Some("2025-03-01"),
                Some("2025-03-02"),
                Err("the file is of 2025-03-01, not of 2025-03-02"),
            ),
            (
                None,
                None,
                Err("the file does not tell its day: say it with --date YYYY-MM-DD"),
            ),
        ] {
            let found = found.map(|day| day.parse().unwrap());
            let day = day_of(found, &order(told)).map(|day| day.to_string());
            let day = day.map_err(|error| error.to_string());
            assert_eq!(day.as_deref().map_err(String::as_str), expected);
        }
    }

    #[test]
    fn a_file_is_known_by_its_bytes_wherever_it_stands() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"cve,epss,percentile\n").unwrap();
        let (kind, hash) = look(&mut file).unwrap();
        assert_eq!(kind, FileKind::Epss);
        assert_eq!(hash[..], Sha256::digest(b"cve,epss,percentile\n")[..]);
        assert_eq!(file.stream_position().unwrap(), 0);
        let other = look(&mut tempfile::tempfile().unwrap());
        assert!(matches!(other, Err(ImportEnrichmentError::UnknownKind)));
    }
}
