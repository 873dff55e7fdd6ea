//! Places in files, as the tools' records give them.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::Whole;
use tamiz_sdk::model::{LogLevel, Position, position};
use tamiz_sdk::report::{Record, Session, path};

/// Lines and columns from 1; an end column is the one behind the last character.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region {
    pub(crate) line: Option<i64>,
    pub(crate) column: Option<i64>,
    pub(crate) end_line: Option<i64>,
    pub(crate) end_column: Option<i64>,
}

impl Region {
    /// From a record's four numbers.
    pub(super) fn of(line: &Whole, column: &Whole, end_line: &Whole, end_column: &Whole) -> Self {
        Self {
            line: line.get().copied(),
            column: column.get().copied(),
            end_line: end_line.get().copied(),
            end_column: end_column.get().copied(),
        }
    }

    /// From a line alone.
    pub(super) fn line(line: Option<i64>) -> Self {
        Self {
            line,
            ..Self::default()
        }
    }

    pub(super) fn start(&self) -> Option<Position> {
        position(self.line, self.column)
    }

    pub(super) fn end(&self) -> Option<Position> {
        position(self.end_line, self.end_column)
    }
}

/// Adds a place to a finding. The path is made a label; one that changed by it is kept beside it.
pub(super) fn at(
    finding: FindingBuilder,
    session: &mut Session<'_>,
    record: &dyn Record,
    raw_path: &str,
    region: Region,
    snippet: &str,
) -> FindingBuilder {
    let label = path::label(raw_path, session.root());
    if label.path.is_empty() {
        session.note(LogLevel::Info, "place-missing", record, "it names no file");
        return finding;
    }
    if region.line.is_some() && region.start().is_none() {
        let message = "its line is no line number, it is left out";
        session.note(LogLevel::Info, "line-out-of-range", record, message);
    }
    let finding = finding.file(&label.path, region.start(), region.end(), snippet);
    if label.changed {
        finding.extra_text("path", raw_path)
    } else {
        finding
    }
}

/// The lines of a quoted excerpt that belong to the finding itself. Tools put each line's number in
/// front of it (`17 text`, `17: text`), and lines around it; both would change when lines move.
pub(crate) fn numbered_lines(excerpt: &str, region: &Region) -> String {
    let Some(first) = region.line else {
        return excerpt.to_owned();
    };
    let last = region.end_line.unwrap_or(first).max(first);
    let mut kept = Vec::new();
    for line in excerpt.lines() {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = line.split_at(digits);
        match number.parse::<i64>() {
            Ok(number) if (first..=last).contains(&number) => {
                let rest = rest.strip_prefix(':').unwrap_or(rest);
                kept.push(rest.strip_prefix([' ', '\t']).unwrap_or(rest));
            }
            Ok(_) => {}
            Err(_) => return excerpt.to_owned(),
        }
    }
    if kept.is_empty() {
        excerpt.to_owned()
    } else {
        kept.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::{Region, numbered_lines};

    #[test]
    fn an_excerpt_is_reduced_to_its_own_lines() {
        let at = |line, end_line| Region {
            line: Some(line),
            end_line,
            ..Region::default()
        };
        let bandit = "16     cur = db()\n17     cur.execute(x)\n18     return\n";
        assert_eq!(numbered_lines(bandit, &at(17, None)), "    cur.execute(x)");
        let gosec = "15: \n16: \tx := y\n17: }\n";
        assert_eq!(numbered_lines(gosec, &at(16, Some(17))), "\tx := y\n}");
        assert_eq!(numbered_lines("no numbers", &at(1, None)), "no numbers");
        assert_eq!(numbered_lines("3 far away", &at(1, None)), "3 far away");
        assert_eq!(
            numbered_lines("99999999999999999999 x", &at(1, None)),
            "99999999999999999999 x"
        );
        assert_eq!(numbered_lines("1 x", &Region::default()), "1 x");
    }
}
