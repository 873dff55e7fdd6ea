//! Zeek's own form: lines of fields between tabs, after a head of lines that begin with `#`.
//!
//! ```text
//! #separator \x09
//! #unset_field  -
//! #path  notice
//! #fields  ts  uid  id.orig_h  …  note  msg
//! 1795254509.81  CmES5u32sYpV7JYN  127.0.0.1  …
//! #close  2026-11-21-09-49-00
//! ```
//!
//! Logs may follow one another in one file; each head starts anew.

use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, TextLine, lines};

use super::{Line, Log, TOOL, conversation, line};
use crate::observed::{Observed, completeness};

/// Fields of one log; Zeek's widest has about 30, and sites add some.
const FIELDS_MAX: usize = 512;

/// The format.
pub(crate) struct Table;

/// What the head says.
#[derive(Debug, Default)]
struct Layout {
    separator: String,
    unset: String,
    empty: String,
    path: String,
    fields: Vec<String>,
}

struct Row<'row> {
    layout: &'row Layout,
    values: Vec<&'row str>,
}

impl Line for Row<'_> {
    fn field(&self, name: &str) -> &str {
        let index = self.layout.fields.iter().position(|field| field == name);
        let value = index
            .and_then(|index| self.values.get(index))
            .copied()
            .unwrap_or_default();
        if value == self.layout.unset || value == self.layout.empty {
            ""
        } else {
            value
        }
    }
}

impl Layout {
    /// Takes a line of the head: `#word` and its value.
    fn head(&mut self, text: &str, session: &mut Session<'_>) {
        if let Some(separator) = text.strip_prefix("#separator ") {
            *self = Self {
                separator: unescaped(separator),
                unset: "-".to_owned(),
                empty: "(empty)".to_owned(),
                ..Self::default()
            };
            return;
        }
        let (word, value) = text.split_once(self.separator.as_str()).unwrap_or((text, ""));
        match word {
            "#unset_field" => value.clone_into(&mut self.unset),
            "#empty_field" => value.clone_into(&mut self.empty),
            "#path" => value.clone_into(&mut self.path),
            "#fields" => {
                let fields = value.split(self.separator.as_str()).take(FIELDS_MAX);
                self.fields = fields.map(str::to_owned).collect();
            }
            "#version" => session.tool_is(TOOL, Some(value)),
            _ => {}
        }
    }
}

impl Format for Table {
    fn name(&self) -> &'static str {
        "zeek-tsv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["zeek"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let mut lines = head.lines();
        (head.line().starts_with("#separator ") && lines.any(|line| line.starts_with("#fields"))).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let input = source.name();
        let mut layout = Layout::default();
        let mut observed = Observed::default();
        let read = lines(source, session, |session, text| {
            let content = text.text();
            // Zeek ends every line; whether the last one is whole cannot be told otherwise.
            if !text.ended && !content.starts_with("#close") {
                return Err(Stop::Ended(format!("the input ends inside line {}", text.number)));
            }
            if content.starts_with('#') {
                layout.head(&content, session);
                return Ok(());
            }
            let values: Vec<&str> = content
                .split(layout.separator.as_str())
                .take(FIELDS_MAX)
                .collect();
            row(&layout, values, &text, session, &mut observed)
        });
        observed.finish(&input, "zeek-tsv", completeness(&read, session), session);
        read
    }
}

fn row(
    layout: &Layout,
    values: Vec<&str>,
    text: &TextLine<'_>,
    session: &mut Session<'_>,
    observed: &mut Observed,
) -> Result<(), Stop> {
    if values.len() != layout.fields.len() {
        let why = format!(
            "has {} fields, the head names {}",
            values.len(),
            layout.fields.len()
        );
        session.lose_record("record-unreadable", text, &why);
        return Ok(());
    }
    let row = Row { layout, values };
    let log = Log::of_path(&layout.path);
    if log == Log::Conn {
        observed.flow(&conversation(&row));
    }
    line(log, &layout.path, &row, session, text)
}

/// `\x09` as the character that it stands for.
fn unescaped(text: &str) -> String {
    let code = text
        .trim()
        .strip_prefix("\\x")
        .and_then(|code| u8::from_str_radix(code, 16).ok());
    match code {
        Some(code) if code.is_ascii() => char::from(code).to_string(),
        _ => "\t".to_owned(),
    }
}
