//! What the plans of plugins for reports have in common: the option `profile`, and runs of tools.

use super::options::Options;
use crate::model::{PlanError, ToolOutput, ToolRun};

/// How much a scan does: the option `profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A look.
    Quick,
    /// What is worth its time.
    Standard,
    /// Everything that the worker has.
    Deep,
}

impl Profile {
    /// The profile that a task's options ask for, or `usual` when they ask for none.
    ///
    /// # Errors
    /// Another word, named as what does not fit `plugin`'s schema.
    pub fn of(options: &Options, plugin: &str, usual: Self) -> Result<Self, String> {
        match options.text("profile") {
            None => Ok(usual),
            Some("quick") => Ok(Self::Quick),
            Some("standard") => Ok(Self::Standard),
            Some("deep") => Ok(Self::Deep),
            Some(other) => Err(format!(
                "options do not fit {plugin}'s schema: `{other}` is no profile, which is quick, standard or deep"
            )),
        }
    }

    /// As [`Profile::of`], for a plan.
    ///
    /// # Errors
    /// [`PlanError::BadOptions`] for another word.
    pub fn planned(options: &Options, plugin: &str, usual: Self) -> Result<Self, PlanError> {
        Self::of(options, plugin, usual).map_err(PlanError::BadOptions)
    }
}

/// A run of a tool with one output, which is converted: the NAME of `${out.NAME}`, or `stdout`.
pub fn tool_run(tool: &str, args: &[&str], output: &str, media_type: &str) -> ToolRun {
    ToolRun {
        tool: tool.to_owned(),
        args: args.iter().map(|&argument| argument.to_owned()).collect(),
        outputs: vec![ToolOutput {
            name: output.to_owned(),
            media_type: media_type.to_owned(),
        }],
    }
}
