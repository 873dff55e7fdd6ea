//! Alerts for tests: one of every kind.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{Baseline, Exported, Head};
use crate::alert::{AlertState, Dismissal, DismissalReason};
use crate::finding::tests::plain;
use crate::finding::{Finding, Span};
use crate::identity::Fingerprint;
use crate::location::{Endpoint, Location, Position};
use crate::severity::{Confidence, Severity};
use crate::task::ScanType;

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + Duration::seconds(seconds)
}

pub(super) fn head() -> Head {
    Head {
        id: Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001),
        project: "shop".into(),
        product: None,
        author: "Shop Security".into(),
        run: "2027-01-15".into(),
        made_at: at(9_000),
        version: "0.1.0".into(),
    }
}

pub(super) fn alert(number: u128, scan_type: &str, finding: Finding) -> Exported {
    Exported {
        id: Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0001_0000 + number),
        severity: finding.severity,
        finding,
        places: vec![],
        fingerprint: Fingerprint([0xab; 32]),
        fingerprint_version: 2,
        state: AlertState::Open,
        dismissal: None,
        cvss_score: None,
        first_seen: at(0),
        last_seen: at(3_600),
        baseline: None,
        scan_type: ScanType::parse(scan_type).unwrap(),
        tool_version: None,
    }
}

fn file(path: &str, line: u32) -> Location {
    Location::File {
        path: path.into(),
        start: Some(Position { line, column: None }),
        end: None,
        snippet: None,
    }
}

/// What a tool may say besides.
fn code_extra() -> serde_json::Value {
    json!({
        "fix": "db.query(sql, [id])",
        "code-flow": [
            { "path": "src/a b.js", "line": 3, "message": "from here" },
            { "place": "GET /users", "message": "through the request" },
            { "path": null, "line": null, "message": "to the database" },
        ],
        "related": [{ "path": "src/db.js", "line": 7, "message": "the query" }],
        "suppressions": [
            { "kind": "inSource", "justification": "nosemgrep" },
            { "kind": "comment", "justification": "" },
        ],
        "suppressions-not-accepted": [
            { "kind": "external", "status": "underReview", "justification": "asked" },
        ],
        "logical-location": "users.find",
        "logical-locations": ["users.find", "users.all"],
        "rank": 87.5,
        "occurrence-count": 3,
        "check-id": "rules.javascript.sqli",
        "odd": { "nested": [1, null] },
    })
}

/// A flaw in code, with every field of the model.
pub(super) fn code() -> Exported {
    let extra = code_extra();
    let serde_json::Value::Object(extra) = extra else {
        unreachable!("an object")
    };
    let finding = Finding {
        tool: "semgrep".into(),
        rule_id: "javascript.sqli".into(),
        rule_name: Some("SQL injection".into()),
        title: "User input in SQL".into(),
        message: "User input in SQL\nThe request's `id` reaches the query {0}.".into(),
        severity: Severity::High,
        severity_raw: Some("ERROR".into()),
        confidence: Confidence::Medium,
        category: Some("security".into()),
        locations: vec![
            Location::File {
                path: "src/a b.js".into(),
                start: Some(Position {
                    line: 3,
                    column: Some(5),
                }),
                end: Some(Position {
                    line: 4,
                    column: Some(20),
                }),
                snippet: Some("db.query(\n  \"… \" + id)".into()),
            },
            file("src/ü.js", 9),
            file("/etc/app/config.js", 1),
        ],
        cwe: vec![89, 20, 89],
        cve: vec!["GHSA-aaaa-bbbb-cccc".into(), "CVE-2026-0001".into()],
        cvss_vector: Some("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N".into()),
        references: vec!["https://shop.test/sqli".into(), "https://shop.test/more".into()],
        tags: vec!["owasp:A03:2021".into(), "backend".into()],
        remediation: Some("Bind the value.".into()),
        tool_fingerprint: Some("matchBasedId/v1:0123abcd".into()),
        origin: Some(Span {
            input: 1,
            offset: 20,
            length: 300,
        }),
        extra,
    };
    Exported {
        places: vec![file("src/also.js", 2)],
        cvss_score: Some(7.5),
        baseline: Some(Baseline::New),
        tool_version: Some("1.90.0".into()),
        ..alert(1, "codeaudit", finding)
    }
}

pub(super) fn package() -> Exported {
    let mut finding = Finding {
        tool: "osv-scanner".into(),
        rule_id: "CVE-2021-23337".into(),
        title: "lodash 4.17.20: Command injection".into(),
        message: "Command injection".into(),
        category: Some("dependency".into()),
        locations: vec![file("web/package-lock.json", 12)],
        cwe: vec![94],
        cve: vec!["CVE-2021-23337".into(), "GHSA-35jh-r3h4-6jhm".into()],
        remediation: Some("Upgrade lodash to 4.17.21.".into()),
        ..plain()
    };
    for (key, value) in [
        ("package", "lodash"),
        ("version", "4.17.20"),
        ("ecosystem", "npm"),
        ("fixed-version", "4.17.21"),
        ("package-url", "pkg:npm/lodash@4.17.20"),
    ] {
        finding.extra.insert(key.into(), json!(value));
    }
    Exported {
        cvss_score: Some(7.2),
        baseline: Some(Baseline::Unchanged),
        ..alert(2, "codeaudit", finding)
    }
}

/// Dismissed, in several files.
pub(super) fn secret() -> Exported {
    let mut finding = Finding {
        tool: "gitleaks".into(),
        rule_id: "aws-key".into(),
        title: "AWS key".into(),
        message: "AWS key found".into(),
        severity: Severity::Critical,
        locations: vec![file("a.env", 1)],
        tool_fingerprint: Some("keyed".into()),
        ..plain()
    };
    finding.extra.insert("secret".into(), json!("AKIA…"));
    Exported {
        places: vec![file("b.env", 4), file("a.env", 1)],
        state: AlertState::Dismissed,
        dismissal: Some(dismissal(DismissalReason::UsedInTests)),
        severity: Severity::Low,
        baseline: Some(Baseline::Updated),
        ..alert(3, "codeaudit", finding)
    }
}

pub(super) fn dismissal(reason: DismissalReason) -> Dismissal {
    Dismissal {
        reason,
        comment: Some("seen by the team: fine".into()),
        by: "ana".into(),
        at: at(7_200),
        until: (reason == DismissalReason::AcceptedRisk).then(|| at(90_000)),
    }
}

pub(super) fn web() -> Exported {
    let finding = Finding {
        tool: "zap".into(),
        rule_id: "10020".into(),
        severity: Severity::Info,
        confidence: Confidence::Unknown,
        message: String::new(),
        locations: vec![Location::Url {
            url: "https://shop.test/users?id=1".into(),
            method: Some("GET".into()),
            parameter: Some("id".into()),
            evidence: Some("<b>".into()),
        }],
        ..plain()
    };
    alert(4, "web", finding)
}

pub(super) fn flow() -> Exported {
    let endpoint = |host: &str, port| Endpoint {
        host: host.into(),
        port: Some(port),
        protocol: Some("tcp/http".into()),
    };
    let finding = Finding {
        tool: "zeek".into(),
        rule_id: "plain-password".into(),
        locations: vec![Location::Flow {
            source: endpoint("10.0.0.1", 40_000),
            destination: endpoint("shop.test", 80),
            packet: Some(7),
        }],
        cwe: vec![319],
        ..plain()
    };
    Exported {
        state: AlertState::Fixed,
        baseline: Some(Baseline::Absent),
        ..alert(5, "pcap", finding)
    }
}

pub(super) fn others() -> [Exported; 3] {
    let at_host = Location::Endpoint(Endpoint {
        host: "::1".into(),
        port: Some(443),
        protocol: None,
    });
    let name = Location::Domain {
        name: "mail.shop.test".into(),
        record_type: Some("MX".into()),
    };
    let snippet_only = Location::File {
        path: "odd.js".into(),
        start: None,
        end: None,
        snippet: Some("eval(x)".into()),
    };
    let backwards = Location::File {
        path: "odd.js".into(),
        start: Some(Position {
            line: 9,
            column: Some(4),
        }),
        end: Some(Position {
            line: 9,
            column: Some(2),
        }),
        snippet: None,
    };
    let of = |number, tool: &str, locations| {
        let finding = Finding {
            tool: tool.into(),
            locations,
            ..plain()
        };
        alert(number, "osint", finding)
    };
    let mut nowhere = of(8, "nothing", vec![]);
    let method = json!("Shop.dll!Shop.Load");
    nowhere.finding.extra.insert("logical-location".into(), method);
    [
        of(6, "amass", vec![at_host, name]),
        of(7, "odd", vec![snippet_only, backwards]),
        nowhere,
    ]
}

pub(super) fn all() -> Vec<Exported> {
    let mut all = vec![code(), package(), secret(), web(), flow()];
    all.extend(others());
    all
}
