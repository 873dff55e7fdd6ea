//! A guest that misbehaves on request. The host's tests run it and expect the platform to be well.
//!
//! `convert` does what its options name: `{"do": "loop"}`. The first-party build does not ship it;
//! `scripts/build-plugins hostile` makes it. Not here: honest conversion, beside `echo`.

use std::io::{BufRead, Read};

use serde::Deserialize;
use tamiz_sdk::model::{
    ArtifactMeta, ConvertError, Description, Diagnostic, Finding, Format, IoError, LogLevel, Outcome,
    PlanError, ScanRequest, Severity, ToolOutput, ToolRun,
};
use tamiz_sdk::{Emitter, FindingBuilder, Host, Input, InputReader, Scanner};

/// What a flood writes at a time.
const FLOOD_CHUNK_BYTES: usize = 64 * 1024;

/// What a refused flood tries again before it believes it; the host should have ended it by then.
const REFUSALS_MAX: u32 = 1_000_000;

/// What `convert` is to do.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    /// Reads its input and emits one finding per line.
    Echo,
    /// Never ends.
    Loop,
    /// Takes memory until there is none.
    Grow,
    /// Calls itself until the stack ends.
    Recurse,
    /// Executes `unreachable`.
    Trap,
    /// Emits findings for ever, refused or not.
    FloodFindings,
    /// Emits a million findings, each with a message of one byte, and is content whatever becomes of them.
    MillionFindings,
    /// Logs for ever.
    FloodLog,
    /// Writes an artifact for ever.
    FloodArtifact,
    /// Opens artifacts for ever.
    FloodArtifacts,
    /// Tells diagnostics for ever.
    FloodDiagnostics,
    /// Tells progress for ever.
    FloodProgress,
    /// Emits one finding with 64 MiB of text.
    HugeStrings,
    /// Reads on after the end of its input.
    ReadAfterEnd,
    /// Rewinds its input for ever.
    RewindForever,
    /// Emits some findings, then traps: they have to be kept.
    EmitThenTrap,
    /// Emits some findings, then answers an error: they have to be kept.
    EmitThenFail,
    /// Emits a finding that breaks the host's rules: no tool, no rule, odd words.
    BadFinding,
    /// Answers counts that are not true.
    LyingOutcome,
    /// Keeps an artifact and a forgotten one.
    Artifact,
    /// Opens the files that its input's lines name and emits what it got.
    OpenSources,
    /// Opens them and closes none.
    KeepSources,
    /// Emits what the platform calls the secrets in its input's lines.
    NameSecrets,
    /// Never ends, and never gets that far: its plan does not end either.
    LoopInPlan,
}

#[derive(Deserialize)]
struct Options {
    r#do: Deed,
}

/// The plugin.
pub struct Hostile;

tamiz_sdk::export_scanner!(super::Hostile);

impl Scanner for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "codeaudit".to_owned(),
            formats: vec![Format {
                name: "hostile-lines".to_owned(),
                tools: vec!["hostile".to_owned()],
            }],
            options_schema: r#"{"type":"object","required":["do"],"properties":{"do":{"type":"string"}}}"#
                .to_owned(),
            capabilities: Vec::new(),
        }
    }

    /// For a tree, a plan that asks for what no worker may give: a path for a tool, a shell's words, an
    /// argument that is two. For a target in the network an honest one, whatever its kind, so that
    /// tests see the guard and nobody else say no.
    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        let options = serde_json::from_str::<Options>(&request.options);
        if options.is_ok_and(|options| matches!(options.r#do, Deed::LoopInPlan)) {
            forever();
        }
        if request.target_kind != "tree" {
            return Ok(vec![ToolRun {
                tool: "semgrep".to_owned(),
                args: vec!["${target}".to_owned()],
                outputs: Vec::new(),
            }]);
        }
        Ok(vec![ToolRun {
            tool: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), "cat ${target}/../../etc/passwd; id".to_owned()],
            outputs: vec![ToolOutput {
                name: "../report".to_owned(),
                media_type: "text/plain".to_owned(),
            }],
        }])
    }

    fn convert(
        mut inputs: Vec<Box<dyn Input>>,
        request: &ScanRequest,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        let options: Options = serde_json::from_str(&request.options)
            .map_err(|error| ConvertError::BadOptions(error.to_string()))?;
        match options.r#do {
            Deed::Echo => echo(&mut inputs, host),
            Deed::Loop | Deed::LoopInPlan => forever(),
            Deed::Grow => grow(),
            Deed::Recurse => Ok(outcome(recurse(1, [0; 64]))),
            Deed::Trap => trap(),
            Deed::FloodFindings => flood(|| host.emit_findings(&[finding("flood", "x")])),
            Deed::MillionFindings => Ok(million_findings(host)),
            Deed::FloodLog => flood(|| {
                host.log(LogLevel::Error, &"x".repeat(FLOOD_CHUNK_BYTES));
                Ok(())
            }),
            Deed::FloodArtifact => {
                let mut artifact = host.artifact(&artifact_meta());
                let chunk = vec![b'x'; FLOOD_CHUNK_BYTES];
                flood(|| artifact.write(&chunk))
            }
            Deed::FloodArtifacts => {
                let mut kept = Vec::new();
                flood(|| {
                    kept.push(host.artifact(&artifact_meta()));
                    Ok(())
                })
            }
            Deed::FloodDiagnostics => flood(|| {
                let (code, message) = ("flood".to_owned(), "x".repeat(1000));
                host.emit_diagnostic(&Diagnostic {
                    level: LogLevel::Error,
                    code,
                    message,
                    at: None,
                });
                Ok(())
            }),
            Deed::FloodProgress => flood(|| {
                host.progress(u32::MAX, None);
                Ok(())
            }),
            Deed::HugeStrings => huge_strings(host),
            Deed::ReadAfterEnd => read_after_end(&mut inputs),
            Deed::RewindForever => rewind_forever(&mut inputs),
            Deed::EmitThenTrap => {
                emit_some(host)?;
                trap()
            }
            Deed::EmitThenFail => {
                emit_some(host)?;
                Err(ConvertError::corrupt("failed as asked", outcome(15)))
            }
            Deed::BadFinding => bad_finding(host),
            Deed::LyingOutcome => Ok(Outcome {
                records: 7,
                skipped: 3,
                ..outcome(1_000_000)
            }),
            Deed::Artifact => artifact(host),
            Deed::OpenSources => open_sources(&mut inputs, host),
            Deed::KeepSources => keep_sources(&mut inputs, host),
            Deed::NameSecrets => name_secrets(&mut inputs, host),
        }
    }
}

fn outcome(findings: u32) -> Outcome {
    Outcome {
        format: "hostile-lines".to_owned(),
        tool: Some("hostile".to_owned()),
        records: findings,
        findings,
        ..Outcome::default()
    }
}

fn finding(rule_id: &str, message: &str) -> Finding {
    FindingBuilder::new("hostile", rule_id)
        .message(message)
        .severity(Severity::Low, None)
        .build()
        .0
}

fn artifact_meta() -> ArtifactMeta {
    let (name, media_type, kind) = (
        "flood.txt".to_owned(),
        "text/plain".to_owned(),
        "evidence".to_owned(),
    );
    ArtifactMeta {
        name,
        media_type,
        kind,
    }
}

fn broken(problem: impl std::fmt::Display) -> ConvertError {
    ConvertError::corrupt(problem.to_string(), outcome(0))
}

fn refused(error: IoError) -> ConvertError {
    broken(format!("the host refused: {error}"))
}

fn echo(inputs: &mut [Box<dyn Input>], host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let mut emitter = Emitter::new(host);
    let mut lines = 0;
    for input in inputs {
        for line in InputReader::new(input.as_mut()).split(b'\n') {
            let line = line.map_err(broken)?;
            emitter
                .emit(finding("line", &String::from_utf8_lossy(&line)))
                .map_err(refused)?;
            lines += 1;
        }
    }
    emitter.flush().map_err(refused)?;
    Ok(outcome(lines))
}

/// The lines of all inputs.
fn lines(inputs: &mut [Box<dyn Input>]) -> Result<Vec<String>, ConvertError> {
    let mut lines = Vec::new();
    for input in inputs {
        for line in InputReader::new(input.as_mut()).lines() {
            lines.push(line.map_err(broken)?);
        }
    }
    Ok(lines)
}

fn open_sources(inputs: &mut [Box<dyn Input>], host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let paths = lines(inputs)?;
    for path in &paths {
        let mut content = "none".to_owned();
        if let Some(mut source) = host.open_source(path) {
            content.clear();
            InputReader::new(source.as_mut())
                .read_to_string(&mut content)
                .map_err(broken)?;
        }
        host.emit_findings(&[finding("source", &content)])
            .map_err(refused)?;
    }
    Ok(outcome(paths.len() as u32))
}

fn keep_sources(inputs: &mut [Box<dyn Input>], host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let paths = lines(inputs)?;
    let kept: Vec<_> = paths.iter().map(|path| host.open_source(path)).collect();
    Ok(outcome(std::hint::black_box(kept).len() as u32))
}

fn name_secrets(inputs: &mut [Box<dyn Input>], host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let secrets = lines(inputs)?;
    for secret in &secrets {
        let name = host.secret_identity(secret.as_bytes());
        host.emit_findings(&[finding("secret", &name)]).map_err(refused)?;
    }
    Ok(outcome(secrets.len() as u32))
}

/// The counter is observed, so that no optimiser may take the loop away.
fn forever() -> ! {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

fn grow() -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

/// Not a tail call: the array is needed after it.
#[expect(unconditional_recursion, reason = "it is what the host has to survive")]
fn recurse(depth: u32, frame: [u32; 64]) -> u32 {
    let next = std::hint::black_box([depth; 64]);
    recurse(depth.wrapping_add(1), next).wrapping_add(frame[depth as usize % 64])
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

fn flood(mut wave: impl FnMut() -> Result<(), IoError>) -> Result<Outcome, ConvertError> {
    let mut refusals = 0;
    loop {
        if wave().is_err() {
            refusals += 1;
        }
        if refusals > REFUSALS_MAX {
            return Err(broken("refused a million times and still alive"));
        }
    }
}

fn million_findings(host: &mut dyn Host) -> Outcome {
    let batch = vec![finding("x", "x"); 64];
    for _ in 0..1_000_000 / batch.len() {
        // refused or not
        let _ = host.emit_findings(&batch);
    }
    outcome(1_000_000)
}

/// Past the SDK's limits: the builder would cut it.
fn huge_strings(host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let mut huge = finding("huge", "");
    huge.message = "x".repeat(64 << 20);
    host.emit_findings(&[huge]).map_err(refused)?;
    Ok(outcome(1))
}

fn read_after_end(inputs: &mut [Box<dyn Input>]) -> Result<Outcome, ConvertError> {
    for input in inputs {
        let mut rest = Vec::new();
        InputReader::new(input.as_mut())
            .read_to_end(&mut rest)
            .map_err(broken)?;
        for _ in 0..1000 {
            if !input.read(u32::MAX).map_err(refused)?.is_empty() {
                return Err(broken("bytes after the end"));
            }
        }
    }
    Ok(outcome(0))
}

fn rewind_forever(inputs: &mut [Box<dyn Input>]) -> Result<Outcome, ConvertError> {
    let Some(input) = inputs.first_mut() else {
        return Ok(outcome(0));
    };
    flood(|| {
        input.rewind()?;
        input.read(u32::MAX).map(|_| ())
    })
}

fn emit_some(host: &mut dyn Host) -> Result<(), ConvertError> {
    for batch in 0..3 {
        let findings: Vec<_> = (0..5)
            .map(|index| finding("kept", &format!("{batch}.{index}")))
            .collect();
        host.emit_findings(&findings).map_err(refused)?;
    }
    Ok(())
}

fn bad_finding(host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let bad = Finding {
        tool: "Not\u{0}A Tool\n".to_owned(),
        rule_id: String::new(),
        title: "two\nlines".to_owned(),
        cwe: vec![0, u32::MAX],
        references: vec!["javascript:alert(1)".to_owned()],
        extra: vec![("key".to_owned(), "not json".to_owned())],
        ..finding("", "")
    };
    host.emit_findings(&[bad]).map_err(refused)?;
    Ok(outcome(1))
}

fn artifact(host: &mut dyn Host) -> Result<Outcome, ConvertError> {
    let mut kept = host.artifact(&ArtifactMeta {
        name: "kept.txt".to_owned(),
        ..artifact_meta()
    });
    let mut forgotten = host.artifact(&ArtifactMeta {
        name: "forgotten.txt".to_owned(),
        ..artifact_meta()
    });
    for chunk in [b"some ", b"bytes"] {
        kept.write(chunk).map_err(refused)?;
        forgotten.write(chunk).map_err(refused)?;
    }
    let digest = kept.finish().map_err(refused)?;
    host.emit_findings(&[finding("artifact", &digest)])
        .map_err(refused)?;
    Ok(outcome(1))
}
