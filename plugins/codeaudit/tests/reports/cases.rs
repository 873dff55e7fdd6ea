//! Every report gives exactly what stands beside it.

use std::fs;

use crate::answer::{cases_dir, convert, reports};

#[test]
fn every_report_gives_what_stands_beside_it() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for (name, bytes) in reports() {
        let answer = convert(&bytes);
        answer.check_sound(&name);
        let written = format!("{:#}\n", answer.written());
        let path = cases_dir().join(format!("{name}.expected.json"));
        if fs::read_to_string(&path).ok().as_deref() == Some(written.as_str()) {
            continue;
        }
        if bless {
            fs::write(&path, written).expect("a writable folder of cases");
        } else {
            different.push(name);
        }
    }
    assert!(
        different.is_empty(),
        "look at these with `BLESS=1 cargo test` and a diff: {different:#?}"
    );
}
