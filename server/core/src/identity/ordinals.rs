//! Numbers among equals, by place: the order of a report's records has no say in them.

use super::{Fingerprint, Kind, PartHash};

/// What equals are ordered by: line and column first, then what the finding says.
pub type Position = (u32, u32, PartHash);

/// The fingerprints of one report's findings, each given by its kind, the hash of its parts and its position.
///
/// Memory: 100 bytes per finding while it works.
pub fn fingerprints(findings: &[(Kind, Fingerprint, Position)]) -> Vec<Fingerprint> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_unstable_by_key(|at| (findings[*at].1, findings[*at].2));
    let mut fingerprints = vec![Fingerprint([0; 32]); findings.len()];
    let (mut last, mut number) = (None, 0);
    for at in order {
        let (kind, base, _) = findings[at];
        number = if last == Some(base) && kind.is_counted() {
            number + 1
        } else {
            0
        };
        last = Some(base);
        fingerprints[at] = base.numbered(number);
    }
    fingerprints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_are_numbered_by_their_lines_and_places_of_one_flaw_are_not() {
        let (one, other) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        let at = |kind, base, line| (kind, base, (line, 0, [0; 16]));
        let found = fingerprints(&[
            at(Kind::Code, one, 9),
            at(Kind::Code, other, 1),
            at(Kind::Code, one, 3),
            at(Kind::Web, Fingerprint([3; 32]), 0),
            at(Kind::Web, Fingerprint([3; 32]), 0),
        ]);
        let web = Fingerprint([3; 32]).numbered(0);
        assert_eq!(
            found,
            [one.numbered(1), other.numbered(0), one.numbered(0), web, web]
        );
    }
}
