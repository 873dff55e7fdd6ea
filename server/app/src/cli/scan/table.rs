//! The findings as a table for people, and a line that sums them up.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use tamiz_core::severity::Severity;

use super::report::Report;

/// Narrower terminals (and those that claim a width of 0) get long lines instead of one letter per line.
const WIDTH_MIN: u16 = 60;

/// How the table may look.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Look {
    /// the terminal's width; none when nobody's lines need to be broken
    width: Option<u16>,
    colour: bool,
}

impl Look {
    /// Colour and line breaks on a terminal only, colour never with `NO_COLOR`.
    pub(in crate::cli) fn of_stdout() -> Look {
        let terminal = std::io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var("TERM").as_deref() == Ok("dumb");
        let width = terminal
            .then(|| Table::new().width())
            .flatten()
            .filter(|width| *width >= WIDTH_MIN);
        Look {
            width,
            colour: terminal && !unwanted && !dumb,
        }
    }
}

pub(in crate::cli) fn render(report: &Report, look: Look) -> String {
    let mut text = String::new();
    if !report.findings.is_empty() {
        text.push_str(&rows(report, look));
        text.push('\n');
    }
    text.push_str(&report.summary());
    text.push('\n');
    text
}

fn rows(report: &Report, look: Look) -> String {
    let mut table = Table::new();
    match look.width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.load_style(comfy_table::presets::NOTHING);
    table.force_no_tty();
    if look.colour {
        table.enforce_styling();
    }
    table.set_header(["SEVERITY", "RULE", "PLACE", "TITLE"].map(Cell::new));
    for finding in &report.findings {
        let mut severity = Cell::new(finding.severity.as_str());
        if look.colour {
            severity = severity.fg(colour(finding.severity));
            if finding.severity >= Severity::High {
                severity = severity.add_attribute(Attribute::Bold);
            }
        }
        let one_line = |text: &str| Cell::new(text.replace(['\n', '\t'], " "));
        table.add_row([
            severity,
            one_line(&finding.rule_id),
            one_line(&finding.place()),
            one_line(&finding.title),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

const fn colour(severity: Severity) -> Color {
    match severity {
        Severity::Critical | Severity::High => Color::Red,
        Severity::Medium => Color::Yellow,
        Severity::Low => Color::Cyan,
        Severity::Info => Color::DarkGrey,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn a_table_for_a_pipe_has_one_line_per_finding_and_no_codes() {
        let text = render(
            &sample(),
            Look {
                width: None,
                colour: false,
            },
        );
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_terminal_gets_colour_and_its_width() {
        let text = render(
            &sample(),
            Look {
                width: Some(40),
                colour: true,
            },
        );
        assert!(text.contains('\u{1b}'));
        let plain = render(
            &sample(),
            Look {
                width: Some(40),
                colour: false,
            },
        );
        assert!(!plain.contains('\u{1b}'));
        assert!(
            plain
                .lines()
                .take_while(|line| !line.is_empty())
                .all(|line| line.chars().count() <= 40),
            "{plain}"
        );
    }

    #[test]
    fn no_findings_are_a_summary_alone() {
        let mut report = sample();
        report.findings.clear();
        let text = render(
            &report,
            Look {
                width: None,
                colour: false,
            },
        );
        assert_eq!(text, "0 findings: 0 critical, 0 high, 0 medium, 0 low, 0 info\n");
    }
}
