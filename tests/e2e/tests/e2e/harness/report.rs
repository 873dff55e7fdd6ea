//! Reports and archives that tests make.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A semgrep report of so many findings, each with a place of its own.
pub(crate) fn semgrep(findings: usize) -> Vec<u8> {
    named_semgrep("demo-rule", findings)
}

/// The same with texts that name their owner.
pub(crate) fn named_semgrep(word: &str, findings: usize) -> Vec<u8> {
    repeated(word, findings, 1)
}

/// The same with each record so many times, in rounds.
pub(crate) fn repeated(word: &str, findings: usize, times: usize) -> Vec<u8> {
    let mut text = String::from(r#"{"version": "1.182.0", "results": ["#);
    for index in 0..findings * times {
        let number = index % findings;
        let (comma, line) = (if index == 0 { "" } else { "," }, number + 1);
        let severity = ["INFO", "WARNING", "ERROR"][number % 3];
        write!(
            text,
            r#"{comma}{{"check_id": "{word}-{rule}", "path": "src/{word}{file}.py",
              "start": {{"line": {line}, "col": 1, "offset": 0}}, "end": {{"line": {line}, "col": 9, "offset": 8}},
              "extra": {{"message": "{word} number {number}", "severity": "{severity}",
              "metadata": {{"cwe": ["CWE-89: SQL Injection"], "references": ["https://example.org/{word}"]}},
              "lines": "{word} source", "fingerprint": "requires login"}}}}"#,
            rule = number % 7,
            file = number % 11,
        )
        .expect("text grows");
    }
    text.push_str(r#"], "errors": [], "paths": {"scanned": []}}"#);
    text.into_bytes()
}

/// A zip of these files.
pub(crate) fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(name, options).expect("an entry");
        zip.write_all(bytes).expect("memory");
    }
    zip.finish().expect("a zip").into_inner()
}

/// A zip of one file, for tools that do not look into it.
pub(crate) fn one_file() -> Vec<u8> {
    archive([("a.py", b"1".as_slice())])
}

/// A zip whose unpacking takes a while: many files.
pub(crate) fn large_archive(files: usize) -> Vec<u8> {
    let names: Vec<String> = (0..files)
        .map(|number| format!("src/{}/{number}.py", number % 100))
        .collect();
    archive(names.iter().map(|name| (name.as_str(), b"print(1)\n".as_slice())))
}
