//! Arachni's JSON, 0.4 and 1.x.
//!
//! Shape: <https://github.com/Arachni/arachni>, `components/reporters/json.rb` and
//! `lib/arachni/issue.rb`. The digest is Arachni's identity of an issue. A report without an issue needs
//! a page in its site map to be one of a living target.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Members, Object, Text, Texts};
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, small_text,
};
use tamiz_sdk::vocabulary::{SeverityTable, cwes};

use crate::place;
use crate::words::{Word, word};

const TOOL: &str = "arachni";

/// Its words.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "arachni",
    words: &[
        ("high", Severity::High),
        ("medium", Severity::Medium),
        ("low", Severity::Low),
        ("informational", Severity::Info),
    ],
};

pub(crate) struct Arachni;

#[derive(Deserialize)]
struct Issue<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    remedy_guidance: Text<'a>,
    #[serde(borrow, default)]
    references: Field<Members<Text<'a>>>,
    #[serde(borrow, default)]
    tags: Texts<'a>,
    #[serde(borrow, default)]
    cwe: Field<Word<'a>>,
    #[serde(borrow, default)]
    digest: Field<Word<'a>>,
    #[serde(borrow, default)]
    proof: Text<'a>,
    #[serde(default)]
    trusted: Field<bool>,
    #[serde(borrow, default)]
    check: Field<Object<Check<'a>>>,
    #[serde(borrow, default)]
    vector: Field<Object<Vector<'a>>>,
    // 0.4 has no `check` and no `vector`, but these.
    #[serde(borrow, default)]
    internal_modname: Text<'a>,
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    var: Text<'a>,
    #[serde(borrow, default)]
    injected: Text<'a>,
}

#[derive(Deserialize)]
struct Check<'a> {
    #[serde(borrow, default)]
    shortname: Text<'a>,
}

#[derive(Deserialize)]
struct Vector<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    action: Text<'a>,
    #[serde(borrow, default)]
    method: Text<'a>,
    #[serde(borrow, default)]
    affected_input_name: Text<'a>,
    #[serde(borrow, default)]
    seed: Text<'a>,
}

impl Format for Arachni {
    fn name(&self) -> &'static str {
        "arachni-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["arachni"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "issues",
            "sitemap",
            "seed",
            "options.scope",
            "issues[].remedy_guidance",
            "issues[].vector",
            "issues[].digest",
            "issues[].check",
            "issues[].internal_modname",
            "issues[].mod_name",
        ];
        (head.shape() == Shape::Object && head.has("issues") && head.count(&keys) >= 3).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut pages = false;
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            match (key, kind) {
                ("version", Kind::String) => session.tool_is(TOOL, small_text(reader)?.as_deref()),
                ("issues", Kind::Array) => each(reader, session, key, issue)?,
                ("sitemap", Kind::Object) => members(reader, session, |_, _, _, _| {
                    pages = true;
                    Ok(false)
                })?,
                ("sitemap", Kind::Array) => {
                    reader.enter_array()?;
                    while reader.next_element()? {
                        pages = true;
                        reader.skip()?;
                    }
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        reader.finish()?;
        if session.records() == before && !pages {
            let problem = "arachni found no page: the target did not answer";
            return Err(Stop::Broken(problem.to_owned()));
        }
        Ok(())
    }
}

fn issue(session: &mut Session<'_>, element: Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(issue) = element.read_or_lose::<Issue<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        &[
            ("name", issue.name.is_wrong()),
            ("severity", issue.severity.is_wrong()),
            ("vector", issue.vector.is_wrong()),
            ("references", issue.references.is_wrong()),
        ],
    );
    let check = issue
        .check
        .object()
        .map_or(issue.internal_modname.text(), |check| check.shortname.text());
    let name = issue.name.text();
    if check.is_empty() && name.is_empty() {
        session.lose_record("record-unreadable", &element, "names no issue");
        return Ok(());
    }
    let raw = Some(issue.severity.text()).filter(|word| !word.is_empty());
    let severity = session.severity(&SEVERITIES, raw, &element);
    let mut finding = FindingBuilder::new(TOOL, if check.is_empty() { name } else { check })
        .rule_name(name)
        .title(name)
        .message(issue.description.text().trim())
        .severity(severity, raw)
        .confidence(match issue.trusted.get() {
            Some(true) => Confidence::High,
            // It could not repeat what it saw.
            Some(false) => Confidence::Low,
            None => Confidence::Unknown,
        })
        .category("security")
        .tool_fingerprint(word(&issue.digest))
        .remediation(issue.remedy_guidance.text().trim());
    for cwe in cwes(word(&issue.cwe)) {
        finding = finding.cwe(cwe);
    }
    for (_, address) in issue.references.members() {
        finding = finding.reference(address.text());
    }
    for tag in issue.tags.texts() {
        finding = finding.tag(&tag.to_lowercase());
    }
    if let Some(vector) = issue.vector.object() {
        let url = match vector.action.text() {
            "" => vector.url.text(),
            action => action,
        };
        let evidence = match issue.proof.text() {
            "" => vector.seed.text(),
            proof => proof,
        };
        let place = place::at(
            url,
            vector.method.text(),
            vector.affected_input_name.text(),
            evidence,
        );
        finding = finding.location(place);
    } else if !issue.url.text().is_empty() {
        let (url, method) = (issue.url.text(), issue.method.text());
        finding = finding.location(place::at(url, method, issue.var.text(), issue.injected.text()));
    }
    session.emit(finding, &element)
}
