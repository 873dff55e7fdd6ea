//! ffuf's JSON: one document (`-of json`, 1.0 and later), or a line per result (`-json`); and its CSV.
//!
//! Shapes: <https://github.com/ffuf/ffuf>, `pkg/output/file_json.go` and `file_csv.go`. A target that does not answer
//! gives the same empty list as one without a hit, so that an empty list is told as a gap.

use serde::Deserialize;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Members, Text, Whole};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, json_lines, members,
};

use crate::discovery::{self, Hit};

const TOOL: &str = "ffuf";

/// What 2.0 and later list beside the inputs: the number of the run and of the request.
const HASH: &str = "FFUFHASH";

/// One document.
pub(crate) struct Ffuf;

/// A line per result.
pub(crate) struct FfufLines;

/// A row per result.
pub(crate) struct FfufTable;

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
            discovery::tell_silence(session, TOOL);
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

impl Format for FfufTable {
    fn name(&self) -> &'static str {
        "ffuf-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["ffuf"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["url", "redirectlocation", "position", "status_code"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        // The inputs stand in front, in columns that are named by their keywords.
        let columns = source.head().line().split(',').filter(|name| *name != HASH);
        let keywords: Vec<_> = columns.take_while(|name| *name != "url").collect();
        discovery::hits(source, session, TOOL, |session, row| {
            let inputs: Vec<_> = keywords.iter().map(|keyword| row.get(keyword)).collect();
            let hit = Hit {
                tool: TOOL,
                url: &row.get("url"),
                payload: &inputs.join(" "),
                status: row.get("status_code").parse().ok(),
                length: row.get("content_length").parse().ok(),
                redirect: &row.get("redirectlocation"),
                ..Hit::default()
            };
            discovery::emit(session, row, &hit)
        })
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
    let inputs = entry
        .input
        .members()
        .iter()
        .filter(|(keyword, _)| keyword != HASH);
    let payload: Vec<_> = inputs.map(|(_, value)| value.text()).collect();
    let hit = Hit {
        tool: TOOL,
        url: entry.url.text(),
        payload: &payload.join(" "),
        status: entry.status.get().copied(),
        length: entry.length.get().copied(),
        redirect: entry.redirectlocation.text(),
        ..Hit::default()
    };
    discovery::emit(session, &element, &hit)
}
