//! Trivy operator's reports, the custom resources that it keeps in a cluster (`kubectl get
//! vulnerabilityreports -o json`): `{"apiVersion": "aquasecurity.github.io/…", "kind": "VulnerabilityReport",
//! "metadata", "report": {"artifact", "vulnerabilities": […]}}`, with `checks` or `secrets` in those of other
//! kinds; one of them, an array, a `List` with `items`, or an object of lists.
//!
//! Reports about compliance count checks and name no findings: they are told as not read.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Members, Object, Text, Texts};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, members, objects, small_object,
    small_text, span_since,
};

use super::cvss::Vectors;
use super::package::{Package, advisories};
use super::place::{self, Region};
use super::trivy::SEVERITIES;
use super::trivy_records::Score;
use super::{walk, wrong};

pub(super) struct TrivyOperator;

/// What every report's `apiVersion` begins with.
const GROUP: &str = "aquasecurity.github.io/";

/// What stands in front of a report's records.
#[derive(Default)]
struct Context {
    kind: String,
    /// The object that was looked at, such as `default/ReplicaSet/shop`.
    object: String,
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow, rename = "vulnerabilityID")]
    vulnerability: Text<'a>,
    #[serde(borrow, rename = "checkID")]
    check: Text<'a>,
    #[serde(borrow, rename = "ruleID")]
    rule: Text<'a>,
    #[serde(borrow)]
    severity: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    messages: Texts<'a>,
    success: Field<bool>,
    #[serde(borrow)]
    remediation: Text<'a>,
    #[serde(borrow)]
    category: Text<'a>,
    #[serde(borrow)]
    target: Text<'a>,
    #[serde(borrow, rename = "match")]
    censored: Text<'a>,
    #[serde(borrow)]
    resource: Text<'a>,
    #[serde(borrow)]
    installed_version: Text<'a>,
    #[serde(borrow)]
    fixed_version: Text<'a>,
    #[serde(borrow)]
    package_type: Text<'a>,
    #[serde(borrow)]
    package_path: Text<'a>,
    #[serde(borrow, rename = "packagePURL")]
    package_url: Text<'a>,
    /// By vendor.
    #[serde(borrow)]
    cvss: Field<Members<Field<Object<Score<'a>>>>>,
    #[serde(borrow)]
    primary_link: Text<'a>,
    #[serde(borrow)]
    links: Texts<'a>,
}

impl Format for TrivyOperator {
    fn name(&self) -> &'static str {
        "trivy-operator-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["trivy-operator"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let paths = [
            "apiVersion",
            "[].apiVersion",
            "items[].apiVersion",
            "*[].apiVersion",
        ];
        let is_ours = |path: &&str| head.text(path).is_some_and(|version| version.starts_with(GROUP));
        paths.iter().any(is_ours).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("trivy-operator", None);
        let is_list = source.head().shape() == Shape::Array;
        let mut reader = source.json()?;
        if is_list {
            objects(&mut reader, session, "", resource)?;
        } else {
            let mut context = Context::default();
            members(&mut reader, session, |reader, session, key, kind| {
                if kind == Kind::Array {
                    objects(reader, session, key, resource)?;
                    return Ok(true);
                }
                member(reader, session, key, kind, "", &mut context)
            })?;
        }
        Ok(reader.finish()?)
    }
}

/// One report of a list.
fn resource(reader: &mut JsonReader<'_>, session: &mut Session<'_>, name: &str) -> Result<(), Stop> {
    let mut context = Context::default();
    let prefix = format!("{name}.");
    members(reader, session, |reader, session, key, kind| {
        member(reader, session, key, kind, &prefix, &mut context)
    })
}

/// One member of a report.
fn member(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    key: &str,
    kind: Kind,
    prefix: &str,
    context: &mut Context,
) -> Result<bool, Stop> {
    match (key, kind) {
        ("kind", Kind::String) => context.kind = small_text(reader)?.unwrap_or_default(),
        ("metadata", Kind::Object) => {
            let metadata = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
            let label = |name: &str| {
                let labels = metadata.get("labels").unwrap_or(&serde_json::Value::Null);
                walk::text(labels, &format!("trivy-operator.resource.{name}")).to_owned()
            };
            let parts = ["namespace", "kind", "name"].map(label);
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            context.object = parts.join("/");
        }
        ("report", Kind::Object) => body(reader, session, prefix, context)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn body(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    prefix: &str,
    context: &mut Context,
) -> Result<(), Stop> {
    if context.kind == "ClusterComplianceReport" {
        let start = reader.offset();
        reader.skip()?;
        let message = format!("{prefix}report is about compliance, which is not read");
        session.unread("report-not-read", &message, Some(span_since(reader, start)));
        return Ok(());
    }
    members(reader, session, |reader, session, key, kind| {
        match (key, kind) {
            ("artifact", Kind::Object) => {
                let artifact = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                let parts = ["repository", "tag"].map(|key| walk::text(&artifact, key));
                parts.join(":").trim_matches(':').clone_into(&mut context.image);
            }
            ("scanner", Kind::Object) => {
                let scanner = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                session.tool_is("trivy-operator", Some(walk::text(&scanner, "version")));
            }
            ("vulnerabilities" | "checks" | "secrets", Kind::Array) => {
                let array = format!("{prefix}report.{key}");
                each(reader, session, &array, |session, element| {
                    record(session, &element, context)
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn record(session: &mut Session<'_>, element: &Element<'_>, context: &Context) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(found) = element.read_or_lose::<Record<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(
        session,
        wrong!(found; vulnerability, check, rule, severity, title, target),
    );
    if found.success.get() == Some(&true) {
        session.leave_out_record("result-without-problem", element, "is a check that passed");
        return Ok(());
    }
    let raw = found.severity.get().map(AsRef::as_ref);
    let built = match (found.vulnerability.text(), found.check.text(), found.rule.text()) {
        ("", "", "") => {
            session.lose_record("record-without-rule", element, "has no id");
            return Ok(());
        }
        ("", "", rule) => found.secret(rule),
        ("", check, _) => found.check(check),
        (id, _, _) => found.vulnerability(id),
    };
    let severity = session.severity(&SEVERITIES, raw, element);
    let mut finding = built.severity(severity, raw);
    if !context.object.is_empty() {
        finding = finding.extra_text("kubernetes-object", &context.object);
    }
    if !context.image.is_empty() {
        finding = finding.extra_text("image", &context.image);
    }
    let places = [
        found.target.text(),
        found.package_path.text(),
        context.image.as_str(),
        context.object.as_str(),
    ];
    let path = places
        .into_iter()
        .find(|path| !path.is_empty())
        .unwrap_or_default();
    // Only what has trivy's stars is known to be without the secret.
    let censored = found.censored.text();
    let shown = if censored.contains("***") { censored } else { "" };
    let finding = place::at(finding, session, element, path, Region::default(), shown);
    session.emit(finding, element)
}

impl Record<'_> {
    fn vulnerability(&self, id: &str) -> FindingBuilder {
        let package = Package {
            name: self.resource.text(),
            version: self.installed_version.text(),
            ecosystem: self.package_type.text(),
            fixed: self.fixed_version.text(),
            url: self.package_url.text(),
        };
        let mut finding = package
            .finding("trivy-operator", id, self.title.text())
            .message(match self.description.text() {
                "" => self.title.text(),
                description => description,
            })
            .reference(self.primary_link.text());
        for address in self.links.texts() {
            finding = finding.reference(address);
        }
        let mut vectors = Vectors::default();
        for score in self.cvss.members().iter().filter_map(|(_, score)| score.object()) {
            score.add_to(&mut vectors);
        }
        vectors.put(advisories(finding, [id]))
    }

    fn check(&self, check: &str) -> FindingBuilder {
        let messages: Vec<&str> = self.messages.texts().filter(|text| !text.is_empty()).collect();
        let message = if messages.is_empty() {
            self.description.text().to_owned()
        } else {
            messages.join("\n")
        };
        FindingBuilder::new("trivy-operator", check)
            .title(self.title.text())
            .message(&message)
            .category("misconfiguration")
            .tag(&self.category.text().to_lowercase())
            .remediation(self.remediation.text())
    }

    fn secret(&self, rule: &str) -> FindingBuilder {
        FindingBuilder::new("trivy-operator", rule)
            .message(self.title.text())
            .category("secret")
            .tag(&self.category.text().to_lowercase())
            .cwe(super::secret::CWE)
    }
}
