//! The package that a finding is about, and its advisories.

use std::fmt::Write as _;

use crate::finding::Finding;

/// Vulnerable versions of a package, as converters write it into `extra`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package<'a> {
    /// Its name in its ecosystem; of a finding that only has a package URL, that.
    pub name: &'a str,
    /// Empty when the tool does not say.
    pub version: &'a str,
    /// Such as `npm`; empty when the tool does not say.
    pub ecosystem: &'a str,
    /// Versions without the problem; empty when there are none.
    pub fixed: &'a str,
    /// The tool's package URL, or a generic one.
    pub url: String,
}

impl<'a> Package<'a> {
    /// Of a finding about a package; none for another one.
    pub fn of(finding: &'a Finding) -> Option<Self> {
        let text = |key| {
            let value = finding.extra.get(key);
            value.and_then(serde_json::Value::as_str).unwrap_or_default()
        };
        let (name, version, url) = (text("package"), text("version"), text("package-url"));
        let is_package = !url.is_empty() || finding.category.as_deref() == Some("dependency");
        if !is_package || (name.is_empty() && url.is_empty()) {
            return None;
        }
        Some(Self {
            name: if name.is_empty() { url } else { name },
            version,
            ecosystem: text("ecosystem"),
            fixed: text("fixed-version"),
            url: if url.starts_with("pkg:") {
                url.to_owned()
            } else {
                generic(name, version)
            },
        })
    }
}

/// A finding's advisory ids, each once, a CVE first: the name that its aliases share most.
pub fn advisories(finding: &Finding) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for id in finding.cve.iter().map(String::as_str) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.sort_by_key(|id| !is_cve(id));
    ids
}

/// Whether an id is of the CVE list.
pub(super) fn is_cve(id: &str) -> bool {
    id.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("CVE-"))
}

/// A package URL of the type for what has no ecosystem of its own.
pub(super) fn generic(name: &str, version: &str) -> String {
    let mut url = format!("pkg:generic/{}", encoded(name, b""));
    if !version.is_empty() {
        url.push('@');
        url.push_str(&encoded(version, b""));
    }
    url
}

/// Percent-encodes everything but unreserved characters and `others`.
pub(super) fn encoded(text: &str, others: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || others.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::tests::plain;
    use serde_json::json;

    #[test]
    fn a_package_without_a_url_gets_a_generic_one() {
        let mut finding = Finding {
            category: Some("dependency".into()),
            ..plain()
        };
        assert_eq!(Package::of(&finding), None);
        finding.extra.insert("package".into(), json!("@shop/cart"));
        finding.extra.insert("version".into(), json!("1.0+x"));
        let package = Package::of(&finding).unwrap();
        assert_eq!(package.url, "pkg:generic/%40shop%2Fcart@1.0%2Bx");
        finding
            .extra
            .insert("package-url".into(), json!("pkg:npm/%40shop/cart@1.0"));
        assert_eq!(Package::of(&finding).unwrap().url, "pkg:npm/%40shop/cart@1.0");
        finding.category = None;
        assert!(Package::of(&finding).is_some());
        finding.extra.remove("package-url");
        assert_eq!(Package::of(&finding), None);
    }

    #[test]
    fn the_cve_comes_first_and_each_id_once() {
        let mut finding = plain();
        assert!(advisories(&finding).is_empty());
        finding.cve = ["GHSA-a", "CVE-1", "GHSA-a"].map(String::from).into();
        assert_eq!(advisories(&finding), ["CVE-1", "GHSA-a"]);
    }
}
