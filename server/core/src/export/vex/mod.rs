//! What VEX says, in either of its formats: whether a product is affected by an advisory about one of its packages.
//!
//! On its way out an alert's state becomes a status: open is under investigation, because nobody decided; open again
//! is affected; dismissed follows the reason. A dismissal is also written in one line, so that it comes back as
//! what it was. On its way in ([`read`]) a statement asks for a [`Request`]; whether one is of an alert says
//! [`VexStatement::matches`].

mod cyclonedx;
mod document;
mod openvex;
mod purl;
#[cfg(test)]
mod tests;

pub use document::{DOCUMENT_BYTES_MAX, Imported, VexError, read};

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::package::Package;
use super::{Exported, time};
use crate::alert::{AlertState, Dismissal, DismissalReason};
use crate::words::words;

words! {
    /// What an advisory is to a product.
    Status {
        /// It does no harm there.
        NotAffected = "not_affected",
        /// It does.
        Affected = "affected",
        /// It did, and is mended.
        Fixed = "fixed",
        /// Nobody knows yet.
        UnderInvestigation = "under_investigation",
    } known "not_affected, affected, fixed, under_investigation"
}

/// Why a product is not affected: OpenVEX's words and CycloneDX's, each beside the one that comes nearest. The first
/// row with a word is its translation.
const JUSTIFICATIONS: [(&str, &str); 10] = [
    ("vulnerable_code_not_present", "code_not_present"),
    ("component_not_present", "code_not_present"),
    ("vulnerable_code_not_in_execute_path", "code_not_reachable"),
    (
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "requires_environment",
    ),
    (
        "inline_mitigations_already_exist",
        "protected_by_mitigating_control",
    ),
    ("vulnerable_code_not_in_execute_path", "requires_configuration"),
    ("vulnerable_code_not_in_execute_path", "requires_dependency"),
    ("inline_mitigations_already_exist", "protected_by_compiler"),
    ("inline_mitigations_already_exist", "protected_at_runtime"),
    ("inline_mitigations_already_exist", "protected_at_perimeter"),
];

/// A VEX statement on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VexStatement {
    /// Where in the document it stands, such as `statements[3]`.
    pub place: String,
    /// The same as a number, from 0.
    pub number: usize,
    /// The advisory and its other names.
    pub advisories: Vec<String>,
    /// What it is about.
    pub subject: Subject,
    /// What the advisory is to it.
    pub status: Status,
    /// Why it is not affected, in the format's word.
    pub justification: Option<String>,
    /// What its author says about it.
    pub text: Option<String>,
    /// A dismissal that a Tamiz wrote, or CycloneDX's words for one.
    pub decision: Option<Decision>,
    /// When it was made; the later of two wins.
    pub at: Option<DateTime<Utc>>,
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All of the product that the document is about, whatever package it is in.
    Product,
    /// Packages, by their package URLs; one without a version is every version.
    Packages(Vec<String>),
}

impl Subject {
    /// The product, if it is named; else the packages, if there are any.
    fn of(packages: Vec<String>, is_product: bool) -> Option<Self> {
        match (packages.is_empty(), is_product) {
            (_, true) => Some(Self::Product),
            (false, false) => Some(Self::Packages(packages)),
            (true, false) => None,
        }
    }
}

/// A decision not to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: DismissalReason,
    /// In words.
    pub comment: Option<String>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
}

/// What a statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// That the alert be dismissed.
    Dismiss(Decision),
    /// That a dismissed alert be open again.
    Open,
    /// Nothing: it is being looked at.
    Nothing,
}

impl VexStatement {
    /// Whether it is about one of these advisories (give an alert's [`super::advisories`], and its rule, which may be
    /// one) in this package.
    pub fn matches(&self, package_url: &str, advisories: &[&str]) -> bool {
        let same = |id: &String| advisories.iter().any(|other| id.eq_ignore_ascii_case(other));
        if !self.advisories.iter().any(same) {
            return false;
        }
        match &self.subject {
            Subject::Product => true,
            Subject::Packages(urls) => urls.iter().any(|url| purl::covers(url, package_url)),
        }
    }

    /// What it asks for. Not affected, and fixed although a scanner still reports it, are false positives; affected
    /// opens again, unless the document says that nothing will be done.
    pub fn request(&self) -> Request {
        let words = [self.justification.as_deref(), self.text.as_deref()];
        let comment: Vec<&str> = words.into_iter().flatten().collect();
        let comment = Some(comment.join(": ")).filter(|text| !text.is_empty());
        match (self.status, &self.decision) {
            (Status::UnderInvestigation, _) => Request::Nothing,
            (Status::Affected | Status::NotAffected, Some(decision)) => Request::Dismiss(Decision {
                comment: decision.comment.clone().or(comment),
                ..decision.clone()
            }),
            (Status::Affected, None) => Request::Open,
            (Status::NotAffected, None) => dismiss(comment),
            (Status::Fixed, _) => dismiss(comment.or_else(|| Some("fixed".to_owned()))),
        }
    }
}

fn dismiss(comment: Option<String>) -> Request {
    Request::Dismiss(Decision {
        reason: DismissalReason::FalsePositive,
        comment,
        until: None,
    })
}

/// Statements by their advisories, so that a project's alerts need not be held against all of them.
#[derive(Debug)]
pub struct Index<'a> {
    by_advisory: HashMap<String, Vec<&'a VexStatement>>,
}

impl<'a> Index<'a> {
    /// Of a document's statements, in its order.
    pub fn new(statements: &'a [VexStatement]) -> Self {
        let mut by_advisory: HashMap<String, Vec<&VexStatement>> = HashMap::new();
        for statement in statements {
            for id in &statement.advisories {
                by_advisory
                    .entry(id.to_ascii_lowercase())
                    .or_default()
                    .push(statement);
            }
        }
        Self { by_advisory }
    }

    /// Of all statements about these advisories in a package, the one that counts: the latest, of equal ones the last.
    pub fn latest(&self, package_url: &str, advisories: &[&str]) -> Option<&'a VexStatement> {
        let ids = advisories.iter().map(|id| id.to_ascii_lowercase());
        let named = ids.filter_map(|id| self.by_advisory.get(&id)).flatten();
        let about = named.filter(|statement| statement.matches(package_url, advisories));
        about
            .max_by_key(|statement| (statement.at, statement.number))
            .copied()
    }
}

/// A dismissal in one line that people and [`read_note`] can read: `accepted-risk until 2026-12-24T00:00:00Z: why`.
pub(super) fn note(dismissal: &Dismissal) -> String {
    let mut note = dismissal.reason.to_string();
    if let Some(until) = dismissal.until {
        note.push_str(" until ");
        note.push_str(&time(until));
    }
    if let Some(comment) = dismissal.comment.as_deref().filter(|text| !text.is_empty()) {
        note.push_str(": ");
        note.push_str(comment);
    }
    note
}

/// What [`note`] wrote; none of another text.
fn read_note(note: &str) -> Option<Decision> {
    let (head, comment) = match note.split_once(": ") {
        Some((head, comment)) => (head, Some(comment.to_owned())),
        None => (note, None),
    };
    let (reason, until) = match head.split_once(" until ") {
        Some((reason, until)) => (reason, Some(DateTime::parse_from_rfc3339(until).ok()?.to_utc())),
        None => (head, None),
    };
    Some(Decision {
        reason: reason.parse().ok()?,
        comment,
        until,
    })
}

/// What a document says of an alert.
pub(super) struct Said {
    pub(super) status: Status,
    /// OpenVEX's word.
    pub(super) justification: Option<&'static str>,
    /// Why, or what to do.
    pub(super) text: String,
    /// Of a dismissal.
    pub(super) note: Option<String>,
    /// The reason of a dismissal.
    pub(super) reason: Option<DismissalReason>,
}

/// What a document says of an alert about a package.
pub(super) fn said(alert: &Exported, package: &Package<'_>) -> Said {
    let dismissal = alert
        .dismissal
        .as_ref()
        .filter(|_| alert.state == AlertState::Dismissed);
    let comment = dismissal.and_then(|it| it.comment.as_deref()).unwrap_or_default();
    let reason = dismissal.map(|it| it.reason);
    let named = justification(comment).map(|(open, _)| open);
    let (status, justification, text) = match (alert.state, reason) {
        (AlertState::Open, _) => (Status::UnderInvestigation, None, String::new()),
        (AlertState::Fixed, _) => (Status::Fixed, None, String::new()),
        (AlertState::Reopened, _) => (Status::Affected, None, action(alert, package)),
        (AlertState::Dismissed, Some(DismissalReason::UsedInTests)) => (
            Status::NotAffected,
            Some(named.unwrap_or("vulnerable_code_not_in_execute_path")),
            or(comment, "Only tests run this code."),
        ),
        (AlertState::Dismissed, Some(DismissalReason::FalsePositive)) => (
            Status::NotAffected,
            named,
            or(comment, "It was reported, and found not to apply."),
        ),
        (AlertState::Dismissed, Some(DismissalReason::WontFix)) => (
            Status::Affected,
            None,
            or(comment, "It is known and will not be fixed."),
        ),
        (AlertState::Dismissed, Some(DismissalReason::AcceptedRisk) | None) => (
            Status::Affected,
            None,
            or(comment, "It is known, and the risk is accepted."),
        ),
    };
    Said {
        status,
        justification,
        text,
        note: dismissal.map(note),
        reason,
    }
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise } else { text }.to_owned()
}

/// What to do about it.
fn action(alert: &Exported, package: &Package<'_>) -> String {
    match alert.finding.remediation.as_deref() {
        Some(advice) if !advice.is_empty() => advice.to_owned(),
        _ if !package.fixed.is_empty() => format!("Upgrade {} to {}.", package.name, package.fixed),
        _ => "No fix is known.".to_owned(),
    }
}

/// The justification that a text begins with, in OpenVEX's word and in CycloneDX's.
pub(super) fn justification(text: &str) -> Option<(&'static str, &'static str)> {
    let word = text.split([':', ' ']).next().unwrap_or_default();
    let mut known = JUSTIFICATIONS.into_iter();
    known.find(|(open, cyclone)| *open == word || *cyclone == word)
}

/// What statements are about: the head's product, or one of the project's name.
pub(super) fn product(head: &super::Head) -> String {
    let made = || super::package::generic(&head.project, "");
    head.product.clone().unwrap_or_else(made)
}
