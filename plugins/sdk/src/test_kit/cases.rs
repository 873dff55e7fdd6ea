//! What stands beside the cases: snapshots, counts, documentation.

use std::collections::BTreeMap;
use std::fs;

use super::kit::Kit;
use crate::vocabulary::{SeverityTable, severity_document};

/// One line of `cases/counts.tsv`: `FORMAT/NAME`, bytes, records, and words with their numbers, made by
/// another program than the converter.
#[derive(Debug)]
pub struct CountRow {
    /// The report.
    pub name: String,
    /// Its length, unpacked.
    pub bytes: usize,
    /// Its records.
    pub records: usize,
    /// What else was counted, such as raw severities.
    pub detail: BTreeMap<String, usize>,
}

impl Kit {
    /// Every report gives exactly what stands beside it.
    pub fn check_cases(&self) {
        let bless = std::env::var_os("BLESS").is_some();
        let mut different = Vec::new();
        for (name, bytes) in self.reports() {
            let answer = self.convert(&bytes);
            answer.check_sound(&name);
            let written = format!("{:#}\n", answer.written());
            let path = self.folder.join(format!("{name}.expected.json"));
            if fs::read_to_string(&path).ok().as_deref() == Some(written.as_str()) {
                continue;
            }
            if bless {
                fs::write(&path, written).expect("a writable folder of cases");
            } else {
                different.push(name);
            }
        }
        assert!(
            different.is_empty(),
            "look at these with `BLESS=1 cargo test` and a diff: {different:#?}"
        );
    }

    /// The table of counts.
    pub fn count_rows(&self) -> Vec<CountRow> {
        let table = fs::read_to_string(self.folder.join("counts.tsv")).expect("the table of counts");
        let number = |text: &str| text.trim().parse().expect("a number");
        let row = |line: &str| {
            let mut cells = line.split('\t');
            let mut cell = || cells.next().unwrap_or_default();
            let (name, bytes, records) = (cell().to_owned(), number(cell()), number(cell()));
            let pairs = cell().split(' ').filter_map(|pair| pair.split_once('='));
            let pairs = pairs.filter_map(|(word, count)| Some((word.to_owned(), count.parse().ok()?)));
            CountRow {
                name,
                bytes,
                records,
                detail: pairs.collect(),
            }
        };
        table
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(row)
            .collect()
    }

    /// Each counted report has the records that the other program counted, and none was skipped.
    pub fn check_counts(&self) {
        let rows = self.count_rows();
        assert!(!rows.is_empty(), "no counts");
        for row in rows {
            let bytes = self.report(&row.name);
            assert_eq!(bytes.len(), row.bytes, "{}: bytes", row.name);
            let outcome = self.convert(&bytes).outcome.expect(&row.name);
            assert_eq!(
                (outcome.records as usize, outcome.skipped),
                (row.records, 0),
                "{}: records, skipped",
                row.name
            );
        }
    }

    /// `docs/severities.md` has this plugin's tables.
    pub fn check_severities(&self, plugin: &str, tables: &[&SeverityTable]) {
        let path = self.folder.join("../../../docs/severities.md");
        let section = severity_document(plugin, tables);
        let document = fs::read_to_string(&path).unwrap_or_default();
        if document.contains(&section) {
            return;
        }
        assert!(
            std::env::var_os("BLESS").is_some(),
            "docs/severities.md is not what the tables of {plugin} say: `BLESS=1 cargo test` writes it"
        );
        let heading = format!("## {plugin}\n");
        let written = match document.find(&heading) {
            None => format!("{document}\n{section}"),
            Some(start) => {
                let rest = &document[start + heading.len()..];
                let end = rest.find("\n## ").map_or("", |end| &rest[end..]);
                format!("{}{section}{end}", &document[..start])
            }
        };
        fs::write(path, written).expect("a writable document");
    }
}
