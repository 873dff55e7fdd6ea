//! The task's options, as far as the plugin is concerned.

use tamiz_sdk::report::{OptionKind, OptionSpec, Options};

/// How thorough a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// A look: seconds.
    Quick,
    /// What a scanner finds by itself: minutes.
    Standard,
    /// Everything the worker has: perhaps an hour.
    Deep,
}

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
    match options.text("profile") {
        Some("quick") => Ok(Profile::Quick),
        None | Some("standard") => Ok(Profile::Standard),
        Some("deep") => Ok(Profile::Deep),
        Some(other) => Err(format!(
            "options do not fit web's schema: `{other}` is no profile, which is quick, standard or deep"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Profile, parse, profile};

    #[test]
    fn profiles_are_known_and_others_refused() {
        let read = |text| parse(text).and_then(|options| profile(&options));
        assert_eq!(read(""), Ok(Profile::Standard));
        assert_eq!(read(r#"{"profile":"deep"}"#), Ok(Profile::Deep));
        assert!(read(r#"{"profile":"deeper"}"#).is_err());
        assert!(read(r#"{"prfile":"deep"}"#).is_err());
    }
}
