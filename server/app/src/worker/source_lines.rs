//! The lines of the scanned source around a finding, where there is a source.

use std::io::Read;

use tamiz_core::identity::Lines;
use tamiz_core::{Finding, Location};

use crate::services::SourceTree;

/// A larger file is no source code.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Reads files as findings come; those of one file mostly come together, so the last one is kept.
pub(super) struct SourceLines {
    tree: SourceTree,
    last: Option<(String, Vec<Box<str>>)>,
}

impl SourceLines {
    pub(super) const fn new(tree: SourceTree) -> Self {
        Self { tree, last: None }
    }

    /// The lines of the finding's primary place; nothing without a file or a line.
    pub(super) fn of(&mut self, finding: &Finding) -> Option<Lines> {
        let Some(Location::File {
            path,
            start: Some(start),
            end,
            ..
        }) = finding.locations.first()
        else {
            return None;
        };
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            self.last = Some((path.clone(), self.read(path).unwrap_or_default()));
        }
        let (_, lines) = self.last.as_ref()?;
        Lines::of_source(lines, start.line, end.map_or(start.line, |end| end.line))
    }

    fn read(&self, path: &str) -> Option<Vec<Box<str>>> {
        let (file, size_bytes) = self.tree.open(path)?;
        if size_bytes > FILE_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.lines().map(Box::from).collect())
    }
}
