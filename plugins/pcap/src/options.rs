//! The task's options: there are none yet, and an unknown one is refused by name.

use serde::Deserialize;

/// JSON Schema of the options.
pub(crate) const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {},
  "additionalProperties": false
}"#;

/// What a conversion may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {}

/// Reads the options; no text at all is no options.
pub(crate) fn parse(text: &str) -> Result<Options, String> {
    if text.trim().is_empty() {
        return Ok(Options::default());
    }
    let problem = |error: serde_json::Error| format!("options do not fit pcap's schema: {error}");
    // A derived struct would take an array for an object.
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(problem)?;
    serde_json::from_value(members.into()).map_err(problem)
}
