//! Looks at a spool that came from elsewhere, before any row is written: every line is understood, within the
//! limits of the model, storable, and speaks of nothing that is not in the spool.
//!
//! Memory is one line and sixteen bytes for each finding.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;
use tamiz_core::identity::Lines;
use tamiz_core::limits::{
    EXTRA_BYTES_MAX, FINDINGS_PER_TASK_MAX, LABEL_BYTES_MAX, LIST_ITEMS_MAX, LOCATIONS_MAX,
    MESSAGE_BYTES_MAX, PLACE_BYTES_MAX, SNIPPET_BYTES_MAX,
};
use tamiz_core::location::Endpoint;
use tamiz_core::occurrence::content_hash;
use tamiz_core::text::is_storable_json;
use tamiz_core::{Finding, Location};

use super::{BUFFER_BYTES, Line, Mark, TAB};

/// One line in bytes: a hundred places with the largest snippets, each byte of it escaped, have two thirds.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Occurrences of one task: a report of them alone, of 100 bytes each, has 5 GB.
const OCCURRENCES_MAX: u32 = 50_000_000;
/// Extra values of one finding: those of a plugin and those of ours are bounded by [`EXTRA_BYTES_MAX`] each, and
/// JSON writes one byte as up to six.
const EXTRA_JSON_BYTES_MAX: usize = 16 * EXTRA_BYTES_MAX;
/// The best and worst of CVSS.
const SCORES: std::ops::RangeInclusive<f64> = 0.0..=10.0;

/// Why it is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolFlaw {
    /// The file cannot be read.
    #[error("it cannot be read back")]
    File(#[from] std::io::Error),
    /// Too long.
    #[error("line {line} has more than {LINE_BYTES_MAX} bytes")]
    Long { line: u64 },
    /// Not what a spool holds.
    #[error("line {line} is not understood: {why}")]
    Garbled { line: u64, why: String },
    /// Beyond a limit of the model, or a reference to something else.
    #[error("line {line}: {why}")]
    Bad { line: u64, why: &'static str },
}

/// How many findings and occurrences it holds.
///
/// # Errors
/// [`SpoolFlaw`] names the first line that is wrong.
pub(crate) fn judge(path: &Path) -> Result<(u32, u32), SpoolFlaw> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    let (mut text, mut number) = (Vec::new(), 0);
    let (mut known, mut occurrences) = (HashSet::new(), 0);
    loop {
        text.clear();
        number += 1;
        if file
            .by_ref()
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut text)?
            == 0
        {
            return Ok((u32::try_from(known.len()).unwrap_or(u32::MAX), occurrences));
        }
        if text.len() as u64 > LINE_BYTES_MAX {
            return Err(SpoolFlaw::Long { line: number });
        }
        let bad = |why| SpoolFlaw::Bad { line: number, why };
        match judge_line(&text, number)? {
            Line::Finding { id, cvss_score, .. } => {
                if cvss_score.is_some_and(|score| !SCORES.contains(&score)) {
                    return Err(bad("a score is between 0 and 10"));
                }
                if !known.insert(id) || known.len() > FINDINGS_PER_TASK_MAX as usize {
                    return Err(bad("a finding stands there twice, or there are too many"));
                }
            }
            Line::Occurrence { of, locations, .. } => {
                check_places(&locations).map_err(bad)?;
                occurrences += 1;
                if !known.contains(&of) || occurrences > OCCURRENCES_MAX {
                    return Err(bad(
                        "an occurrence of no finding before it, or there are too many",
                    ));
                }
            }
        }
    }
}

fn judge_line(text: &[u8], number: u64) -> Result<Line, SpoolFlaw> {
    let garbled = |why: String| SpoolFlaw::Garbled { line: number, why };
    let bad = |why| SpoolFlaw::Bad { line: number, why };
    let text = std::str::from_utf8(text).map_err(|error| garbled(error.to_string()))?;
    let Some(text) = text.strip_suffix('\n') else {
        return Err(bad("it has no end"));
    };
    let (head, said) = text.split_once(char::from(TAB)).unwrap_or((text, ""));
    let value: Value = serde_json::from_str(head).map_err(|error| garbled(error.to_string()))?;
    if !is_storable_json(&value) {
        return Err(bad("a text has a NUL"));
    }
    let line = serde_json::from_value(value).map_err(|error| garbled(error.to_string()))?;
    match &line {
        Line::Finding { mark, .. } => {
            let value: Value = serde_json::from_str(said).map_err(|error| garbled(error.to_string()))?;
            if !is_storable_json(&value) {
                return Err(bad("a text has a NUL"));
            }
            let finding = serde_json::from_value(value).map_err(|error| garbled(error.to_string()))?;
            check_finding(&finding).map_err(bad)?;
            let source = Lines::from_bytes(&mark.lines);
            if source.is_none() != mark.lines.is_empty() {
                return Err(bad("the lines of its source are not understood"));
            }
            if *mark != Mark::of(&finding, content_hash(said.as_bytes()), source) {
                return Err(bad("a finding is not known by what it says"));
            }
        }
        Line::Occurrence { .. } if !said.is_empty() => return Err(bad("an occurrence ends where it ends")),
        Line::Occurrence { .. } => {}
    }
    Ok(line)
}

fn check_finding(finding: &Finding) -> Result<(), &'static str> {
    let Finding {
        tool,
        rule_id,
        rule_name,
        title,
        message,
        severity: _,
        severity_raw,
        confidence: _,
        category,
        locations,
        cwe,
        cve,
        cvss_vector,
        references,
        tags,
        remediation,
        tool_fingerprint,
        origin: _,
        extra,
    } = finding;
    let labels = [Some(tool), Some(rule_id), Some(title)];
    let optional = [rule_name, severity_raw, category, cvss_vector, tool_fingerprint].map(Option::as_ref);
    let mut labels = labels.into_iter().chain(optional).flatten();
    if labels.any(|label| label.len() > LABEL_BYTES_MAX) {
        return Err("a label is too long");
    }
    let texts = [Some(message), remediation.as_ref()];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.len() > MESSAGE_BYTES_MAX)
    {
        return Err("a message is too long");
    }
    let lists = [cve, references, tags];
    if cwe.len() > LIST_ITEMS_MAX || lists.iter().any(|list| list.len() > LIST_ITEMS_MAX) {
        return Err("a list is too long");
    }
    if lists
        .iter()
        .any(|list| list.iter().any(|item| item.len() > PLACE_BYTES_MAX))
    {
        return Err("an item of a list is too long");
    }
    if serde_json::to_vec(extra).map_or(usize::MAX, |json| json.len()) > EXTRA_JSON_BYTES_MAX {
        return Err("the extra values are too large");
    }
    check_places(locations)
}

fn check_places(locations: &[Location]) -> Result<(), &'static str> {
    if locations.len() > LOCATIONS_MAX {
        return Err("there are too many places");
    }
    if !locations.iter().all(fits) {
        return Err("a text of a place is too long");
    }
    Ok(())
}

fn fits(location: &Location) -> bool {
    let within = |text: &Option<String>, bytes_max| text.as_ref().is_none_or(|text| text.len() <= bytes_max);
    let endpoint = |of: &Endpoint| of.host.len() <= PLACE_BYTES_MAX && within(&of.protocol, PLACE_BYTES_MAX);
    match location {
        Location::File { path, snippet, .. } => {
            path.len() <= PLACE_BYTES_MAX && within(snippet, SNIPPET_BYTES_MAX)
        }
        Location::Url {
            url,
            method,
            parameter,
            evidence,
        } => {
            url.len() <= PLACE_BYTES_MAX
                && [method, parameter]
                    .into_iter()
                    .all(|text| within(text, PLACE_BYTES_MAX))
                && within(evidence, SNIPPET_BYTES_MAX)
        }
        Location::Endpoint(of) => endpoint(of),
        Location::Domain { name, record_type } => {
            name.len() <= PLACE_BYTES_MAX && within(record_type, PLACE_BYTES_MAX)
        }
        Location::Flow {
            source, destination, ..
        } => endpoint(source) && endpoint(destination),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tamiz_core::FindingId;

    use super::*;

    fn finding(id: FindingId, change: impl FnOnce(&mut Value)) -> String {
        let mut said = json!({
            "tool": "t", "rule_id": "r", "rule_name": null, "title": "a", "message": "m", "severity": "high",
            "severity_raw": null, "confidence": "low", "category": null, "locations": [], "cwe": [], "cve": [],
            "cvss_vector": null, "references": [], "tags": [], "remediation": null, "tool_fingerprint": null,
            "origin": null, "extra": {}
        });
        change(&mut said);
        let text = said.to_string();
        // of what cannot be read, the mark is that of something else
        said["severity"] = "high".into();
        let mark = Mark::of(
            &serde_json::from_value(said).unwrap(),
            content_hash(text.as_bytes()),
            None,
        );
        let head = json!({ "finding": { "id": id, "mark": mark, "cvss_score": 5.5 } });
        format!("{head}\t{text}\n")
    }

    fn occurrence(of: FindingId) -> String {
        let line = json!({ "occurrence": { "of": of, "ordinal": 1, "locations": [], "origin": null } });
        format!("{line}\n")
    }

    fn of(text: &str) -> Result<(u32, u32), SpoolFlaw> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        std::fs::write(&path, text).unwrap();
        judge(&path)
    }

    #[test]
    fn what_a_worker_writes_is_counted() {
        let (one, other) = (FindingId::fresh(), FindingId::fresh());
        let text = [
            finding(one, |_| {}),
            occurrence(one),
            finding(other, |_| {}),
            occurrence(one),
        ]
        .concat();
        assert_eq!(of(&text).unwrap(), (2, 2));
        assert_eq!(of("").unwrap(), (0, 0));
    }

    #[test]
    fn what_no_plugin_of_ours_can_bring_is_refused_with_its_line() {
        let id = FindingId::fresh();
        let good = finding(id, |_| {});
        let many = vec![Value::from("x"); LIST_ITEMS_MAX + 1];
        for (bad, why) in [
            (good.clone(), "twice"),
            (
                finding(FindingId::fresh(), |said| said["title"] = "\0".into()),
                "NUL",
            ),
            (
                finding(FindingId::fresh(), |said| {
                    said["title"] = "x".repeat(LABEL_BYTES_MAX + 1).into();
                }),
                "label",
            ),
            (
                finding(FindingId::fresh(), |said| {
                    said["message"] = "x".repeat(MESSAGE_BYTES_MAX + 1).into();
                }),
                "message",
            ),
            (
                finding(FindingId::fresh(), |said| said["tags"] = many.clone().into()),
                "list",
            ),
            (
                finding(FindingId::fresh(), |said| {
                    let path = "x".repeat(PLACE_BYTES_MAX + 1);
                    said["locations"] = json!([{ "kind": "file", "path": path }]);
                }),
                "place",
            ),
            (
                finding(FindingId::fresh(), |said| said["severity"] = "worst".into()),
                "understood",
            ),
            (
                finding(FindingId::fresh(), |_| {}).replace("5.5", "11.0"),
                "score",
            ),
            (
                finding(FindingId::fresh(), |_| {}).replace("\"plain\"", "\"code\""),
                "known by",
            ),
            (occurrence(FindingId::fresh()), "no finding"),
            (occurrence(id).replace('\n', "\t{}\n"), "ends"),
            ("{}\n".to_owned(), "understood"),
            ("x".to_owned(), "no end"),
        ] {
            let flaw = of(&format!("{good}{bad}")).unwrap_err().to_string();
            assert!(flaw.contains("line 2") && flaw.contains(why), "{why}: {flaw}");
        }
    }
}
