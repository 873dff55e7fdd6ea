//! wapiti's JSON. The target stands behind the flaws, whose paths need it, so that a report that is too
//! long to be looked at whole is surveyed for it first.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Members, Text, Texts, Whole};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, each, members};

use super::{Class, Flaw, TOOL, emit, judge_silence};
use crate::words::{Word, word};

/// Classes whose texts are kept; wapiti has about forty.
const CLASSES_MAX: usize = 200;

pub(crate) struct WapitiJson;

#[derive(Default, Deserialize)]
struct Infos<'a> {
    #[serde(borrow, default)]
    target: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(default)]
    crawled_pages_nbr: Whole,
}

#[derive(Deserialize)]
struct ClassTexts<'a> {
    #[serde(borrow, default)]
    desc: Text<'a>,
    #[serde(borrow, default)]
    sol: Text<'a>,
    #[serde(borrow, default, rename = "ref")]
    references: Field<Members<Text<'a>>>,
    #[serde(borrow, default)]
    wstg: Texts<'a>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    path: Text<'a>,
    #[serde(borrow, default)]
    info: Text<'a>,
    #[serde(borrow, default)]
    level: Field<Word<'a>>,
    #[serde(borrow, default)]
    parameter: Text<'a>,
    #[serde(borrow, default)]
    module: Text<'a>,
    #[serde(borrow, default)]
    http_request: Text<'a>,
    #[serde(borrow, default)]
    curl_command: Text<'a>,
    #[serde(borrow, default)]
    wstg: Texts<'a>,
}

#[derive(Default)]
struct Walk {
    target: String,
    crawled: Option<i64>,
    classes: Vec<Class>,
    /// Whether the document was gone through for what stands behind the flaws.
    surveyed: bool,
}

impl Format for WapitiJson {
    fn name(&self) -> &'static str {
        "wapiti-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wapiti"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "classifications",
            "vulnerabilities",
            "anomalies",
            "additionals",
            "infos",
        ];
        let named = head
            .text("infos.version")
            .is_some_and(|text| text.starts_with("Wapiti"));
        let texts = [
            "classifications.*.desc",
            "classifications.*.sol",
            "classifications.*.ref",
        ];
        let flaws = head.has_all(&["vulnerabilities", "anomalies"]);
        (head.count(&keys) >= 4 || named || flaws || head.count(&texts) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut walk = Walk {
            target: source.head().text("infos.target").unwrap_or_default().to_owned(),
            ..Walk::default()
        };
        let mut reader = source.json()?;
        if walk.target.is_empty() {
            walk.survey(&mut reader, session)?;
        }
        match walk.document(&mut reader, session, true) {
            Err(Stop::Again) => {
                reader.rewind()?;
                walk.survey(&mut reader, session)?;
                walk.document(&mut reader, session, true)?;
            }
            end => end?,
        }
        reader.finish()?;
        if session.records() == before {
            return judge_silence(session, walk.crawled);
        }
        Ok(())
    }
}

impl Walk {
    /// Reads what stands behind the flaws and is needed for them, and goes back.
    fn survey(&mut self, reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        self.surveyed = true;
        // A report that is cut has no target; its flaws are read all the same.
        let _ = self.document(reader, session, false);
        Ok(reader.rewind()?)
    }

    fn document(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        with_flaws: bool,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("infos", Kind::Object) => self.infos(reader, session)?,
                ("classifications", Kind::Object) if self.classes.is_empty() => {
                    self.classifications(reader, session)?;
                }
                ("vulnerabilities" | "anomalies" | "additionals", Kind::Object) if with_flaws => {
                    // The texts of the classes stand in front, unless somebody sorted the keys.
                    if self.classes.is_empty() && !self.surveyed {
                        return Err(Stop::Again);
                    }
                    self.section(reader, session, key)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn infos(&mut self, reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let Located::Whole { bytes, .. } = reader.value(RECORD_BYTES)? else {
            return Ok(());
        };
        let infos: Infos<'_> = serde_json::from_slice(bytes).unwrap_or_default();
        let version = infos.version.text();
        session.tool_is(TOOL, Some(version.strip_prefix("Wapiti ").unwrap_or(version)));
        self.crawled = infos.crawled_pages_nbr.get().copied();
        if self.target.is_empty() {
            infos.target.text().clone_into(&mut self.target);
        }
        Ok(())
    }

    fn classifications(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, _, name, _| {
            if self.classes.len() >= CLASSES_MAX {
                return Ok(false);
            }
            let Located::Whole { bytes, .. } = reader.value(RECORD_BYTES)? else {
                return Ok(true);
            };
            let Ok(texts) = serde_json::from_slice::<ClassTexts<'_>>(bytes) else {
                return Ok(true);
            };
            let references = texts.references.members().iter();
            self.classes.push(Class {
                name: name.to_owned(),
                description: texts.desc.text().to_owned(),
                solution: texts.sol.text().to_owned(),
                references: references
                    .map(|(title, address)| (title.clone(), address.text().to_owned()))
                    .collect(),
                codes: texts.wstg.texts().map(str::to_owned).collect(),
            });
            Ok(true)
        })
    }

    fn section(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        section: &str,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, session, name, kind| {
            if kind != Kind::Array {
                return Ok(false);
            }
            let unknown = Class {
                name: name.to_owned(),
                ..Class::default()
            };
            let class = self.classes.iter().find(|class| class.name == name);
            let class = class.unwrap_or(&unknown);
            let place = format!("{section}.{name}");
            each(reader, session, &place, |session, element| {
                entry(session, &element, section, &self.target, class)
            })?;
            Ok(true)
        })
    }
}

fn entry(
    session: &mut Session<'_>,
    element: &Element<'_>,
    section: &str,
    target: &str,
    class: &Class,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("method", entry.method.is_wrong()),
            ("path", entry.path.is_wrong()),
            ("info", entry.info.is_wrong()),
            ("level", entry.level.is_wrong()),
            ("parameter", entry.parameter.is_wrong()),
        ],
    );
    let flaw = Flaw {
        section,
        method: entry.method.text(),
        path: entry.path.text(),
        level: Some(word(&entry.level)).filter(|level| !level.is_empty()),
        parameter: entry.parameter.text(),
        info: entry.info.text(),
        module: entry.module.text(),
        request: entry.http_request.text(),
        curl: entry.curl_command.text(),
        codes: entry.wstg.texts().collect(),
    };
    emit(session, element, target, class, &flaw)
}
