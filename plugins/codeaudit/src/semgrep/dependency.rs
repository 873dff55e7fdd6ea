//! What semgrep's supply chain rules add to a result: the package that was found, and whether the code
//! that is vulnerable is reached.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Object, Text};

/// The package that a result of semgrep's supply chain rules is about.
#[derive(Default, Deserialize)]
pub(super) struct Dependency<'a> {
    #[serde(default)]
    reachable: Field<bool>,
    #[serde(borrow, default)]
    dependency_match: Field<Object<Match<'a>>>,
}

#[derive(Default, Deserialize)]
struct Match<'a> {
    #[serde(borrow, default)]
    found_dependency: Field<Object<Found<'a>>>,
    #[serde(borrow, default)]
    lockfile: Text<'a>,
}

#[derive(Default, Deserialize)]
struct Found<'a> {
    #[serde(borrow, default)]
    package: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    ecosystem: Text<'a>,
    #[serde(borrow, default)]
    transitivity: Text<'a>,
}

impl Dependency<'_> {
    pub(super) fn put(&self, mut finding: FindingBuilder) -> FindingBuilder {
        let (no_match, no_package) = (Match::default(), Found::default());
        let matched = self.dependency_match.object().unwrap_or(&no_match);
        let found = matched.found_dependency.object().unwrap_or(&no_package);
        let words = [
            ("package", found.package.text()),
            ("version", found.version.text()),
            ("ecosystem", found.ecosystem.text()),
            ("transitivity", found.transitivity.text()),
            ("lockfile", matched.lockfile.text()),
        ];
        for (key, word) in words.into_iter().filter(|(_, word)| !word.is_empty()) {
            finding = finding.extra_text(key, word);
        }
        match self.reachable.get() {
            Some(reachable) => finding.extra_json("reachable", &reachable.to_string()),
            None => finding,
        }
    }
}
