//! The API's answers: parts of data, each with a type of content.

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;
use tamiz_sdk::json::lenient::{Field, Lenient, Members, Object, Objects, Text, Texts, Whole};
use tamiz_sdk::json::{Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::LogLevel;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members};

use super::{Point, TOOL, emit};

/// Types of content that are looked at; see `CONTENT_TYPE` in sqlmap's `lib/core/enums.py`.
const TARGET: i64 = 0;
const TECHNIQUES: i64 = 1;

/// What its log only says of a target that answered.
const CONTACT: [&str; 4] = [
    "target URL content is",
    "parameter '",
    "parameters appear",
    "parameters do not appear",
];

pub(crate) struct SqlmapApi;

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default, rename = "type")]
    content: Whole,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TargetValue<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    query: Text<'a>,
}

#[derive(Deserialize)]
struct Injection<'a> {
    #[serde(borrow, default)]
    place: Text<'a>,
    #[serde(borrow, default)]
    parameter: Text<'a>,
    #[serde(borrow, default)]
    dbms: Texts<'a>,
    #[serde(borrow, default)]
    data: Field<Techniques<'a>>,
}

/// By number, or since 1.10 a list.
struct Techniques<'a>(Vec<Technique<'a>>);

impl<'de: 'a, 'a> Lenient<'de> for Techniques<'a> {
    fn from_seq<A: SeqAccess<'de>>(list: A) -> Result<Field<Self>, A::Error> {
        Ok(match Objects::from_seq(list)? {
            Field::Present(objects) => Field::Present(Self(objects.entries)),
            _ => Field::Wrong,
        })
    }

    fn from_map<A: MapAccess<'de>>(members: A) -> Result<Field<Self>, A::Error> {
        let members = Members::<Field<Object<Technique<'a>>>>::from_map(members)?;
        let Field::Present(Members(members)) = members else {
            return Ok(Field::Wrong);
        };
        let objects = members.into_iter().filter_map(|(_, technique)| match technique {
            Field::Present(Object(technique)) => Some(technique),
            _ => None,
        });
        Ok(Field::Present(Self(objects.collect())))
    }
}

#[derive(Deserialize)]
struct Technique<'a> {
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    payload: Text<'a>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default)]
    sqlmap_version: Text<'a>,
}

#[derive(Deserialize)]
struct LogLine<'a> {
    #[serde(borrow, default)]
    message: Text<'a>,
}

impl Format for SqlmapApi {
    fn name(&self) -> &'static str {
        "sqlmap-api"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["sqlmap"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "success",
            "data",
            "error",
            "log",
            "data[].type",
            "data[].value",
            "data[].status",
        ];
        (head.shape() == Shape::Object && head.count(&keys) >= 3 && head.has_any(&["data", "log"])).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut url = String::new();
        let (mut reached, mut logged) = (false, false);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("data", Kind::Array) => {
                    each(reader, session, key, |session, element| {
                        reached = true;
                        part(session, &element, &mut url)
                    })?;
                }
                ("meta", Kind::Object) => {
                    if let Located::Whole { bytes, .. } = reader.value(RECORD_BYTES)? {
                        let meta: Meta<'_> = serde_json::from_slice(bytes).unwrap_or_default();
                        let version = meta.sqlmap_version.text().trim_start_matches("sqlmap/");
                        session.tool_is(TOOL, version.split('#').next());
                    }
                }
                ("log", Kind::Array) => each(reader, session, key, |_, element| {
                    logged = true;
                    let line: Option<LogLine<'_>> = serde_json::from_slice(element.bytes()).ok();
                    let message = line.as_ref().map_or("", |line| line.message.text());
                    reached |= CONTACT.iter().any(|words| message.contains(words));
                    Ok(())
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        reader.finish()?;
        if !reached && !logged {
            let message = "sqlmap has no data and no log: nothing shows that the target answered";
            session.gap("no-contact-shown", message, None);
        } else if !reached {
            let problem =
                "sqlmap says nothing of a target that answered: it has no data, and its log no test";
            return Err(Stop::Broken(problem.to_owned()));
        }
        Ok(())
    }
}

fn part(session: &mut Session<'_>, element: &Element<'_>, url: &mut String) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let part = match element.read::<Part<'_>>(session, &mut repaired) {
        Ok(part) => part,
        Err(problem) => {
            session.lose_record(
                "record-unreadable",
                element,
                &format!("could not be read: {problem}"),
            );
            return Ok(());
        }
    };
    let value = part.value.map_or("", RawValue::get);
    // Other parts have other forms of value, so that a part without a type shows what it is.
    let content = part.content.get().copied();
    let content = content.or_else(|| value.contains("\"parameter\"").then_some(TECHNIQUES));
    match content {
        Some(TARGET) => {
            if let Ok(target) = serde_json::from_str::<TargetValue<'_>>(value) {
                let query = target.query.text();
                let mark = if query.is_empty() { "" } else { "?" };
                *url = format!("{}{mark}{query}", target.url.text());
            }
            Ok(())
        }
        Some(TECHNIQUES) => points(session, element, part.value, url),
        _ => {
            let message = "it is what sqlmap read from the target, which is not taken over";
            session.note(LogLevel::Info, "data-passed-over", element, message);
            Ok(())
        }
    }
}

fn points(
    session: &mut Session<'_>,
    element: &Element<'_>,
    value: Option<&RawValue>,
    url: &str,
) -> Result<(), Stop> {
    let list = value.map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()));
    let Some(Ok(list)) = list else {
        session.lose_record(
            "record-unreadable",
            element,
            "has no list of what can be injected into",
        );
        return Ok(());
    };
    for (index, raw) in list.into_iter().enumerate() {
        let name = format!("{}.value[{index}]", element.name());
        // It stands where its part does: a part is read as one.
        let record = Element::named(&name, raw.get().as_bytes(), element.span);
        let mut repaired = Vec::new();
        let Some(injection) = record.read_or_lose::<Injection<'_>>(session, &mut repaired) else {
            continue;
        };
        record.tell_wrong(
            session,
            &[
                ("place", injection.place.is_wrong()),
                ("parameter", injection.parameter.is_wrong()),
                ("data", injection.data.is_wrong()),
            ],
        );
        let techniques = injection.data.get().map_or(&[][..], |list| &list.0);
        let point = Point {
            url,
            place: injection.place.text(),
            parameter: injection.parameter.text(),
            techniques: techniques
                .iter()
                .map(|technique| technique.title.text().to_owned())
                .collect(),
            payload: techniques
                .first()
                .map_or("", |technique| technique.payload.text()),
            database: injection.dbms.texts().next().unwrap_or_default(),
        };
        emit(session, &record, &point)?;
    }
    Ok(())
}
