//! OpenVEX on its way in. Before version 0.2.0 advisories and products were plain texts.

use serde::Deserialize;

use super::document::{Imported, VexError, count, count_packages, identifier, ids, invalid, moment, words};
use super::{Status, Subject, VexStatement, justification, purl, read_note};
use crate::text::cut;

#[derive(Deserialize)]
pub(super) struct Statement {
    vulnerability: Option<Vulnerability>,
    #[serde(default)]
    products: Vec<Product>,
    #[serde(default)]
    status: String,
    status_notes: Option<String>,
    justification: Option<String>,
    #[serde(rename = "impact_statement")]
    impact: Option<String>,
    #[serde(rename = "action_statement")]
    action: Option<String>,
    timestamp: Option<String>,
    last_updated: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vulnerability {
    Name(String),
    Names {
        #[serde(default)]
        name: String,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Product {
    Id(String),
    Component(Component),
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "@id")]
    id: Option<String>,
    #[serde(default)]
    identifiers: Identifiers,
    #[serde(default)]
    subcomponents: Vec<Product>,
}

#[derive(Default, Deserialize)]
struct Identifiers {
    purl: Option<String>,
}

/// `made_at` is the document's, for statements without a time of their own.
pub(super) fn statements(
    statements: Vec<Statement>,
    made_at: Option<String>,
    imported: &mut Imported,
) -> Result<(), VexError> {
    count("statements", statements.len())?;
    for (index, statement) in statements.into_iter().enumerate() {
        let place = format!("statements[{index}]");
        let at = moment(
            &format!("{place}.timestamp"),
            &[&statement.last_updated, &statement.timestamp, &made_at],
        )?;
        let status = status(&place, &statement)?;
        let named = format!("{place}.vulnerability");
        let advisories = match &statement.vulnerability {
            None => return Err(invalid(&named, "no advisory is named")),
            Some(Vulnerability::Name(name)) => ids(&named, name, &[])?,
            Some(Vulnerability::Names { name, aliases }) => ids(&named, name, aliases)?,
        };
        let Some(subject) = subject(&place, &statement.products)? else {
            imported.leave_out(&place, "it names no package and no product");
            continue;
        };
        let notes = words(statement.status_notes);
        let decision = notes.as_deref().and_then(read_note);
        let text = words(statement.impact).or_else(|| words(statement.action));
        imported.statements.push(VexStatement {
            advisories,
            subject,
            status,
            justification: statement.justification,
            text: text.or_else(|| notes.filter(|_| decision.is_none())),
            decision,
            at,
            place,
            number: index,
        });
    }
    Ok(())
}

fn status(place: &str, statement: &Statement) -> Result<Status, VexError> {
    let problem =
        |unknown: crate::severity::UnknownWord| invalid(&format!("{place}.status"), unknown.to_string());
    let status = statement.status.parse().map_err(problem)?;
    if let Some(word) = statement.justification.as_deref() {
        let is_known = justification(word).is_some_and(|(open, _)| open == word);
        if !is_known {
            let problem = format!("`{}` is no justification of OpenVEX", cut(word, 100));
            return Err(invalid(&format!("{place}.justification"), problem));
        }
    }
    Ok(status)
}

/// The packages in the products, or the packages that products are; a product that is no package is the whole of
/// what is scanned.
fn subject(place: &str, products: &[Product]) -> Result<Option<Subject>, VexError> {
    let place = format!("{place}.products");
    let mut packages = Vec::new();
    let mut is_whole = false;
    for product in products {
        let inner = match product {
            Product::Component(component) => component.subcomponents.as_slice(),
            Product::Id(_) => &[],
        };
        for part in if inner.is_empty() {
            std::slice::from_ref(product)
        } else {
            inner
        } {
            let Some(id) = id_of(part) else { continue };
            let id = identifier(&place, id)?;
            if purl::is_package(&id) {
                packages.push(id);
            } else {
                is_whole |= inner.is_empty() && !id.is_empty();
            }
        }
        count_packages(&place, packages.len())?;
    }
    Ok(Subject::of(packages, is_whole))
}

fn id_of(product: &Product) -> Option<&str> {
    match product {
        Product::Id(id) => Some(id),
        Product::Component(component) => {
            let purl = component.identifiers.purl.as_deref();
            purl.or(component.id.as_deref())
        }
    }
}
