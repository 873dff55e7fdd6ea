//! Which alerts of a project are related: found by several tools, or in several places, and perhaps of one flaw.
//!
//! Related alerts are shown beside each other and never merged. Two are related
//!
//! - by an advisory that both name, by any of its aliases ([`crate::aliases`]), or
//! - by a weakness (CWE) that both name at one place: [`Traits::place`] finds those that may be, and [`is_same_place`] has
//!   the last word, because lines that are close to each other have no common hash.
//!
//! A finding about a package, or of an advisory in a file, is related by its advisories alone: all packages of a project
//! stand in the same few files, and their weaknesses say nothing about each other.
//!
//! Not here: identity of one tool's findings over time ([`crate::identity`]).

use crate::advisory::{Advisory, Family};
use crate::aliases;
use crate::finding::Finding;
use crate::identity::{PartHash, normal, package, part_hash};
use crate::location::{Location, Position};
use crate::words::words;

/// Advisories of one finding that relate it to others, the best known ones.
pub const ADVISORIES_MAX: usize = 32;
/// Between the end of one place and the start of the next, in lines: tools point at the call, at its argument or at the
/// whole statement.
pub const LINES_APART_MAX: u32 = 3;

words! {
    /// What related alerts have in common.
    RelatedBy {
        /// An advisory, by any of its ids.
        Advisory = "advisory",
        /// A weakness and a place.
        Weakness = "weakness",
    } known "advisory, weakness"
}

/// What a finding may have in common with others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// Of the place where its weaknesses are, as far as a hash can tell: the path of a file, the template of a URL, an
    /// endpoint, a name, a conversation. `None` without a weakness or a place of its own.
    pub place: Option<PartHash>,
    /// Its advisories, the best known first, at most [`ADVISORIES_MAX`]; bulletins only where it names nothing better.
    pub advisories: Vec<Advisory>,
}

impl Traits {
    /// Of a finding.
    pub fn of(finding: &Finding) -> Self {
        let advisories = advisories(aliases::named(finding));
        let place = (!finding.cwe.is_empty())
            .then(|| own_place(finding, advisories.is_empty()))
            .flatten();
        Self {
            place: place.map(|(kind, text)| part_hash([kind, &text])),
            advisories,
        }
    }

    /// [`Self::advisories`] of a finding that names these: its list, and its rule.
    pub fn advisories_in<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Advisory> {
        advisories(aliases::named_in(texts))
    }
}

/// Those of one flaw each, or else bulletins.
fn advisories(mut named: Vec<Advisory>) -> Vec<Advisory> {
    // sorted, so bulletins are last
    let flaws = named.partition_point(|id| id.family() < Family::Bulletin);
    named.truncate(if flaws > 0 { flaws } else { named.len() }.min(ADVISORIES_MAX));
    named
}

/// The primary place, where it is the flaw's own and not that of a list of packages.
fn own_place(finding: &Finding, names_no_advisory: bool) -> Option<(&'static str, String)> {
    let location = finding.locations.first()?;
    let is_own = names_no_advisory || !matches!(location, Location::File { .. });
    (is_own && package(finding).is_none())
        .then(|| place(location))
        .flatten()
}

/// What alerts at the same place have in common, as kind and text; `None` where there is no place.
fn place(location: &Location) -> Option<(&'static str, String)> {
    let text = match location {
        Location::File { path, .. } => normal::path(path),
        Location::Url { url, .. } => normal::url_template(url),
        Location::Endpoint(at) => normal::endpoint(&at.host, at.port),
        Location::Domain { name, .. } => name.trim_end_matches('.').to_ascii_lowercase(),
        Location::Flow {
            source, destination, ..
        } => {
            let destination = normal::endpoint(&destination.host, destination.port);
            format!("{} > {destination}", source.host.to_ascii_lowercase())
        }
    };
    (!text.is_empty()).then(|| (location.kind(), text))
}

/// Whether two locations are one place: what their keys say, and
///
/// - of files, lines that overlap or are at most [`LINES_APART_MAX`] apart; a whole file is only the same as a whole file,
/// - of URLs the same parameter, and of names the same type of record, where both say one.
///
/// Methods, columns, snippets and evidence do not count: tools choose them differently.
pub fn is_same_place(one: &Location, other: &Location) -> bool {
    if place(one).is_none() || place(one) != place(other) {
        return false;
    }
    match (one, other) {
        (
            Location::File {
                start: one_start,
                end: one_end,
                ..
            },
            Location::File { start, end, .. },
        ) => are_close(lines(*one_start, *one_end), lines(*start, *end)),
        (Location::Url { parameter: one, .. }, Location::Url { parameter, .. }) => {
            are_alike(one.as_deref(), parameter.as_deref())
        }
        (Location::Domain { record_type: one, .. }, Location::Domain { record_type, .. }) => {
            are_alike(one.as_deref(), record_type.as_deref())
        }
        _ => true,
    }
}

/// The first and the last line; `None` of a whole file.
fn lines(start: Option<Position>, end: Option<Position>) -> Option<(u32, u32)> {
    let first = start.or(end)?.line;
    let last = end.map_or(first, |end| end.line.max(first));
    Some((first, last))
}

fn are_close(one: Option<(u32, u32)>, other: Option<(u32, u32)>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let (before, after) = if one.0 <= other.0 {
                (one, other)
            } else {
                (other, one)
            };
            after.0.saturating_sub(before.1) <= LINES_APART_MAX
        }
        (None, None) => true,
        _ => false,
    }
}

fn are_alike(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
