//! `tamiz plugin run`: converts reports on this machine, through the real host and no server.
//!
//! A report may be packed by gzip. What a task would store is printed instead: findings with our
//! fingerprints, equal records as occurrences of one finding, diagnostics. Artifacts are measured and
//! thrown away.

use std::any::Any;
use std::collections::HashMap;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tamiz_core::cvss::Scores;
use tamiz_core::identity::{Fingerprint, Kind, ordinals};
use tamiz_core::occurrence::{Record, Records};
use tamiz_core::{Diagnostic, Finding, Location};
use tamiz_host::{
    ArtifactHandle, ArtifactMeta, Completeness, ConvertFailure, ConvertRequest, ConvertSink, Converted,
    Grants, Input, Plugin, RunLimits, ScanRequest, SinkError, StoredArtifact,
};

use super::super::scan::documents::Project;
use super::super::scan::report::{self, Report};
use super::super::scan::{sarif, table};
use super::super::{CliError, answer, open};
use crate::config::Config;
use crate::services::{PluginServices, SourceTree};
use crate::spool::Mark;

/// The version of the JSON document; raised when a field changes its meaning or goes away.
const JSON_VERSION: u32 = 1;
/// Reports of real tools stay under it; a larger one is for a server, which streams.
const FINDINGS_MAX: usize = 500_000;
/// Identities of secrets must not change between two runs, and whoever runs this has the secrets.
const LOCAL_KEY: &[u8] = b"tamiz plugin run";

/// What is to be converted, and how it is shown.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The reports, all of one tool's run; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The plugin: a name of `tamiz plugin list --folder` or a component's file; otherwise
    /// whichever recognises the report
    #[arg(long, value_name = "NAME|FILE")]
    plugin: Option<String>,
    /// Options for the plugin
    #[arg(long, value_name = "JSON", default_value = "{}")]
    options: String,
    /// The scanned folder, for snippets that the tool left out
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// How the findings are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// Everything, with occurrences and diagnostics
    Json,
    /// SARIF 2.1.0
    Sarif,
}

pub(super) fn run(args: &RunArgs, config: &Config) -> Result<(), CliError> {
    let (plugin, converted) = convert(args, config)?;
    let dropped = converted.counts.diagnostics_dropped;
    let mut sink = (converted.sink as Box<dyn Any>)
        .downcast::<MemorySink>()
        .map_err(|_| CliError::Failed("the host gave back another sink".to_owned()))?;
    sink.number();
    let outcome = converted.outcome.as_ref();
    let text = match args.format {
        Format::Json => format!("{:#}\n", sink.document(&plugin, outcome, dropped)),
        Format::Sarif => sarif::render(&sink.report(&plugin), Utc::now()),
        Format::Table => table::render(&sink.report(&plugin), table::Look::of_stdout()),
    };
    answer::print(&text)?;
    if args.format != Format::Json {
        for diagnostic in &sink.diagnostics {
            let text = tamiz_core::text::printable(&diagnostic.message);
            eprintln!("{}: {text}", diagnostic.code);
        }
    }
    match outcome {
        Ok(outcome) if outcome.completeness == Completeness::Truncated => Err(CliError::Failed(format!(
            "the report ends too early; the {} findings before its end are printed",
            outcome.findings
        ))),
        Ok(_) => Ok(()),
        Err(failure) => Err(CliError::failed(failure)),
    }
}

/// The first plugin that recognises the reports, and what it made of them.
fn convert(args: &RunArgs, config: &Config) -> Result<(Arc<Plugin>, Converted), CliError> {
    let mut refusals = Vec::new();
    let reports: Vec<(String, File)> = args
        .files
        .iter()
        .map(|path| named(path))
        .collect::<Result<_, _>>()?;
    for plugin in plugins(args, config)? {
        let converted = plugin.convert(request(args, &reports, config)?);
        match &converted.outcome {
            Err(ConvertFailure::Unrecognized { message }) => {
                refusals.push(format!("{}: {message}", plugin.description().name));
            }
            _ => return Ok((plugin, converted)),
        }
    }
    Err(CliError::Failed(format!(
        "no plugin recognises the report: {}",
        refusals.join("; ")
    )))
}

fn plugins(args: &RunArgs, config: &Config) -> Result<Vec<Arc<Plugin>>, CliError> {
    if let Some(file) = args.plugin.as_deref().filter(|name| Path::new(name).is_file()) {
        let plugin =
            Plugin::load(&open::host(config)?, Path::new(file)).map_err(|error| CliError::failed(&error))?;
        return Ok(vec![Arc::new(plugin)]);
    }
    let registry = open::plugins(config)?;
    let wanted = |plugin: &&Arc<Plugin>| {
        args.plugin
            .as_ref()
            .is_none_or(|name| plugin.description().name == *name)
    };
    let found: Vec<_> = registry.plugins().filter(wanted).cloned().collect();
    if found.is_empty() {
        let name = args.plugin.as_deref().unwrap_or("any");
        return Err(CliError::Failed(format!(
            "no plugin `{name}` in {}: run `make plugins`, set plugin_dir, or give a component's file",
            config.plugin.dir.display()
        )));
    }
    Ok(found)
}

/// A report and what it is called, opened once whoever reads it: a pipe says everything once.
fn named(path: &Path) -> Result<(String, File), CliError> {
    let file = crate::cli::unpacked::open(path)
        .map_err(|error| CliError::Failed(format!("{} cannot be read: {error}", path.display())))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok((name.into_owned(), file))
}

fn request(args: &RunArgs, reports: &[(String, File)], config: &Config) -> Result<ConvertRequest, CliError> {
    let mut inputs = Vec::new();
    for (name, file) in reports {
        // Plugins are asked one after the other, so the position that handles share is the next one's.
        let again = file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let again = again.map_err(|error| CliError::failed(&error))?;
        let size_bytes = again.metadata().map_err(|error| CliError::failed(&error))?.len();
        inputs.push(Input::seekable(name, again).with_size_bytes(size_bytes));
    }
    Ok(ConvertRequest {
        inputs,
        request: ScanRequest::of_report(args.options.clone()),
        grants: Grants::none(),
        limits: limits(config),
        sink: Box::new(MemorySink::default()),
        services: Box::new(PluginServices::new(
            LOCAL_KEY,
            SourceTree::new(args.source.clone()),
        )),
        cancel: tamiz_host::CancelFlag::default(),
    })
}

/// What one conversion on this machine may use up.
pub(super) fn limits(config: &Config) -> RunLimits {
    RunLimits {
        memory_bytes: usize::try_from(config.plugin.memory_bytes_max).unwrap_or(usize::MAX),
        deadline: config.plugin.deadline,
        ..RunLimits::default()
    }
}

/// One finding and the records that say the same once more.
struct Local {
    finding: Finding,
    fingerprint: String,
    cvss_score: Option<f64>,
    occurrences: Vec<Value>,
}

/// Keeps everything that a conversion emits.
#[derive(Default)]
struct MemorySink {
    findings: Vec<Local>,
    records: Records<usize>,
    marks: Vec<(Kind, Fingerprint, ordinals::Position)>,
    scores: Scores,
    diagnostics: Vec<Diagnostic>,
    artifacts: HashMap<ArtifactHandle, (Sha256, u64)>,
}

impl MemorySink {
    fn add(&mut self, mut finding: Finding) -> Result<(), SinkError> {
        let next = self.findings.len();
        match self.records.add(&mut finding, || next).map_err(SinkError::new)? {
            Record::Occurrence { of, .. } => {
                if let Some(local) = self.findings.get_mut(of) {
                    let again = json!({ "locations": finding.locations, "origin": finding.origin });
                    local.occurrences.push(again);
                }
            }
            Record::Finding(_) if next >= FINDINGS_MAX => {
                return Err(SinkError::new(format!(
                    "more than {FINDINGS_MAX} findings: import the report into a server"
                )));
            }
            Record::Finding(_) => {
                let (cvss_score, note) = self.scores.of(&finding);
                self.diagnostics.extend(note);
                let mark = Mark::of(&finding, self.records.content(), None);
                let position = (mark.at.0, mark.at.1, mark.content);
                self.marks.push((mark.kind, mark.base(), position));
                self.findings.push(Local {
                    // known when all are there
                    fingerprint: String::new(),
                    finding,
                    cvss_score,
                    occurrences: Vec::new(),
                });
            }
        }
        Ok(())
    }

    /// Gives the findings their fingerprints.
    fn number(&mut self) {
        let fingerprints = ordinals::fingerprints(&self.marks);
        for (local, fingerprint) in self.findings.iter_mut().zip(fingerprints) {
            local.fingerprint = hex::encode(fingerprint.0);
        }
    }

    /// The document of `--format json`.
    fn document(
        &self,
        plugin: &Plugin,
        outcome: Result<&tamiz_host::Outcome, &ConvertFailure>,
        diagnostics_dropped: u32,
    ) -> Value {
        let about = plugin.description();
        let mut document = json!({
            "version": JSON_VERSION,
            "plugin": { "name": about.name, "version": about.version, "scanType": about.scan_type.as_str() },
            "findings": self.findings.iter().map(finding_json).collect::<Vec<_>>(),
            "diagnostics": self.diagnostics,
            "diagnosticsDropped": diagnostics_dropped,
        });
        match outcome {
            Ok(outcome) => {
                document["format"] = json!(outcome.format);
                document["tool"] = json!({ "name": outcome.tool, "version": outcome.tool_version });
                document["completeness"] = json!(format!("{:?}", outcome.completeness).to_lowercase());
                document["records"] = json!(outcome.records);
                document["skipped"] = json!(outcome.skipped);
            }
            Err(failure) => {
                document["error"] = json!({ "code": failure.code(), "message": failure.to_string() });
            }
        }
        document
    }

    /// The findings as the other formats print them.
    fn report(&self, plugin: &Plugin) -> Report {
        let project = Project {
            id: String::new(),
            name: "local".to_owned(),
        };
        let mut report = Report::new("local", plugin.description().scan_type.clone(), project);
        report.findings = self.findings.iter().map(row).collect();
        report.sort();
        report
    }
}

fn finding_json(local: &Local) -> Value {
    let finding = &local.finding;
    let (file, line) = match finding.locations.first() {
        Some(Location::File { path, start, .. }) => (Some(path), start.map(|start| start.line)),
        _ => (None, None),
    };
    json!({
        "tool": finding.tool,
        "ruleId": finding.rule_id,
        "ruleName": finding.rule_name,
        "severity": finding.severity.as_str(),
        "severityRaw": finding.severity_raw,
        "confidence": finding.confidence,
        "category": finding.category,
        "title": finding.title,
        "message": finding.message,
        "remediation": finding.remediation,
        "cwe": finding.cwe,
        "cve": finding.cve,
        "cvssVector": finding.cvss_vector,
        "cvssScore": local.cvss_score,
        "references": finding.references,
        "tags": finding.tags,
        "file": file,
        "line": line,
        "locations": finding.locations,
        "occurrences": local.occurrences,
        "fingerprint": local.fingerprint,
        "toolFingerprint": finding.tool_fingerprint,
        "origin": finding.origin,
        "extra": finding.extra,
    })
}

fn row(local: &Local) -> report::Finding {
    let finding = &local.finding;
    let place = finding.locations.first();
    let (file, line) = match place {
        Some(Location::File { path, start, .. }) => {
            (Some(path.clone()), start.map(|start| u64::from(start.line)))
        }
        _ => (None, None),
    };
    let confidence = serde_json::to_value(finding.confidence).ok();
    report::Finding {
        id: local.fingerprint.clone(),
        severity: finding.severity,
        rule_id: finding.rule_id.clone(),
        title: finding.title.clone(),
        message: finding.message.clone(),
        location: place.map(Location::label),
        file,
        line,
        end_line: None,
        cwe: finding.cwe.clone(),
        cve: finding.cve.clone(),
        cvss_score: local.cvss_score,
        occurrence_count: local.occurrences.len() as u64,
        tool: finding.tool.clone(),
        confidence: confidence.and_then(|word| word.as_str().map(str::to_owned)),
        fingerprint: local.fingerprint.clone(),
        more: report::More {
            rule_name: finding.rule_name.clone(),
            severity_raw: finding.severity_raw.clone(),
            category: finding.category.clone(),
            cvss_vector: finding.cvss_vector.clone(),
            remediation: finding.remediation.clone(),
            tool_fingerprint: finding.tool_fingerprint.clone(),
            references: finding.references.clone(),
            tags: finding.tags.clone(),
            locations: finding.locations.clone(),
            extra: finding.extra.clone(),
        },
    }
    .clean()
}

impl ConvertSink for MemorySink {
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError> {
        batch.into_iter().try_for_each(|finding| self.add(finding))
    }

    fn diagnostic(&mut self, diagnostic: Diagnostic) -> Result<(), SinkError> {
        self.diagnostics.push(diagnostic);
        Ok(())
    }

    fn artifact_open(&mut self, handle: ArtifactHandle, _meta: ArtifactMeta) -> Result<(), SinkError> {
        self.artifacts.insert(handle, (Sha256::new(), 0));
        Ok(())
    }

    fn artifact_write(&mut self, handle: ArtifactHandle, chunk: &[u8]) -> Result<(), SinkError> {
        if let Some((hash, size_bytes)) = self.artifacts.get_mut(&handle) {
            hash.update(chunk);
            *size_bytes += chunk.len() as u64;
        }
        Ok(())
    }

    fn artifact_finish(&mut self, handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        let (hash, size_bytes) = self.artifacts.remove(&handle).unwrap_or_default();
        Ok(StoredArtifact {
            sha256: hex::encode(hash.finalize()),
            size_bytes,
        })
    }

    fn artifact_drop(&mut self, handle: ArtifactHandle) {
        self.artifacts.remove(&handle);
    }
}
