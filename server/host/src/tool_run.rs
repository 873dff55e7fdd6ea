//! What a plugin asks the worker to run, checked before the worker sees it.
//!
//! Not here: which tools exist and what each placeholder is filled with (the worker's catalogue).

use std::collections::BTreeSet;

use crate::bindings::v1::plugin as wit;
use crate::failure::ConvertFailure;
use crate::words::is_word;

/// Runs of one plan: a scan type combines a handful of tools.
const RUNS_MAX: usize = 16;
/// Arguments of one run: semgrep with every rule file named stays far below.
const ARGUMENTS_MAX: usize = 256;
/// One argument, in bytes: a path or a URL.
const ARGUMENT_BYTES_MAX: usize = 4096;
/// Files that one tool writes for `convert`.
const OUTPUTS_MAX: usize = 8;

/// What the worker may fill in, besides outputs.
const PLACEHOLDERS: [&str; 8] = [
    "target",
    "files",
    "rules",
    "target.url",
    "target.host",
    "target.port",
    "target.endpoint",
    "resolver",
];

/// One run of a tool that the plugin asks for; the worker decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRun {
    /// A name for the worker's catalogue: lower-case letters, digits, `-`, `_`, never a path.
    pub tool: String,
    /// One argument each; a placeholder is a whole element, or all of one after an option's `=`.
    pub args: Vec<String>,
    /// Files that become inputs of `convert`.
    pub outputs: Vec<ToolOutput>,
}

/// A file that the tool will write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// The NAME of `${out.NAME}`: a plain word, unique in its run.
    pub name: String,
    /// As the plugin declares it.
    pub media_type: String,
}

/// The plugin's runs if each is well formed, else `WrongAnswer` naming the rule.
pub(crate) fn checked(runs: Vec<wit::ToolRun>) -> Result<Vec<ToolRun>, ConvertFailure> {
    if runs.len() > RUNS_MAX {
        return Err(wrong(format!(
            "plan asks for {} tool runs, at most {RUNS_MAX} are allowed",
            runs.len()
        )));
    }
    runs.into_iter().map(checked_run).collect()
}

fn checked_run(run: wit::ToolRun) -> Result<ToolRun, ConvertFailure> {
    if !is_word(&run.tool) {
        return Err(wrong(format!(
            "tool name {:?} is not a plain word",
            shown(&run.tool)
        )));
    }
    if run.args.len() > ARGUMENTS_MAX || run.outputs.len() > OUTPUTS_MAX {
        return Err(wrong(format!(
            "a run of {} has {} arguments and {} outputs, at most {ARGUMENTS_MAX} and {OUTPUTS_MAX} are allowed",
            run.tool,
            run.args.len(),
            run.outputs.len()
        )));
    }
    let mut names = BTreeSet::new();
    for output in &run.outputs {
        if !is_word(&output.name) || !names.insert(output.name.as_str()) {
            return Err(wrong(format!(
                "output name {:?} is not a plain word of its own",
                shown(&output.name)
            )));
        }
        if output.media_type.len() > ARGUMENT_BYTES_MAX || output.media_type.contains(char::is_control) {
            return Err(wrong(format!("output {} has a bad media type", output.name)));
        }
    }
    for argument in &run.args {
        check_argument(argument, &names)?;
    }
    let outputs = run.outputs.into_iter().map(|output| ToolOutput {
        name: output.name,
        media_type: output.media_type,
    });
    Ok(ToolRun {
        tool: run.tool,
        outputs: outputs.collect(),
        args: run.args,
    })
}

fn check_argument(argument: &str, outputs: &BTreeSet<&str>) -> Result<(), ConvertFailure> {
    if argument.len() > ARGUMENT_BYTES_MAX || argument.contains(char::is_control) {
        return Err(wrong(format!(
            "argument {:?} has control characters or more than {ARGUMENT_BYTES_MAX} bytes",
            shown(argument)
        )));
    }
    if !argument.contains("${") {
        return Ok(());
    }
    // `--option=${…}`, for tools that want the two in one word
    let whole = match argument.split_once('=') {
        Some((option, rest)) if option.starts_with('-') && !option.contains("${") => rest,
        _ => argument,
    };
    let placeholder = whole.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let is_known = placeholder.is_some_and(|name| {
        let output = name.strip_prefix("out.");
        PLACEHOLDERS.contains(&name) || output.is_some_and(|name| outputs.contains(name))
    });
    if is_known {
        Ok(())
    } else {
        Err(wrong(format!(
            "argument {:?} is not one whole placeholder (${{out.NAME}} of a declared output, ${{{}}})",
            shown(argument),
            PLACEHOLDERS.join("}, ${")
        )))
    }
}

fn shown(text: &str) -> &str {
    tamiz_core::text::cut(text, 100)
}

fn wrong(message: String) -> ConvertFailure {
    ConvertFailure::WrongAnswer { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tool: &str, argument: &str) -> wit::ToolRun {
        wit::ToolRun {
            tool: tool.to_owned(),
            args: vec![argument.to_owned()],
            outputs: vec![wit::ToolOutput {
                name: "report".to_owned(),
                media_type: "application/json".to_owned(),
            }],
        }
    }

    #[test]
    fn a_plan_names_tools_and_whole_placeholders() {
        for argument in [
            "--json",
            "${target}",
            "${files}",
            "${rules}",
            "${out.report}",
            "--xml=${out.report}",
            "${target.endpoint}",
            "${resolver}",
            "$HOME",
        ] {
            assert!(checked(vec![run("semgrep", argument)]).is_ok(), "{argument}");
        }
    }

    #[test]
    fn a_path_as_tool_or_a_placeholder_inside_an_argument_is_refused() {
        for (tool, argument) in [
            ("/bin/sh", "-c"),
            ("../x", "a"),
            ("-rf", "a"),
            ("", "a"),
            ("semgrep", "--output=${out.report}x"),
            ("semgrep", "--output=${out.other}"),
            ("semgrep", "output=${out.report}"),
            ("semgrep", "--${target}=${out.report}"),
            ("semgrep", "${out.other}"),
            ("semgrep", "${target.secret}"),
            ("semgrep", "${env.HOME}"),
            ("semgrep", "${target}${target}"),
            ("semgrep", "a\0b"),
        ] {
            let refused = checked(vec![run(tool, argument)]);
            assert!(
                matches!(refused, Err(ConvertFailure::WrongAnswer { .. })),
                "{tool} {argument}"
            );
        }
    }
}
