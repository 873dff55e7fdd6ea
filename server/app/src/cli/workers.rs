//! `tamiz worker list`: the register of workers, for the operator.

use serde_json::Value;
use tamiz_core::text::printable;
use tamiz_store::worker::{WorkerRow, WorkerState};

use super::operator::{away, with_store};
use super::{CliError, ConfigFlags, answer};

/// Tools that a line names; the rest is counted.
const TOOLS_SHOWN: usize = 4;
const HEAD: [&str; 11] = [
    "NAME",
    "HOST",
    "STATE",
    "SLOTS",
    "FREE",
    "DONE",
    "FAILED",
    "RESTARTS",
    "LAST HEARD",
    "VERSION",
    "TOOLS",
];

pub(super) async fn list(flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    let workers = with_store(&config, async |store| store.workers().await.map_err(away)).await?;
    answer::print(&table(&workers))
}

fn table(workers: &[WorkerRow]) -> String {
    let rows: Vec<[String; 11]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(workers.iter().map(row))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}  "));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
        // the reason has no column: most workers have none
        if let Some(worker) = index.checked_sub(1).and_then(|index| workers.get(index))
            && matches!(worker.state, WorkerState::Error | WorkerState::Offline)
            && let Some(reason) = &worker.last_error
        {
            text.push_str("    ");
            text.push_str(&one_line(reason));
            text.push('\n');
        }
    }
    text
}

fn row(worker: &WorkerRow) -> [String; 11] {
    [
        one_line(&worker.name),
        one_line(&worker.host),
        worker.state.as_str().to_owned(),
        worker.slots.to_string(),
        worker.free_slots.to_string(),
        worker.tasks_done.to_string(),
        worker.tasks_failed.to_string(),
        worker.restarts.to_string(),
        worker.heartbeat_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        one_line(&worker.version),
        tools(&worker.capabilities),
    ]
}

/// What a worker says of itself came over a network, and a terminal obeys escape sequences.
fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

fn tools(capabilities: &Value) -> String {
    let tools = capabilities["tools"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let named = |tool: &Value| {
        let name = one_line(tool["name"].as_str().unwrap_or("?"));
        match tool["version"].as_str() {
            Some(version) => format!("{name} {}", one_line(version)),
            None => name,
        }
    };
    let mut words: Vec<String> = tools.iter().take(TOOLS_SHOWN).map(named).collect();
    if tools.len() > TOOLS_SHOWN {
        words.push(format!("{} more", tools.len() - TOOLS_SHOWN));
    }
    if words.is_empty() {
        return "none".to_owned();
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use tamiz_core::WorkerId;

    use super::*;

    #[test]
    fn a_worker_is_a_line_and_one_that_cannot_work_says_why() {
        let worker = WorkerRow {
            id: WorkerId::fresh(),
            name: "build7-abc".to_owned(),
            host: "build7".to_owned(),
            process_id: 42,
            version: "1.2.3".to_owned(),
            state: WorkerState::Error,
            slots: 4,
            free_slots: 3,
            tasks_done: 7,
            tasks_failed: 1,
            restarts: 2,
            last_error: Some("the scratch\u{7}\nfolder is full".to_owned()),
            last_error_at: None,
            capabilities: json!({ "tools": [{ "name": "semgrep", "version": "1.\u{1b}99" }, { "name": "testssl" }] }),
            started_at: DateTime::UNIX_EPOCH,
            heartbeat_at: DateTime::UNIX_EPOCH,
        };
        let idle = WorkerRow {
            name: "other".to_owned(),
            state: WorkerState::Idle,
            capabilities: json!({}),
            ..worker.clone()
        };
        let table = table(&[worker, idle]);
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(lines[0], HEAD);
        let seen = "1970-01-01 00:00:00Z";
        let tools = "semgrep 1.99, testssl";
        assert_eq!(
            lines[1],
            [
                "build7-abc",
                "build7",
                "error",
                "4",
                "3",
                "7",
                "1",
                "2",
                seen,
                "1.2.3",
                tools
            ]
        );
        assert_eq!(lines[2], ["the scratch folder is full"]);
        assert_eq!(lines[3][2], "idle");
        assert_eq!(lines[3].last(), Some(&"none"));
        assert_eq!(lines.len(), 4);
    }
}
