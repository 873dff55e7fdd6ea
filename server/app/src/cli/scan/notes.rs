//! What a task tells beside its findings: that its result is a part only, and what its reader must know.
//!
//! Told on standard error, because a scan that found nothing where its tools were missing or ran out of
//! time must not look like a clean one.

use serde::Deserialize;
use serde_json::json;

use super::super::CliError;
use super::client::{Client, Repeat};
use super::progress::Progress;

/// A reader takes in some lines; the others are counted, and the server has them all.
const NOTES_SHOWN_MAX: usize = 20;

const SCAN_RESULT: &str = "\
query($id: ID!) {
  task(id: $id) { scanResult { completeness diagnostics { level code message } diagnosticsDropped } }
}";

/// What is told of one task.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notes {
    completeness: String,
    diagnostics: Vec<Note>,
    diagnostics_dropped: u64,
}

#[derive(Debug, Deserialize)]
struct Note {
    level: String,
    code: String,
    message: String,
}

/// What a task that has ended tells; nothing of one without a result.
pub(super) async fn read(client: &Client, task: &str) -> Result<Option<Notes>, CliError> {
    #[derive(Deserialize)]
    struct Found {
        task: Option<Told>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        #[serde(default)]
        scan_result: Option<Notes>,
    }
    let found: Found = client
        .graphql(SCAN_RESULT, json!({ "id": task }), Repeat::Always)
        .await?;
    Ok(found.task.and_then(|task| task.scan_result))
}

impl Notes {
    /// Warns of what matters.
    pub(super) fn tell(&self, progress: &Progress) {
        for line in self.lines() {
            progress.warn(&line);
        }
    }

    /// As the JSON document says it.
    pub(super) fn completeness(&self) -> String {
        self.completeness.to_ascii_lowercase()
    }

    fn lines(&self) -> Vec<String> {
        let matters = |note: &&Note| matches!(note.level.as_str(), "warn" | "error");
        let told: Vec<&Note> = self.diagnostics.iter().filter(matters).collect();
        let mut lines: Vec<String> = told
            .iter()
            .take(NOTES_SHOWN_MAX)
            .map(|note| format!("{}: {}", note.code, note.message))
            .collect();
        let more = told.len().saturating_sub(NOTES_SHOWN_MAX) as u64 + self.diagnostics_dropped;
        if more > 0 {
            lines.push(format!("{more} more diagnostics are in the task's result"));
        }
        if self.completeness() != "complete" {
            let what = "what is not among the findings may be there all the same";
            lines.push(format!("the result is {}: {what}", self.completeness()));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(completeness: &str, count: usize, dropped: u64) -> Notes {
        let note = |number: usize| Note {
            level: if number == 0 { "info" } else { "warn" }.to_owned(),
            code: "tool-failed".to_owned(),
            message: number.to_string(),
        };
        Notes {
            completeness: completeness.to_owned(),
            diagnostics: (0..count).map(note).collect(),
            diagnostics_dropped: dropped,
        }
    }

    #[test]
    fn a_part_is_told_and_a_whole_result_says_nothing() {
        assert!(notes("COMPLETE", 1, 0).lines().is_empty());
        let lines = notes("PARTIAL", 2, 0).lines();
        assert_eq!(lines[0], "tool-failed: 1");
        assert!(lines[1].starts_with("the result is partial"), "{lines:?}");
    }

    #[test]
    fn a_flood_of_notes_is_cut_and_counted() {
        let lines = notes("COMPLETE", 24, 7).lines();
        assert_eq!(lines.len(), NOTES_SHOWN_MAX + 1);
        assert_eq!(
            lines[NOTES_SHOWN_MAX],
            "10 more diagnostics are in the task's result"
        );
    }
}
