//! Findings as a guest may send them, and what is kept of each.

use super::*;

fn plain() -> wit::Finding {
    wit::Finding {
        tool: "Semgrep".to_owned(),
        rule_id: "rule".to_owned(),
        rule_name: None,
        title: "title".to_owned(),
        message: "message".to_owned(),
        severity: wit::Severity::Critical,
        severity_raw: Some(String::new()),
        confidence: wit::Confidence::Low,
        category: None,
        locations: Vec::new(),
        cwe: vec![0, 79, u32::MAX],
        cve: Vec::new(),
        cvss_vector: None,
        references: vec!["https://example.org".to_owned(), "javascript:alert(1)".to_owned()],
        tags: Vec::new(),
        remediation: None,
        fix: None,
        suppressions: Vec::new(),
        code_flow: Vec::new(),
        tool_fingerprint: None,
        origin: None,
        extra: Vec::new(),
    }
}

fn shaped(from: wit::Finding) -> (Finding, Vec<(&'static str, &'static str)>) {
    let mut shaper = Shaper::new("plugin");
    let finding = shaper.finding(from);
    let notes = shaper.notes();
    (
        finding,
        notes.iter().map(|note| (note.code, note.field)).collect(),
    )
}

#[test]
fn words_numbers_and_addresses_are_brought_into_range() {
    let (finding, notes) = shaped(plain());
    assert_eq!(finding.tool, "semgrep");
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.severity_raw, None);
    assert_eq!(finding.cwe, [79]);
    assert_eq!(finding.references, ["https://example.org"]);
    assert_eq!(notes, [("field-dropped", "references")]);
}

#[test]
fn every_text_is_cut_at_its_limit_and_noted_once() {
    let long = || "ñ".repeat(70_000);
    let (finding, notes) = shaped(wit::Finding {
        rule_id: long(),
        title: long(),
        message: long(),
        remediation: Some(long()),
        tags: vec![long(); 200],
        cvss_vector: Some(long()),
        references: Vec::new(),
        ..plain()
    });
    assert_eq!(finding.message.len(), MESSAGE_BYTES_MAX);
    assert_eq!(finding.title.len(), LABEL_BYTES_MAX);
    assert_eq!(
        (finding.tags.len(), finding.tags[0].len()),
        (LIST_ITEMS_MAX, LABEL_BYTES_MAX)
    );
    let fields: Vec<_> = notes.iter().map(|(_, field)| *field).collect();
    assert_eq!(
        fields,
        [
            "message",
            "rule-id",
            "title",
            "cvss-vector",
            "tags",
            "remediation"
        ]
    );
}

#[test]
fn places_that_cannot_be_are_left_out() {
    let start = Some(wit::Position {
        line: 0,
        column: Some(1),
    });
    let end = Some(wit::Position {
        line: 7,
        column: Some(1 << 31),
    });
    let endpoint = |port| wit::NetworkEndpoint {
        host: "a".to_owned(),
        port: Some(port),
        protocol: None,
    };
    let file = wit::FileLocation {
        path: "a\nb".to_owned(),
        start,
        end,
        snippet: Some("x".repeat(SNIPPET_BYTES_MAX + 1)),
    };
    let flow = wit::PacketFlow {
        source: endpoint(65_536),
        destination: endpoint(443),
        packet: Some(0),
    };
    let (finding, _) = shaped(wit::Finding {
        locations: vec![wit::Location::File(file), wit::Location::Flow(flow)],
        ..plain()
    });
    let Location::File {
        path,
        start,
        end,
        snippet,
    } = &finding.locations[0]
    else {
        panic!("{:?}", finding.locations);
    };
    assert_eq!((path.as_str(), *start), ("a b", None));
    assert_eq!(
        *end,
        Some(Position {
            line: 7,
            column: None
        })
    );
    assert_eq!(snippet.as_ref().map(String::len), Some(SNIPPET_BYTES_MAX));
    assert_eq!(finding.locations[1].label(), "a > a:443");
}

#[test]
fn extra_values_are_json_the_database_can_hold() {
    let pairs = [
        ("number", "1.5"),
        ("nested", r#"{"a\u0000":["b\u0000c"]}"#),
        ("words", "not json"),
        ("huge", "1e999"),
    ];
    let (finding, _) = shaped(wit::Finding {
        extra: pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..plain()
    });
    assert_eq!(finding.extra["number"], 1.5);
    assert_eq!(finding.extra["nested"]["a"][0], "bc");
    assert_eq!(finding.extra["words"], "not json");
    assert_eq!(finding.extra["huge"], "1e999");

    let large = vec![("key".to_owned(), "x".repeat(EXTRA_BYTES_MAX))];
    let (finding, notes) = shaped(wit::Finding {
        extra: large,
        ..plain()
    });
    assert!(finding.extra.is_empty());
    assert!(notes.contains(&("field-cut", "extra")));
}
#[test]
fn what_the_tool_said_about_a_result_is_kept_in_extra() {
    let place = wit::Location::Url(wit::UrlLocation {
        url: "https://example.org/a".to_owned(),
        method: None,
        parameter: None,
        evidence: None,
    });
    let file = wit::Location::File(wit::FileLocation {
        path: "src/app.py".to_owned(),
        start: Some(wit::Position {
            line: 3,
            column: Some(1),
        }),
        end: None,
        snippet: None,
    });
    let step = |location, message: Option<&str>| wit::FlowStep {
        location,
        message: message.map(str::to_owned),
    };
    let (finding, notes) = shaped(wit::Finding {
        references: Vec::new(),
        fix: Some("x = 1".to_owned()),
        suppressions: vec![wit::Suppression {
            kind: "inSource".to_owned(),
            justification: None,
        }],
        code_flow: vec![step(file, Some("source")), step(place, None)],
        extra: vec![
            ("fix".to_owned(), "2".to_owned()),
            ("rank".to_owned(), "2".to_owned()),
        ],
        ..plain()
    });
    assert_eq!(
        Value::Object(finding.extra),
        json!({
            "fix": "x = 1",
            "suppressions": [{ "kind": "inSource", "justification": "" }],
            "code-flow": [
                { "path": "src/app.py", "line": 3, "message": "source" },
                { "place": "https://example.org/a", "message": "" },
            ],
            "rank": 2,
        })
    );
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn a_flow_beyond_its_room_is_cut_and_noted() {
    let step = wit::FlowStep {
        location: wit::Location::Domain(wit::DomainName {
            name: "x".repeat(PLACE_BYTES_MAX),
            record_type: None,
        }),
        message: None,
    };
    let (finding, notes) = shaped(wit::Finding {
        references: Vec::new(),
        code_flow: vec![step; 50],
        fix: Some("y".repeat(EXTRA_BYTES_MAX)),
        ..plain()
    });
    let steps = finding.extra["code-flow"].as_array().map(Vec::len);
    assert_eq!(steps, Some(EXTRA_BYTES_MAX / 2 / PLACE_BYTES_MAX));
    assert_eq!(
        finding.extra["fix"].as_str().map(str::len),
        Some(EXTRA_BYTES_MAX / 2)
    );
    assert_eq!(notes, [("field-cut", "code-flow"), ("field-cut", "fix")]);
}
