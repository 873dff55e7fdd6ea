//! CVSS vectors of vulnerabilities: which one is kept, and what severity it means.

use std::str::FromStr;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::vocabulary::{cvss_vector, score_severity};

/// The best of several vectors: the newest version, and of equals the first.
#[derive(Default)]
pub(super) struct Vectors {
    best: Option<(u8, String)>,
}

impl Vectors {
    /// Looks at one text, which may be something else.
    pub(super) fn add(&mut self, text: &str) {
        let Some(vector) = cvss_vector(text) else {
            return;
        };
        let version = match vector.get(..6) {
            Some("CVSS:4") => 4,
            Some("CVSS:3") => 3,
            _ => 2,
        };
        if self.best.as_ref().is_none_or(|(best, _)| version > *best) {
            self.best = Some((version, vector.to_owned()));
        }
    }

    /// What the best one's score means; nothing without one, or for one that cannot be scored.
    pub(super) fn severity(&self) -> Option<Severity> {
        let (_, vector) = self.best.as_ref()?;
        let score = cvss::Cvss::from_str(vector).ok()?.score();
        score_severity(score)
    }

    /// Writes the best one into a finding.
    pub(super) fn put(&self, finding: FindingBuilder) -> FindingBuilder {
        match &self.best {
            Some((_, vector)) => finding.cvss_vector(vector),
            None => finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Vectors;
    use tamiz_sdk::model::Severity;

    #[test]
    fn the_newest_vector_is_scored_and_nonsense_is_not() {
        let mut vectors = Vectors::default();
        assert_eq!(vectors.severity(), None);
        vectors.add("7.5");
        vectors.add("AV:N/AC:L/Au:N/C:P/I:P/A:P");
        vectors.add("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");
        vectors.add("CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N");
        assert_eq!(vectors.severity(), Some(Severity::Critical));
        for odd in [
            "CVSS:4.0/AV:N",
            "CVSS:3.1/AV:N",
            "CVSS:4.0/X:Y",
            "AV:N/AC:L",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:Q",
        ] {
            let mut vectors = Vectors::default();
            vectors.add(odd);
            let _ = vectors.severity();
        }
        let mut newest = Vectors::default();
        newest.add("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N");
        assert_eq!(newest.severity(), Some(Severity::Critical));
        let mut old = Vectors::default();
        old.add("AV:N/AC:L/Au:N/C:P/I:P/A:P");
        assert_eq!(old.severity(), Some(Severity::High));
    }
}
