//! Components of older worlds still run: each is kept as a file in `tests/fixtures/worlds`, with the
//! report it reads and everything it answers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamiz_host::{ConvertFailure, Description, Outcome, Plugin, RunLimits, ScanRequest, ToolRun};

use crate::world::{host, request, run, text, tight};

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/worlds")
        .join(name)
}

fn described(description: &Description) -> Value {
    json!({
        "name": description.name,
        "version": description.version,
        "scan_type": description.scan_type.as_str(),
        "formats": description.formats.iter().map(|format| json!([format.name, format.tools])).collect::<Vec<_>>(),
        "options_schema": description.options_schema,
    })
}

fn planned(runs: &[ToolRun]) -> Value {
    let run = |run: &ToolRun| {
        let outputs: Vec<_> = run
            .outputs
            .iter()
            .map(|it| json!([it.name, it.media_type]))
            .collect();
        json!({ "tool": run.tool, "args": run.args, "outputs": outputs })
    };
    runs.iter().map(run).collect()
}

fn ended(outcome: &Outcome) -> Value {
    json!({
        "completeness": outcome.completeness.as_str(),
        "format": outcome.format,
        "tool": outcome.tool,
        "tool_version": outcome.tool_version,
        "records": outcome.records,
        "findings": outcome.findings,
        "skipped": outcome.skipped,
    })
}

/// What it answered is written beside the other files of the build when it is not what it was.
fn check(answer: &Value, expected: &str) {
    let was: Value = serde_json::from_slice(&fs::read(kept(expected)).unwrap()).unwrap();
    if *answer != was {
        let now = Path::new(env!("CARGO_TARGET_TMPDIR")).join("world-answer.json");
        fs::write(&now, format!("{answer:#}\n")).unwrap();
        panic!("{} differs from {expected}", now.display());
    }
}

#[test]
fn a_plugin_of_world_0_1_answers_what_it_always_did() {
    let plugin = Plugin::load(host(), &kept("0.1/ssl.wasm")).unwrap();
    let plan = plugin.plan(
        &ScanRequest {
            target_kind: "endpoint".to_owned(),
            target: "example.org:443".to_owned(),
            options: "{}".to_owned(),
        },
        &RunLimits::default(),
    );
    let report = fs::read_to_string(kept("0.1/sslscan.xml")).unwrap();
    let run = run(&plugin, request("{}", vec![text(&report)], RunLimits::default()));
    let answer = json!({
        "described": described(plugin.description()),
        "planned": planned(&plan.unwrap()),
        "outcome": ended(&run.outcome.unwrap()),
        "findings": run.kept.findings,
        "diagnostics": run.kept.diagnostics,
    });
    check(&answer, "0.1/ssl.expected.json");
}

#[test]
fn a_hostile_guest_of_world_0_1_is_ended_as_ever() {
    let plugin = Plugin::load(host(), &kept("0.1/hostile.wasm")).unwrap();
    let verdict = |deed: &str| {
        let options = format!(r#"{{"do":"{deed}"}}"#);
        let run = run(&plugin, request(&options, vec![text("one\ntwo\n")], tight()));
        run.outcome
            .map_or_else(|failure: ConvertFailure| failure.code(), |_| "an outcome")
    };
    for (deed, expected) in [
        ("echo", "an outcome"),
        ("trap", "plugin-trap"),
        ("grow", "plugin-out-of-memory"),
        ("flood-artifact", "plugin-over-limit"),
        ("emit-then-fail", "report-corrupt"),
    ] {
        assert_eq!(verdict(deed), expected, "{deed}");
    }
}
