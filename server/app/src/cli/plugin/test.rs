//! `tamiz plugin test`: the real host over a project's cases.

use std::path::PathBuf;

use clap::Args;

use tamiz_core::text::printable;
use tamiz_host::Plugin;

use super::super::{CliError, answer};
use super::build;
use crate::author::Project;
use crate::author::cases::{self, Checked, Verdict};
use crate::config::Config;

/// Which project, and what to do with its answers.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Write what each input gives as what is expected of it
    #[arg(long)]
    bless: bool,
    /// Test the component that is there, whatever its sources are now
    #[arg(long)]
    no_build: bool,
}

pub(super) fn run(args: &TestArgs, config: &Config) -> Result<(), CliError> {
    let project = Project::open(&args.folder).map_err(|error| CliError::failed(&error))?;
    let plugin = if args.no_build {
        build::load(&project, config)?
    } else {
        build::build(&project, config)?.0
    };
    let checked = check(&project, &plugin, config, args.bless)?;
    let bad = checked.iter().filter(|case| !case.is_good()).count();
    answer::print_line(&format!("{} cases passed, {bad} failed", checked.len() - bad))?;
    if bad == 0 {
        return Ok(());
    }
    Err(CliError::Failed(
        "look at what changed; `tamiz plugin test --bless` makes it what is expected".to_owned(),
    ))
}

fn check(project: &Project, plugin: &Plugin, config: &Config, bless: bool) -> Result<Vec<Checked>, CliError> {
    let failed = |error: &dyn std::error::Error| CliError::failed(error);
    let mut all = Vec::new();
    for case in cases::find(&project.cases()).map_err(|error| failed(&error))? {
        let report = crate::cli::unpacked::open(&case.path)
            .map_err(|error| CliError::Failed(format!("cannot read {}: {error}", case.path.display())))?;
        let limits = super::run::limits(config);
        let checked = cases::check(plugin, &case, &report, &limits, bless).map_err(|error| failed(&error))?;
        answer::print(&shown(&checked))?;
        all.push(checked);
    }
    Ok(all)
}

/// One line for a case that is as it should be, more for another.
fn shown(checked: &Checked) -> String {
    let Checked { name, summary, .. } = checked;
    let summary = printable(summary);
    let mut lines = vec![match &checked.verdict {
        Verdict::Same => format!("ok        {name}: {summary}"),
        Verdict::Blessed => format!("blessed   {name}: {summary}"),
        Verdict::Different(_) => format!("FAILED    {name}: {summary}"),
        Verdict::Unexpected => {
            format!("FAILED    {name}: {summary}, and nothing is expected: there is no {name}.expected.json")
        }
    }];
    if let Verdict::Different(difference) = &checked.verdict {
        lines.extend(difference.lines().map(|line| format!("    {line}")));
    }
    let logged = checked.log.iter().flat_map(|entry| entry.lines());
    lines.extend(logged.map(|line| format!("    log | {}", printable(line))));
    lines.push(match &checked.half {
        Some(crash) => format!("FAILED    {name}, cut in half: {}", printable(crash)),
        None => format!("ok        {name}, cut in half: no crash"),
    });
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(verdict: Verdict, half: Option<&str>) -> Checked {
        Checked {
            name: "a.json".to_owned(),
            summary: "1 findings, 0 skipped, complete".to_owned(),
            verdict,
            half: half.map(str::to_owned),
            log: vec!["error: at\nline 7".to_owned()],
        }
    }

    #[test]
    fn a_case_is_told_with_its_half_and_its_difference() {
        let good = checked(Verdict::Same, None);
        assert!(good.is_good());
        assert!(shown(&good).contains("    log | error: at\n    log | line 7\n"));
        let different = checked(Verdict::Different("-old\n+new".to_owned()), None);
        assert!(!different.is_good());
        assert!(shown(&different).contains("    -old\n    +new\n"));
        let crashed = checked(Verdict::Same, Some("the plugin crashed"));
        assert!(!crashed.is_good());
        assert!(shown(&crashed).contains("FAILED    a.json, cut in half: the plugin crashed"));
    }
}
