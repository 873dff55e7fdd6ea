//! Catalogues in both forms, whole and broken.

use super::*;
use crate::enrichment::FAULTS_MAX;

const HEAD: &str = "cveID,vendorProject,product,vulnerabilityName,dateAdded,shortDescription,requiredAction,dueDate,\
                    knownRansomwareCampaignUse,notes,cwes\n";

fn json(entries: &str) -> Result<KevCatalogue, EnrichmentError> {
    let file = format!(
        "{{\"title\": \"CISA Catalog of Known Exploited Vulnerabilities\", \"catalogVersion\": \"2025.09.22\", \
         \"dateReleased\": \"2025-09-22T17:01:23.6817Z\", \"count\": 2, \"vulnerabilities\": [{entries}]}}"
    );
    KevCatalogue::from_json(file.as_bytes())
}

fn csv(rows: &str) -> Result<KevCatalogue, EnrichmentError> {
    KevCatalogue::from_csv(format!("{HEAD}{rows}").as_bytes())
}

fn faults(catalogue: &KevCatalogue) -> Vec<String> {
    catalogue.faults.iter().map(RowFault::to_string).collect()
}

fn log4shell() -> Kev {
    Kev {
        cve: Advisory::parse("CVE-2021-44228").unwrap(),
        added: NaiveDate::from_ymd_opt(2021, 12, 10).unwrap(),
        vendor: "Apache".into(),
        product: "Log4j2".into(),
        name: "Apache Log4j2 Remote Code Execution Vulnerability".into(),
        description: "Apache Log4j2 contains a vulnerability, \"Log4Shell\".".into(),
        action: "For all affected software assets, apply updates.".into(),
        due: NaiveDate::from_ymd_opt(2021, 12, 24),
        has_ransomware_use: true,
        notes: "https://nvd.example/vuln/detail/CVE-2021-44228".into(),
        cwe: vec![20, 400, 502],
    }
}

#[test]
fn both_forms_say_the_same() {
    let from_json = json(
        r#"{"cveID": "CVE-2021-44228", "vendorProject": "Apache", "product": "Log4j2",
            "vulnerabilityName": "Apache Log4j2 Remote Code Execution Vulnerability", "dateAdded": "2021-12-10",
            "shortDescription": "Apache Log4j2 contains a vulnerability, \"Log4Shell\".",
            "requiredAction": "For all affected software assets, apply updates.", "dueDate": "2021-12-24",
            "knownRansomwareCampaignUse": "Known", "notes": "https://nvd.example/vuln/detail/CVE-2021-44228",
            "cwes": ["CWE-20", "CWE-400", "CWE-502"], "new": {"x": [1]}}"#,
    )
    .unwrap();
    let from_csv = csv(
        "CVE-2021-44228,Apache,Log4j2,Apache Log4j2 Remote Code Execution Vulnerability,2021-12-10,\
         \"Apache Log4j2 contains a vulnerability, \"\"Log4Shell\"\".\",\
         \"For all affected software assets, apply updates.\",2021-12-24,Known,\
         https://nvd.example/vuln/detail/CVE-2021-44228,\"CWE-20,CWE-400, CWE-502\"\n",
    )
    .unwrap();
    assert_eq!(from_json.entries, [log4shell()]);
    assert_eq!(from_csv.entries, [log4shell()]);
    assert_eq!(from_json.head.version.as_deref(), Some("2025.09.22"));
    let released = from_json.head.released.unwrap().to_rfc3339();
    assert!(released.starts_with("2025-09-22T17:01:23"), "{released}");
    assert_eq!(from_csv.head, KevHead::default());
}

#[test]
fn an_entry_needs_its_cve_and_its_day() {
    let short =
        json(r#"{"cveID": "cve-2020-0001", "dateAdded": "2022-01-02", "dueDate": "", "notes": null}"#);
    let entry = &short.unwrap().entries[0];
    assert_eq!((entry.cve.as_str(), entry.due), ("CVE-2020-0001", None));
    assert!(entry.vendor.is_empty() && entry.cwe.is_empty() && !entry.has_ransomware_use);

    let some = json(
        r#"{"cveID": "CVE-2020-0001"}, 7, {"cveID": "x", "dateAdded": "2022-01-02"},
           {"cveID": "CVE-2020-0002", "dateAdded": "2022-01-02", "notes": 3},
           {"cveID": "CVE-2020-0003", "dateAdded": "2022-01-02"},
           {"cveID": "CVE-2020-0003", "dateAdded": "2022-01-02"}"#,
    )
    .unwrap();
    assert_eq!(some.entries.len(), 1);
    let expected = [
        "entry 1: `` is no date",
        "entry 2: it is no object",
        "entry 3: `x` is no CVE",
        "entry 4: `notes` is no text",
        "entry 6: CVE-2020-0003 was there before",
    ];
    assert_eq!(faults(&some), expected);
}

#[test]
fn wrong_rows_of_csv_have_their_lines() {
    let catalogue = csv(
        "CVE-2020-0001,v,p,n,2022-01-02,\"two\nlines\",a,2022-02-03,Unknown,,\nx,v,p,n,2022-01-02,d,a,,,,\n\
         CVE-2020-0002,v,p,n,soon,d,a,,,,\nCVE-2020-0003,v,p,n,2022-01-02,d,a,never,,,\n",
    )
    .unwrap();
    assert_eq!(catalogue.entries.len(), 1);
    assert_eq!(catalogue.entries[0].description, "two\nlines");
    let expected = [
        "line 4: `x` is no CVE",
        "line 5: `soon` is no date",
        "line 6: `never` is no date",
    ];
    assert_eq!(faults(&catalogue), expected);
}

#[test]
fn texts_are_bounded_and_printable() {
    let long = "é".repeat(PROSE_BYTES_MAX);
    let cwes: Vec<String> = (1..500).map(|number| format!("\"CWE-{number}\"")).collect();
    let catalogue = json(&format!(
        r#"{{"cveID": "CVE-2020-0001", "dateAdded": "2022-01-02", "product": "a\u0000\u001b[31mb", "notes": "{long}",
             "vendorProject": "{long}", "cwes": [{}]}}"#,
        cwes.join(",")
    ))
    .unwrap();
    let entry = &catalogue.entries[0];
    assert_eq!(entry.product, "a[31mb");
    assert_eq!(entry.notes.len(), PROSE_BYTES_MAX);
    assert_eq!(entry.vendor.len(), LABEL_BYTES_MAX);
    assert_eq!(entry.cwe.len(), LIST_ITEMS_MAX);
    assert_eq!(
        weaknesses("CWE-79,cwe-79;CWE-89|NVD-CWE-noinfo CWE-0 79 CWE-x CWÉ"),
        [79, 89]
    );
}

#[test]
fn what_is_no_catalogue_is_refused() {
    let error = |file: &str| KevCatalogue::from_json(file.as_bytes()).unwrap_err();
    for file in [
        "",
        "[]",
        "{}",
        "{\"vulnerabilities\": {}}",
        "{\"vulnerabilities\": []} x",
        "{\"vulnerabilities\": [{}",
    ] {
        assert!(matches!(error(file), EnrichmentError::Json(_)), "{file}");
    }
    assert!(matches!(json("").unwrap_err(), EnrichmentError::Empty));
    assert!(matches!(csv("").unwrap_err(), EnrichmentError::Empty));
    let other = KevCatalogue::from_csv(&b"cveID,epss\n"[..]).unwrap_err();
    assert_eq!(other.to_string(), "line 1 names no column `dateAdded`");
    let wrong = vec!["1"; FAULTS_MAX + 1].join(",");
    let stopped = json(&wrong).unwrap_err().to_string();
    assert_eq!(
        stopped,
        "more than 100 rows are wrong, as in entry 101: it is no object"
    );
}

#[test]
fn a_catalogue_has_an_end() {
    let entries: Vec<String> = (0..=KEV_ENTRIES_MAX)
        .map(|number| format!("{{\"cveID\":\"CVE-2020-{number:05}\",\"dateAdded\":\"2022-01-02\"}}"))
        .collect();
    let all = json(&entries[1..].join(",")).unwrap();
    assert_eq!(all.entries.len(), KEV_ENTRIES_MAX);
    let more = json(&entries.join(",")).unwrap_err();
    assert!(
        matches!(more, EnrichmentError::TooManyRows { limit: 50_000 }),
        "{more}"
    );

    let spaces = Read::chain(&b"{\"vulnerabilities\": ["[..], std::io::repeat(b' '));
    let large = KevCatalogue::from_json(spaces).unwrap_err();
    assert!(matches!(large, EnrichmentError::TooLarge { .. }), "{large}");

    let rows = Read::chain(HEAD.as_bytes(), std::io::repeat(b'\n'));
    let large = KevCatalogue::from_csv(BufReader::new(rows)).unwrap_err();
    assert!(matches!(large, EnrichmentError::TooLarge { .. }), "{large}");

    let broken = Read::chain(&b"{\"vulnerabilities\": ["[..], Broken);
    let broken = KevCatalogue::from_json(broken).unwrap_err();
    assert!(matches!(broken, EnrichmentError::Read(_)), "{broken:?}");
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broken"))
    }
}
