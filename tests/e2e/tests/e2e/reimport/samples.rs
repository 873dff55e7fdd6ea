//! Reports that are not in the checkout: every file below the folder that `TAMIZ_SAMPLES` names, read twice.
//!
//! A file's type of scan is the folder of that name that it lies in; without one, each type is tried. What no plugin
//! reads is left out. The test prints one line per report: alerts beside records, and the file.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::{AT_ONCE, Case, TYPES, twice, unpacked};
use crate::harness::{App, Client};

/// The folder.
const VARIABLE: &str = "TAMIZ_SAMPLES";
/// Beyond these bytes a file is no report that a test waits for.
const BYTES_MAX: u64 = 64 << 20;

fn files(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if (1..=BYTES_MAX).contains(&path.metadata().unwrap().len()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn cases(root: &Path, file: &Path) -> Vec<Case> {
    let path = file.strip_prefix(root).unwrap().display().to_string();
    let bytes = fs::read(file).unwrap();
    let is_packed = file.extension().is_some_and(|extension| extension == "gz");
    let bytes = if is_packed { unpacked(&bytes) } else { bytes };
    let of = |scan_type| Case {
        scan_type,
        path: path.clone(),
        bytes: bytes.clone(),
    };
    let named = TYPES
        .into_iter()
        .find(|name| path.split('/').any(|part| part == *name));
    named.map_or_else(|| TYPES.map(of).into(), |scan_type| vec![of(scan_type)])
}

/// What the first import of each report came to, one line per task that stored something.
fn table(app: &App) -> String {
    app.sql(
        "select distinct on (p.id) (select count(*) from tenant.alert a where a.project_id = p.id) || ' alerts of '
                || (r.summary ->> 'records') || ' records, ' || (r.summary ->> 'findings') || ' findings, '
                || (r.summary ->> 'skipped') || ' skipped, ' || (r.summary ->> 'completeness') || ', '
                || (r.summary ->> 'coverage') || ', closes ' || (r.summary #>> '{comparison,closes}') || ': ' || p.name
         from tenant.scan_result r
         join tenant.task t on t.tenant_id = r.tenant_id and t.id = r.task_id
         join tenant.project p on p.tenant_id = t.tenant_id and p.id = t.project_id
         order by p.id, r.created_at",
    )
}

async fn changed(app: &App, acme: &Client, cases: Vec<Case>) -> Vec<String> {
    let imports = stream::iter(cases).map(|case| twice(app, acme, case));
    let changed: Vec<Option<String>> = imports.buffer_unordered(AT_ONCE).collect().await;
    changed.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_every_report_of_a_folder_of_ones_own_changes_nothing() {
    let Some(root) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        println!("{VARIABLE} names no folder of reports");
        return;
    };
    let app = App::start().await;
    let acme = app.tenant("acme");
    let mut all = Vec::new();
    for some in files(&root).chunks(100) {
        let cases = some.iter().flat_map(|file| cases(&root, file)).collect();
        all.extend(changed(&app, &acme, cases).await);
    }
    println!("{}", table(&app));
    assert_eq!(all, Vec::<String>::new());
    let lost: Value = app
        .sql("select count(*) from tenant.finding where alert_id is null")
        .trim()
        .parse()
        .unwrap();
    assert_eq!(lost, 0, "findings without an alert");
}
