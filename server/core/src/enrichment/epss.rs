//! EPSS scores of one day: `#model_version:…,score_date:…`, a head, then `cve,epss,percentile` for every CVE.
//!
//! A file has some 300,000 rows, so they come one by one and are not remembered: a CVE that stands twice comes twice.
//! Files from before February 2022 have no comment, and so no model and date.

use std::io::BufRead;

use chrono::NaiveDate;

use super::rows::{Row, Rows};
use super::{EnrichmentError, Faults, RowFault, cve, quote};
use crate::advisory::Advisory;

/// Rows of one file: six times what one has in 2026.
pub const EPSS_ROWS_MAX: u64 = 2_000_000;
/// A model's name, in bytes.
const MODEL_BYTES_MAX: usize = 64;

/// What a file says of all its scores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpssHead {
    /// The version of the model, such as `v2025.03.14`.
    pub model: Option<String>,
    /// The day of the scores.
    pub date: Option<NaiveDate>,
}

/// The score of one CVE.
#[derive(Debug, Clone, PartialEq)]
pub struct EpssScore {
    /// A CVE.
    pub cve: Advisory,
    /// The probability that it is exploited within 30 days, 0 to 1.
    pub score: f32,
    /// The part of all CVEs with at most this score, 0 to 1.
    pub percentile: f32,
}

/// The scores of a file, in its order.
#[derive(Debug)]
pub struct EpssScores<R> {
    rows: Rows<R>,
    head: EpssHead,
    columns: [usize; 3],
    count: u64,
    faults: Faults,
}

impl<R: BufRead> EpssScores<R> {
    /// Reads the comment and the head of a decompressed file.
    ///
    /// # Errors
    /// [`EnrichmentError::NoColumn`] and [`EnrichmentError::Head`] for another file, [`EnrichmentError::Empty`] for one
    /// without a head, [`EnrichmentError::Read`] when the reader fails.
    pub fn open(reader: R) -> Result<Self, EnrichmentError> {
        let mut rows = Rows::new(reader);
        let mut head = EpssHead::default();
        let columns = loop {
            let row = rows.next()?.ok_or(EnrichmentError::Empty)?;
            let row = row.map_err(EnrichmentError::Head)?;
            if !row.field(0).starts_with('#') {
                break row.columns(["cve", "epss", "percentile"])?;
            }
            comment(row, &mut head).map_err(EnrichmentError::Head)?;
        };
        Ok(Self {
            rows,
            head,
            columns,
            count: 0,
            faults: Faults::default(),
        })
    }

    /// What the file says of all its scores.
    pub const fn head(&self) -> &EpssHead {
        &self.head
    }

    /// The rows that were left out so far.
    pub fn faults(&self) -> &[RowFault] {
        &self.faults.0
    }

    fn step(&mut self) -> Result<Option<EpssScore>, EnrichmentError> {
        while let Some(row) = self.rows.next()? {
            if self.count == EPSS_ROWS_MAX {
                return Err(EnrichmentError::TooManyRows { limit: EPSS_ROWS_MAX });
            }
            self.count += 1;
            let columns = self.columns;
            match row.and_then(|row| score(row, columns).map_err(|what| row.fault(what))) {
                Ok(score) => return Ok(Some(score)),
                Err(fault) => self.faults.push(fault)?,
            }
        }
        Ok(None)
    }
}

/// After an error the file is not to be read on.
impl<R: BufRead> Iterator for EpssScores<R> {
    type Item = Result<EpssScore, EnrichmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// `#model_version:v2025.03.14,score_date:2025-03-14T00:00:00+0000`; what else it says is left aside.
fn comment(row: Row<'_>, head: &mut EpssHead) -> Result<(), RowFault> {
    for field in row.fields() {
        let field = field.trim_start_matches(['#', ' ']);
        let Some((name, value)) = field.split_once(':') else {
            continue;
        };
        match name.trim() {
            "model_version" => {
                let model = value.trim();
                if model.is_empty() || model.len() > MODEL_BYTES_MAX || model.contains(char::is_control) {
                    return Err(row.fault(format!("`{}` is no version of a model", quote(model))));
                }
                head.model = Some(model.to_owned());
            }
            "score_date" => {
                let day = value.trim().get(..10).and_then(|day| day.parse().ok());
                let day: NaiveDate =
                    day.ok_or_else(|| row.fault(format!("`{}` is no date", quote(value.trim()))))?;
                head.date = Some(day);
            }
            _ => {}
        }
    }
    Ok(())
}

fn score(row: Row<'_>, [id, score, percentile]: [usize; 3]) -> Result<EpssScore, String> {
    Ok(EpssScore {
        cve: cve(row.field(id))?,
        score: part(row.field(score))?,
        percentile: part(row.field(percentile))?,
    })
}

/// A number from 0 to 1.
fn part(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("`{}` is no number from 0 to 1", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrichment::FAULTS_MAX;

    type Read = (EpssHead, Vec<(String, f32, f32)>, Vec<String>);

    fn read(file: &str) -> Result<Read, EnrichmentError> {
        let mut scores = EpssScores::open(file.as_bytes())?;
        let mut found = Vec::new();
        for score in &mut scores {
            let score = score?;
            found.push((score.cve.to_string(), score.score, score.percentile));
        }
        let faults = scores.faults().iter().map(RowFault::to_string).collect();
        Ok((scores.head().clone(), found, faults))
    }

    fn error(file: &str) -> String {
        read(file).unwrap_err().to_string()
    }

    #[test]
    fn a_file_as_it_is_published_is_read() {
        for date in ["2025-03-14T00:00:00+0000", "2025-03-14T12:55:00Z", "2025-03-14"] {
            let file = format!(
                "#model_version:v2025.03.14,score_date:{date}\ncve,epss,percentile\n\
                 CVE-1999-0001,0.0046,0.7385\nCVE-2021-44228,0.94358,0.99959\n"
            );
            let (head, scores, faults) = read(&file).unwrap();
            assert_eq!(head.model.as_deref(), Some("v2025.03.14"));
            assert_eq!(head.date, NaiveDate::from_ymd_opt(2025, 3, 14), "{date}");
            let expected = [
                ("CVE-1999-0001".to_owned(), 0.0046, 0.7385),
                ("CVE-2021-44228".to_owned(), 0.943_58, 0.999_59),
            ];
            assert_eq!((&scores[..], faults.len()), (&expected[..], 0));
        }
    }

    #[test]
    fn columns_may_be_more_and_the_comment_may_be_missing() {
        let (head, scores, faults) =
            read("percentile,cve,new,epss\r\n0.5,cve-2020-0001,x,1\r\n0,CVE-2020-0002,,0.0").unwrap();
        assert_eq!(head, EpssHead::default());
        assert_eq!(scores[0], ("CVE-2020-0001".to_owned(), 1.0, 0.5));
        assert_eq!((scores.len(), faults.len()), (2, 0));
        let (head, ..) =
            read("#model_version:v1\n#score_date:2023-03-07,by:them\ncve,epss,percentile\n").unwrap();
        assert_eq!((head.model.as_deref(), head.date.is_some()), (Some("v1"), true));
    }

    #[test]
    fn wrong_rows_are_told_and_left_out() {
        let (_, scores, faults) = read(
            "cve,epss,percentile\nCVE-2020-0001,1.1,0\nCVE-2020-0002,0.1,nan\nx,0,0\nCVE-2020-0003,0.1\n\
             CVE-2020-0004,0.25,0.5\nCVE-2020-0005,-0.1,0\n",
        )
        .unwrap();
        assert_eq!(scores, [("CVE-2020-0004".to_owned(), 0.25, 0.5)]);
        assert_eq!(
            faults,
            [
                "line 2: `1.1` is no number from 0 to 1",
                "line 3: `nan` is no number from 0 to 1",
                "line 4: `x` is no CVE",
                "line 5: `` is no number from 0 to 1",
                "line 7: `-0.1` is no number from 0 to 1",
            ]
        );
    }

    #[test]
    fn another_file_is_refused() {
        assert_eq!(error(""), "the file has no rows");
        assert_eq!(
            error("#model_version:v1,score_date:2025-01-01\n"),
            "the file has no rows"
        );
        assert_eq!(error("cveID,vendorProject\n"), "line 1 names no column `cve`");
        assert_eq!(error("cve,epss\n"), "line 1 names no column `percentile`");
        assert_eq!(
            error("#score_date:yesterday\ncve,epss,percentile\n"),
            "line 1: `yesterday` is no date"
        );
        let wrong = format!("cve,epss,percentile\n{}", "x,0,0\n".repeat(FAULTS_MAX + 1));
        assert_eq!(
            error(&wrong),
            "more than 100 rows are wrong, as in line 102: `x` is no CVE"
        );
    }

    #[test]
    fn a_reader_that_fails_is_an_error_and_no_end() {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("broken"))
            }
        }
        let file = std::io::Read::chain(&b"cve,epss,percentile\nCVE-2020-0001,0,0\n"[..], Broken);
        let mut scores = EpssScores::open(std::io::BufReader::new(file)).unwrap();
        assert!(scores.next().unwrap().is_ok());
        let end = scores.next();
        assert!(matches!(end, Some(Err(EnrichmentError::Read(_)))), "{end:?}");
    }
}
