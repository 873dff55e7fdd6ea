//! The attributes and texts of XML documents, and the fields of tables, with their places.

use std::ops::Range;

use super::faults::Field;

/// Rows of a table that take part.
const ROWS_MAX: usize = 6;

/// The attributes' values, and the texts of elements without elements in them.
pub(super) fn xml_fields(bytes: &[u8]) -> Vec<Field> {
    let Ok(text) = str::from_utf8(bytes) else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    // Start of the tag and of the text behind it, while that is all there is in the element.
    let mut leaf: Option<(usize, usize)> = None;
    let mut position = 0;
    while let Some(open) = text[position..].find('<').map(|found| position + found) {
        let Some(close) = text[open..].find('>').map(|found| open + found) else {
            break;
        };
        let tag = &text[open..=close];
        if let Some(name) = tag.strip_prefix("</") {
            if let Some((start, content)) = leaf.take().filter(|(_, content)| *content < open) {
                fields.push(Field {
                    faults: vec![(content..open, ""), (content..open, "zz"), (start..close + 1, "")],
                    inside: start..close + 1,
                    name: name.trim_end_matches('>').to_owned(),
                });
            }
        } else if tag.starts_with("<!") || tag.starts_with("<?") {
            leaf = None;
        } else {
            attributes(text, open..close, &mut fields);
            leaf = (!tag.ends_with("/>")).then_some((open, close + 1));
        }
        position = close + 1;
    }
    fields
}

fn attributes(text: &str, tag: Range<usize>, fields: &mut Vec<Field>) {
    let mut position = tag.start;
    while let Some(equal) = text[position..tag.end].find('=').map(|found| position + found) {
        let Some(quote) = text[equal + 1..tag.end]
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))
        else {
            return;
        };
        let Some(end) = text[equal + 2..tag.end]
            .find(quote)
            .map(|found| equal + 2 + found)
        else {
            return;
        };
        let start = text[tag.start..equal]
            .rfind(char::is_whitespace)
            .map_or(equal, |space| tag.start + space);
        let value = equal + 2..end;
        fields.push(Field {
            faults: vec![(value.clone(), ""), (value, "zz"), (start..end + 1, "")],
            inside: tag.clone(),
            name: text[start..equal].trim().to_owned(),
        });
        position = end + 1;
    }
}

/// The fields of a table's first rows. Quoted separators make odd fields, which do as well.
pub(super) fn table_fields(bytes: &[u8]) -> Vec<Field> {
    let Ok(text) = str::from_utf8(bytes) else {
        return Vec::new();
    };
    let header = text.lines().next().unwrap_or_default();
    let separator = char::from(crate::csv::separator(header));
    let mut fields = Vec::new();
    let mut start = 0;
    for (row, line) in text.split_inclusive('\n').take(ROWS_MAX).enumerate() {
        let inside = start..start + line.len();
        let mut field_start = start;
        // Another header is another table.
        let parts = line.trim_end().split(separator).filter(|_| row > 0);
        for part in parts {
            let range = field_start..field_start + part.len();
            field_start = range.end + 1;
            fields.push(Field {
                faults: vec![(range.clone(), ""), (range, "zz")],
                inside: inside.clone(),
                name: format!("line {}", row + 1),
            });
        }
        start = inside.end;
    }
    fields
}
