//! dirsearch's reports: JSON, CSV, XML and plain text.
//!
//! JSON is of three shapes: 0.4.2 and later (`results` is a list of answers), 0.4.0 and 0.4.1 (a list of
//! objects by site), 0.3 (the sites are the outer keys). Shapes: <https://github.com/maurosoria/dirsearch>,
//! `lib/report/` and its history. The format `simple` is a list of addresses that nothing marks as its own.

mod text;

pub(crate) use text::{DirsearchPlain, DirsearchTable, DirsearchXml};

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Text, Whole};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects,
};

use crate::discovery::{self, Hit};

const TOOL: &str = "dirsearch";

pub(crate) struct Dirsearch;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    path: Text<'a>,
    #[serde(default)]
    status: Whole,
    #[serde(default, rename = "content-length", alias = "contentLength")]
    length: Whole,
    #[serde(borrow, default)]
    redirect: Text<'a>,
}

impl Format for Dirsearch {
    fn name(&self) -> &'static str {
        "dirsearch-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dirsearch"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let flat = [
            "results[].content-length",
            "results[].status",
            "results[].redirect",
        ];
        let by_site = [
            "results[].*[].content-length",
            "results[].*[].path",
            "results[].*[].status",
        ];
        let old = ["*[].content-length", "*[].path", "*[].status"];
        let is_one = [flat, by_site, old].iter().any(|keys| head.count(keys) >= 2);
        let is_empty = head.has_all(&["info.args", "info.time", "results"]);
        (head.shape() == Shape::Object && (is_one || is_empty)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let by_site = source.head().has("results[].*[]");
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("results", Kind::Array) if by_site => {
                    objects(reader, session, key, |reader, session, _| sites(reader, session))?;
                }
                ("results", Kind::Array) => {
                    each(reader, session, key, |session, element| {
                        entry(session, &element, "")
                    })?;
                }
                (site, Kind::Array) if site.contains("://") => {
                    each(reader, session, site, |session, element| {
                        entry(session, &element, site)
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        reader.finish()?;
        if session.records() == before {
            discovery::tell_silence(session, TOOL);
        }
        Ok(())
    }
}

fn sites(reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
    members(reader, session, |reader, session, site, kind| {
        if kind != Kind::Array {
            return Ok(false);
        }
        each(reader, session, site, |session, element| {
            entry(session, &element, site)
        })?;
        Ok(true)
    })
}

fn entry(session: &mut Session<'_>, element: &Element<'_>, site: &str) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("url", entry.url.is_wrong()),
            ("path", entry.path.is_wrong()),
            ("status", entry.status.is_wrong()),
            ("content-length", entry.length.is_wrong()),
        ],
    );
    let (url, path) = (entry.url.text(), entry.path.text());
    let url = if url.is_empty() && !path.is_empty() {
        below(site, path)
    } else {
        url.to_owned()
    };
    let hit = Hit {
        tool: TOOL,
        url: &url,
        payload: path,
        status: entry.status.get().copied(),
        length: entry.length.get().copied(),
        redirect: entry.redirect.text(),
        ..Hit::default()
    };
    discovery::emit(session, element, &hit)
}

/// The address of a path, which is below that of the site and has a slash in front or not.
fn below(site: &str, path: &str) -> String {
    format!("{}/{}", site.trim_end_matches('/'), path.trim_start_matches('/'))
}
