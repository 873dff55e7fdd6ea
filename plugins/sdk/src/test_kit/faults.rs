//! Single faults in fields: each of the first records' fields dropped, emptied or of another type.

use std::collections::BTreeMap;
use std::ops::Range;

use super::json_fields::json_fields;
use super::kit::Kit;
use super::text_fields::{table_fields, xml_fields};

/// Larger reports take no part: every fault is a conversion.
const BYTES_MAX: usize = 300_000;

/// Fields of one report that are damaged.
const FIELDS_MAX: usize = 300;

/// Of a hundred faults, so many may cost more than their record.
const WORSE_PERCENT_MAX: usize = 2;

/// A field and what may be put in its place.
pub(super) struct Field {
    /// What is replaced, and by what.
    pub(super) faults: Vec<(Range<usize>, &'static str)>,
    /// The innermost object or element that has it.
    pub(super) inside: Range<usize>,
    /// Its name.
    pub(super) name: String,
}

#[derive(Default)]
struct Tally {
    faults: usize,
    worse: Vec<String>,
}

impl Kit {
    /// A fault in a field costs at most the record that it sits in; a field of the envelope may cost
    /// what it holds.
    pub fn check_faults(&self) {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for (name, bytes) in self.reports() {
            let format = name.split('/').next().unwrap_or_default().to_owned();
            // Hostile files are damaged already.
            if bytes.len() > BYTES_MAX || format == "hostile" {
                continue;
            }
            self.damage_fields(&name, &bytes, tallies.entry(format).or_default());
        }
        for (format, tally) in tallies {
            println!(
                "{format}: {} of {} faults cost more than their record",
                tally.worse.len(),
                tally.faults
            );
            assert!(
                tally.worse.len() * 100 <= tally.faults * WORSE_PERCENT_MAX,
                "{format}: {} of {} faults cost more than their record: {:#?}",
                tally.worse.len(),
                tally.faults,
                &tally.worse[..tally.worse.len().min(20)]
            );
        }
    }

    fn damage_fields(&self, name: &str, bytes: &[u8], tally: &mut Tally) {
        let whole = self.convert(bytes).origins();
        let fields = match bytes.trim_ascii_start().first() {
            Some(b'{' | b'[') => json_fields(bytes),
            Some(b'<') => xml_fields(bytes),
            _ => table_fields(bytes),
        };
        let step = fields.len().div_ceil(FIELDS_MAX).max(1);
        for field in fields.into_iter().step_by(step) {
            let allowed = allowed_loss(&whole, &field.inside);
            for (range, replacement) in field.faults {
                let damaged = [&bytes[..range.start], replacement.as_bytes(), &bytes[range.end..]].concat();
                let answer = self.convert(&damaged);
                let at = format!("{name}: `{}` at {} as `{replacement}`", field.name, range.start);
                answer.check_sound(&at);
                let lost = whole.len().saturating_sub(answer.host.findings.len());
                tally.faults += 1;
                if lost > allowed {
                    tally
                        .worse
                        .push(format!("{at} costs {lost} findings: {:?}", answer.outcome));
                }
            }
        }
    }
}

/// Findings that were made of what is inside, or of what it is inside of.
fn allowed_loss(whole: &[(usize, usize)], inside: &Range<usize>) -> usize {
    let overlaps = whole
        .iter()
        .filter(|(start, end)| *start < inside.end && inside.start < *end);
    overlaps.count().max(1)
}
