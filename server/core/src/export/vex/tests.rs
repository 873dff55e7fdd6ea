//! There and back: what is written is read as what it was; and documents of others are read by their rules.

use serde_json::{Value, json};

use super::{Decision, Index, Request, Status, Subject, VexError, VexStatement, read};
use crate::alert::{AlertState, DismissalReason};
use crate::export::samples::{all, at, dismissal, head, package};
use crate::export::{Exported, Format, advisories};

/// The same alert in every state, with an id each.
fn in_every_state() -> Vec<Exported> {
    let mut alerts = Vec::new();
    for state in AlertState::ALL
        .iter()
        .filter(|state| **state != AlertState::Dismissed)
    {
        alerts.push(Exported {
            state: *state,
            ..package()
        });
    }
    for reason in DismissalReason::ALL {
        alerts.push(Exported {
            state: AlertState::Dismissed,
            dismissal: Some(dismissal(*reason)),
            ..package()
        });
    }
    for (index, alert) in (0_u128..).zip(&mut alerts) {
        alert.id = uuid::Uuid::from_u128(100 + index);
    }
    alerts
}

fn written(format: Format, alerts: &[Exported]) -> Vec<u8> {
    let mut writer = format.writer(head());
    let mut out = Vec::new();
    writer.begin(&mut out);
    for alert in alerts {
        writer.alert(alert, &mut out);
    }
    writer.end(&mut out);
    out
}

fn value(format: Format, alerts: &[Exported]) -> Value {
    serde_json::from_slice(&written(format, alerts)).unwrap()
}

#[test]
fn every_state_has_its_openvex_status_with_what_that_demands() {
    let document = value(Format::OpenVex, &in_every_state());
    let statements = document["statements"].as_array().unwrap();
    let said: Vec<(&str, Option<&str>)> = statements
        .iter()
        .map(|statement| {
            let keys = ["justification", "impact_statement", "action_statement"];
            let present: Vec<&str> = keys
                .into_iter()
                .filter_map(|key| statement[key].as_str())
                .collect();
            assert!(present.len() <= 1, "{statement:#}");
            (statement["status"].as_str().unwrap(), present.first().copied())
        })
        .collect();
    let comment = Some("seen by the team: fine");
    assert_eq!(
        said,
        [
            ("under_investigation", None),
            ("affected", Some("Upgrade lodash to 4.17.21.")),
            ("fixed", None),
            ("not_affected", comment),
            ("affected", comment),
            ("affected", comment),
            ("not_affected", Some("vulnerable_code_not_in_execute_path")),
        ]
    );
    assert_eq!(
        statements[0]["products"],
        json!([{
            "@id": "pkg:generic/shop",
            "subcomponents": [{
                "@id": "pkg:npm/lodash@4.17.20",
                "identifiers": { "purl": "pkg:npm/lodash@4.17.20" },
            }],
        }])
    );
}

#[test]
fn every_state_has_its_cyclonedx_analysis() {
    let document = value(Format::CycloneDx, &in_every_state());
    let analyses = document["vulnerabilities"].as_array().unwrap().iter();
    let states: Vec<&str> = analyses
        .map(|vulnerability| vulnerability["analysis"]["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "in_triage",
            "exploitable",
            "resolved",
            "false_positive",
            "exploitable",
            "exploitable",
            "not_affected"
        ]
    );
    assert_eq!(document["components"].as_array().unwrap().len(), 1);
    assert_eq!(document["components"][0]["bom-ref"], "pkg:npm/lodash@4.17.20");
}

#[test]
fn a_dismissal_comes_back_as_what_it_was() {
    for format in [Format::OpenVex, Format::CycloneDx] {
        let imported = read(&written(format, &in_every_state())).unwrap();
        assert_eq!(imported.left_out_count, 0);
        let requests: Vec<Request> = imported.statements.iter().map(VexStatement::request).collect();
        let dismissed = |reason: DismissalReason| {
            Request::Dismiss(Decision {
                reason,
                comment: dismissal(reason).comment,
                until: dismissal(reason).until,
            })
        };
        let fixed = Request::Dismiss(Decision {
            reason: DismissalReason::FalsePositive,
            comment: Some("fixed".into()),
            until: None,
        });
        let mut expected = vec![Request::Nothing, Request::Open, fixed];
        expected.extend(DismissalReason::ALL.iter().copied().map(dismissed));
        assert_eq!(requests, expected, "{format}");
        for statement in &imported.statements {
            assert!(statement.matches("pkg:npm/lodash@4.17.20", &advisories(&package().finding)));
            assert!(statement.matches("pkg:npm/lodash@4.17.20", &["ghsa-35jh-r3h4-6jhm"]));
            assert!(!statement.matches("pkg:npm/lodash@4.17.21", &["CVE-2021-23337"]));
            assert!(!statement.matches("pkg:npm/lodash@4.17.20", &["CVE-2021-1"]));
        }
        assert_eq!(imported.statements[3].at, Some(at(7_200)), "{format}");
    }
}

#[test]
fn only_packages_with_advisories_have_a_place_in_vex() {
    for (format, list) in [
        (Format::OpenVex, "statements"),
        (Format::CycloneDx, "vulnerabilities"),
    ] {
        let document = value(format, &all());
        assert_eq!(document[list].as_array().unwrap().len(), 1);
        let mut nameless = package();
        nameless.finding.cve.clear();
        assert_eq!(value(format, &[nameless])[list], json!([]));
    }
}

#[test]
fn a_comment_that_begins_with_a_justification_is_one() {
    let mut alert = package();
    alert.state = AlertState::Dismissed;
    let mut decided = dismissal(DismissalReason::FalsePositive);
    decided.comment = Some("inline_mitigations_already_exist: the proxy refuses it".into());
    alert.dismissal = Some(decided);
    let open = value(Format::OpenVex, &[alert.clone()]);
    assert_eq!(
        open["statements"][0]["justification"],
        "inline_mitigations_already_exist"
    );
    let cyclone = value(Format::CycloneDx, &[alert]);
    let analysis = &cyclone["vulnerabilities"][0]["analysis"];
    assert_eq!(analysis["state"], "not_affected");
    assert_eq!(analysis["justification"], "protected_by_mitigating_control");
}

fn import(document: &Value) -> Result<super::Imported, VexError> {
    read(document.to_string().as_bytes())
}

#[test]
fn documents_of_other_programs_are_read() {
    let imported = import(&json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "timestamp": "2026-01-01T00:00:00+02:00",
        "statements": [
            {
                "vulnerability": { "@id": "https://nvd.example/CVE-2026-1", "name": "CVE-2026-1", "aliases": ["GHSA-x"] },
                "products": [{ "@id": "pkg:oci/shop@sha256:1", "subcomponents": [{ "@id": "pkg:npm/st" }] }],
                "status": "not_affected",
                "justification": "component_not_present",
                "timestamp": "2026-02-01T00:00:00Z",
            },
            { "vulnerability": "CVE-2026-2", "products": ["pkg:npm/st@1"], "status": "affected" },
            { "vulnerability": { "name": "CVE-2026-3" }, "products": [{ "@id": "https://shop.test" }], "status": "fixed" },
            { "vulnerability": { "name": "CVE-2026-4" }, "status": "under_investigation" },
            { "vulnerability": "CVE-2026-5", "products": ["pkg:oci/shop@sha256:1"], "status": "affected" },
        ],
    }))
    .unwrap();
    let [first, second, third, image] = imported.statements.as_slice() else {
        panic!("four statements")
    };
    assert_eq!(first.advisories, ["CVE-2026-1", "GHSA-x"]);
    assert_eq!(first.subject, Subject::Packages(vec!["pkg:npm/st".into()]));
    assert_eq!(first.at.unwrap().to_rfc3339(), "2026-02-01T00:00:00+00:00");
    let Request::Dismiss(decision) = first.request() else {
        panic!("a dismissal")
    };
    assert_eq!(decision.reason, DismissalReason::FalsePositive);
    assert_eq!(decision.comment.as_deref(), Some("component_not_present"));
    assert_eq!(second.at.unwrap().to_rfc3339(), "2025-12-31T22:00:00+00:00");
    assert_eq!(second.request(), Request::Open);
    assert_eq!(third.subject, Subject::Product);
    assert!(third.matches("pkg:pypi/anything", &["CVE-2026-3"]));
    assert_eq!((&image.subject, image.number), (&Subject::Product, 4));
    assert_eq!(
        imported.left_out,
        ["statements[3]: it names no package and no product"]
    );
}

#[test]
fn cyclonedx_references_stand_for_components_of_any_depth_and_links() {
    let affects = json!([
        { "ref": "inner" },
        { "ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:npm/linked@2" },
        { "ref": "plain", "versions": [{ "version": "1.0" }, { "range": "vers:npm/<2" }] },
        { "ref": "nameless" },
        { "ref": "unknown" },
    ]);
    let analysis = json!({ "state": "exploitable", "response": ["can_not_fix"], "detail": "no time" });
    let imported = import(&json!({
        "bomFormat": "CycloneDX",
        "metadata": { "component": { "bom-ref": "root", "components": [{ "bom-ref": "plain", "purl": "pkg:npm/plain" }] } },
        "components": [
            { "components": [{ "bom-ref": "inner", "purl": "pkg:npm/inner@1" }] },
            { "bom-ref": "nameless" },
        ],
        "vulnerabilities": [
            { "id": "CVE-2026-1", "analysis": analysis, "affects": affects },
            { "id": "CVE-2026-2", "analysis": { "state": "false_positive" }, "affects": [{ "ref": "root" }] },
            { "id": "CVE-2026-3", "affects": [{ "ref": "root" }] },
        ],
    }))
    .unwrap();
    let [first, second] = imported.statements.as_slice() else {
        panic!("two statements")
    };
    let packages = ["pkg:npm/inner@1", "pkg:npm/linked@2", "pkg:npm/plain@1.0"];
    assert_eq!(
        first.subject,
        Subject::Packages(packages.map(String::from).into())
    );
    assert_eq!(
        first.request(),
        Request::Dismiss(Decision {
            reason: DismissalReason::WontFix,
            comment: Some("no time".into()),
            until: None,
        })
    );
    assert_eq!(second.subject, Subject::Product);
    assert_eq!(
        imported.left_out,
        [
            "vulnerabilities[0].affects[2]: a range of versions is not understood",
            "vulnerabilities[0].affects[3]: the component has no package URL",
            "vulnerabilities[0].affects[4]: no component has this reference",
        ]
    );
}

#[test]
fn the_latest_statement_counts_and_of_equal_ones_the_last() {
    let statement = |number, status, seconds: Option<i64>| VexStatement {
        place: format!("statements[{number}]"),
        number,
        advisories: vec!["CVE-2026-1".into(), "GHSA-x".into()],
        subject: Subject::Product,
        status,
        justification: None,
        text: None,
        decision: None,
        at: seconds.map(at),
    };
    let statements = [
        statement(0, Status::Affected, Some(5)),
        statement(1, Status::Fixed, Some(5)),
        statement(2, Status::NotAffected, Some(1)),
        statement(3, Status::UnderInvestigation, None),
    ];
    let index = Index::new(&statements);
    let found = index.latest("pkg:npm/st@1", &["ghsa-X", "CVE-2026-1"]).unwrap();
    assert_eq!(found.status, Status::Fixed);
    assert_eq!(index.latest("pkg:npm/st@1", &["CVE-2026-2"]), None);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let openvex = |statement: Value| json!({ "@context": "x", "statements": [{}, statement] });
    let good = json!({ "vulnerability": "CVE-1", "products": ["pkg:npm/st"], "status": "fixed" });
    let with = |key: &str, value: Value| {
        let mut statement = good.clone();
        statement[key] = value;
        let mut document = openvex(statement);
        document["statements"][0] = good.clone();
        document
    };
    let cyclonedx = |analysis: Value| json!({ "bomFormat": "CycloneDX", "vulnerabilities": [{ "id": "", "analysis": analysis }] });
    for (document, expected) in [
        (json!({}), "neither OpenVEX"),
        (
            openvex(json!({})),
            "statements[0].status: `` is not one of not_affected",
        ),
        (with("status", json!("gone")), "statements[1].status: `gone`"),
        (
            with("justification", json!("because")),
            "statements[1].justification: `because`",
        ),
        (
            with("vulnerability", json!({})),
            "statements[1].vulnerability: no advisory",
        ),
        (
            with("timestamp", json!("today")),
            "statements[1].timestamp: `today` is no time",
        ),
        (
            with("products", json!(["p".repeat(5_000)])),
            "statements[1].products: it has more",
        ),
        (
            cyclonedx(json!({ "state": "odd" })),
            "vulnerabilities[0].analysis.state: `odd`",
        ),
        (
            cyclonedx(json!({ "state": "in_triage", "justification": "odd" })),
            "vulnerabilities[0].analysis.justification: `odd`",
        ),
        (
            cyclonedx(json!({ "state": "in_triage" })),
            "vulnerabilities[0].id: no advisory",
        ),
    ] {
        let error = import(&document).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_too_large_or_no_json_is_refused() {
    let large = vec![b' '; super::DOCUMENT_BYTES_MAX + 1];
    assert!(matches!(read(&large), Err(VexError::TooLarge { .. })));
    let Err(VexError::Malformed(source)) = read(b"{\n\"statements\": 7\n\n}") else {
        panic!("no document")
    };
    assert_eq!(source.line(), 2, "{source}");
    let many = json!({ "@context": "x", "statements": vec![json!({}); 50_001] });
    let error = import(&many).unwrap_err().to_string();
    assert_eq!(error, "statements: 50001 entries, and at most 50000 are read");
}
