//! Semgrep reports of any size, in the shape of real ones.

use std::fmt::Write as _;

/// A report with `results` results of about 1.26 KB each, every one at a place of its own.
pub(crate) fn semgrep(results: usize, seed: usize) -> Vec<u8> {
    let mut text = String::with_capacity(results * 1300 + 200);
    text.push_str(r#"{"version":"1.182.0","results":["#);
    for index in 0..results {
        if index > 0 {
            text.push(',');
        }
        result(&mut text, index, seed);
    }
    text.push_str(
        r#"],"errors":[],"paths":{"scanned":["src/module_0/file_0.py"]},"skipped_rules":[],"engine_requested":"OSS"}"#,
    );
    text.into_bytes()
}

fn result(text: &mut String, index: usize, seed: usize) {
    const RULES: [(&str, &str, &str, &str); 4] = [
        (
            "py-sql-concat",
            "CWE-89: SQL Injection",
            "ERROR",
            "A03:2021 - Injection",
        ),
        (
            "py-weak-hash",
            "CWE-328: Use of Weak Hash",
            "WARNING",
            "A02:2021 - Cryptographic Failures",
        ),
        (
            "py-open-redirect",
            "CWE-601: Open Redirect",
            "WARNING",
            "A01:2021 - Broken Access Control",
        ),
        (
            "py-debug-flag",
            "CWE-489: Active Debug Code",
            "INFO",
            "A05:2021 - Security Misconfiguration",
        ),
    ];
    let (rule, cwe, severity, owasp) = RULES[index % RULES.len()];
    let (folder, file, line) = (index % 97, index % 1013, 1 + index % 4000);
    let end = line + 2;
    let message = "A value that a client controls reaches a place where it is not expected. Bound \
        parameters keep data and statement apart; build the statement from constants only, and check \
        lengths and characters where the value enters. See the team's guide for the forms in use here, and \
        ask for a review where none of them fits: a query that has to be built from parts is rare, and each \
        one is listed there with the reason it is safe.";
    // writing to a String cannot fail
    let _ = write!(
        text,
        r#"{{"check_id":"out.tamiz-{rule}","path":"src/module_{folder}/file_{file}.py","start":{{"line":{line},"col":5,"offset":{offset}}},"end":{{"line":{end},"col":31,"offset":{offset_end}}},"extra":{{"metavars":{{"$X":{{"start":{{"line":{line},"col":9,"offset":{offset}}},"end":{{"line":{line},"col":15,"offset":{offset_end}}},"abstract_content":"request.args_{seed}_{index}"}}}},"message":"{message}","metadata":{{"category":"security","cwe":["{cwe}"],"owasp":["{owasp}"],"confidence":"HIGH","impact":"HIGH","likelihood":"MEDIUM","references":["https://owasp.org/Top10/A03_2021-Injection","https://cwe.mitre.org/data/definitions/89.html"],"technology":["python"],"license":"Apache-2.0"}},"severity":"{severity}","fingerprint":"requires login","lines":"    cursor.execute(\"select * from item where id = \" + value_{seed}_{index})","validation_state":"NO_VALIDATOR","engine_kind":"OSS"}}}}"#,
        offset = line * 40,
        offset_end = line * 40 + 26,
    );
}

/// A SARIF document with `results` results of about 600 bytes each, every one at a place of its own.
pub(crate) fn sarif(results: usize, seed: usize) -> Vec<u8> {
    let mut text = String::with_capacity(results * 700 + 2_000);
    text.push_str(
        r#"{"version":"2.1.0","$schema":"https://json.schemastore.org/sarif-2.1.0.json","runs":[{"tool":{"driver":{"name":"Bench Scan","semanticVersion":"1.0.0","rules":["#,
    );
    for rule in 0..20 {
        let comma = if rule > 0 { "," } else { "" };
        // writing to a String cannot fail
        let _ = write!(
            text,
            r#"{comma}{{"id":"rule-{rule}","shortDescription":{{"text":"Rule {rule}"}},"fullDescription":{{"text":"What rule {rule} looks for, in words."}},"defaultConfiguration":{{"level":"warning"}},"properties":{{"tags":["security","external/cwe/cwe-089"],"security-severity":"7.5"}}}}"#
        );
    }
    text.push_str(r#"]}},"results":["#);
    for index in 0..results {
        let (comma, rule) = (if index > 0 { "," } else { "" }, index % 20);
        let (folder, file, line) = (index % 97, index % 1013, 1 + index % 4000);
        let _ = write!(
            text,
            r#"{comma}{{"ruleId":"rule-{rule}","ruleIndex":{rule},"level":"warning","message":{{"text":"A value that a client controls reaches a place where it is not expected: see the rule's description."}},"locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"src/module_{folder}/file_{file}.py","uriBaseId":"%SRCROOT%"}},"region":{{"startLine":{line},"startColumn":5,"endLine":{line},"endColumn":31,"snippet":{{"text":"cursor.execute(query_{seed}_{index})"}}}}}}}}],"partialFingerprints":{{"primaryLocationLineHash":"{seed:08x}{index:08x}:1"}}}}"#
        );
    }
    text.push_str("]}]}");
    text.into_bytes()
}
