//! The plugin under test and its cases.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::answer::Answer;
use crate::memory::{MemoryHost, MemoryInput};
use crate::model::{ConvertError, Outcome, ScanRequest};
use crate::{Host, Input, Scanner};

type Convert = fn(Vec<Box<dyn Input>>, &ScanRequest, &mut dyn Host) -> Result<Outcome, ConvertError>;

/// A plugin and its cases.
pub struct Kit {
    pub(super) folder: PathBuf,
    convert: Convert,
    request: ScanRequest,
    sources: BTreeMap<String, Vec<u8>>,
    pub(super) group_max: usize,
}

impl Kit {
    /// The plugin `S` with the folder `cases` beside its manifest.
    pub fn new<S: Scanner>(manifest_folder: &str) -> Self {
        Self {
            folder: Path::new(manifest_folder).join("cases"),
            convert: S::convert,
            request: ScanRequest::report("{}"),
            sources: BTreeMap::new(),
            group_max: 0,
        }
    }

    /// With these options instead of none.
    #[must_use]
    pub fn with_options(mut self, options: &str) -> Self {
        options.clone_into(&mut self.request.options);
        self
    }

    /// With a file of the scanned upload.
    #[must_use]
    pub fn with_source(mut self, path: &str, content: &[u8]) -> Self {
        self.sources.insert(path.to_owned(), content.to_vec());
        self
    }

    /// For formats that read a group of records (all of one file, all of one host) as one: a cut may
    /// take so many findings of the group that it cuts.
    #[must_use]
    pub fn with_group_max(mut self, findings: usize) -> Self {
        self.group_max = findings;
        self
    }

    /// Every report of the cases, unpacked: `FORMAT/NAME` and content, in order.
    pub fn reports(&self) -> Vec<(String, Vec<u8>)> {
        let mut reports = Vec::new();
        for folder in entries(&self.folder).into_iter().filter(|path| path.is_dir()) {
            for path in entries(&folder) {
                if path.is_dir() || path.to_string_lossy().ends_with(".expected.json") {
                    continue;
                }
                let file = file_name(&path);
                let name = format!(
                    "{}/{}",
                    file_name(&folder),
                    file.strip_suffix(".gz").unwrap_or(&file)
                );
                reports.push((name, unpacked(&path)));
            }
        }
        assert!(!reports.is_empty(), "no cases in {}", self.folder.display());
        reports
    }

    /// One report of the cases.
    pub fn report(&self, name: &str) -> Vec<u8> {
        let path = self.folder.join(name);
        unpacked(&if path.exists() {
            path
        } else {
            self.folder.join(format!("{name}.gz"))
        })
    }

    /// Converts one report.
    pub fn convert(&self, bytes: &[u8]) -> Answer {
        self.convert_input(MemoryInput::new("report", bytes), MemoryHost::default())
    }

    /// Converts an input that is made while it is read.
    pub(super) fn convert_made(
        &self,
        input: Box<dyn Input>,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        (self.convert)(vec![input], &self.request, host)
    }

    /// Converts one input with a host.
    pub fn convert_input(&self, input: MemoryInput, mut host: MemoryHost) -> Answer {
        host.sources.extend(self.sources.clone());
        let outcome = (self.convert)(vec![Box::new(input)], &self.request, &mut host);
        Answer { outcome, host }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut content)
        .expect("gzip");
    content
}
