//! `WPScan`'s JSON, 3.x.
//!
//! Shape: <https://github.com/wpscanteam/wpscan>, `app/views/json/`. Records are: each interesting finding;
//! `WordPress` itself, the main theme and its parents, each plugin and theme, and each of their
//! vulnerabilities; each backup, export, script, medium and user found; each password. A scan that was
//! aborted is refused.

mod vulnerability;

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Decimal, Field, Members, Object, Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, small_text,
};
use tamiz_sdk::vocabulary::SeverityTable;

use self::vulnerability::{referred, vulnerabilities};
use crate::place;
use crate::words::{Word, word};

const TOOL: &str = "wpscan";

/// It has no words, only kinds of records; a score of a vulnerability beats its kind.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "wpscan",
    words: &[
        ("(password)", Severity::Critical),
        ("(backup or export)", Severity::High),
        ("(vulnerability)", Severity::Medium),
        ("(outdated component)", Severity::Low),
        ("(anything else)", Severity::Info),
    ],
};

pub(crate) struct Wpscan;

#[derive(Default, Deserialize)]
struct Banner<'a> {
    #[serde(borrow, default)]
    version: Text<'a>,
}

#[derive(Deserialize)]
struct Interesting<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    to_s: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    found_by: Text<'a>,
    #[serde(default)]
    confidence: Field<Decimal>,
    #[serde(borrow, default)]
    references: Field<Members<Texts<'a>>>,
    #[serde(borrow, default, rename = "interesting_entries")]
    entries: Texts<'a>,
}

#[derive(Deserialize)]
struct Component<'a> {
    #[serde(borrow, default)]
    slug: Text<'a>,
    #[serde(borrow, default)]
    location: Text<'a>,
    #[serde(borrow, default)]
    number: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    latest_version: Text<'a>,
    #[serde(default)]
    outdated: Field<bool>,
    #[serde(default)]
    confidence: Field<Decimal>,
    #[serde(borrow, default)]
    version: Field<Object<Version<'a>>>,
    #[serde(borrow, default)]
    vulnerabilities: Option<&'a RawValue>,
    /// The themes that a theme is made from.
    #[serde(borrow, default)]
    parents: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Version<'a> {
    #[serde(borrow, default)]
    number: Text<'a>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    id: Field<Word<'a>>,
    #[serde(borrow, default)]
    found_by: Text<'a>,
    #[serde(default)]
    confidence: Field<Decimal>,
    #[serde(borrow, default)]
    password: Text<'a>,
    #[serde(borrow, default)]
    vulnerabilities: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct VulnerabilityApi<'a> {
    #[serde(borrow, default)]
    error: Text<'a>,
}

#[derive(Default)]
struct Walk {
    target: String,
    reached: bool,
    aborted: Option<String>,
}

impl Format for Wpscan {
    fn name(&self) -> &'static str {
        "wpscan-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wpscan"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "banner.version",
            "banner.authors",
            "interesting_findings",
            "target_url",
            "effective_url",
            "requests_done",
            "scan_aborted",
            "start_memory",
        ];
        (head.shape() == Shape::Object && head.count(&keys) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut walk = Walk::default();
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            walk.member(reader, session, key, kind)
        })?;
        reader.finish()?;
        match walk.aborted {
            Some(reason) if session.records() > before => {
                session.gap("tool-error", &format!("the scan was aborted: {reason}"), None);
                Ok(())
            }
            Some(reason) => Err(Stop::Broken(format!("the scan was aborted: {reason}"))),
            None if session.records() == before && !walk.reached => {
                let problem = "wpscan does not say that the target answered";
                Err(Stop::Broken(problem.to_owned()))
            }
            None => {
                session.covered();
                Ok(())
            }
        }
    }
}

impl Walk {
    fn member(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        key: &str,
        kind: Kind,
    ) -> Result<bool, Stop> {
        match (key, kind) {
            ("banner", Kind::Object) => {
                if let Located::Whole { bytes, .. } = reader.value(RECORD_BYTES)? {
                    let banner: Banner<'_> = serde_json::from_slice(bytes).unwrap_or_default();
                    session.tool_is(TOOL, Some(banner.version.text()));
                }
            }
            ("target_url", Kind::String) => self.target = small_text(reader)?.unwrap_or_default(),
            ("effective_url", Kind::String) => {
                self.reached = true;
                return Ok(false);
            }
            ("scan_aborted", Kind::String) => self.aborted = small_text(reader)?,
            ("vuln_api", Kind::Object) => {
                if let Located::Whole { bytes, span } = reader.value(RECORD_BYTES)? {
                    let answer: VulnerabilityApi<'_> = serde_json::from_slice(bytes).unwrap_or_default();
                    if !answer.error.text().is_empty() {
                        let message = format!("vulnerabilities were not looked up: {}", answer.error.text());
                        session.gap("tool-error", &message, Some(span));
                    }
                }
            }
            ("interesting_findings", Kind::Array) => each(reader, session, key, interesting)?,
            ("version" | "main_theme", Kind::Object) => {
                self.value(reader, session, key, |walk, session, element| {
                    walk.component(session, element, key)
                })?;
            }
            ("plugins" | "themes", Kind::Object) => {
                self.each_member(reader, session, key, |walk, session, element, _| {
                    walk.component(session, element, key)
                })?;
            }
            (
                "config_backups" | "db_exports" | "backup_folders" | "timthumbs" | "medias" | "users"
                | "password_attack",
                Kind::Object,
            ) => self.each_member(reader, session, key, |walk, session, element, name| {
                walk.found(session, element, key, name)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the value that comes as one record.
    fn value(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        name: &str,
        handle: impl FnOnce(&mut Self, &mut Session<'_>, &Element<'_>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match reader.value(RECORD_BYTES)? {
            Located::Whole { bytes, span } => handle(self, session, &Element::named(name, bytes, span)),
            Located::TooLarge { span } | Located::TooDeep { span } => {
                session.lose(
                    "record-too-large",
                    &format!("{name} is too large or too deep"),
                    span,
                );
                Ok(())
            }
        }
    }

    fn each_member(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        key: &str,
        handle: impl Fn(&mut Self, &mut Session<'_>, &Element<'_>, &str) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        members(reader, session, |reader, session, name, _| {
            let place = format!("{key}.{name}");
            self.value(reader, session, &place, |walk, session, element| {
                handle(walk, session, element, name)
            })?;
            Ok(true)
        })
    }

    /// `WordPress`, a theme or a plugin, and its vulnerabilities.
    fn component(&self, session: &mut Session<'_>, element: &Element<'_>, kind: &str) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(component) = element.read_or_lose::<Component<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        let version = component
            .version
            .object()
            .map_or("", |version| version.number.text());
        let version = if version.is_empty() {
            component.number.text()
        } else {
            version
        };
        let name = match (kind, component.slug.text()) {
            ("version", _) => "WordPress",
            (_, "") => kind,
            (_, slug) => slug,
        };
        let old = component.outdated.get() == Some(&true)
            || matches!(component.status.text(), "outdated" | "insecure");
        let (severity, state) = if old {
            (Severity::Low, " is outdated")
        } else {
            (Severity::Info, " is in use")
        };
        let shown = format!("{name} {version}");
        let place = match component.location.text() {
            "" => &self.target,
            location => location,
        };
        let mut finding = FindingBuilder::new(TOOL, if old { "component-outdated" } else { "component" })
            .title(&format!("{}{state}", shown.trim()))
            .message(&format!("{}{state}", shown.trim()))
            .severity(severity, None)
            .confidence(confidence(component.confidence.get()))
            .category("technology")
            .location(place::at(place, "", "", shown.trim()));
        for (key, value) in [("component", name), ("version", version)] {
            if !value.is_empty() {
                finding = finding.extra_text(key, value);
            }
        }
        let latest = component.latest_version.text();
        if old && !latest.is_empty() {
            finding = finding.remediation(&format!("Update {name} to {latest} or later."));
        }
        session.emit(finding, element)?;
        vulnerabilities(session, element, component.vulnerabilities, shown.trim(), place)?;
        let parents = component
            .parents
            .map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()));
        for (index, raw) in parents
            .and_then(Result::ok)
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            let name = format!("{}.parents[{index}]", element.name());
            let part = Element::named(&name, raw.get().as_bytes(), element.span);
            self.component(session, &part, "theme")?;
        }
        Ok(())
    }

    fn found(
        &self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        kind: &str,
        name: &str,
    ) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(found) = element.read_or_lose::<Named<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        let (severity, title) = match kind {
            "config_backups" => (Severity::High, "a backup of the configuration can be read"),
            "db_exports" => (Severity::High, "an export of the database can be read"),
            "backup_folders" => (Severity::High, "a folder with backups can be read"),
            "timthumbs" => (Severity::Info, "a script of TimThumb was found"),
            "medias" => (Severity::Info, "a medium was found"),
            "password_attack" => (Severity::Critical, "the password of a user was guessed"),
            _ => (Severity::Info, "the name of a user is public"),
        };
        let is_user = matches!(kind, "users" | "password_attack");
        let title = if is_user {
            format!("{title}: {name}")
        } else {
            title.to_owned()
        };
        let url = if name.contains("://") { name } else { &self.target };
        let user = if is_user { name } else { "" };
        let mut finding = FindingBuilder::new(TOOL, kind)
            .title(&title)
            .message(&format!("{title}\n{}", found.found_by.text()))
            .severity(severity, None)
            .confidence(confidence(found.confidence.get()))
            .category(if severity == Severity::Info {
                "discovery"
            } else {
                "security"
            })
            .location(place::at(url, "", "", user));
        if is_user && !word(&found.id).is_empty() {
            finding = finding.extra_text("user-id", word(&found.id));
        }
        let finding = session.secret(finding, found.password.text());
        session.emit(finding, element)?;
        vulnerabilities(session, element, found.vulnerabilities, name, url)
    }
}

fn interesting(session: &mut Session<'_>, element: Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Interesting<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("url", entry.url.is_wrong()),
            ("to_s", entry.to_s.is_wrong()),
            ("type", entry.kind.is_wrong()),
        ],
    );
    let kind = entry.kind.text();
    let mut lines = vec![entry.to_s.text()];
    lines.extend(entry.entries.texts());
    lines.push(entry.found_by.text());
    let finding = FindingBuilder::new(
        TOOL,
        if kind.is_empty() {
            "interesting-finding"
        } else {
            kind
        },
    )
    .title(if entry.to_s.text().is_empty() {
        kind
    } else {
        entry.to_s.text()
    })
    .message(lines.join("\n").trim())
    .severity(Severity::Info, None)
    .confidence(confidence(entry.confidence.get()))
    .category("discovery")
    .location(place::at(entry.url.text(), "", "", ""));
    session.emit(referred(finding, entry.references.members()), &element)
}

fn confidence(percent: Option<&Decimal>) -> Confidence {
    match percent {
        Some(Decimal(percent)) if *percent >= 80.0 => Confidence::High,
        Some(Decimal(percent)) if *percent >= 40.0 => Confidence::Medium,
        Some(_) => Confidence::Low,
        None => Confidence::Unknown,
    }
}
