//! What is written says what was there; and files and runs end where GitHub wants them to.

mod limits;
mod said;

use serde_json::Value;

use super::{Limits, Sarif};
use crate::export::samples::head;
use crate::export::{Exported, Writer};

/// All files of an export.
fn files(alerts: &[Exported], limits: Limits) -> Vec<Value> {
    let mut writer = Sarif::new(head(), limits);
    let (mut files, mut out) = (Vec::new(), Vec::new());
    writer.begin(&mut out);
    for alert in alerts {
        if writer.next_file_before(alert) {
            writer.end(&mut out);
            files.push(std::mem::take(&mut out));
            writer.begin(&mut out);
        }
        assert!(writer.alert(alert, &mut out));
    }
    writer.end(&mut out);
    files.push(out);
    files
        .iter()
        .map(|file| serde_json::from_slice(file).unwrap())
        .collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
