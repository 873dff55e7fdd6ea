//! `tamiz-plugin.toml`: what a project says about itself to `tamiz plugin`.
//!
//! The component says the same in `describe`; the build compares the two, so that a package is never
//! called otherwise than the plugin in it.

use std::path::{Component, Path};

use serde::Deserialize;
use tamiz_core::plugin::Capability;

/// The file's name, in the project's folder.
pub const MANIFEST_FILE: &str = "tamiz-plugin.toml";
/// A name, in bytes: what the host accepts.
const NAME_BYTES_MAX: usize = 64;
/// A version, in bytes: what the host accepts.
const VERSION_BYTES_MAX: usize = 64;
/// Licence, homepage and description, in bytes: they are shown in one line each.
const LABEL_BYTES_MAX: usize = 1024;

/// Why a project's manifest does not do.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not this format, or a field too many or too few.
    #[error("{MANIFEST_FILE} cannot be read: {0}")]
    Syntax(String),
    /// A field breaks its rule.
    #[error("{MANIFEST_FILE}: {field} {value:?} {rule}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it should be.
        rule: &'static str,
    },
}

/// A language that plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Compiled by cargo for `wasm32-unknown-unknown`
    Rust,
    /// Python, packed by componentize-py
    Python,
    /// JavaScript, packed by jco
    #[value(alias = "js")]
    Javascript,
}

impl Language {
    /// The word of the command line and of the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Javascript => "javascript",
        }
    }
}

/// A project's manifest, checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// A plain word: what the plugin and its component are called.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// What it is written in.
    pub language: Language,
    /// The first file of the sources, from the project's folder.
    pub entry: String,
    /// One line for readers.
    #[serde(default)]
    pub description: Option<String>,
    /// An SPDX expression.
    #[serde(default)]
    pub license: Option<String>,
    /// Where to read more.
    #[serde(default)]
    pub homepage: Option<String>,
    /// What the plugin wants beyond conversion: some of [`Capability`].
    #[serde(default)]
    pub capabilities: Vec<String>,
}

impl Manifest {
    /// Reads and checks the manifest's text.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self =
            toml::from_str(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        check("name", &self.name, is_name(&self.name), NAME_RULE)?;
        let rule = "is not a version of letters, digits, `.`, `-` and `+`";
        check("version", &self.version, is_version(&self.version), rule)?;
        let rule = "is not a file in the project, with `/` between folders";
        check("entry", &self.entry, is_inner_path(&self.entry), rule)?;
        for word in &self.capabilities {
            let known = word.parse::<Capability>().is_ok();
            check("capability", word, known, "is not network, clock or randomness")?;
        }
        let labels = [
            ("description", &self.description),
            ("license", &self.license),
            ("homepage", &self.homepage),
        ];
        for (field, label) in labels {
            let label = label.as_deref().unwrap_or_default();
            let fits = label.len() <= LABEL_BYTES_MAX && !label.contains(char::is_control);
            check(field, label, fits, "is not one short line")?;
        }
        Ok(())
    }
}

/// The end of the message about a bad name.
pub(super) const NAME_RULE: &str =
    "is not a plain word: lower-case letters and digits, with single `-` between, a letter first";

fn check(field: &'static str, value: &str, fits: bool, rule: &'static str) -> Result<(), ManifestError> {
    if fits {
        return Ok(());
    }
    Err(ManifestError::Field {
        field,
        value: tamiz_core::text::cut(value, 100).to_owned(),
        rule,
    })
}

/// Whether `text` may name a plugin: in file names, addresses of packages and the host's registry.
pub(super) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    bytes.len() <= NAME_BYTES_MAX
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last() != Some(&b'-')
        && bytes.iter().all(plain)
        && !text.contains("--")
}

fn is_version(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    !text.is_empty() && text.len() <= VERSION_BYTES_MAX && text.bytes().all(plain)
}

fn is_inner_path(text: &str) -> bool {
    let path = Path::new(text);
    let inner = |part| matches!(part, Component::Normal(_));
    !text.is_empty() && !text.starts_with('-') && !text.contains('\\') && path.components().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        "name = \"hello\"\nversion = \"0.1.0\"\nlanguage = \"python\"\nentry = \"convert.py\"\n";

    #[test]
    fn a_manifest_says_name_version_language_and_entry() {
        let manifest = Manifest::parse(WHOLE).unwrap();
        assert_eq!(manifest.name, "hello");
        assert_eq!(manifest.language, Language::Python);
        assert!(manifest.capabilities.is_empty());
    }

    #[test]
    fn every_field_has_a_rule_and_the_error_names_it() {
        let cases = [
            ("\"hello\"", "\"Hello\"", "name \"Hello\" is not a plain word"),
            ("\"0.1.0\"", "\"1 0\"", "version \"1 0\" is not a version"),
            (
                "\"convert.py\"",
                "\"../x.py\"",
                "entry \"../x.py\" is not a file in the project",
            ),
            ("\"convert.py\"", "\"/etc/x.py\"", "entry"),
            ("\"convert.py\"", "\"-o.py\"", "entry"),
            ("\"python\"", "\"cobol\"", "unknown variant"),
            ("name =", "title =", "unknown field"),
            (
                "version",
                "capabilities = [\"root\"]\nversion",
                "capability \"root\"",
            ),
            ("version", "license = \"a\\nb\"\nversion", "license"),
        ];
        for (from, to, said) in cases {
            let error = Manifest::parse(&WHOLE.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(said), "{to}: {error}");
        }
    }

    #[test]
    fn a_name_is_a_plain_word() {
        for good in ["a", "hello", "my-tool2", "a1"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "", "-a", "a-", "a--b", "1a", "A", "a_b", "a b", "a/b", "é", ".", "a.b", &long,
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
