//! ZAP's XML: an `alertitem` per alert, in a `site`.

use tamiz_sdk::model::Location;
use tamiz_sdk::report::{Event, Format, Head, Recognition, Session, Source, Stop, XmlRecord, walk};
use tamiz_sdk::xml::Node;

use super::{Alert, TOOL, emit, refuse_silence};
use crate::place;

pub(crate) struct ZapXml;

impl Format for ZapXml {
    fn name(&self) -> &'static str {
        "zap-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["zap"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.root() == "OWASPZAPReport").into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reached = false;
        let mut reader = source.xml()?;
        walk(&mut reader, session, &["alertitem"], &[], |session, event| {
            match event {
                Event::Open(node) => match node.name() {
                    "OWASPZAPReport" => session.tool_is(TOOL, node.attribute("version")),
                    "site" => {
                        reached = true;
                        session.target_is(node.attribute("name").unwrap_or_default());
                    }
                    _ => {}
                },
                Event::Close(_) => {}
                Event::Record(record) => return alert(session, &record),
            }
            Ok(())
        })?;
        if !reached {
            return Err(refuse_silence());
        }
        session.covered();
        Ok(())
    }
}

fn alert(session: &mut Session<'_>, record: &XmlRecord<'_>) -> Result<(), Stop> {
    let node = record.node;
    let text = |name: &str| node.child_text(name);
    let (plugin, reference) = (text("pluginid"), text("alertRef"));
    let (alert, name) = (text("alert"), text("name"));
    let (risk, confidence) = (text("riskcode"), text("confidence"));
    // Up to 2.3 it was called so.
    let confidence = if confidence.is_empty() {
        text("reliability")
    } else {
        confidence
    };
    let (description, other, solution) = (text("desc"), text("otherinfo"), text("solution"));
    let (references, cwe, wasc) = (text("reference"), text("cweid"), text("wascid"));
    let tags: Vec<_> = node
        .child("tags")
        .into_iter()
        .flat_map(|tags| tags.all("tag"))
        .collect();
    let tags: Vec<_> = tags.iter().map(|tag| tag.child_text("tag")).collect();
    let instances = node.child("instances");
    let mut places: Vec<_> = instances
        .into_iter()
        .flat_map(|list| list.all("instance"))
        .map(instance)
        .collect();
    if instances.is_none() {
        places = places_of(node);
    }
    let item = Alert {
        plugin: &plugin,
        reference: &reference,
        name: if alert.is_empty() { &name } else { &alert },
        risk: Some(&*risk).filter(|risk| !risk.is_empty()),
        confidence: &confidence,
        description: &description,
        other: &other,
        solution: &solution,
        references: &references,
        cwe: &cwe,
        wasc: &wasc,
        tags: tags.iter().map(AsRef::as_ref).collect(),
        places,
    };
    emit(session, record, &item)
}

/// Old versions have the places of an alert in the alert itself: each `uri` begins one.
fn places_of(alert: Node<'_>) -> Vec<Location> {
    let mut places: Vec<[String; 5]> = Vec::new();
    for node in alert.children() {
        let fields = ["uri", "method", "param", "evidence", "attack"];
        let Some(index) = fields.iter().position(|name| *name == node.name()) else {
            continue;
        };
        if index == 0 {
            places.push(Default::default());
        }
        if let Some(field) = places.last_mut().and_then(|place| place.get_mut(index)) {
            *field = node.text().into_owned();
        }
    }
    let location = |[uri, method, parameter, evidence, attack]: &[String; 5]| {
        let evidence = if evidence.is_empty() { attack } else { evidence };
        place::at(uri, method, parameter, evidence)
    };
    places.iter().map(location).collect()
}

fn instance(node: Node<'_>) -> Location {
    let text = |name: &str| node.child_text(name);
    let (evidence, attack) = (text("evidence"), text("attack"));
    let evidence = if evidence.is_empty() { attack } else { evidence };
    place::at(&text("uri"), &text("method"), &text("param"), &evidence)
}
