//! The formats that are measured: what their reports are grown from, which plugin reads them, and the
//! speed that was promised.
//!
//! Real tools wrote the seeds of semgrep, SARIF and the captures; those of nuclei, trivy and ZAP were
//! written by hand from the tools' documentation and have shorter texts than the tools', which makes
//! them the harder.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::Scanner;
use tamiz_sdk::memory::CountingHost;
use tamiz_sdk::model::ScanRequest;

use super::capture::CaptureSeed;
use super::grow::Seed;
use crate::{Outcome, report};

/// One row of the table.
pub(super) struct Format {
    pub(super) name: &'static str,
    /// The plugin's component, without `.wasm`.
    pub(super) plugin: &'static str,
    /// Megabytes per second in wasm.
    pub(super) bar: f64,
    seed: fn() -> Outcome<Grown>,
    pub(super) native: fn(Box<dyn tamiz_sdk::Input>, &mut CountingHost) -> Outcome<u32>,
}

/// A seed of one of the kinds.
pub(super) enum Grown {
    Text(Seed),
    Capture(CaptureSeed),
}

impl Format {
    /// Reads what its reports are grown from.
    pub(super) fn seed(&self) -> Outcome<Grown> {
        (self.seed)()
    }
}

impl Grown {
    /// Writes a report; answers its bytes and records.
    pub(super) fn write(&self, path: &Path, bytes: u64) -> std::io::Result<(u64, u64)> {
        match self {
            Self::Text(seed) => seed.write(path, bytes),
            Self::Capture(seed) => seed.write(path, bytes),
        }
    }
}

pub(super) const FORMATS: [Format; 8] = [
    Format {
        name: "semgrep-json",
        plugin: "codeaudit",
        bar: 200.0,
        seed: || results("codeaudit/cases/semgrep/vulnshop.json", &SEMGREP_MARKS),
        native: natively::<tamiz_codeaudit::CodeAudit>,
    },
    // with rules that say more, as those of semgrep's registry do
    Format {
        name: "semgrep-json-long",
        plugin: "codeaudit",
        bar: 200.0,
        seed: || results_of(report::semgrep(97, 1), &SEMGREP_MARKS),
        native: natively::<tamiz_codeaudit::CodeAudit>,
    },
    // semgrep writes its rules behind its results, so that the plugin reads the report twice
    Format {
        name: "sarif-rules-last",
        plugin: "codeaudit",
        bar: 200.0,
        seed: || runs("codeaudit/cases/sarif/semgrep-vulnshop.sarif"),
        native: natively::<tamiz_codeaudit::CodeAudit>,
    },
    Format {
        name: "sarif-rules-first",
        plugin: "codeaudit",
        bar: 200.0,
        seed: || runs("codeaudit/cases/sarif/flawfinder-tcpdump-4.99.3.sarif.gz"),
        native: natively::<tamiz_codeaudit::CodeAudit>,
    },
    Format {
        name: "nuclei-jsonl",
        plugin: "web",
        bar: 150.0,
        seed: nuclei,
        native: natively::<tamiz_web::Web>,
    },
    Format {
        name: "trivy-json",
        plugin: "codeaudit",
        bar: 150.0,
        seed: trivy,
        native: natively::<tamiz_codeaudit::CodeAudit>,
    },
    Format {
        name: "zap-xml",
        plugin: "web",
        bar: 100.0,
        seed: zap,
        native: natively::<tamiz_web::Web>,
    },
    Format {
        name: "pcap",
        plugin: "pcap",
        bar: 250.0,
        seed: captures,
        native: natively::<tamiz_pcap::Pcap>,
    },
];

const SEMGREP_MARKS: [&str; 4] = ["\"path\":\"", "\"line\":", "\"col\":", "\"offset\":"];

fn natively<S: Scanner>(input: Box<dyn tamiz_sdk::Input>, host: &mut CountingHost) -> Outcome<u32> {
    let outcome =
        S::convert(vec![input], &ScanRequest::report("{}"), host).map_err(|error| format!("{error:?}"))?;
    Ok(outcome.findings)
}

/// A file of the plugins' cases.
fn case(name: &str) -> Outcome<Vec<u8>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins")).join(name);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
    Ok(plain)
}

type Members<'text> = BTreeMap<&'text str, &'text RawValue>;

fn member<'text>(object: &'text str, name: &str) -> Outcome<&'text str> {
    let members: Members<'text> = serde_json::from_str(object)?;
    let value = members
        .get(name)
        .ok_or_else(|| format!("the seed has no `{name}`"))?;
    Ok(value.get())
}

fn elements(array: &str) -> Outcome<Vec<&str>> {
    let elements: Vec<&RawValue> = Deserialize::deserialize(&mut serde_json::Deserializer::from_str(array))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

fn results(name: &str, marks: &[&str]) -> Outcome<Grown> {
    results_of(case(name)?, marks)
}

fn results_of(report: Vec<u8>, marks: &[&str]) -> Outcome<Grown> {
    let text = String::from_utf8(report)?;
    let records = elements(member(&text, "results")?)?;
    Ok(Grown::Text(Seed::new(&text, &records, ",", marks)?))
}

fn runs(name: &str) -> Outcome<Grown> {
    let text = String::from_utf8(case(name)?)?;
    let runs = elements(member(&text, "runs")?)?;
    let run = runs.first().ok_or("the seed has no run")?;
    let records = elements(member(run, "results")?)?;
    let marks = [
        "\"uri\":\"",
        "\"uri\": \"",
        "\"startLine\":",
        "\"startLine\": ",
        "\"startColumn\":",
        "\"contextHash/v1\": \"",
    ];
    Ok(Grown::Text(Seed::new(&text, &records, ",", &marks)?))
}

/// The lines that tell of a match; one that tells of none, or has an odd word, is rare.
fn nuclei() -> Outcome<Grown> {
    let text = String::from_utf8(case("web/cases/nuclei/shop-3.jsonl")?)?;
    let usual = |line: &&str| !line.contains("did-not-match") && !line.contains("catastrophic");
    let lines: Vec<&str> = text.lines().filter(usual).collect();
    let text = format!("{}\n", lines.join("\n"));
    let records: Vec<&str> = text.lines().collect();
    let marks = [
        "\"host\": \"",
        "\"url\": \"",
        "\"matched-at\": \"",
        "\"timestamp\": \"",
    ];
    Ok(Grown::Text(Seed::new(&text, &records, "\n", &marks)?))
}

/// The vulnerabilities of the first result.
fn trivy() -> Outcome<Grown> {
    let text = String::from_utf8(case("codeaudit/cases/trivy/filesystem.json")?)?;
    let results = elements(member(&text, "Results")?)?;
    let first = results.first().ok_or("the seed has no result")?;
    let records = elements(member(first, "Vulnerabilities")?)?;
    // as in every report: those without a known severity are few
    let records: Vec<&str> = records
        .into_iter()
        .filter(|record| !record.contains("TEMP-"))
        .collect();
    let marks = [
        "\"PkgID\": \"",
        "\"PkgName\": \"",
        "\"InstalledVersion\": \"",
        "\"VulnerabilityID\": \"",
    ];
    Ok(Grown::Text(Seed::new(&text, &records, ",", &marks)?))
}

fn zap() -> Outcome<Grown> {
    let text = String::from_utf8(case("web/cases/zap/shop-2.15.xml")?)?;
    let (open, close) = ("<alertitem>", "</alertitem>");
    let starts = text.match_indices(open).map(|(start, _)| start);
    let ends = text.match_indices(close).map(|(end, _)| end + close.len());
    let records: Vec<&str> = starts
        .zip(ends)
        .filter_map(|(start, end)| text.get(start..end))
        .collect();
    let marks = ["<uri>http://", "<param>"];
    Ok(Grown::Text(Seed::new(&text, &records, "\n", &marks)?))
}

fn captures() -> Outcome<Grown> {
    let names = [
        "web-attack-nikto-sqlmap.pcap.gz",
        "http-basic-auth-attacks.pcap",
        "dns-axfr-and-exfil.pcap",
        "tls10-expired-cert.pcap",
        "ftp-login.pcap",
        "smtp-auth-plain.pcap",
        "telnet-login.pcap",
        "nmap-syn-scan.pcap.gz",
    ];
    let captures: Outcome<Vec<_>> = names
        .iter()
        .map(|name| case(&format!("pcap/cases/captures/{name}")))
        .collect();
    Ok(Grown::Capture(CaptureSeed::new(&captures?)?))
}
