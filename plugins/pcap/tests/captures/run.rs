//! A conversion natively, with a host that keeps artifacts too.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{
    ArtifactMeta, ConvertError, Diagnostic, Finding, IoError, Location, LogLevel, Outcome, ScanRequest,
};
use tamiz_sdk::{Artifact, Host, Input};

type Kept = Rc<RefCell<Vec<(String, Vec<u8>)>>>;

struct KeepingHost {
    inner: MemoryHost,
    kept: Kept,
}

struct Keeping {
    name: String,
    bytes: Vec<u8>,
    kept: Kept,
}

impl Artifact for Keeping {
    fn write(&mut self, chunk: &[u8]) -> Result<(), IoError> {
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<String, IoError> {
        self.kept.borrow_mut().push((self.name, self.bytes));
        Ok(String::new())
    }
}

impl Host for KeepingHost {
    fn emit_findings(&mut self, batch: &[Finding]) -> Result<(), IoError> {
        self.inner.emit_findings(batch)
    }

    fn emit_diagnostic(&mut self, diagnostic: &Diagnostic) {
        self.inner.emit_diagnostic(diagnostic);
    }

    fn progress(&mut self, done: u32, total: Option<u32>) {
        self.inner.progress(done, total);
    }

    fn log(&mut self, level: LogLevel, message: &str) {
        self.inner.log(level, message);
    }

    fn secret_identity(&mut self, value: &[u8]) -> String {
        self.inner.secret_identity(value)
    }

    fn open_source(&mut self, path: &str) -> Option<Box<dyn Input>> {
        self.inner.open_source(path)
    }

    fn artifact(&mut self, meta: &ArtifactMeta) -> Box<dyn Artifact> {
        assert_eq!(
            (meta.kind.as_str(), meta.media_type.as_str()),
            ("pcap-session", "application/json")
        );
        Box::new(Keeping {
            name: meta.name.clone(),
            bytes: Vec::new(),
            kept: Rc::clone(&self.kept),
        })
    }
}

/// What a conversion gave.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Outcome, ConvertError>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The artifacts `pcap-session…json`, parsed.
    pub(crate) sessions: Vec<Value>,
}

pub(crate) fn run(name: &str, bytes: &[u8]) -> Answer {
    run_inputs(vec![MemoryInput::new(name, bytes)])
}

pub(crate) fn run_inputs(inputs: Vec<MemoryInput>) -> Answer {
    let mut host = KeepingHost {
        inner: MemoryHost::default(),
        kept: Rc::default(),
    };
    let inputs = inputs
        .into_iter()
        .map(|input| Box::new(input) as Box<_>)
        .collect();
    let outcome = tamiz_pcap::convert(inputs, &ScanRequest::report("{}"), &mut host);
    let kept = host.kept.borrow();
    let sessions = kept
        .iter()
        .map(|(_, bytes)| serde_json::from_slice(bytes).expect("the session is JSON"))
        .collect();
    if let Ok(outcome) = &outcome {
        assert_eq!(outcome.findings as usize, host.inner.findings.len());
        assert_eq!(outcome.records, outcome.findings + outcome.skipped);
    }
    Answer {
        outcome,
        findings: std::mem::take(&mut host.inner.findings),
        diagnostics: std::mem::take(&mut host.inner.diagnostics),
        sessions,
    }
}

impl Answer {
    /// Packets of the first capture.
    pub(crate) fn packets(&self) -> u64 {
        self.sessions
            .first()
            .map_or(0, |session| session["packet_count"].as_u64().unwrap_or(0))
    }

    /// `complete`, `truncated`, `partial`, `unrecognized` or `corrupt`.
    pub(crate) fn word(&self) -> String {
        match &self.outcome {
            Ok(outcome) => format!("{:?}", outcome.completeness)
                .rsplit("::")
                .next()
                .unwrap_or_default()
                .to_lowercase(),
            Err(ConvertError::Unrecognized(_)) => "unrecognized".to_owned(),
            Err(ConvertError::Corrupt(_)) => "corrupt".to_owned(),
            Err(ConvertError::BadOptions(_)) => "bad-options".to_owned(),
        }
    }

    /// Rule and title of every finding.
    pub(crate) fn titles(&self) -> Vec<(&str, &str)> {
        let findings = self.findings.iter();
        findings
            .map(|finding| (finding.rule_id.as_str(), finding.title.as_str()))
            .collect()
    }

    /// Findings of a rule.
    pub(crate) fn of<'answer>(&'answer self, rule: &'answer str) -> Vec<&'answer Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.rule_id == rule)
            .collect()
    }

    /// Codes of the diagnostics.
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.diagnostics.iter().map(|told| told.code.as_str()).collect()
    }

    /// Everything, for a comparison with the expected answer.
    pub(crate) fn to_json(&self) -> Value {
        let outcome = match &self.outcome {
            Ok(outcome) => json!({
                "answer": self.word(), "format": outcome.format, "records": outcome.records,
                "findings": outcome.findings, "skipped": outcome.skipped,
            }),
            Err(error) => json!({ "answer": self.word(), "message": error.message() }),
        };
        let diagnostics: Vec<String> = self
            .diagnostics
            .iter()
            .map(|told| format!("{}: {}", told.code, told.message))
            .collect();
        json!({
            "outcome": outcome, "diagnostics": diagnostics, "findings": self.findings, "sessions": self.sessions,
        })
    }
}

/// `client > server, packet` of a finding's places.
pub(crate) fn places(finding: &Finding) -> Vec<String> {
    let places = finding.locations.iter();
    places
        .map(|place| {
            let Location::Flow(flow) = place else {
                panic!("{} has a place that is no flow", finding.rule_id);
            };
            let end = |end: &tamiz_sdk::model::NetworkEndpoint| match end.port {
                Some(port) => format!("{}:{port}", end.host),
                None => end.host.clone(),
            };
            let packet = flow.packet.unwrap_or(0);
            format!("{} > {}, {packet}", end(&flow.source), end(&flow.destination))
        })
        .collect()
}
