//! The task's options, as far as the plugin is concerned.

use serde::Deserialize;

/// JSON Schema of the options.
pub(crate) const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "rules": {
      "type": "string",
      "description": "id of an upload with semgrep rules; the worker puts it in place of the bundled ones"
    },
    "root": {
      "type": "string",
      "description": "folder that the report's absolute paths start with; it is taken off them"
    }
  },
  "additionalProperties": false
}"#;

/// What a conversion may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// The worker's business: nothing to do here.
    #[serde(default, rename = "rules")]
    _rules: Option<String>,
    /// Taken off absolute paths.
    #[serde(default)]
    pub(crate) root: Option<String>,
}

/// Reads the options; no text at all is no options.
pub(crate) fn parse(text: &str) -> Result<Options, String> {
    if text.trim().is_empty() {
        return Ok(Options::default());
    }
    let problem = |error: serde_json::Error| format!("options do not fit codeaudit's schema: {error}");
    // A derived struct would take an array for an object.
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(problem)?;
    serde_json::from_value(members.into()).map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn known_options_pass_and_others_are_named() {
        assert!(parse("").is_ok());
        assert!(parse("{}").is_ok());
        assert!(parse(r#"{"rules":"0192","root":null}"#).is_ok());
        assert_eq!(
            parse(r#"{"root":"/src"}"#).expect("known").root.as_deref(),
            Some("/src")
        );
        let refused = parse(r#"{"ruels":1}"#).expect_err("unknown");
        assert!(refused.contains("unknown field `ruels`"), "{refused}");
        assert!(parse("[]").is_err());
        assert!(parse("{").is_err());
    }
}
