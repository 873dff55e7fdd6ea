//! A SARIF region: lines and columns, or only how many characters or bytes stand in front of it.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::Whole;
use tamiz_sdk::model::{Position, position};
use tamiz_sdk::report::Session;

use super::shapes::Region;
use crate::formats::{Region as Lines, Sources};
use crate::vocabulary::unless_placeholder;

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
    let number = |number: &Whole| number.get().and_then(|number| usize::try_from(*number).ok());
    let characters = match (number(&region.char_offset), number(&region.byte_offset)) {
        (None, Some(bytes)) => sources.characters(session, label, bytes),
        (characters, _) => characters,
    };
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

/// The lines of a region as the region around it quotes them; empty when it does not.
pub(super) fn context_lines(region: &Region<'_>, around: &Region<'_>) -> String {
    let quoted = around
        .snippet
        .object()
        .map_or("", |snippet| unless_placeholder(snippet.plain()));
    let line = |region: &Region<'_>| region.start_line.get().copied();
    let (Some(first), Some(top)) = (line(region), line(around)) else {
        return String::new();
    };
    let last = region.end_line.get().copied().unwrap_or(first).max(first);
    let count = |lines: i64| usize::try_from(lines).unwrap_or(0);
    let kept = quoted.lines().skip(count(first.saturating_sub(top)));
    let kept = kept.take(
        count(last.saturating_sub(first))
            .saturating_add(1)
            .min(CONTEXT_LINES_MAX),
    );
    if first < top {
        return String::new();
    }
    kept.collect::<Vec<_>>().join("\n")
}

/// Lines of one snippet, as for those from the source.
const CONTEXT_LINES_MAX: usize = 20;

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
