//! The record reader's promises: the same rows however the bytes come, places in order, and of JSON what
//! another parser finds there.

use std::convert::Infallible;

use serde::de::IgnoredAny;
use serde_json::Value;
use tamiz_records::{Ending, Layout, Records, Row, Source};

/// Bytes in pieces.
struct Pieces<'bytes> {
    rest: &'bytes [u8],
    piece_bytes: usize,
}

impl Source for Pieces<'_> {
    type Error = Infallible;
    type Place = (u64, u64);

    fn read(&mut self, max: u32) -> Result<Vec<u8>, Infallible> {
        let count = self.rest.len().min(self.piece_bytes).min(max as usize);
        let (piece, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(piece.to_vec())
    }

    fn rewind(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn place(start: u64, end: u64) -> (u64, u64) {
        (start, end)
    }
}

/// Reads the bytes in every layout.
///
/// # Panics
/// When a promise is broken.
pub fn read(bytes: &[u8]) {
    let csv = |delimiter, header| Layout::Csv { delimiter, header };
    for pointer in ["", "/results", "/runs/0/results"] {
        json(bytes, &Layout::JsonArray(pointer.to_owned()));
    }
    json(bytes, &Layout::JsonLines);
    for name in ["issue", "e", "item", "host"] {
        check(
            bytes,
            &Layout::XmlElements(name.to_owned()),
            &["@id", ".", "name", "a/b/@line"],
        );
        check(bytes, &Layout::XmlElements(name.to_owned()), &[]);
    }
    check(bytes, &csv(',', true), &["id", "severity"]);
    check(bytes, &csv(';', false), &["0", "3"]);
    check(bytes, &csv(',', true), &[]);
}

fn json(bytes: &[u8], layout: &Layout) {
    let fields = [
        "/id",
        "/check_id",
        "/start/line",
        "/locations/0",
        "/locations/1/uri",
        "",
    ];
    for row in check(bytes, layout, &[]) {
        if let Some(text) = &row.values.first() {
            let text = text.as_deref().unwrap_or_default();
            serde_json::from_str::<IgnoredAny>(text).expect("a record is JSON");
        }
    }
    for row in check(bytes, layout, &fields) {
        let record = &bytes[row.place.0 as usize..row.place.1 as usize];
        if let Some(problem) = &row.problem {
            let is_refused = serde_json::from_slice::<IgnoredAny>(record).is_err();
            assert!(is_refused || problem.contains("nested"), "{problem}");
        } else if let Ok(value) = serde_json::from_slice::<Value>(record) {
            compare(record, &value, &row, &fields);
        }
    }
}

/// Keys that come twice are taken otherwise by the other parser.
fn compare(record: &[u8], value: &Value, row: &Row, fields: &[&str]) {
    let text = String::from_utf8_lossy(record);
    if ["id", "check_id", "start", "line", "locations", "uri"]
        .iter()
        .any(|key| text.matches(&format!("{key}\"")).count() > 1 || text.contains('\\'))
    {
        return;
    }
    for (field, picked) in fields.iter().zip(&row.values) {
        match (value.pointer(field), picked) {
            (None | Some(Value::Null), None) => {}
            (Some(Value::String(text)), Some(picked)) => assert_eq!(text, picked),
            (Some(value), Some(picked)) => {
                let picked: Value = serde_json::from_str(picked).expect("a value is JSON");
                assert_eq!(*value, picked);
            }
            (value, picked) => panic!("{field}: {value:?} was picked as {picked:?}"),
        }
    }
}

fn check(bytes: &[u8], layout: &Layout, fields: &[&str]) -> Vec<Row> {
    let (rows, ending) = rows(bytes, usize::MAX, layout, fields);
    let mut before = 0;
    for row in &rows {
        assert!(row.place.0 >= before && row.place.0 <= row.place.1 && row.place.1 <= bytes.len() as u64);
        before = row.place.0;
        assert!(row.problem.is_some() || row.values.len() == fields.len().max(1));
    }
    // Where a damaged document is taken up again may depend on how far it was read ahead.
    if ending == Ending::Whole && rows.iter().all(|row| row.problem.is_none()) {
        let again = self::rows(bytes, 7, layout, fields);
        assert!(again == (rows.clone(), ending), "other rows in pieces");
    }
    rows
}

fn rows(bytes: &[u8], piece_bytes: usize, layout: &Layout, fields: &[&str]) -> (Vec<Row>, Ending) {
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let source = Pieces {
        rest: bytes,
        piece_bytes,
    };
    let mut records = match Records::open(source, layout, &fields) {
        Ok(records) => records,
        Err(error) => panic!("{}", error.message),
    };
    let mut all = Vec::new();
    loop {
        let Ok(page) = records.next(100, 4096);
        if page.is_empty() {
            return (all, records.ending().expect("it has ended"));
        }
        all.extend(page);
    }
}
