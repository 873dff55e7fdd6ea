//! ssh-audit's JSON (2.3 to 3.x; `-j`, and a list of such reports for many targets).
//!
//! A record is a note that fails or warns about an algorithm, and an entry of `cves`. Version 2.9 has
//! no notes: there it is a recommendation to change or remove an algorithm. Those before it have no
//! judgement at all: there it is an algorithm that the server offers. Shape:
//! <https://github.com/jtesta/ssh-audit>, `src/ssh_audit/ssh_audit.py`.

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Members as Named, Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects,
};
use tamiz_sdk::vocabulary::{self, SeverityTable};

use crate::ahead::{self, Members};
use crate::endpoint::Endpoint;

const TOOL: &str = "ssh-audit";

/// Parts of a report that list algorithms, and what they are called.
const PARTS: [(&str, &str); 4] = [
    ("kex", "key exchange"),
    ("key", "host key"),
    ("enc", "cipher"),
    ("mac", "message authentication"),
];

/// What the words mean; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "ssh-audit",
    words: &[
        ("fail", Severity::High),
        ("warn", Severity::Low),
        ("critical", Severity::High),
        ("warning", Severity::Low),
        ("informational", Severity::Info),
    ],
};

pub(crate) struct SshAudit;

#[derive(Deserialize)]
struct Algorithm<'a> {
    #[serde(borrow, default)]
    algorithm: Text<'a>,
    #[serde(borrow, default)]
    notes: Field<Named<Texts<'a>>>,
}

#[derive(Deserialize)]
struct Advisory<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Text<'a>,
    #[serde(default, alias = "cvssv3")]
    cvssv2: Field<tamiz_sdk::json::lenient::Decimal>,
}

/// One target's report.
struct Reading {
    server: Endpoint,
    words: Words,
}

/// What the report's version has to say of an algorithm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    Notes,
    Recommendations,
    Nothing,
}

impl Format for SshAudit {
    fn name(&self) -> &'static str {
        "ssh-audit-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["ssh-audit"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let banner = head.has_all(&["banner.raw", "banner.software"])
            || head.has_all(&["[].banner.raw", "[].banner.software"]);
        let one = ["kex", "key", "enc", "mac", "fingerprints"];
        let many = ["[].kex", "[].key", "[].enc", "[].mac", "[].fingerprints"];
        (banner || head.count(&one) >= 4 || head.count(&many) >= 4).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let (head, mut place) = (source.head(), 0_usize);
        let has = |path: &str| head.has(path) || head.has(&format!("[].{path}"));
        let words = if PARTS.iter().any(|(part, _)| has(&format!("{part}[].notes"))) {
            Words::Notes
        } else if has("recommendations") || has("cves") {
            Words::Recommendations
        } else {
            Words::Nothing
        };
        let many = head.shape() == Shape::Array;
        let mut reader = source.json()?;
        let targets = ahead::members_of(&mut reader, "", &["target"])?;
        let mut next = || {
            let members = targets.get(place);
            place += 1;
            let server =
                members.map(|members: &Members| Endpoint::parse(&ahead::text(members.get("target"))));
            Reading {
                server: server.unwrap_or_default(),
                words,
            }
        };
        if many {
            objects(&mut reader, session, "", |reader, session, name| {
                next().read(reader, session, &format!("{name}."))
            })?;
        } else {
            next().read(&mut reader, session, "")?;
        }
        Ok(reader.finish()?)
    }
}

impl Reading {
    fn read(&self, reader: &mut JsonReader<'_>, session: &mut Session<'_>, prefix: &str) -> Result<(), Stop> {
        members(reader, session, |reader, session, key, kind| {
            let array = format!("{prefix}{key}");
            let part = PARTS.iter().find(|(part, _)| *part == key);
            match (key, kind, part) {
                (_, Kind::Array, Some((_, what))) if self.words == Words::Notes => {
                    each(reader, session, &array, |session, element| {
                        self.algorithm(session, &element, what)
                    })?;
                }
                (_, Kind::Array, Some((_, what))) if self.words == Words::Nothing => {
                    each(reader, session, &array, |session, element| {
                        self.offer(session, &element, what)
                    })?;
                }
                ("cves", Kind::Array, _) => {
                    each(reader, session, &array, |session, element| {
                        self.advisory(session, &element)
                    })?;
                }
                ("recommendations", Kind::Object, _) if self.words == Words::Recommendations => {
                    self.recommendations(reader, session, &array)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn algorithm(&self, session: &mut Session<'_>, element: &Element<'_>, what: &str) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(algorithm) = element.read_or_lose::<Algorithm<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        let fields = [
            ("algorithm", algorithm.algorithm.is_wrong()),
            ("notes", algorithm.notes.is_wrong()),
        ];
        element.tell_wrong(session, &fields);
        let name = match algorithm.algorithm.text() {
            "" => "unnamed",
            name => name,
        };
        for (word, notes) in algorithm.notes.members() {
            if !matches!(word.as_str(), "fail" | "warn") {
                continue;
            }
            for note in notes.texts() {
                let severity = session.severity(&SEVERITIES, Some(word), element);
                let finding = self
                    .finding(&format!("{name}: {note}"), &format!("{what} {name}: {note}"))
                    .severity(severity, Some(word))
                    .category(what)
                    .remediation(&format!(
                        "take {name} off the list of the server's {what} algorithms"
                    ));
                session.emit(cwes(note).fold(finding, FindingBuilder::cwe), element)?;
            }
        }
        Ok(())
    }

    /// An algorithm without a judgement: a name, or an object with one.
    fn offer(&self, session: &mut Session<'_>, element: &Element<'_>, what: &str) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let name = match serde_json::from_slice::<String>(element.bytes()) {
            Ok(name) => name,
            Err(_) => match element.read_or_lose::<Algorithm<'_>>(session, &mut repaired) {
                Some(algorithm) => algorithm.algorithm.text().to_owned(),
                None => return Ok(()),
            },
        };
        if name.is_empty() {
            session.lose_record("record-without-rule", element, "names no algorithm");
            return Ok(());
        }
        let message = format!("{what} {name} is offered");
        let finding = self
            .finding(&format!("{name}: offered"), &message)
            .severity(Severity::Info, None)
            .category(what);
        session.emit(finding, element)
    }

    fn advisory(&self, session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(advisory) = element.read_or_lose::<Advisory<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        if advisory.name.text().is_empty() {
            session.lose_record("record-without-rule", element, "names no advisory in `name`");
            return Ok(());
        }
        let score = advisory.cvssv2.get().map(|score| score.0);
        let severity = score
            .and_then(vocabulary::score_severity)
            .unwrap_or(Severity::Info);
        let raw = score.map(|score| score.to_string());
        let mut finding = self
            .finding(advisory.name.text(), advisory.description.text())
            .severity(severity, raw.as_deref())
            .category("version")
            .cwe(1395);
        for id in vocabulary::advisories(advisory.name.text()) {
            finding = finding.cve(id);
        }
        session.emit(finding, element)
    }

    /// `{"critical": {"del": {"kex": [{"name", "notes"}]}}}`; earlier, names alone.
    fn recommendations(
        &self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        place: &str,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, session, level, kind| {
            let level = level.to_owned();
            inside(reader, session, kind, |reader, session, action, kind| {
                let action = action.to_owned();
                inside(reader, session, kind, |reader, session, part, kind| {
                    if kind != Kind::Array || action == "add" {
                        return Ok(false);
                    }
                    let array = format!("{place}.{level}.{action}.{part}");
                    each(reader, session, &array, |session, element| {
                        self.recommendation(session, &element, &level, &action, part)
                    })?;
                    Ok(true)
                })
            })
        })
    }

    fn recommendation(
        &self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        level: &str,
        action: &str,
        part: &str,
    ) -> Result<(), Stop> {
        #[derive(Deserialize)]
        struct Advice<'a> {
            #[serde(borrow, default)]
            name: Text<'a>,
            #[serde(borrow, default)]
            notes: Text<'a>,
        }
        let raw: Option<&RawValue> = serde_json::from_slice(element.bytes()).ok();
        let alone: Option<String> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let mut repaired = Vec::new();
        let (name, notes) = match alone {
            Some(name) => (name, String::new()),
            None => match element.read_or_lose::<Advice<'_>>(session, &mut repaired) {
                Some(advice) => (advice.name.text().to_owned(), advice.notes.text().to_owned()),
                None => return Ok(()),
            },
        };
        if name.is_empty() {
            session.lose_record("record-without-rule", element, "names no algorithm");
            return Ok(());
        }
        let verb = if action == "del" { "remove" } else { "change" };
        let severity = session.severity(&SEVERITIES, Some(level), element);
        let finding = self
            .finding(
                &format!("{verb} {part} {name}"),
                &format!("{verb} the {part} algorithm {name} {notes}"),
            )
            .severity(severity, Some(level))
            .category("recommendation")
            .cwe(327)
            .remediation(&notes);
        session.emit(finding, element)
    }

    fn finding(&self, rule: &str, message: &str) -> FindingBuilder {
        let finding = FindingBuilder::new(TOOL, rule).message(message);
        match self.server.location("tcp/ssh") {
            Some(location) => finding.location(location),
            None => finding,
        }
    }
}

/// Goes into a member that is an object, and passes over any other.
fn inside(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    kind: Kind,
    handle: impl FnMut(&mut JsonReader<'_>, &mut Session<'_>, &str, Kind) -> Result<bool, Stop>,
) -> Result<bool, Stop> {
    if kind == Kind::Object {
        members(reader, session, handle)?;
    }
    Ok(kind == Kind::Object)
}

/// What a note is about, where it can be told.
fn cwes(note: &str) -> impl Iterator<Item = u32> {
    let has = |word: &str| note.contains(word);
    let number = if has("modulus") || has("block size") || has("key size") || has("tag size") {
        Some(326)
    } else if has("hash") {
        Some(328)
    } else if has("random number") {
        Some(338)
    } else {
        Some(327)
    };
    number.into_iter()
}
