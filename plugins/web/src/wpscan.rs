//! `WPScan`'s JSON, 3.x.
//!
//! Shape: <https://github.com/wpscanteam/wpscan>, `app/views/json/`. Records are: each interesting finding;
//! `WordPress` itself, the main theme, each plugin and theme, and each of their vulnerabilities; each backup,
//! export, script, medium and user found; each password. A scan that was aborted is refused.

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Decimal, Field, Members, Object, Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::{Confidence, LogLevel, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, small_text,
};
use tamiz_sdk::vocabulary::{SeverityTable, cvss_vector, score_severity};

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
}

#[derive(Deserialize)]
struct Version<'a> {
    #[serde(borrow, default)]
    number: Text<'a>,
}

#[derive(Deserialize)]
struct Vulnerability<'a> {
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    uuid: Text<'a>,
    #[serde(borrow, default)]
    fixed_in: Text<'a>,
    #[serde(borrow, default)]
    references: Field<Members<Texts<'a>>>,
    #[serde(borrow, default)]
    cvss: Field<Object<Cvss<'a>>>,
}

#[derive(Deserialize)]
struct Cvss<'a> {
    #[serde(default)]
    score: Field<Decimal>,
    #[serde(borrow, default)]
    vector: Text<'a>,
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
            None => Ok(()),
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
        let Some(raw) = component.vulnerabilities else {
            return Ok(());
        };
        let Ok(list) = serde_json::from_str::<Option<Vec<&RawValue>>>(raw.get()) else {
            session.note(
                LogLevel::Warn,
                "field-unreadable",
                element,
                "`vulnerabilities` is no list",
            );
            session.partial = true;
            return Ok(());
        };
        for (index, raw) in list.unwrap_or_default().into_iter().enumerate() {
            let part = format!("{}.vulnerabilities[{index}]", element.name());
            // It stands where its component does: a component is read as one.
            let part = Element::named(&part, raw.get().as_bytes(), element.span);
            vulnerability(session, &part, shown.trim(), place)?;
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
        session.emit(finding, element)
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

fn vulnerability(
    session: &mut Session<'_>,
    element: &Element<'_>,
    component: &str,
    place: &str,
) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Vulnerability<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("title", entry.title.is_wrong()),
            ("references", entry.references.is_wrong()),
            ("cvss", entry.cvss.is_wrong()),
        ],
    );
    let references = entry.references.members();
    let database = references.iter().find(|(kind, _)| kind == "wpvulndb");
    let number = database
        .and_then(|(_, ids)| ids.texts().next())
        .unwrap_or_default();
    let title = entry.title.text();
    let rule = [entry.uuid.text(), number, title]
        .into_iter()
        .find(|id| !id.is_empty());
    let Some(rule) = rule else {
        session.lose_record("record-unreadable", element, "names no vulnerability");
        return Ok(());
    };
    let cvss = entry.cvss.object();
    let score = cvss
        .and_then(|cvss| cvss.score.get())
        .map(|Decimal(score)| *score);
    let severity = score.and_then(score_severity).unwrap_or(Severity::Medium);
    let raw = score.map(|score| score.to_string());
    let mut finding = FindingBuilder::new(TOOL, rule)
        .rule_name(title)
        .title(title)
        .message(&format!("{title}\nfound in {component}"))
        .severity(severity, raw.as_deref())
        .category("security")
        .location(place::at(place, "", "", component))
        .extra_text("component", component);
    let fixed = entry.fixed_in.text();
    if !fixed.is_empty() {
        finding = finding.remediation(&format!("Update to {fixed} or later."));
    }
    if let Some(vector) = cvss.and_then(|cvss| cvss_vector(cvss.vector.text())) {
        finding = finding.cvss_vector(vector);
    }
    session.emit(referred(finding, references), element)
}

/// References by kind: addresses, numbers of CVEs, numbers of `WPScan`'s own database.
fn referred(mut finding: FindingBuilder, references: &[(String, Texts<'_>)]) -> FindingBuilder {
    for (kind, ids) in references {
        for id in ids.texts() {
            finding = match kind.as_str() {
                "url" => finding.reference(id),
                "cve" => finding.cve(&format!("CVE-{}", id.trim_start_matches("CVE-"))),
                "wpvulndb" => finding.reference(&format!("https://wpscan.com/vulnerability/{id}")),
                "exploitdb" => finding.reference(&format!("https://www.exploit-db.com/exploits/{id}")),
                _ => finding,
            };
        }
    }
    finding
}

fn confidence(percent: Option<&Decimal>) -> Confidence {
    match percent {
        Some(Decimal(percent)) if *percent >= 80.0 => Confidence::High,
        Some(Decimal(percent)) if *percent >= 40.0 => Confidence::Medium,
        Some(_) => Confidence::Low,
        None => Confidence::Unknown,
    }
}
