//! A task's options, checked against what a plugin knows.

use serde_json::{Map, Value, json};

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from 0.
    Number,
    /// A list of strings.
    Texts,
}

impl OptionKind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Flag => value.is_boolean(),
            Self::Number => value.is_u64(),
            Self::Texts => value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)),
        }
    }

    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Number => json!({ "type": "integer", "minimum": 0 }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "true or false",
            Self::Number => "a whole number",
            Self::Texts => "a list of strings",
        }
    }
}

/// One option that a plugin knows.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Its key.
    pub name: &'static str,
    /// What its value is.
    pub kind: OptionKind,
    /// One line for whoever sets it.
    pub description: &'static str,
}

/// A task's options, known and of the right kinds.
#[derive(Debug, Clone, Default)]
pub struct Options(Map<String, Value>);

impl Options {
    /// Reads the options; no text at all is no options, and `null` is no value.
    ///
    /// # Errors
    /// What does not fit the plugin's schema.
    pub fn parse(text: &str, plugin: &str, known: &[OptionSpec]) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let problem = |what: String| format!("options do not fit {plugin}'s schema: {what}");
        let mut members: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
        members.retain(|_, value| !value.is_null());
        for (name, value) in &members {
            let spec = known.iter().find(|spec| spec.name == name);
            let spec = spec.ok_or_else(|| problem(format!("unknown field `{name}`")))?;
            if !spec.kind.fits(value) {
                return Err(problem(format!("`{name}` is not {}", spec.kind.noun())));
            }
        }
        Ok(Self(members))
    }

    /// JSON Schema of some options.
    pub fn schema(known: &[OptionSpec]) -> String {
        let mut properties = Map::new();
        for spec in known {
            let mut property = spec.kind.schema();
            property["description"] = json!(spec.description);
            properties.insert(spec.name.to_owned(), property);
        }
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        format!("{schema:#}")
    }

    /// An option of kind [`OptionKind::Text`], if it is set.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// An option of kind [`OptionKind::Flag`]; unset is false.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An option of kind [`OptionKind::Number`], if it is set.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// An option of kind [`OptionKind::Texts`]; unset is empty.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{OptionKind, OptionSpec, Options};

    const KNOWN: &[OptionSpec] = &[
        OptionSpec {
            name: "root",
            kind: OptionKind::Text,
            description: "a folder",
        },
        OptionSpec {
            name: "tags",
            kind: OptionKind::Texts,
            description: "labels",
        },
    ];

    #[test]
    fn known_options_pass_and_others_are_named() {
        let parse = |text| Options::parse(text, "demo", KNOWN);
        assert!(parse("").is_ok() && parse("{}").is_ok());
        let options = parse(r#"{"root":"/src","tags":["a","b"]}"#).expect("known");
        assert_eq!(options.text("root"), Some("/src"));
        assert_eq!(options.texts("tags").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(parse(r#"{"root":null}"#).expect("no value").text("root"), None);
        for (text, what) in [
            (r#"{"ruels":1}"#, "unknown field `ruels`"),
            (r#"{"root":1}"#, "`root` is not a string"),
            ("[]", "demo's schema"),
            ("{", "demo's schema"),
        ] {
            let refused = parse(text).expect_err("does not fit");
            assert!(refused.contains(what), "{refused}");
        }
    }

    #[test]
    fn the_schema_is_json_and_names_every_option() {
        let schema: serde_json::Value = serde_json::from_str(&Options::schema(KNOWN)).expect("JSON");
        assert_eq!(schema["properties"]["root"]["type"], "string");
        assert_eq!(schema["additionalProperties"], false);
    }
}
