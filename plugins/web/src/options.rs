//! The task's options, as far as the plugin is concerned.

use tamiz_sdk::report::{OptionKind, OptionSpec, Options, Profile};

/// What a task may set.
pub(crate) const KNOWN: &[OptionSpec] = &[OptionSpec {
    name: "profile",
    kind: OptionKind::Text,
    description: "how thorough a scan is: quick, standard (as when unset) or deep",
}];

/// Reads the options; no text at all is no options.
pub(crate) fn parse(text: &str) -> Result<Options, String> {
    let options = Options::parse(text, "web", KNOWN)?;
    profile(&options)?;
    Ok(options)
}

/// The profile of some options.
pub(crate) fn profile(options: &Options) -> Result<Profile, String> {
    Profile::of(options, "web", Profile::Standard)
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::report::Profile;

    use super::{parse, profile};

    #[test]
    fn profiles_are_known_and_others_refused() {
        let read = |text| parse(text).and_then(|options| profile(&options));
        assert_eq!(read(""), Ok(Profile::Standard));
        assert_eq!(read(r#"{"profile":"deep"}"#), Ok(Profile::Deep));
        assert!(read(r#"{"profile":"deeper"}"#).is_err());
        assert!(read(r#"{"prfile":"deep"}"#).is_err());
    }
}
