//! ffuf's JSON: one document (`-of json`, 1.0 and later), or a line per result (`-json`).
//!
//! Shape: <https://github.com/ffuf/ffuf>, `pkg/output/file_json.go`. A target that does not answer
//! gives the same empty list as one without a hit, so that an empty list is refused.

use serde::Deserialize;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Members, Text, Whole};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, json_lines, members,
};

use crate::discovery::{self, Hit};

const TOOL: &str = "ffuf";

/// One document.
pub(crate) struct Ffuf;

/// A line per result.
pub(crate) struct FfufLines;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(default)]
    status: Whole,
    #[serde(default)]
    length: Whole,
    #[serde(borrow, default)]
    redirectlocation: Text<'a>,
    #[serde(borrow, default)]
    input: Field<Members<Text<'a>>>,
}

impl Format for Ffuf {
    fn name(&self) -> &'static str {
        "ffuf-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["ffuf"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "commandline",
            "config.inputproviders",
            "config.matchers",
            "results[].redirectlocation",
            "results[].resultfile",
            "results[].input",
        ];
        (head.shape() == Shape::Object && head.count(&keys) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("results", Kind::Array) => {
                    each(reader, session, "results", entry)?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        })?;
        reader.finish()?;
        if session.records() == before {
            return Err(discovery::refuse_silence(TOOL));
        }
        Ok(())
    }
}

impl Format for FfufLines {
    fn name(&self) -> &'static str {
        "ffuf-jsonl"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["ffuf"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = ["redirectlocation", "resultfile", "position", "input", "words"];
        (matches!(head.shape(), Shape::Lines | Shape::Object) && head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        json_lines(source, session, entry)
    }
}

fn entry(session: &mut Session<'_>, element: Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("url", entry.url.is_wrong()),
            ("status", entry.status.is_wrong()),
            ("length", entry.length.is_wrong()),
        ],
    );
    let payload = entry
        .input
        .members()
        .first()
        .map_or("", |(_, value)| value.text());
    let hit = Hit {
        tool: TOOL,
        url: entry.url.text(),
        payload,
        status: entry.status.get().copied(),
        length: entry.length.get().copied(),
        redirect: entry.redirectlocation.text(),
        ..Hit::default()
    };
    discovery::emit(session, &element, &hit)
}
