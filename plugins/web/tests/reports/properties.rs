//! What the SDK's kit checks for every plugin.

use tamiz_sdk::test_kit::Kit;
use tamiz_web::{SEVERITIES, Web};

pub(crate) fn kit() -> Kit {
    Kit::new::<Web>(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_report_gives_what_stands_beside_it() {
    kit().check_cases();
}

#[test]
fn counted_reports_have_the_records_of_another_parser() {
    kit().check_counts();
}

#[test]
fn chunks_and_repetition_change_nothing() {
    kit().check_chunks();
}

#[test]
fn a_cut_keeps_what_stands_before_it() {
    kit().check_cuts();
}

#[test]
fn a_flipped_byte_keeps_what_stands_before_it() {
    kit().check_flips();
}

#[test]
fn a_fault_in_a_field_costs_at_most_its_record() {
    kit().check_faults();
}

#[test]
fn the_documented_severities_are_the_real_ones() {
    kit().check_severities("web", SEVERITIES);
}

#[test]
fn what_fuzzing_found_is_answered_soundly() {
    kit().check_fuzzed(&["web_json", "web_xml"]);
}
