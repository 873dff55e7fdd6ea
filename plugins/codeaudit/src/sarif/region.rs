//! A SARIF region: lines and columns, or only how many characters or bytes stand in front of it.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Position, position};
use tamiz_sdk::report::Session;

use super::shapes::Region;
use crate::formats::{Region as Lines, Sources};

/// The lines of a region, for its snippet.
pub(super) fn lines(region: &Region<'_>) -> Lines {
    Lines {
        line: region.start_line.get().copied(),
        end_line: region.end_line.get().copied(),
        ..Lines::default()
    }
}

/// A region without lines, which only says how many characters or bytes stand in front of it, is kept
/// as it is.
pub(super) fn offsets(mut finding: FindingBuilder, region: &Region<'_>) -> FindingBuilder {
    for (key, number) in [
        ("char-offset", &region.char_offset),
        ("char-length", &region.char_length),
        ("byte-offset", &region.byte_offset),
        ("byte-length", &region.byte_length),
    ] {
        if let Some(number) = number.get().filter(|number| **number >= 0) {
            finding = finding.extra_json(key, &number.to_string());
        }
    }
    finding
}

/// Where a region's offset is, and the line there, when the source is at hand.
pub(super) fn by_offset(
    region: &Region<'_>,
    session: &mut Session<'_>,
    sources: &mut Sources,
    label: &str,
) -> (Option<Position>, String) {
    let characters = region
        .char_offset
        .get()
        .and_then(|offset| usize::try_from(*offset).ok());
    let Some((line, column)) = characters.and_then(|offset| sources.position(session, label, offset)) else {
        return (None, String::new());
    };
    let place = Lines {
        line: Some(line),
        ..Lines::default()
    };
    (
        position(Some(line), Some(column)),
        sources.lines(session, label, &place),
    )
}

/// A region's two ends; without its own line the end is on the start's.
pub(super) fn positions(region: &Region<'_>) -> (Option<Position>, Option<Position>) {
    let line = region.start_line.get().copied();
    let end_line = region.end_line.get().copied().or(line);
    let end_column = region.end_column.get().copied();
    let start = position(line, region.start_column.get().copied());
    let end =
        position(end_line, end_column).filter(|_| end_column.is_some() || region.end_line.get().is_some());
    (start, end)
}
