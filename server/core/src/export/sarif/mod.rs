//! SARIF 2.1.0 (OASIS), within what GitHub's code scanning takes.
//!
//! A run is of one tool, and every run has a category of its own in `automationDetails`, because GitHub refuses two
//! of a kind. Rules stand behind the results, where all is known that they have in common; a rule says only what
//! all its results in the run say. What SARIF has no field for stands in the property bags under `tamiz`: of a
//! result, of a place, of a suppression.
//!
//! GitHub refuses a whole file for one result without a file: what is nowhere, or on the network, gets a relative
//! URI as a stand-in, and its place as it is beside it. It heeds neither `suppressions` nor `baselineState`: give this
//! writer only what should be open there.
//!
//! Under `tamiz` stands, where it is not said elsewhere: of a result its `id`, `state`, `severity` (as people work with
//! it), `reportedSeverity`, `severityRaw`, `cvssScore`, `scanType`, `toolVersion`, `title`, `message`, `ruleName`,
//! `remediation`, `cve`, `cwe`, `tags`, `toolFingerprint`, `origin`, and what is left of `extra`; of a place `standsIn`
//! (there is none), `place` (it, as the model has it), `further` (the alert's, not the finding's); of a suppression its
//! `kind` in the tool's word, or the `dismissal`.

mod extras;
mod places;
mod result;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::json;

use super::{Exported, Head, Writer, set, write};
use rules::Rules;

/// The standard's, errata 01.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The driver of the run of an export without alerts: a document without a run would say that nothing ran.
const NOBODY: &str = "tamiz";

/// How much goes into one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Runs of one file.
    pub runs_per_file: usize,
    /// Results of one run.
    pub results_per_run: usize,
    /// Rules of one run.
    pub rules_per_run: usize,
    /// Text of one run's rules, in bytes: it is kept in memory until the run's end.
    pub rule_bytes_per_run: usize,
    /// After this many bytes a file ends.
    pub bytes_per_file: usize,
}

impl Limits {
    /// GitHub's documented ones. A file may have 10 MB as gzip, of which SARIF makes a tenth to a twentieth; a sixth
    /// is assumed.
    pub const GITHUB: Self = Self {
        runs_per_file: 20,
        results_per_run: 25_000,
        rules_per_run: 25_000,
        rule_bytes_per_run: 16 * 1024 * 1024,
        bytes_per_file: 60 * 1000 * 1000,
    };
}

/// Writes SARIF.
#[derive(Debug)]
pub struct Sarif {
    head: Head,
    limits: Limits,
    /// Runs begun in the open file.
    runs: usize,
    /// Bytes of the open file so far.
    bytes: usize,
    /// The open one.
    run: Option<Run>,
    /// The last run's tool, and which of its runs it was, from 1.
    last: Option<(String, u32)>,
}

/// A run whose results are being written.
#[derive(Debug)]
struct Run {
    tool: String,
    version: Option<String>,
    results: usize,
    rules: Rules,
    weaknesses: BTreeSet<u32>,
}

impl Sarif {
    /// Nothing is written before [`Writer::begin`].
    pub const fn new(head: Head, limits: Limits) -> Self {
        Self {
            head,
            limits,
            runs: 0,
            bytes: 0,
            run: None,
            last: None,
        }
    }

    /// The same behind files that another writer ended with a run of this tool, its `part`th: parts are numbered on,
    /// because GitHub replaces a run by a later one of the same category.
    pub fn continued(head: Head, limits: Limits, tool: String, part: u32) -> Self {
        Self {
            last: Some((tool, part)),
            ..Self::new(head, limits)
        }
    }

    /// How many runs the tool has so far, if the last run is of it.
    pub fn parts_of(&self, tool: &str) -> u32 {
        let last = self.last.as_ref().filter(|(last, _)| last == tool);
        last.map_or(0, |(_, part)| *part)
    }

    /// Whether the open run takes this alert.
    fn has_room_in_run(&self, alert: &Exported) -> bool {
        self.run.as_ref().is_some_and(|run| {
            let rule_fits = run.rules.has(&alert.finding.rule_id)
                || (run.rules.count() < self.limits.rules_per_run
                    && run.rules.bytes() < self.limits.rule_bytes_per_run);
            run.tool == alert.finding.tool && run.results < self.limits.results_per_run && rule_fits
        })
    }

    fn begin_run(&mut self, tool: &str, version: Option<&str>, out: &mut Vec<u8>) {
        let part = match &self.last {
            Some((last, part)) if last == tool => part + 1,
            _ => 1,
        };
        self.last = Some((tool.to_owned(), part));
        if self.runs > 0 {
            out.push(b',');
        }
        self.runs += 1;
        let details = json!({ "id": category(&self.head, tool, part) });
        out.extend_from_slice(b"\n{\"automationDetails\":");
        write(out, &details);
        out.extend_from_slice(b",\"columnKind\":\"unicodeCodePoints\",\"results\":[");
        self.run = Some(Run {
            tool: tool.to_owned(),
            version: version.map(str::to_owned),
            results: 0,
            rules: Rules::default(),
            weaknesses: BTreeSet::new(),
        });
    }

    fn end_run(&mut self, out: &mut Vec<u8>) {
        let Some(run) = self.run.take() else { return };
        out.extend_from_slice(b"]");
        let mut driver = json!({ "name": run.tool });
        set(&mut driver, "version", run.version);
        if !run.weaknesses.is_empty() {
            driver["supportedTaxonomies"] = json!([rules::taxonomy_reference()]);
            out.extend_from_slice(b",\"taxonomies\":");
            write(out, &json!([rules::taxonomy(&run.weaknesses)]));
        }
        out.extend_from_slice(b",\"tool\":{\"driver\":");
        write(out, &driver);
        // the rules follow as the last member, one by one: together they may be large
        out.pop();
        out.extend_from_slice(b",\"rules\":[");
        for (index, rule) in run.rules.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
            write(out, &rule.descriptor());
        }
        out.extend_from_slice(b"]}}}");
    }
}

impl Writer for Sarif {
    fn begin(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        (self.runs, self.run) = (0, None);
        out.extend_from_slice(b"{\"$schema\":");
        write(out, &json!(SCHEMA));
        out.extend_from_slice(b",\"version\":\"2.1.0\",\"runs\":[");
        self.bytes = out.len() - before;
    }

    fn next_file_before(&self, alert: &Exported) -> bool {
        let rules = self.run.as_ref().map_or(0, |run| run.rules.bytes());
        let is_long = self.bytes + rules >= self.limits.bytes_per_file;
        let needs_run = !self.has_room_in_run(alert);
        self.runs > 0 && (is_long || (needs_run && self.runs >= self.limits.runs_per_file))
    }

    fn alert(&mut self, alert: &Exported, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if !self.has_room_in_run(alert) {
            self.end_run(out);
            self.begin_run(&alert.finding.tool, alert.tool_version.as_deref(), out);
        }
        if let Some(run) = &mut self.run {
            if run.results > 0 {
                out.push(b',');
            }
            out.push(b'\n');
            run.results += 1;
            run.weaknesses.extend(&alert.finding.cwe);
            let (index, rule) = run.rules.add(alert);
            write(out, &result::result(alert, index, rule, run.version.as_deref()));
        }
        self.bytes += out.len() - before;
        true
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.end_run(out);
        if self.runs == 0 {
            self.begin_run(NOBODY, None, out);
            self.end_run(out);
        }
        out.extend_from_slice(b"\n]}\n");
    }
}

/// What GitHub tells analyses apart by, up to the last slash; behind it stands the run. A tool's later parts are
/// numbered, the same in every export.
fn category(head: &Head, tool: &str, part: u32) -> String {
    let run = head.run.replace('/', "-");
    match part {
        1 => format!("tamiz/{}/{tool}/{run}", head.project),
        _ => format!("tamiz/{}/{tool}/part-{part}/{run}", head.project),
    }
}
