//! Snippets from the scanned source itself, for tools that quote none, and hashes of the code around a place.
//!
//! Open-source semgrep prints the words "requires login" where the lines should be, and linters quote
//! nothing. The platform offers the unpacked upload; without one nothing is added, and nothing is said.
//!
//! Not for scanners of secrets: their lines hold the secret.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::limits::READ_BYTES;
use tamiz_sdk::report::{Record, Session, path};

use super::place::{self, Region};

/// A larger file is not read: it is generated, and its lines say little.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Files that are kept: results come file by file, or rule by rule over a few of them.
const FILES_KEPT: usize = 8;

/// Lines of one snippet.
const LINES_MAX: usize = 20;

/// Lines in front of a place, and behind it, that its context hash covers.
const CONTEXT_LINES: usize = 3;

/// Bytes of the context hash that are kept: it tells places of one file apart, it keeps no secret.
const CONTEXT_HASH_BYTES: usize = 16;

/// Files in a row that are not there, after which there is no tree to ask.
const MISSES_MAX: u32 = 64;

/// The files that were opened last.
#[derive(Default)]
pub(crate) struct Sources {
    files: VecDeque<(String, Option<File>)>,
    misses: u32,
}

struct File {
    text: String,
    /// Where each line begins.
    lines: Vec<u32>,
}

impl Sources {
    /// Adds a place as [`place::at`] does, with the lines of the source where the report quotes none.
    pub(super) fn at(
        &mut self,
        finding: FindingBuilder,
        session: &mut Session<'_>,
        record: &dyn Record,
        raw_path: &str,
        region: Region,
        snippet: &str,
    ) -> FindingBuilder {
        let label = path::label(raw_path, session.root());
        let finding = self.context(finding, session, &label.path, &region);
        if !snippet.is_empty() {
            return place::at(finding, session, record, raw_path, region, snippet);
        }
        let lines = self.lines(session, &label.path, &region);
        place::at(finding, session, record, raw_path, region, &lines)
    }

    /// The lines of a region; empty when the file or the lines are not there.
    pub(crate) fn lines(&mut self, session: &mut Session<'_>, label: &str, region: &Region) -> String {
        let number = |line: Option<i64>| line.and_then(|line| usize::try_from(line).ok());
        let Some(first) = number(region.line).and_then(|line| line.checked_sub(1)) else {
            return String::new();
        };
        let last = number(region.end_line).unwrap_or(0).max(first.saturating_add(1));
        let count = last.saturating_sub(first).min(LINES_MAX);
        let Some(file) = self.file(session, label) else {
            return String::new();
        };
        file.range(first, count).trim_end().to_owned()
    }

    /// Adds, as `context-hash`, the hash of a region with the lines around it, white space left aside: what
    /// stays equal when the code moves and its indentation changes. Nothing is added without the file.
    pub(crate) fn context(
        &mut self,
        finding: FindingBuilder,
        session: &mut Session<'_>,
        label: &str,
        region: &Region,
    ) -> FindingBuilder {
        let number = |line: Option<i64>| line.and_then(|line| usize::try_from(line).ok());
        let Some(first) = number(region.line).and_then(|line| line.checked_sub(1)) else {
            return finding;
        };
        let last = number(region.end_line).unwrap_or(0).max(first.saturating_add(1));
        let Some(file) = self.file(session, label) else {
            return finding;
        };
        let from = first.saturating_sub(CONTEXT_LINES);
        let around = last.saturating_add(CONTEXT_LINES).saturating_sub(from);
        let text = file.range(from, around.min(LINES_MAX + 2 * CONTEXT_LINES));
        let mut hash = Sha256::new();
        for word in text.split_whitespace() {
            hash.update(word.as_bytes());
            hash.update(b" ");
        }
        let hash = hash.finalize();
        let digits = hash
            .iter()
            .take(CONTEXT_HASH_BYTES)
            .map(|byte| format!("{byte:02x}"));
        finding.extra_text("context-hash", &digits.collect::<String>())
    }

    /// Line and column, both from 1, of a character counted from 0; nothing without the file.
    pub(crate) fn position(
        &mut self,
        session: &mut Session<'_>,
        label: &str,
        character: usize,
    ) -> Option<(i64, i64)> {
        let file = self.file(session, label)?;
        let before: String = file.text.chars().take(character).collect();
        if before.chars().count() < character {
            return None;
        }
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.chars().rev().take_while(|before| *before != '\n').count();
        Some((
            i64::try_from(line).ok()?,
            i64::try_from(column).ok()?.saturating_add(1),
        ))
    }

    /// How many characters stand in front of a byte; nothing without the file, or inside a character.
    pub(crate) fn characters(
        &mut self,
        session: &mut Session<'_>,
        label: &str,
        bytes: usize,
    ) -> Option<usize> {
        let file = self.file(session, label)?;
        file.text.get(..bytes).map(|before| before.chars().count())
    }

    fn file(&mut self, session: &mut Session<'_>, label: &str) -> Option<&File> {
        if label.is_empty() || self.misses >= MISSES_MAX {
            return None;
        }
        let known = self.files.iter().position(|(path, _)| path == label);
        let index = if let Some(index) = known {
            index
        } else {
            let file = read(session, label);
            self.misses = if file.is_some() {
                0
            } else {
                self.misses.saturating_add(1)
            };
            if self.files.len() >= FILES_KEPT {
                self.files.pop_front();
            }
            self.files.push_back((label.to_owned(), file));
            self.files.len().saturating_sub(1)
        };
        self.files.get(index)?.1.as_ref()
    }
}

fn read(session: &mut Session<'_>, label: &str) -> Option<File> {
    let mut input = session.open_source(label)?;
    let mut bytes = Vec::new();
    loop {
        let chunk = input.read(READ_BYTES).ok()?;
        if chunk.is_empty() {
            break;
        }
        bytes.extend_from_slice(&chunk);
        if bytes.len() > FILE_BYTES_MAX {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let mut lines = vec![0];
    lines.extend(ends.filter_map(|end| u32::try_from(end.saturating_add(1)).ok()));
    Some(File { text, lines })
}

impl File {
    fn range(&self, first: usize, count: usize) -> &str {
        let place = |line: usize| {
            self.lines
                .get(line)
                .and_then(|start| usize::try_from(*start).ok())
        };
        let Some(start) = place(first) else { return "" };
        let end = place(first.saturating_add(count)).unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::memory::MemoryHost;
    use tamiz_sdk::report::{Options, Session};

    use super::{Region, Sources};

    #[test]
    fn lines_come_from_the_tree_and_only_from_there() {
        let mut host = MemoryHost::default();
        host.sources
            .insert("a.py".to_owned(), b"one\n  two\nthree".to_vec());
        let moved = b"\n\none\ntwo\n  three\n".to_vec();
        host.sources.insert("moved.py".to_owned(), moved);
        host.sources
            .insert("other.py".to_owned(), b"one\n  two\nfour".to_vec());
        let mut session = Session::new(&mut host, Options::default(), None);
        let mut sources = Sources::default();
        let mut lines = |path: &str, line, end_line| {
            let region = Region {
                line,
                end_line,
                ..Region::default()
            };
            sources.lines(&mut session, path, &region)
        };
        assert_eq!(lines("a.py", Some(2), None), "  two");
        assert_eq!(lines("a.py", Some(2), Some(3)), "  two\nthree");
        assert_eq!(lines("a.py", Some(3), Some(1)), "three");
        assert_eq!(lines("a.py", Some(4), None), "");
        assert_eq!(lines("a.py", Some(0), None), "");
        assert_eq!(lines("a.py", Some(-1), Some(i64::MAX)), "");
        assert_eq!(lines("b.py", Some(1), None), "");
        let mut context = |path: &str, line| {
            let region = Region {
                line,
                ..Region::default()
            };
            let finding = tamiz_sdk::FindingBuilder::new("tool", "rule").title("a title");
            sources
                .context(finding, &mut session, path, &region)
                .build()
                .0
                .extra
        };
        assert_eq!(context("a.py", Some(2)), context("moved.py", Some(4)));
        assert_ne!(context("a.py", Some(2)), context("other.py", Some(2)));
        assert_eq!(context("a.py", Some(2)).len(), 1);
        assert_eq!(context("b.py", Some(1)), []);
        assert_eq!(sources.position(&mut session, "a.py", 6), Some((2, 3)));
        assert_eq!(sources.position(&mut session, "a.py", 99), None);
    }
}
