//! From a plugin's argument list to the one that a tool gets.
//!
//! A placeholder is one whole element, or all of one after an option's `=`, and becomes a path inside
//! the box or a part of the target. Every option must be one that the catalogue allows for the tool; a
//! literal value or a part of a target must not look like an option. So neither a plugin nor an option that a user typed can reach
//! anything of the tool that its operator did not mean to offer.

use super::boxed;
use super::catalogue::{ArgumentPolicy, ToolEntry};
use super::door::{NetworkTarget, RESOLVER};

/// Arguments of one run: every rule file named one by one stays far below.
const ARGUMENTS_MAX: usize = 256;
/// One argument: a path or a URL.
const ARGUMENT_BYTES_MAX: usize = 4096;

/// Why an argument list is refused. Everything here is the plugin's or its user's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// The list is too long.
    #[error("{count} arguments, at most {ARGUMENTS_MAX} are allowed")]
    TooMany {
        /// As given.
        count: usize,
    },
    /// One element is too long or has a NUL byte.
    #[error("argument {position} has a NUL byte or more than {ARGUMENT_BYTES_MAX} bytes")]
    Malformed {
        /// Counted from 1.
        position: usize,
    },
    /// A placeholder that nothing fills.
    #[error(
        "argument {argument:?} is not one whole placeholder of this run (${{target}}, ${{files}}, ${{rules}}, \
         ${{out.NAME}}; for a target that is called ${{target.url}}, ${{target.host}}, ${{target.port}}, \
         ${{target.endpoint}}, ${{resolver}})"
    )]
    UnknownPlaceholder {
        /// As given.
        argument: String,
    },
    /// An option that the catalogue does not offer.
    #[error("option {option:?} is not one that the catalogue allows")]
    OptionNotAllowed {
        /// As given.
        option: String,
    },
    /// An option whose value is absent or of the wrong kind.
    #[error("option {option:?} wants {wanted}")]
    BadValue {
        /// As given.
        option: String,
        /// The rule.
        wanted: &'static str,
    },
    /// A literal where only a placeholder may stand.
    #[error("argument {argument:?} belongs to no option, and only placeholders may stand alone")]
    StrayArgument {
        /// As given.
        argument: String,
    },
}

/// What the placeholders of one run stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// `.` for a tree, a file's place for a capture.
    pub(super) target: Option<&'static str>,
    /// What the tool calls, if it may.
    pub(super) network: Option<&'a NetworkTarget>,
    /// Of the tree, those that the catalogue's entry wants.
    pub(super) files: &'a [String],
    /// The path inside the box, when the run has rules.
    pub(super) rules: Option<&'static str>,
    pub(super) outputs: &'a [String],
}

/// The whole argument list for `entry`'s tool, without the program itself.
pub(super) fn fill(
    entry: &ToolEntry,
    proposed: &[String],
    places: Places<'_>,
) -> Result<Vec<String>, ArgumentError> {
    if proposed.len() > ARGUMENTS_MAX {
        return Err(ArgumentError::TooMany {
            count: proposed.len(),
        });
    }
    let malformed = |argument: &String| argument.len() > ARGUMENT_BYTES_MAX || argument.contains('\0');
    if let Some(index) = proposed.iter().position(malformed) {
        return Err(ArgumentError::Malformed { position: index + 1 });
    }
    let mut rest = proposed;
    let mut filled = Vec::with_capacity(1 + entry.always.len() + proposed.len());
    if let Some(subcommand) = &entry.subcommand {
        filled.push(subcommand.clone());
        rest = rest
            .split_first()
            .filter(|(first, _)| *first == subcommand)
            .map_or(rest, |(_, after)| after);
    }
    filled.extend(entry.always.iter().cloned());
    let mut arguments = rest.iter();
    while let Some(argument) = arguments.next() {
        take(&entry.arguments, argument, &mut arguments, places, &mut filled)?;
    }
    Ok(filled)
}

fn take(
    policy: &ArgumentPolicy,
    argument: &str,
    following: &mut std::slice::Iter<'_, String>,
    places: Places<'_>,
    filled: &mut Vec<String>,
) -> Result<(), ArgumentError> {
    let bad_value = |wanted| ArgumentError::BadValue {
        option: argument.to_owned(),
        wanted,
    };
    if policy.flags.contains(argument) {
        filled.push(argument.to_owned());
    } else if policy.paths.contains(argument) {
        let wanted = "a placeholder as the next element";
        let value = following.next().filter(|value| value.contains("${"));
        let place = placeholder(value.ok_or_else(|| bad_value(wanted))?, places)?;
        filled.extend([argument.to_owned(), place]);
    } else if policy.values.contains(argument) {
        let wanted = "a value as the next element that does not begin with '-' or hold a placeholder";
        let value = following
            .next()
            .filter(|value| !value.starts_with('-') && !value.contains("${"));
        filled.extend([
            argument.to_owned(),
            value.ok_or_else(|| bad_value(wanted))?.clone(),
        ]);
    } else if let Some((option, value)) = joined(policy, argument) {
        filled.push(format!("{option}{}", placeholder(value, places)?));
    } else if argument.starts_with('-') {
        return Err(ArgumentError::OptionNotAllowed {
            option: argument.to_owned(),
        });
    } else if argument == "${files}" && policy.positional {
        filled.extend(places.files.iter().cloned());
    } else if argument.contains("${") && policy.positional {
        filled.push(placeholder(argument, places)?);
    } else {
        return Err(ArgumentError::StrayArgument {
            argument: argument.to_owned(),
        });
    }
    Ok(())
}

/// `--option=${placeholder}`, when the catalogue has `--option=` among the options with a path.
fn joined<'a>(policy: &ArgumentPolicy, argument: &'a str) -> Option<(&'a str, &'a str)> {
    let (option, value) = argument.split_at_checked(argument.find('=')? + 1)?;
    (policy.paths.contains(option) && value.starts_with("${")).then_some((option, value))
}

fn placeholder(argument: &str, places: Places<'_>) -> Result<String, ArgumentError> {
    let name = argument
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_default();
    let network = places.network;
    let place = match name {
        // The box starts the tool in a tree's folder, so reports name files as the upload does.
        "target" => places.target.map(ToOwned::to_owned),
        "target.url" => network.and_then(|target| target.url.clone()),
        "target.host" => network.map(|target| target.host.clone()),
        "target.port" => network.and_then(|target| target.ports.first().map(u16::to_string)),
        "target.endpoint" => network.and_then(NetworkTarget::endpoint),
        "resolver" => network
            .filter(|target| !target.resolvers.is_empty())
            .map(|_| RESOLVER.to_owned()),
        "rules" => places.rules.map(ToOwned::to_owned),
        _ => name
            .strip_prefix("out.")
            .filter(|name| places.outputs.iter().any(|output| output == name))
            .map(boxed::output_path),
    };
    let place = place.ok_or_else(|| ArgumentError::UnknownPlaceholder {
        argument: argument.to_owned(),
    })?;
    if place.starts_with('-') || place.is_empty() || place.contains('\0') {
        return Err(ArgumentError::BadValue {
            option: argument.to_owned(),
            wanted: "a target that is not empty and does not begin with '-'",
        });
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::*;

    fn fill_semgrep(proposed: &[&str]) -> Result<Vec<String>, ArgumentError> {
        let catalogue = Catalogue::load(None).expect("bundled");
        let proposed: Vec<String> = proposed.iter().map(|&argument| argument.to_owned()).collect();
        let places = Places {
            target: Some("."),
            network: None,
            files: &[],
            rules: Some(boxed::RULES_FILE),
            outputs: &["report".to_owned()],
        };
        fill(&catalogue.tools[0], &proposed, places)
    }

    #[test]
    fn the_operators_arguments_precede_the_plugins() {
        let filled = fill_semgrep(&[
            "--json",
            "--output",
            "${out.report}",
            "--config",
            "${rules}",
            "${target}",
        ]);
        let filled = filled.expect("allowed");
        assert_eq!(filled[..2], ["scan", "--metrics=off"]);
        assert_eq!(
            filled[filled.len() - 6..],
            [
                "--json",
                "--output",
                "/out/report",
                "--config",
                "/rules/rules.yml",
                "."
            ]
        );
    }

    #[test]
    fn a_plugin_may_name_the_subcommand_once() {
        assert_eq!(fill_semgrep(&["scan", "--json"]), fill_semgrep(&["--json"]));
        assert!(matches!(
            fill_semgrep(&["scan", "scan"]),
            Err(ArgumentError::StrayArgument { .. })
        ));
        assert!(matches!(
            fill_semgrep(&["login"]),
            Err(ArgumentError::StrayArgument { .. })
        ));
    }

    #[test]
    fn what_the_catalogue_does_not_offer_is_refused() {
        let option = |option: &str| ArgumentError::OptionNotAllowed {
            option: option.to_owned(),
        };
        for refused in [
            "--autofix",
            "-e",
            "--output=/etc/x",
            "--exclude",
            "-",
            "--",
            "--metrics=on",
        ] {
            assert_eq!(fill_semgrep(&[refused, "x"]), Err(option(refused)));
        }
        for stray in ["/etc/passwd", "$(id)", "a b", "", ".."] {
            let refused = fill_semgrep(&[stray]);
            assert!(
                matches!(refused, Err(ArgumentError::StrayArgument { .. })),
                "{stray}"
            );
        }
    }

    #[test]
    fn a_value_that_looks_like_an_option_is_refused() {
        assert!(fill_semgrep(&["--severity", "ERROR"]).is_ok());
        for list in [
            ["--severity", "--config"],
            ["--severity", "${rules}"],
            ["--config", "/etc/passwd"],
            ["--output", "report"],
            ["--json", "--config"],
        ] {
            let refused = fill_semgrep(&list);
            assert!(matches!(refused, Err(ArgumentError::BadValue { .. })), "{list:?}");
        }
    }

    #[test]
    fn a_placeholder_is_known_and_whole() {
        for unknown in [
            "${out.other}",
            "${out.}",
            "${HOME}",
            "${}",
            "x${target}",
            "${target}/..",
            "${target}${rules}",
            "${target",
        ] {
            let refused = fill_semgrep(&[unknown]);
            assert!(
                matches!(refused, Err(ArgumentError::UnknownPlaceholder { .. })),
                "{unknown}"
            );
        }
    }

    #[test]
    fn a_list_or_an_element_without_bounds_is_refused() {
        let many = vec!["--json"; ARGUMENTS_MAX + 1];
        assert_eq!(fill_semgrep(&many), Err(ArgumentError::TooMany { count: 257 }));
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        for malformed in [long.as_str(), "a\0b"] {
            let refused = fill_semgrep(&["--severity", malformed]);
            assert_eq!(refused, Err(ArgumentError::Malformed { position: 2 }));
        }
    }

    fn fill_called(target: &NetworkTarget, proposed: &[&str]) -> Result<Vec<String>, ArgumentError> {
        let mut entry = Catalogue::load(None).expect("bundled").tools[0].clone();
        entry.subcommand = None;
        entry.always.clear();
        entry.arguments.paths.insert("--xml=".to_owned());
        let proposed: Vec<String> = proposed.iter().map(|&argument| argument.to_owned()).collect();
        let places = Places {
            target: None,
            network: Some(target),
            files: &["./-rf.sh".to_owned(), "./b.sh".to_owned()],
            rules: None,
            outputs: &["report".to_owned()],
        };
        fill(&entry, &proposed, places)
    }

    #[test]
    fn a_target_that_is_called_fills_its_parts() {
        let target = NetworkTarget {
            url: Some("https://[2001:db8::7]:8443/shop".to_owned()),
            host: "2001:db8::7".to_owned(),
            ports: vec![8443],
            resolvers: vec!["192.0.2.53:53".parse().expect("address")],
            ..NetworkTarget::default()
        };
        let proposed = [
            "--xml=${out.report}",
            "${target.url}",
            "${target.endpoint}",
            "${resolver}",
            "${files}",
        ];
        assert_eq!(
            fill_called(&target, &proposed).expect("allowed"),
            [
                "--xml=/out/report",
                "https://[2001:db8::7]:8443/shop",
                "[2001:db8::7]:8443",
                "127.0.0.1",
                "./-rf.sh",
                "./b.sh"
            ]
        );
        for absent in [
            "${target}",
            "${rules}",
            "--xml=x",
            "--xml=${target}",
            "--log=${out.report}",
        ] {
            assert!(fill_called(&target, &[absent]).is_err(), "{absent}");
        }
    }

    #[test]
    fn no_part_of_a_target_becomes_an_option() {
        let target = NetworkTarget {
            url: Some(String::new()),
            host: "-oProxyCommand=id".to_owned(),
            ..NetworkTarget::default()
        };
        for part in ["${target.host}", "${target.url}"] {
            let refused = fill_called(&target, &[part]);
            assert!(matches!(refused, Err(ArgumentError::BadValue { .. })), "{part}");
        }
        for absent in ["${target.port}", "${target.endpoint}", "${resolver}"] {
            let refused = fill_called(&target, &[absent]);
            assert!(
                matches!(refused, Err(ArgumentError::UnknownPlaceholder { .. })),
                "{absent}"
            );
        }
    }
}
