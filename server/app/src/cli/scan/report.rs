//! The findings of a scan, sorted and counted, and the JSON document of `--format json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tamiz_core::severity::Severity;
use tamiz_core::text::printable;
use tamiz_core::{Location, ScanType};

use super::documents::Project;

/// The version of the JSON document; raised when a field changes its meaning or goes away.
const JSON_VERSION: u32 = 1;

/// One finding, as the API tells it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Finding {
    pub(in crate::cli) id: String,
    #[serde(deserialize_with = "severity")]
    pub(in crate::cli) severity: Severity,
    pub(in crate::cli) rule_id: String,
    pub(in crate::cli) title: String,
    pub(in crate::cli) message: String,
    pub(in crate::cli) file: Option<String>,
    pub(in crate::cli) line: Option<u64>,
    pub(in crate::cli) end_line: Option<u64>,
    /// the place in one word, for findings that are in no file
    #[serde(default)]
    pub(in crate::cli) location: Option<String>,
    #[serde(deserialize_with = "cwe")]
    pub(in crate::cli) cwe: Vec<u32>,
    pub(in crate::cli) cve: Vec<String>,
    #[serde(default)]
    pub(in crate::cli) cvss_score: Option<f64>,
    pub(in crate::cli) tool: String,
    pub(in crate::cli) confidence: Option<String>,
    pub(in crate::cli) fingerprint: String,
    /// further records of the report that say the same
    #[serde(default)]
    pub(in crate::cli) occurrence_count: u64,
    /// what only SARIF has room for
    #[serde(flatten, skip_serializing)]
    pub(in crate::cli) more: More,
}

/// What else a finding says: asked for when it is to be written as SARIF.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::cli) struct More {
    pub(in crate::cli) rule_name: Option<String>,
    pub(in crate::cli) severity_raw: Option<String>,
    pub(in crate::cli) category: Option<String>,
    pub(in crate::cli) cvss_vector: Option<String>,
    pub(in crate::cli) remediation: Option<String>,
    pub(in crate::cli) tool_fingerprint: Option<String>,
    pub(in crate::cli) references: Vec<String>,
    pub(in crate::cli) tags: Vec<String>,
    pub(in crate::cli) locations: Vec<Location>,
    pub(in crate::cli) extra: Map<String, Value>,
}

fn severity<'a, D: serde::Deserializer<'a>>(deserializer: D) -> Result<Severity, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

/// Numbers, or words such as `CWE-79`.
fn cwe<'a, D: serde::Deserializer<'a>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Cwe {
        Number(u32),
        Word(String),
    }
    let found = Vec::<Cwe>::deserialize(deserializer)?;
    Ok(found
        .into_iter()
        .filter_map(|cwe| match cwe {
            Cwe::Number(number) => Some(number),
            Cwe::Word(word) => word.to_ascii_uppercase().trim_start_matches("CWE-").parse().ok(),
        })
        .collect())
}

impl Finding {
    /// Without anything a terminal would obey: a finding quotes the scanned code.
    pub(in crate::cli) fn clean(mut self) -> Finding {
        let texts = [
            &mut self.rule_id,
            &mut self.title,
            &mut self.message,
            &mut self.tool,
            &mut self.fingerprint,
        ];
        for text in texts
            .into_iter()
            .chain(&mut self.file)
            .chain(&mut self.location)
            .chain(&mut self.cve)
            .chain(&mut self.confidence)
        {
            let safe: String = printable(text)
                .chars()
                .filter(|character| !reorders(*character))
                .collect();
            *text = safe;
        }
        if let Some(confidence) = &mut self.confidence {
            confidence.make_ascii_lowercase();
        }
        self
    }

    /// `file:line`, `file`, a place that is no file, or nothing.
    pub(in crate::cli) fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            (None, _) => self.location.clone().unwrap_or_default(),
        }
    }
}

/// Characters that make text read in another order than it is stored ("Trojan Source").
fn reorders(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// What a scan found.
#[derive(Debug)]
pub(in crate::cli) struct Report {
    pub(in crate::cli) task: String,
    pub(in crate::cli) scan_type: ScanType,
    pub(in crate::cli) project: Project,
    pub(in crate::cli) status: String,
    pub(in crate::cli) error: Option<String>,
    /// `complete`, `truncated` or `partial`, of a task with a result
    pub(in crate::cli) completeness: Option<String>,
    pub(in crate::cli) findings: Vec<Finding>,
}

impl Report {
    pub(in crate::cli) fn new(task: &str, scan_type: ScanType, project: Project) -> Report {
        Report {
            task: task.to_owned(),
            scan_type,
            project,
            status: String::new(),
            error: None,
            completeness: None,
            findings: Vec::new(),
        }
    }

    /// Worst first, then by file, line and rule.
    pub(in crate::cli) fn sort(&mut self) {
        self.findings.sort_by(|left, right| {
            let worst = right.severity.cmp(&left.severity);
            worst
                .then_with(|| left.file.cmp(&right.file))
                .then_with(|| left.line.cmp(&right.line))
                .then_with(|| left.location.cmp(&right.location))
                .then_with(|| left.rule_id.cmp(&right.rule_id))
                .then_with(|| left.id.cmp(&right.id))
        });
    }

    /// How many findings have that severity.
    pub(in crate::cli) fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Records that say what one of the findings says.
    fn occurrences(&self) -> u64 {
        self.findings.iter().map(|finding| finding.occurrence_count).sum()
    }

    /// `3 findings: 0 critical, 1 high, 2 medium, 0 low, 0 info`; `3 findings, 2 more at the same place: …`
    /// where the report says some again.
    pub(in crate::cli) fn summary(&self) -> String {
        let counts: Vec<String> = Severity::ALL
            .into_iter()
            .rev()
            .map(|severity| format!("{} {severity}", self.count(severity)))
            .collect();
        let total = self.findings.len();
        let more = match self.occurrences() {
            0 => String::new(),
            more => format!(", {more} more at the same place"),
        };
        format!(
            "{total} {}{more}: {}",
            if total == 1 { "finding" } else { "findings" },
            counts.join(", ")
        )
    }

    /// The document of `--format json`.
    pub(in crate::cli) fn to_json(&self) -> Value {
        let counts: Map<String, Value> = Severity::ALL
            .into_iter()
            .map(|severity| (severity.as_str().to_owned(), json!(self.count(severity))))
            .collect();
        json!({
            "version": JSON_VERSION,
            "task": { "id": self.task, "status": self.status, "completeness": self.completeness },
            "project": { "id": self.project.id, "name": self.project.name },
            "summary": { "total": self.findings.len(), "occurrences": self.occurrences(), "bySeverity": counts },
            "findings": self.findings,
        })
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use super::*;

    /// Three findings of two tools, unsorted, one of them hostile.
    pub(in super::super) fn sample() -> Report {
        let finding = |value: Value| serde_json::from_value::<Finding>(value).unwrap().clean();
        let project = Project {
            id: "p1".to_owned(),
            name: "shop".to_owned(),
        };
        let mut report = Report::new("t1", ScanType::parse("codeaudit").unwrap(), project);
        "completed".clone_into(&mut report.status);
        report.completeness = Some("complete".to_owned());
        report.findings = vec![
            finding(json!({
                "id": "f1", "severity": "MEDIUM", "ruleId": "py.md5", "title": "Weak hash",
                "message": "md5 is broken", "file": "b dir/ä.py", "line": 3, "endLine": 4, "cwe": [327],
                "cve": [], "tool": "semgrep", "confidence": "HIGH", "fingerprint": "aa", "createdAt": "x"
            })),
            finding(json!({
                "id": "f2", "severity": "CRITICAL", "ruleId": "py.eval", "title": "Eval \u{1b}[31mred\u{1b}[0m",
                "message": "eval of\ninput \u{202e}evil", "file": "a.py", "line": 10, "endLine": null,
                "cwe": ["CWE-95", "CWE-94"], "cve": ["CVE-2020-1"], "cvssScore": 9.8, "tool": "semgrep", "confidence": null,
                "fingerprint": "bb", "occurrenceCount": 2
            })),
            finding(json!({
                "id": "f3", "severity": "INFO", "ruleId": "dep.old", "title": "Old dependency", "message": "old",
                "file": null, "line": null, "endLine": null, "cwe": [], "cve": [], "tool": "other",
                "location": "https://shop.example/\u{1b}",
                "confidence": "LOW", "fingerprint": "cc"
            })),
        ];
        report.sort();
        report
    }

    #[test]
    fn findings_are_sorted_counted_and_cleaned() {
        let report = sample();
        let ids: Vec<&str> = report
            .findings
            .iter()
            .map(|finding| finding.id.as_str())
            .collect();
        assert_eq!(ids, ["f2", "f1", "f3"]);
        assert_eq!(
            report.summary(),
            "3 findings, 2 more at the same place: 1 critical, 0 high, 1 medium, 0 low, 1 info"
        );
        let hostile = &report.findings[0];
        assert_eq!(hostile.title, "Eval [31mred[0m");
        assert_eq!(hostile.message, "eval of\ninput evil");
        assert_eq!(hostile.cwe, [95, 94]);
        assert_eq!(report.findings[2].place(), "https://shop.example/");
    }

    #[test]
    fn the_json_document_keeps_its_shape() {
        insta::assert_json_snapshot!(sample().to_json());
    }
}
