//! `--jsonfile-pretty`: checks by target and part.

use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, objects, small_text, span_since,
};

use super::flat::check;
use super::{Entry, Reading, TOOL};
use crate::ahead::{self, Members};
use crate::endpoint::Endpoint;

/// What says where a target is; testssl.sh writes it in front of the checks.
const PLACE: [&str; 3] = ["targetHost", "ip", "port"];

pub(crate) struct Pretty;

impl Format for Pretty {
    fn name(&self) -> &'static str {
        "testssl-json-pretty"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["testssl.sh"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let outer = ["scanResult", "Invocation", "openssl", "startTime", "at"];
        let inner = [
            "scanResult[].targetHost",
            "scanResult[].pretest",
            "scanResult[].protocols",
        ];
        (head.count(&outer) >= 3 || head.has("scanResult") && head.count(&inner) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        // `3.0.8  from …`
        let version = source.head().text("version").unwrap_or_default();
        session.tool_is(TOOL, version.split_whitespace().next());
        let mut reading = Reading::default();
        let mut reader = source.json()?;
        let mut targets = ahead::members_of(&mut reader, "scanResult", &PLACE)?.into_iter();
        let mut read = members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("scanResult", Kind::Array) => {
                    objects(reader, session, key, |reader, session, name| {
                        let place = targets.next().unwrap_or_default();
                        target(&mut reading, reader, session, name, &place)
                    })?;
                    Ok(true)
                }
                (part, Kind::Array) => {
                    each(reader, session, part, |session, element| {
                        check(&mut reading, session, &element, None)
                    })?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        });
        if read.is_ok() {
            read = reader.finish().map_err(Stop::from);
        }
        reading.end(session, read)
    }
}

/// One target's checks, part by part; or a check itself, which is how a dead target is told.
fn target(
    reading: &mut Reading,
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    name: &str,
    place: &Members,
) -> Result<(), Stop> {
    let start = reader.offset();
    let mut texts: [(&str, String); 6] = ["targetHost", "ip", "port", "id", "severity", "finding"]
        .map(|key| (key, ahead::text(place.get(key))));
    members(reader, session, |reader, session, key, kind| {
        if kind == Kind::Array {
            let server = Endpoint::new(host(&texts), text(&texts, "port"));
            let server = (!server.host.is_empty()).then_some(server);
            let array = format!("{name}.{key}");
            each(reader, session, &array, |session, element| {
                check(reading, session, &element, server.as_ref())
            })?;
            return Ok(true);
        }
        if kind == Kind::String
            && let Some(place) = texts.iter_mut().find(|(known, _)| *known == key)
        {
            place.1 = small_text(reader)?.unwrap_or_default();
            return Ok(true);
        }
        Ok(false)
    })?;
    if text(&texts, "id").is_empty() {
        return Ok(());
    }
    let server = Endpoint::new(host(&texts), text(&texts, "port"));
    let element = Element::named(name, &[], span_since(reader, start));
    let severity = text(&texts, "severity");
    let entry = Entry {
        id: text(&texts, "id"),
        severity: (!severity.is_empty()).then_some(severity),
        finding: text(&texts, "finding"),
        cve: "",
        cwe: "",
        hint: "",
    };
    let server = (!server.host.is_empty()).then_some(&server);
    reading.take(session, &element, server, &entry)
}

fn text<'a>(texts: &'a [(&str, String); 6], key: &str) -> &'a str {
    let found = texts.iter().find(|(known, _)| *known == key);
    found.map_or("", |(_, text)| text.as_str())
}

fn host<'a>(texts: &'a [(&str, String); 6]) -> &'a str {
    match text(texts, "targetHost") {
        "" => text(texts, "ip"),
        host => host,
    }
}
