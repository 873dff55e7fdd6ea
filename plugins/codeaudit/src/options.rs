//! The task's options, as far as the plugin is concerned.

use tamiz_sdk::report::{OptionKind, OptionSpec, Options, Profile};

/// What a task may set.
pub(crate) const KNOWN: &[OptionSpec] = &[
    OptionSpec {
        name: "rules",
        kind: OptionKind::Text,
        description: "id of an upload with semgrep rules; the worker puts it in place of the bundled ones",
    },
    OptionSpec {
        name: "root",
        kind: OptionKind::Text,
        description: "folder that the report's absolute paths start with; it is taken off them",
    },
    OptionSpec {
        name: "profile",
        kind: OptionKind::Text,
        description: "which tools run: quick (what is taken when nothing is said), standard or deep",
    },
];

/// The profile of some options.
pub(crate) fn profile(options: &Options) -> Result<Profile, String> {
    Profile::of(options, "codeaudit", Profile::Quick)
}

/// Reads the options; no text at all is no options.
pub(crate) fn parse(text: &str) -> Result<Options, String> {
    Options::parse(text, "codeaudit", KNOWN)
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
            parse(r#"{"root":"/src"}"#).expect("known").text("root"),
            Some("/src")
        );
        let refused = parse(r#"{"ruels":1}"#).expect_err("unknown");
        assert!(refused.contains("unknown field `ruels`"), "{refused}");
        assert!(parse("[]").is_err());
        assert!(parse("{").is_err());
    }
}
