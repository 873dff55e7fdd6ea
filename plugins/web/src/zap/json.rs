//! ZAP's JSON: `site` is a list of sites, or one site, with `alerts`.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Text};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::Location;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, objects, small_text,
};

use super::{Alert, TOOL, emit, refuse_silence};
use crate::place;
use crate::words::{All, Word, word};

pub(crate) struct ZapJson;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    pluginid: Field<Word<'a>>,
    #[serde(borrow, default, rename = "alertRef")]
    alert_reference: Field<Word<'a>>,
    #[serde(borrow, default)]
    alert: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    riskcode: Field<Word<'a>>,
    #[serde(borrow, default)]
    confidence: Field<Word<'a>>,
    #[serde(borrow, default)]
    desc: Text<'a>,
    #[serde(borrow, default)]
    otherinfo: Text<'a>,
    #[serde(borrow, default)]
    solution: Text<'a>,
    #[serde(borrow, default)]
    reference: Text<'a>,
    #[serde(borrow, default)]
    cweid: Field<Word<'a>>,
    #[serde(borrow, default)]
    wascid: Field<Word<'a>>,
    #[serde(borrow, default)]
    tags: Field<All<Tag<'a>>>,
    #[serde(borrow, default)]
    instances: Field<All<Instance<'a>>>,
    #[serde(borrow, default)]
    uri: Text<'a>,
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    param: Text<'a>,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow, default)]
    tag: Text<'a>,
}

#[derive(Deserialize)]
struct Instance<'a> {
    #[serde(borrow, default)]
    uri: Text<'a>,
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    param: Text<'a>,
    #[serde(borrow, default)]
    attack: Text<'a>,
    #[serde(borrow, default)]
    evidence: Text<'a>,
}

impl Format for ZapJson {
    fn name(&self) -> &'static str {
        "zap-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["zap"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let list = [
            "site[].@name",
            "site[].alerts",
            "site[].@host",
            "site[].alerts[].pluginid",
        ];
        let one = [
            "site.@name",
            "site.alerts",
            "site.@host",
            "site.alerts[].pluginid",
        ];
        let outer = ["@version", "@generated", "@programName", "site"];
        (head.count(&list) >= 2 || head.count(&one) >= 2 || head.count(&outer) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reached = false;
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("@version", Kind::String) => session.tool_is(TOOL, small_text(reader)?.as_deref()),
                ("site", Kind::Array) => objects(reader, session, key, |reader, session, name| {
                    reached = true;
                    site(reader, session, name)
                })?,
                ("site", Kind::Object) => {
                    reached = true;
                    site(reader, session, key)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        reader.finish()?;
        if !reached {
            return Err(refuse_silence());
        }
        session.covered();
        Ok(())
    }
}

fn site(reader: &mut JsonReader<'_>, session: &mut Session<'_>, name: &str) -> Result<(), Stop> {
    let array = format!("{name}.alerts");
    members(reader, session, |reader, session, key, kind| match (key, kind) {
        ("alerts", Kind::Array) => {
            each(reader, session, &array, alert)?;
            Ok(true)
        }
        ("@name", Kind::String) => {
            session.target_is(&small_text(reader)?.unwrap_or_default());
            Ok(true)
        }
        _ => Ok(false),
    })
}

fn alert(session: &mut Session<'_>, element: Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("pluginid", entry.pluginid.is_wrong()),
            ("alert", entry.alert.is_wrong()),
            ("riskcode", entry.riskcode.is_wrong()),
            ("confidence", entry.confidence.is_wrong()),
            ("desc", entry.desc.is_wrong()),
            ("instances", entry.instances.is_wrong()),
        ],
    );
    let instances = entry.instances.get();
    let mut places: Vec<_> = instances
        .into_iter()
        .flat_map(|list| &list.entries)
        .map(instance)
        .collect();
    // 2.6 and earlier have the one place in the alert itself.
    if instances.is_none() && !entry.uri.text().is_empty() {
        places.push(place::at(
            entry.uri.text(),
            entry.method.text(),
            entry.param.text(),
            "",
        ));
    }
    if let Some(lost) = instances.map(|list| list.lost).filter(|lost| *lost > 0) {
        let message = format!("{}: {lost} of its instances could not be read", element.name());
        session.unread("places-unreadable", &message, Some(element.span));
    }
    let tags = entry.tags.get().into_iter().flat_map(|list| &list.entries);
    let risk = word(&entry.riskcode);
    let item = Alert {
        plugin: word(&entry.pluginid),
        reference: word(&entry.alert_reference),
        name: if entry.alert.text().is_empty() {
            entry.name.text()
        } else {
            entry.alert.text()
        },
        risk: Some(risk).filter(|risk| !risk.is_empty()),
        confidence: word(&entry.confidence),
        description: entry.desc.text(),
        other: entry.otherinfo.text(),
        solution: entry.solution.text(),
        references: entry.reference.text(),
        cwe: word(&entry.cweid),
        wasc: word(&entry.wascid),
        tags: tags.map(|tag| tag.tag.text()).collect(),
        places,
    };
    emit(session, &element, &item)
}

fn instance(instance: &Instance<'_>) -> Location {
    let evidence = match instance.evidence.text() {
        "" => instance.attack.text(),
        evidence => evidence,
    };
    place::at(
        instance.uri.text(),
        instance.method.text(),
        instance.param.text(),
        evidence,
    )
}
