//! What holds for every report, however it comes and however it is damaged.

use std::fs;
use std::path::Path;

use super::kit::Kit;
use crate::memory::{MemoryHost, MemoryInput};
use crate::model::Outcome;

/// Larger reports take part with their beginning only: damage is damage.
const BYTES_MAX: usize = 150_000;

/// Places of each report that are cut at.
const CUTS: usize = 20;

/// Places of each report that are damaged.
const FLIPS: usize = 40;

impl Kit {
    fn bounded_reports(&self) -> Vec<(String, Vec<u8>)> {
        let mut reports = self.reports();
        for (_, bytes) in &mut reports {
            bytes.truncate(BYTES_MAX);
        }
        reports
    }

    /// However the input is cut into chunks, and however often it is read, the answer is the same.
    pub fn check_chunks(&self) {
        for (name, bytes) in self.bounded_reports() {
            let whole = self.convert(&bytes);
            for chunk_bytes in [1, 7, 4096, 262_144] {
                let input = MemoryInput::new("report", bytes.clone()).with_chunk_bytes(chunk_bytes);
                let again = self.convert_input(input, MemoryHost::default());
                let place = format!("{name} in chunks of {chunk_bytes}");
                assert_eq!(
                    format!("{:?}", again.outcome),
                    format!("{:?}", whole.outcome),
                    "{place}"
                );
                assert!(
                    again.host.findings == whole.host.findings,
                    "{place}: other findings"
                );
                assert!(
                    again.host.diagnostics == whole.host.diagnostics,
                    "{place}: other diagnostics"
                );
            }
        }
    }

    /// What fuzzing found interesting is answered soundly. `targets` are folders of the repository's
    /// `fuzz/corpus`.
    pub fn check_fuzzed(&self, targets: &[&str]) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for target in targets {
            let inputs = fs::read_dir(corpus.join(target)).expect(target);
            let mut converted = 0;
            for input in inputs {
                let path = input.expect(target).path();
                let bytes = fs::read(&path).expect(target);
                self.convert(&bytes).check_sound(&path.to_string_lossy());
                converted += 1;
            }
            assert!(converted > 0, "{target} has no inputs");
        }
    }

    /// A report that ends too early gives the findings in front of the cut, and says that it was cut.
    pub fn check_cuts(&self) {
        for (name, bytes) in self.bounded_reports() {
            let whole = self.convert(&bytes).origins();
            for step in 0..=CUTS {
                let end = bytes.len() * step / CUTS;
                let place = format!("{name} at {step}/{CUTS}");
                let cut = self.convert(&bytes[..end]);
                cut.check_sound(&place);
                let found = cut.origins();
                assert!(
                    whole.starts_with(&found),
                    "{place}: other findings than before the cut"
                );
                // Before the first record nobody can know what the report is.
                let before = whole.iter().filter(|(_, finding_end)| *finding_end < end).count();
                if before > found.len() {
                    let lost = before - found.len();
                    assert!(
                        lost <= self.group_max,
                        "{place}: {lost} findings in front of the cut are lost"
                    );
                }
                let is_whole = cut.outcome.as_ref().is_ok_and(Outcome::is_whole);
                let at_line_end = bytes.get(end).is_none_or(|next| matches!(next, b'\n' | b'\r'))
                    || bytes.get(end.wrapping_sub(1)) == Some(&b'\n');
                assert!(
                    !is_whole || at_line_end || found.len() == whole.len(),
                    "{place}: findings are missing and the answer says that nothing is"
                );
            }
        }
    }

    /// A damaged byte never panics, and costs nothing that stands in front of it.
    pub fn check_flips(&self) {
        for (name, bytes) in self.bounded_reports() {
            let whole = self.convert(&bytes).origins();
            for step in 0..FLIPS {
                let place = bytes.len() * step / FLIPS;
                for flip in [0x01, 0x02, 0x20, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    let Some(byte) = damaged.get_mut(place) else {
                        continue;
                    };
                    *byte ^= flip;
                    let answer = self.convert(&damaged);
                    let at = format!("{name}: byte {place} ^ {flip:#x}");
                    answer.check_sound(&at);
                    let before = whole.iter().take_while(|(_, end)| *end <= place).count();
                    let kept = answer.origins();
                    let lost = before.saturating_sub(kept.len());
                    assert!(
                        lost <= self.group_max,
                        "{at}: {lost} findings in front of it are lost"
                    );
                    let same = before.min(kept.len());
                    // In a group, a finding behind may take the place of one in front.
                    assert!(
                        self.group_max > 0 || kept[..same] == whole[..same],
                        "{at}: other findings in front of it"
                    );
                }
            }
        }
    }
}
