//! wfuzz's JSON (`-f FILE,json`, 2.x and 3.x): an array of answers; and its CSV.
//!
//! The CSV names no address: what was put in stands for it. With `--field` or from a list of requests the
//! payload has the whole request behind it, of which only the first line is taken over.
//!
//! Shape: <https://github.com/xmendez/wfuzz>, `src/wfuzz/plugins/printers.py`.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Text, Whole};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Shape, Source, Stop, each};

use crate::discovery::{self, Hit};
use crate::place;

const TOOL: &str = "wfuzz";

pub(crate) struct Wfuzz;

/// A row per answer.
pub(crate) struct WfuzzTable;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    payload: Text<'a>,
    #[serde(borrow, default)]
    location: Text<'a>,
    #[serde(borrow, default)]
    server: Text<'a>,
    #[serde(default)]
    code: Whole,
    #[serde(default)]
    chars: Whole,
}

impl Format for Wfuzz {
    fn name(&self) -> &'static str {
        "wfuzz-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wfuzz"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "[].chars",
            "[].code",
            "[].payload",
            "[].words",
            "[].post_data",
            "[].server",
        ];
        (head.shape() == Shape::Array && head.count(&keys) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        each(&mut reader, session, "", entry)?;
        Ok(reader.finish()?)
    }
}

impl Format for WfuzzTable {
    fn name(&self) -> &'static str {
        "wfuzz-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wfuzz"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_columns(&["id", "response", "word", "chars", "request"])
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        discovery::hits(source, session, TOOL, |session, row| {
            let payload = row.get("request");
            let hit = Hit {
                tool: TOOL,
                url: &payload,
                payload: &payload,
                status: row.get("response").parse().ok(),
                length: row.get("chars").parse().ok(),
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
            ("code", entry.code.is_wrong()),
            ("chars", entry.chars.is_wrong()),
            ("method", entry.method.is_wrong()),
        ],
    );
    let hit = Hit {
        tool: TOOL,
        url: entry.url.text(),
        method: entry.method.text(),
        payload: place::request_line(entry.payload.text()),
        status: entry.code.get().copied(),
        length: entry.chars.get().copied(),
        redirect: entry.location.text(),
        server: entry.server.text(),
    };
    discovery::emit(session, &element, &hit)
}
