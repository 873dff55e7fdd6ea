//! What a plugin says about itself, checked before anybody relies on it.

use std::collections::BTreeSet;

use tamiz_core::plugin::Capability;
use tamiz_core::{ScanType, text};

use crate::bindings::v1::plugin as wit;
use crate::failure::PluginError;
use crate::words::is_word;

/// Formats that one plugin reads.
const FORMATS_MAX: usize = 64;
/// Tools named with one format.
const FORMAT_TOOLS_MAX: usize = 64;
/// The name of one such tool, in bytes.
const TOOL_BYTES_MAX: usize = 100;
/// The JSON Schema of a plugin's options, in bytes.
const OPTIONS_SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// A version, in bytes.
const VERSION_BYTES_MAX: usize = 64;

/// What a plugin says about itself; checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// A plain word.
    pub name: String,
    /// Letters, digits, `.`, `-`, `+`.
    pub version: String,
    /// What it scans.
    pub scan_type: ScanType,
    /// What it reads; at least one.
    pub formats: Vec<ReportFormat>,
    /// A JSON object.
    pub options_schema: serde_json::Value,
    /// What it wants beyond conversion, each once.
    pub capabilities: BTreeSet<Capability>,
}

/// One format that a plugin reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFormat {
    /// A plain word such as `semgrep-json`.
    pub name: String,
    /// The tools that write it.
    pub tools: Vec<String>,
}

/// The description if each of its words keeps the rules.
///
/// # Errors
/// [`PluginError::Description`] names the rule.
pub(crate) fn checked(from: wit::Description) -> Result<Description, PluginError> {
    let refuse = |message: String| Err(PluginError::Description { message });
    if !is_word(&from.name) {
        return refuse(format!("the name {:?} is not a plain word", shown(&from.name)));
    }
    let version_fits = !from.version.is_empty()
        && from.version.len() <= VERSION_BYTES_MAX
        && from
            .version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'));
    if !version_fits {
        return refuse(format!("the version {:?} is not one", shown(&from.version)));
    }
    let scan_type = match ScanType::parse(&from.scan_type) {
        Ok(scan_type) => scan_type,
        Err(error) => return refuse(format!("the scan type {error}")),
    };
    if from.formats.is_empty() || from.formats.len() > FORMATS_MAX {
        return refuse(format!(
            "{} formats are named, 1 to {FORMATS_MAX} are allowed",
            from.formats.len()
        ));
    }
    for format in &from.formats {
        let tools_fit =
            format.tools.len() <= FORMAT_TOOLS_MAX && format.tools.iter().all(|tool| is_label(tool));
        if !is_word(&format.name) || !tools_fit {
            return refuse(format!(
                "the format {:?} is not a plain word, or its tools are not a list of short labels",
                shown(&format.name)
            ));
        }
    }
    if from.options_schema.len() > OPTIONS_SCHEMA_BYTES_MAX {
        return refuse(format!(
            "the options schema has {} bytes, at most {OPTIONS_SCHEMA_BYTES_MAX} are allowed",
            from.options_schema.len()
        ));
    }
    let mut capabilities = BTreeSet::new();
    for word in &from.capabilities {
        match word.parse() {
            Ok(capability) => capabilities.insert(capability),
            Err(error) => return refuse(format!("the capability {error}")),
        };
    }
    let options_schema = match serde_json::from_str::<serde_json::Value>(&from.options_schema) {
        Ok(schema) if schema.is_object() => schema,
        _ => return refuse("the options schema is not a JSON object".to_owned()),
    };
    let formats = from.formats.into_iter().map(|format| ReportFormat {
        name: format.name,
        tools: format.tools,
    });
    Ok(Description {
        name: from.name,
        version: from.version,
        scan_type,
        formats: formats.collect(),
        options_schema,
        capabilities,
    })
}

/// The tools of a format are only ever shown.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOOL_BYTES_MAX && !text.contains(char::is_control)
}

fn shown(from: &str) -> &str {
    text::cut(from, 100)
}
