//! The record reader.

use serde::Deserialize;
use tamiz_sdk::bindings::tamiz::scanner::host::Input;
use tamiz_sdk::bindings::tamiz::scanner::records::{self, CsvLayout, Layout, OpenError, Reader};

/// What is to be read.
#[derive(Debug, Deserialize)]
pub(crate) struct Wish {
    layout: String,
    #[serde(default)]
    place: String,
    #[serde(default)]
    fields: Vec<String>,
    /// Rows of one call.
    page: u32,
    /// Goes on asking behind the end.
    #[serde(default)]
    after_end: bool,
    /// Opens readers of the scanned upload's file of this name until it is refused.
    #[serde(default)]
    many: Option<String>,
}

pub(crate) fn read(input: Input, wish: Wish, say: fn(&str)) {
    if let Some(path) = wish.many {
        return say(&many(&path).to_string());
    }
    let layout = match wish.layout.as_str() {
        "json-array" => Layout::JsonArray(wish.place),
        "json-lines" => Layout::JsonLines,
        "xml-elements" => Layout::XmlElements(wish.place),
        _ => Layout::Csv(CsvLayout {
            delimiter: wish.place.chars().next().unwrap_or(','),
            header: true,
        }),
    };
    let reader = match records::open(input, &layout, &wish.fields) {
        Ok(reader) => reader,
        Err(OpenError::Invalid(message)) => return say(&format!("invalid: {message}")),
        Err(OpenError::Io(error)) => return say(error.name()),
    };
    say(&format!("{:?}", reader.ending().is_none()));
    loop {
        match reader.next(wish.page) {
            Ok(rows) if rows.is_empty() => break,
            Ok(rows) => rows.iter().for_each(|row| say(&shown(row))),
            Err(error) => return say(error.name()),
        }
    }
    say(&format!("{:?}", reader.ending()));
    while wish.after_end {
        if let Err(error) = reader.next(1) {
            say(error.name());
        }
    }
    let input = Reader::release(reader);
    let again = input
        .read(8)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    say(&format!("{again:?}"));
}

fn shown(row: &records::Row) -> String {
    let values: Vec<_> = row
        .values
        .iter()
        .map(|value| value.as_deref().unwrap_or("-"))
        .collect();
    let problem = row.problem.as_ref().map_or("", |_| "!");
    let at = row.at;
    format!("{}+{} {}{problem}", at.offset, at.length, values.join("|"))
}

fn many(path: &str) -> usize {
    let mut readers = Vec::new();
    while let Some(input) = tamiz_sdk::bindings::tamiz::scanner::host::open_source(path)
        && let Ok(reader) = records::open(input, &Layout::JsonLines, &[])
    {
        readers.push(reader);
    }
    readers.len()
}
