//! Plain HTTP for pipelines and for clients of other systems: reports with a verdict, scans, results, how tasks stand.

mod described;
mod repeats;
mod reports;
mod routes;
mod scans;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::harness::checkout;

const REPORTS: &str = "POST /v1/reports";
const RESULTS: &str = "POST /queue/result";
const SCANS: &str = "POST /scans/{type}";
const CODE: &str = "POST /codeaudit/upload";
const TASK: &str = "GET /tasks/{id}";

/// A report of semgrep with all its results but the first `left_out`.
fn shop(left_out: usize) -> Vec<u8> {
    let sample = checkout::read("plugins/codeaudit/cases/semgrep/vulnshop.json");
    let mut report: Value = serde_json::from_slice(&sample).unwrap();
    report["results"].as_array_mut().unwrap().drain(..left_out);
    serde_json::to_vec(&report).unwrap()
}

/// Results of the whole report.
fn shop_results() -> usize {
    let report: Value = serde_json::from_slice(&shop(0)).unwrap();
    report["results"].as_array().unwrap().len()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A form with these parts in this order; `file` is the file.
fn form(request: RequestBuilder, parts: &[(&str, &[u8])]) -> RequestBuilder {
    let mut body = Vec::new();
    for (name, bytes) in parts {
        let file = if *name == "file" {
            "; filename=\"a report\""
        } else {
            ""
        };
        let head = format!("--tamiz-form\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--tamiz-form--\r\n");
    let kind = "multipart/form-data; boundary=tamiz-form";
    request.header("content-type", kind).body(body)
}
