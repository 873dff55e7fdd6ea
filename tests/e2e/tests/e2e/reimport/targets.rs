//! Reports about several images and hosts in one project: none closes what another found.

use serde_json::{Value, json};

use super::{alerts, bytes, comparison, imported, is_still};
use crate::harness::{App, Client};

/// What trivy says of an image, or of a folder, with a flaw in each of these packages.
fn trivy(name: &str, kind: &str, packages: &[&str]) -> Value {
    let flaw = |package: &&str| {
        json!({
            "VulnerabilityID": "CVE-2026-1000", "PkgName": package, "InstalledVersion": "1.0", "Severity": "HIGH",
            "PkgIdentifier": { "PURL": format!("pkg:apk/alpine/{package}@1.0") },
        })
    };
    let flaws: Vec<Value> = packages.iter().map(flaw).collect();
    json!({
        "SchemaVersion": 2, "ArtifactName": name, "ArtifactType": kind,
        "Results": [{ "Target": "usr/lib", "Class": "os-pkgs", "Type": "alpine", "Vulnerabilities": flaws }],
    })
}

/// What grype says of an image.
fn grype(name: &str, packages: &[&str]) -> Value {
    let found = |package: &&str| {
        json!({
            "vulnerability": { "id": "CVE-2026-1000", "severity": "High" }, "relatedVulnerabilities": [],
            "matchDetails": [],
            "artifact": { "name": package, "version": "1.0", "type": "apk", "purl": format!("pkg:apk/alpine/{package}@1.0") },
        })
    };
    let matches: Vec<Value> = packages.iter().map(found).collect();
    json!({
        "matches": matches, "source": { "type": "image", "target": { "userInput": name } },
        "distro": {}, "descriptor": { "name": "grype", "version": "0.100.0" },
    })
}

/// What nikto says of a server.
fn nikto(host: &str, messages: &[&str]) -> Value {
    let entry = |(number, message): (usize, &&str)| json!({ "id": format!("00000{number}"), "method": "GET", "url": "/", "msg": message, "references": "" });
    let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
    json!([{ "host": host, "ip": "192.0.2.1", "port": "80", "banner": "", "vulnerabilities": entries }])
}

/// Imports a report; answers how many alerts are new and fixed since.
async fn changed(app: &App, acme: &Client, (project, scan_type): (&str, &str), report: &Value) -> [u64; 2] {
    let task = imported(acme, project, scan_type, "report.json", bytes(report)).await;
    let compared = comparison(app, &task);
    ["new", "fixed"].map(|what| compared[what].as_u64().unwrap_or_else(|| panic!("{compared}")))
}

fn targets(app: &App, project: &str) -> String {
    let said = app.sql(&format!(
        "select string_agg(distinct '<' || target || '>', ' ' order by '<' || target || '>')
         from tenant.scan_scope where project_id = '{project}'"
    ));
    said.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_one_image_closes_nothing_of_another() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("images").await;
    let of = (project.as_str(), "codeaudit");
    let image = "container_image";
    for (report, expected) in [
        (trivy("registry.test/shop:1.0", image, &["musl", "zlib"]), [2, 0]),
        (trivy("registry.test/mail@sha256:ab12", image, &["curl"]), [1, 0]),
        // the next build of an image is the same target
        (trivy("registry.test/shop:1.1", image, &["musl"]), [0, 1]),
        (trivy("/ci/build-17/shop", "filesystem", &["jq"]), [1, 0]),
        // without a finding, too
        (trivy("registry.test/mail:2", image, &[]), [0, 1]),
        (grype("registry.test/shop:1.1", &["busybox", "perl"]), [2, 0]),
        (grype("registry.test/mail:2", &["perl", "git"]), [1, 0]),
        (grype("registry.test/shop:1.2", &["perl"]), [0, 1]),
    ] {
        assert_eq!(changed(&app, &acme, of, &report).await, expected, "{report:#}");
    }
    assert_eq!(
        targets(&app, &project),
        "<> <registry.test/mail> <registry.test/shop>"
    );
    let before = alerts(&app, &project);
    let last = grype("registry.test/shop:1.2", &["perl"]);
    let again = imported(&acme, &project, "codeaudit", "report.json", bytes(&last)).await;
    assert!(is_still(&comparison(&app, &again)));
    assert_eq!(alerts(&app, &project), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_nothing_about_one_host_closes_what_was_there() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("hosts").await;
    let of = (project.as_str(), "web");
    let both: Vec<Value> = [nikto("shop.test", &["It lists files."]), nikto("mail.test", &[])]
        .iter()
        .flat_map(|report| report.as_array().unwrap().clone())
        .collect();
    for (report, expected) in [
        (
            nikto("shop.test", &["It lists files.", "It says its version."]),
            [2, 0],
        ),
        (nikto("mail.test", &["It is old."]), [1, 0]),
        (nikto("shop.test", &["It says its version."]), [0, 1]),
        (nikto("shop.test", &[]), [0, 1]),
        (json!(both), [0, 1]),
    ] {
        assert_eq!(changed(&app, &acme, of, &report).await, expected, "{report:#}");
    }
    assert_eq!(targets(&app, &project), "<mail.test:80> <shop.test:80>");
}
