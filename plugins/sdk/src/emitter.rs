//! Findings on their way to the platform, in batches.
//!
//! Dropping the emitter hands over what is left, so a conversion that ends early loses nothing that
//! it had already understood.

use crate::host::Host;
use crate::limits::{BATCH_BYTES, BATCH_FINDINGS};
use crate::model::{Finding, FlowStep, IoError, Location, NetworkEndpoint, Suppression};

/// Collects findings and hands them over in batches.
pub struct Emitter<'host> {
    host: &'host mut dyn Host,
    batch: Vec<Finding>,
    batch_bytes: usize,
    accepted: u32,
    refused: u32,
    failure: Option<IoError>,
}

impl<'host> Emitter<'host> {
    /// An emitter with an empty batch.
    pub fn new(host: &'host mut dyn Host) -> Self {
        Self {
            host,
            batch: Vec::with_capacity(BATCH_FINDINGS),
            batch_bytes: 0,
            accepted: 0,
            refused: 0,
            failure: None,
        }
    }

    /// The platform, for everything but findings.
    pub fn host(&mut self) -> &mut dyn Host {
        self.host
    }

    /// Adds a finding. A batch never weighs more than [`BATCH_BYTES`], or one finding that does alone.
    ///
    /// # Errors
    /// [`IoError`] once the platform has refused a batch; nothing is taken after that.
    pub fn emit(&mut self, finding: Finding) -> Result<(), IoError> {
        let bytes = weight(&finding);
        let before = if self.batch_bytes + bytes > BATCH_BYTES {
            self.flush()
        } else {
            Ok(())
        };
        // Taken also after a refusal: what is refused is counted where it is flushed.
        self.batch_bytes += bytes;
        self.batch.push(finding);
        before?;
        if self.batch.len() >= BATCH_FINDINGS || self.batch_bytes >= BATCH_BYTES {
            return self.flush();
        }
        Ok(())
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// [`IoError`] when the platform refuses this batch or has refused one before.
    pub fn flush(&mut self) -> Result<(), IoError> {
        let count = self.batch.len() as u32;
        if self.failure.is_none() && count > 0 {
            self.failure = self.host.emit_findings(&self.batch).err();
        }
        self.batch.clear();
        self.batch_bytes = 0;
        match self.failure {
            None => {
                self.accepted += count;
                Ok(())
            }
            Some(failure) => {
                self.refused += count;
                Err(failure)
            }
        }
    }

    /// Findings that the platform took.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Findings that the platform refused.
    pub fn refused(&self) -> u32 {
        self.refused
    }
}

impl Drop for Emitter<'_> {
    fn drop(&mut self) {
        // A refusal was answered to `emit` or `flush`, or the whole run is over.
        let _ = self.flush();
    }
}

/// What the host's form of a finding takes, its texts and list entries aside.
const FINDING_BYTES: usize = 1024;

/// The same for one place.
const LOCATION_BYTES: usize = 512;

/// The same for one text in a list; an entry of `extra` has two.
const TEXT_BYTES: usize = 32;

/// What a finding weighs in a call: the host counts every text, and every entry of every list.
fn weight(finding: &Finding) -> usize {
    let texts = [&finding.tool, &finding.rule_id, &finding.title, &finding.message];
    let options = [
        &finding.rule_name,
        &finding.severity_raw,
        &finding.category,
        &finding.cvss_vector,
        &finding.remediation,
        &finding.fix,
        &finding.tool_fingerprint,
    ];
    let lists = [&finding.cve, &finding.references, &finding.tags];
    let entries = lists.into_iter().flatten();
    let extra = finding.extra.iter();
    FINDING_BYTES
        + texts.map(String::len).iter().sum::<usize>()
        + options.map(|text| optional(text.as_ref())).iter().sum::<usize>()
        + finding.cwe.len() * size_of::<u32>()
        + entries.map(|entry| TEXT_BYTES + entry.len()).sum::<usize>()
        + extra
            .map(|(key, value)| 2 * TEXT_BYTES + key.len() + value.len())
            .sum::<usize>()
        + finding.locations.iter().map(location_weight).sum::<usize>()
        + finding.suppressions.iter().map(suppression_weight).sum::<usize>()
        + finding.code_flow.iter().map(step_weight).sum::<usize>()
}

fn suppression_weight(suppression: &Suppression) -> usize {
    2 * TEXT_BYTES + suppression.kind.len() + optional(suppression.justification.as_ref())
}

fn step_weight(step: &FlowStep) -> usize {
    TEXT_BYTES + location_weight(&step.location) + optional(step.message.as_ref())
}

fn location_weight(location: &Location) -> usize {
    let endpoint = |end: &NetworkEndpoint| end.host.len() + optional(end.protocol.as_ref());
    let texts = match location {
        Location::File(file) => file.path.len() + optional(file.snippet.as_ref()),
        Location::Url(url) => {
            url.url.len()
                + optional(url.method.as_ref())
                + optional(url.parameter.as_ref())
                + optional(url.evidence.as_ref())
        }
        Location::Endpoint(end) => endpoint(end),
        Location::Domain(domain) => domain.name.len() + optional(domain.record_type.as_ref()),
        Location::Flow(flow) => endpoint(&flow.source) + endpoint(&flow.destination),
    };
    LOCATION_BYTES + texts
}

fn optional(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::Emitter;
    use crate::limits::{
        BATCH_BYTES, BATCH_FINDINGS, CALL_BYTES, EXTRA_BYTES, FIX_BYTES, LIST_ENTRIES, MESSAGE_BYTES,
        WORD_BYTES,
    };
    use crate::memory::MemoryHost;
    use crate::model::{Finding, FindingBuilder, IoError, Location, UrlLocation};

    fn finding(number: usize) -> Finding {
        FindingBuilder::new("demo", &format!("rule-{number}")).build().0
    }

    #[test]
    fn findings_leave_in_batches_and_the_rest_on_drop() {
        let mut host = MemoryHost::default();
        let mut emitter = Emitter::new(&mut host);
        for number in 0..BATCH_FINDINGS + 3 {
            emitter.emit(finding(number)).expect("no limit is set");
        }
        drop(emitter);
        assert_eq!(host.findings.len(), BATCH_FINDINGS + 3);
        assert_eq!(host.batches, [BATCH_FINDINGS, 3]);
    }

    #[test]
    fn a_large_text_leaves_early() {
        let mut host = MemoryHost::default();
        let mut emitter = Emitter::new(&mut host);
        for number in 0..20 {
            let large = FindingBuilder::new("demo", &number.to_string())
                .message(&"x".repeat(64 * 1024))
                .build()
                .0;
            emitter.emit(large).expect("no limit is set");
        }
        drop(emitter);
        assert_eq!(host.batches, [7, 7, 6]);
    }

    /// The heaviest that the builder lets through: every text at its limit, every list full.
    fn heaviest(number: usize) -> Finding {
        let long = |length: usize| "x".repeat(length);
        let mut finding = FindingBuilder::new("demo", &long(WORD_BYTES))
            .title(&long(MESSAGE_BYTES))
            .message(&long(MESSAGE_BYTES))
            .remediation(&long(MESSAGE_BYTES))
            .fix(&long(FIX_BYTES));
        for entry in 0..=LIST_ENTRIES {
            let text = format!("{entry}{}", long(MESSAGE_BYTES));
            let place = Location::Url(UrlLocation {
                url: text.clone(),
                method: Some(text.clone()),
                parameter: Some(text.clone()),
                evidence: Some(text.clone()),
            });
            finding = finding
                .location(place.clone())
                .flow_step(place, &text)
                .suppression(&text, &text)
                .cwe(entry as u32)
                .cve(&text)
                .reference(&format!("https://{text}"))
                .tag(&text)
                .extra_json(&text, &format!("\"{}\"", long(EXTRA_BYTES - 2)));
        }
        finding.extra_text("number", &number.to_string()).build().0
    }

    #[test]
    fn no_batch_of_the_heaviest_findings_oversteps_one_call() {
        let mut host = MemoryHost::default();
        let mut emitter = Emitter::new(&mut host);
        for number in 0..3 {
            emitter.emit(heaviest(number)).expect("no limit is set");
            emitter.emit(finding(number)).expect("no limit is set");
        }
        drop(emitter);
        assert_eq!(host.batches, [1, 1, 1, 1, 1, 1]);
        // Counted by another way: as JSON it has all texts, and names instead of records.
        let text = serde_json::to_string(&host.findings[0]).expect("a finding");
        let weight = super::weight(&host.findings[0]);
        assert!(text.len() > 1024 * 1024, "all lists are full: {}", text.len());
        assert!(weight + 64 * 1024 > text.len(), "{weight} of {}", text.len());
        assert!(weight < CALL_BYTES * 3 / 4, "{weight}");
    }

    #[test]
    fn long_lists_of_little_weigh_what_their_entries_do() {
        let mut host = MemoryHost::default();
        let mut emitter = Emitter::new(&mut host);
        for number in 0..640 {
            let mut listed = FindingBuilder::new("demo", &number.to_string());
            for entry in 0..LIST_ENTRIES {
                listed = listed.file("a", None, None, "").tag(&entry.to_string());
            }
            emitter.emit(listed.build().0).expect("no limit is set");
        }
        drop(emitter);
        let most = host.batches.iter().max().copied().unwrap_or_default();
        let entries = most * LIST_ENTRIES * (size_of::<Location>() + size_of::<String>());
        assert!(entries < BATCH_BYTES, "{entries} bytes in one call");
        assert_eq!(host.findings.len(), 640);
    }

    #[test]
    fn records_are_not_larger_than_they_are_taken_for() {
        // On 64 bits, as in the host, whose types come from the same interface.
        assert!(size_of::<Finding>() <= super::FINDING_BYTES);
        assert!(size_of::<Location>() <= super::LOCATION_BYTES);
        assert!(size_of::<String>() <= super::TEXT_BYTES);
    }

    #[test]
    fn a_refused_batch_ends_the_emitting_and_is_counted() {
        let mut host = MemoryHost {
            findings_max: Some(BATCH_FINDINGS),
            ..MemoryHost::default()
        };
        let mut emitter = Emitter::new(&mut host);
        let answers: Vec<_> = (0..BATCH_FINDINGS * 2)
            .map(|number| emitter.emit(finding(number)))
            .collect();
        assert_eq!(answers.last(), Some(&Err(IoError::OverLimit)));
        assert_eq!(
            (emitter.accepted() as usize, emitter.refused() as usize),
            (BATCH_FINDINGS, BATCH_FINDINGS)
        );
        assert!(emitter.emit(finding(0)).is_ok(), "the batch is not full yet");
        assert_eq!(emitter.flush(), Err(IoError::OverLimit));
    }
}
