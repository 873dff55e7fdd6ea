//! The analyses of a CycloneDX document on their way in. Vulnerabilities without one say nothing about a decision.

use std::collections::HashMap;

use serde::Deserialize;

use super::document::{Imported, VexError, count, count_packages, identifier, ids, invalid, moment, words};
use super::purl::{decoded, is_package};
use super::{Decision, Status, Subject, VexStatement, justification, read_note};
use crate::alert::DismissalReason;
use crate::text::cut;

#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) timestamp: Option<String>,
    component: Option<Component>,
}

#[derive(Deserialize)]
pub(super) struct Component {
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
pub(super) struct Vulnerability {
    #[serde(default)]
    id: String,
    #[serde(default)]
    references: Vec<Reference>,
    updated: Option<String>,
    analysis: Option<Analysis>,
    #[serde(default)]
    affects: Vec<Affected>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    state: Option<String>,
    justification: Option<String>,
    #[serde(default)]
    response: Vec<String>,
    detail: Option<String>,
    first_issued: Option<String>,
    last_updated: Option<String>,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(rename = "ref", default)]
    reference: String,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: Option<String>,
}

/// What the document's references stand for.
#[derive(Default)]
pub(super) struct References {
    product: Option<String>,
    packages: HashMap<String, Option<String>>,
}

/// What one reference stands for.
enum Stands {
    Product,
    Package(String),
    Nothing(&'static str),
}

/// `made_at` is the document's, for analyses without a time of their own.
pub(super) fn statements(
    vulnerabilities: Vec<Vulnerability>,
    made_at: Option<String>,
    references: &References,
    imported: &mut Imported,
) -> Result<(), VexError> {
    count("vulnerabilities", vulnerabilities.len())?;
    for (index, vulnerability) in vulnerabilities.into_iter().enumerate() {
        let place = format!("vulnerabilities[{index}]");
        let Some(analysis) = vulnerability.analysis else {
            continue;
        };
        let Some(status) = status(&place, &analysis)? else {
            continue;
        };
        let others: Vec<String> = vulnerability.references.into_iter().map(|it| it.id).collect();
        let advisories = ids(&format!("{place}.id"), &vulnerability.id, &others)?;
        let at = moment(
            &format!("{place}.analysis.lastUpdated"),
            &[
                &analysis.last_updated,
                &analysis.first_issued,
                &vulnerability.updated,
                &made_at,
            ],
        )?;
        let affects = format!("{place}.affects");
        let Some(subject) = references.subject(&affects, &vulnerability.affects, imported)? else {
            imported.leave_out(&affects, "it names no package and no product");
            continue;
        };
        let text = words(analysis.detail);
        let noted = text.as_deref().and_then(read_note);
        let refused = ["will_not_fix", "can_not_fix"];
        let is_refused = analysis
            .response
            .iter()
            .any(|word| refused.contains(&word.as_str()));
        let text = text.filter(|_| noted.is_none());
        let decision = noted.or_else(|| {
            (status == Status::Affected && is_refused).then_some(Decision {
                reason: DismissalReason::WontFix,
                comment: None,
                until: None,
            })
        });
        imported.statements.push(VexStatement {
            advisories,
            subject,
            status,
            justification: analysis.justification,
            text,
            decision,
            at,
            place,
            number: index,
        });
    }
    Ok(())
}

fn status(place: &str, analysis: &Analysis) -> Result<Option<Status>, VexError> {
    if let Some(word) = analysis.justification.as_deref() {
        let is_known = justification(word).is_some_and(|(_, cyclone)| cyclone == word);
        if !is_known {
            let problem = format!("`{}` is no justification of CycloneDX", cut(word, 100));
            return Err(invalid(&format!("{place}.analysis.justification"), problem));
        }
    }
    let Some(state) = analysis.state.as_deref() else {
        return Ok(None);
    };
    Ok(Some(match state {
        "resolved" | "resolved_with_pedigree" => Status::Fixed,
        "exploitable" => Status::Affected,
        "in_triage" => Status::UnderInvestigation,
        "false_positive" | "not_affected" => Status::NotAffected,
        _ => {
            let problem = format!("`{}` is no state of CycloneDX", cut(state, 100));
            return Err(invalid(&format!("{place}.analysis.state"), problem));
        }
    }))
}

impl References {
    /// Of the product and all components below it and beside it.
    pub(super) fn of(metadata: Option<&Metadata>, components: &[Component]) -> Self {
        let mut references = Self::default();
        if let Some(product) = metadata.and_then(|metadata| metadata.component.as_ref()) {
            references.product.clone_from(&product.reference);
            references.add(&product.components);
        }
        references.add(components);
        references
    }

    /// Depth is bounded by the parser's.
    fn add(&mut self, components: &[Component]) {
        for component in components {
            if let Some(reference) = &component.reference {
                self.packages.insert(reference.clone(), component.purl.clone());
            }
            self.add(&component.components);
        }
    }

    fn subject(
        &self,
        place: &str,
        affects: &[Affected],
        imported: &mut Imported,
    ) -> Result<Option<Subject>, VexError> {
        let mut packages = Vec::new();
        let mut is_whole = false;
        for (index, affected) in affects.iter().enumerate() {
            let place = format!("{place}[{index}]");
            match self.stands_for(&affected.reference) {
                Stands::Product => is_whole = true,
                Stands::Package(url) => {
                    let url = identifier(&place, &url)?;
                    packages.extend(versioned(url, &affected.versions, &place, imported));
                }
                Stands::Nothing(why) => imported.leave_out(&place, why),
            }
            count_packages(&place, packages.len())?;
        }
        Ok(Subject::of(packages, is_whole))
    }

    /// A component of this document, or of the one that a BOM-Link names, whose references are package URLs as a rule.
    fn stands_for(&self, reference: &str) -> Stands {
        let linked = reference.strip_prefix("urn:cdx:");
        let inner = match linked.map(|link| link.split_once('#')) {
            None => reference.to_owned(),
            Some(None) => return Stands::Product,
            Some(Some((_, element))) => decoded(element),
        };
        if self.product.as_deref() == Some(inner.as_str()) {
            return Stands::Product;
        }
        match self.packages.get(&inner) {
            Some(Some(url)) => Stands::Package(url.clone()),
            _ if is_package(&inner) => Stands::Package(inner),
            Some(None) => Stands::Nothing("the component has no package URL"),
            None => Stands::Nothing("no component has this reference"),
        }
    }
}

/// The package in the versions that are listed; a range is not understood, and says nothing.
fn versioned(url: String, versions: &[Version], place: &str, imported: &mut Imported) -> Vec<String> {
    let has_version = url.rfind('@') > url.rfind('/');
    if versions.is_empty() || has_version {
        return vec![url];
    }
    let mut urls = Vec::new();
    for version in versions {
        match &version.version {
            Some(version) => urls.push(format!("{url}@{}", crate::export::package::encoded(version, b""))),
            None => imported.leave_out(place, "a range of versions is not understood"),
        }
    }
    urls
}
