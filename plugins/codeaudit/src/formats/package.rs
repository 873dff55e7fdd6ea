//! What scanners of dependencies have in common: a package, its version, and an advisory about it.

use std::fmt::Write as _;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::vocabulary::is_advisory;

/// An id of an advisory: those of distributions have words in it (`SUSE-SU-2023:1234-1`).
const ID_BYTES: usize = 64;

/// OSV's name of where Rust's packages come from; it is a host, too, but here it is a word.
pub(super) const RUST: &str = concat!("crates", ".io");

/// A package that an advisory is about.
#[derive(Default)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Where packages of this name come from, in the tool's word: `PyPI`, `npm`, `Debian:12`.
    pub(super) ecosystem: &'a str,
    /// Versions without the problem, as the tool writes them; empty when there are none.
    pub(super) fixed: &'a str,
    /// Its package URL, when the tool has one; else it is made of the rest.
    pub(super) url: &'a str,
}

impl Package<'_> {
    /// A finding about the package: the title names it, so that one advisory about two packages in
    /// one file makes two findings.
    pub(super) fn finding(&self, tool: &str, advisory: &str, summary: &str) -> FindingBuilder {
        let subject = format!("{} {}", self.name, self.version);
        let subject = subject.trim();
        let summary = if summary.is_empty() { advisory } else { summary };
        let title = if subject.is_empty() {
            summary.to_owned()
        } else {
            format!("{subject}: {summary}")
        };
        let finding = FindingBuilder::new(tool, advisory)
            .title(&title)
            .category("dependency");
        let finding = self.put(finding);
        if self.fixed.is_empty() {
            return finding;
        }
        finding.remediation(&format!("Update {} to {}.", self.name, self.fixed))
    }

    /// Writes what is known of the package into a finding.
    pub(super) fn put(&self, mut finding: FindingBuilder) -> FindingBuilder {
        let url = if self.url.is_empty() {
            self.made_url()
        } else {
            self.url.to_owned()
        };
        for (key, value) in [
            ("package", self.name),
            ("version", self.version),
            ("ecosystem", self.ecosystem),
            ("fixed-version", self.fixed),
            ("package-url", url.as_str()),
        ] {
            if !value.is_empty() {
                finding = finding.extra_text(key, value);
            }
        }
        finding
    }

    /// The package URL by the rules of its type; empty when the ecosystem is none of these.
    fn made_url(&self) -> String {
        if self.name.is_empty() {
            return String::new();
        }
        let ecosystem = self.ecosystem.split(':').next().unwrap_or_default();
        let (kind, name) = match ecosystem.to_ascii_lowercase().as_str() {
            "pypi" => ("pypi", self.name.to_lowercase().replace('_', "-")),
            "npm" => ("npm", self.name.to_owned()),
            RUST => ("cargo", self.name.to_owned()),
            "go" => ("golang", self.name.to_owned()),
            "maven" => ("maven", self.name.replace(':', "/")),
            "nuget" => ("nuget", self.name.to_owned()),
            "rubygems" => ("gem", self.name.to_owned()),
            "packagist" => ("composer", self.name.to_lowercase()),
            "hex" => ("hex", self.name.to_lowercase()),
            "pub" => ("pub", self.name.to_owned()),
            "debian" => ("deb/debian", self.name.to_owned()),
            "ubuntu" => ("deb/ubuntu", self.name.to_owned()),
            "alpine" => ("apk/alpine", self.name.to_owned()),
            _ => return String::new(),
        };
        let mut url = format!("pkg:{kind}/");
        escape(&mut url, &name, b"/.-_~");
        if !self.version.is_empty() {
            url.push('@');
            escape(&mut url, self.version, b".-_~:");
        }
        url
    }
}

/// Writes a text with everything but letters, digits and some others percent-encoded.
fn escape(into: &mut String, text: &str, others: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || others.contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// Adds the ids of a field that holds nothing else, each once. New databases come up with prefixes of their
/// own, so anything of an id's form is one.
pub(super) fn advisories<'a>(
    mut finding: FindingBuilder,
    ids: impl IntoIterator<Item = &'a str>,
) -> FindingBuilder {
    for id in ids {
        let id = id.trim();
        if is_advisory(id) || has_form_of_id(id) {
            finding = finding.cve(id);
        }
    }
    finding
}

fn has_form_of_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    let (prefix, rest) = text.split_once('-').unwrap_or_default();
    text.len() <= ID_BYTES
        && text.bytes().all(fits)
        && prefix.len() >= 2
        && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (rest.bytes().any(|byte| byte.is_ascii_digit()) || prefix == "GHSA")
}

/// The web addresses in a text, such as a Markdown list of links.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let ends = |character: char| character.is_whitespace() || "()<>[]\"'`".contains(character);
    let words = text.split(ends);
    words
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(|word| word.trim_end_matches([',', ';', '.']))
}

#[cfg(test)]
mod tests {
    use super::{Package, RUST, addresses, has_form_of_id};

    #[test]
    fn a_package_url_is_made_by_the_rules_of_its_type() {
        for (ecosystem, name, version, url) in [
            ("PyPI", "Flask_Login", "0.2.7", "pkg:pypi/flask-login@0.2.7"),
            (
                "npm",
                "@shop/cart",
                "1.0.0-rc.1",
                "pkg:npm/%40shop/cart@1.0.0-rc.1",
            ),
            ("Maven", "org.shop:cart", "2", "pkg:maven/org.shop/cart@2"),
            (
                "Debian:12",
                "apt",
                "1.8.2+deb10u1",
                "pkg:deb/debian/apt@1.8.2%2Bdeb10u1",
            ),
            (RUST, "time", "", "pkg:cargo/time"),
            ("OSS-Fuzz", "time", "1", ""),
            ("PyPI", "", "1", ""),
        ] {
            let package = Package {
                name,
                version,
                ecosystem,
                ..Package::default()
            };
            assert_eq!(package.made_url(), url, "{ecosystem} {name}");
        }
    }

    #[test]
    fn ids_of_any_database_have_their_form() {
        for (text, is_id) in [
            ("DEBIAN-CVE-2023-1234", true),
            ("SUSE-SU-2023:1234-1", true),
            ("TEMP-0290435-0B57B5", true),
            ("GHSA-hjqm-jfxv-xwvx", true),
            ("unmaintained", false),
            ("vulnerable-dependency", false),
            ("CVE-2021-44228 in log4j", false),
            ("", false),
        ] {
            assert_eq!(has_form_of_id(text), is_id, "{text}");
        }
    }

    #[test]
    fn addresses_are_found_in_lists_and_links() {
        let text = "- https://a.test/x\n[Issue #60](https://b.test/60), see <http://c.test/>.";
        let found: Vec<_> = addresses(text).collect();
        assert_eq!(found, ["https://a.test/x", "https://b.test/60", "http://c.test/"]);
        assert_eq!(addresses("none").count(), 0);
    }
}
