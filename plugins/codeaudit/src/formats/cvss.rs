//! CVSS vectors of vulnerabilities: which one is the finding's, what severity it means, and the others.

use std::str::FromStr;

use cvss::Cvss;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::Severity;
use tamiz_sdk::vocabulary::{cvss_vector, score_severity};

/// Vectors of one vulnerability: every vendor may have one of each version.
const VECTORS_MAX: usize = 32;

/// The vectors of one vulnerability, each once.
#[derive(Default)]
pub(super) struct Vectors(Vec<Vector>);

struct Vector {
    version: u8,
    text: String,
}

impl Vectors {
    /// Looks at one text, which may be something else.
    pub(super) fn add(&mut self, text: &str) {
        let Some(text) = cvss_vector(text) else {
            return;
        };
        if self.0.len() >= VECTORS_MAX || self.0.iter().any(|vector| vector.text == text) {
            return;
        }
        let version = match text.get(..6) {
            Some("CVSS:4") => 4,
            Some("CVSS:3") => 3,
            _ => 2,
        };
        let text = text.to_owned();
        self.0.push(Vector { version, text });
    }

    /// The newest version that can be read, and of equals the first.
    fn best(&self) -> Option<&Vector> {
        let is_sound = |vector: &&Vector| whole(&vector.text).is_some();
        let newest = [4, 3, 2].into_iter().find_map(|version| {
            let mut of_version = self.0.iter().filter(|vector| vector.version == version);
            of_version.find(is_sound)
        });
        newest.or(self.0.first())
    }

    /// What the best one's score means; nothing without one, or for one that cannot be scored.
    pub(super) fn severity(&self) -> Option<Severity> {
        score_severity(whole(&self.best()?.text)?.score())
    }

    /// Writes the best one into a finding, and all of them beside it when there are several.
    pub(super) fn put(&self, finding: FindingBuilder) -> FindingBuilder {
        let Some(best) = self.best() else {
            return finding;
        };
        let finding = finding.cvss_vector(&best.text);
        if self.0.len() == 1 {
            return finding;
        }
        // A vector has letters, digits and three marks: nothing that JSON would escape.
        let all: Vec<&str> = self.0.iter().map(|vector| vector.text.as_str()).collect();
        finding.extra_json("cvss-vectors", &format!("[\"{}\"]", all.join("\",\"")))
    }
}

/// A vector that can be scored. Of version 3 the crate takes half a vector, too, and counts what is not there
/// as nothing; the server, which scores what is kept, refuses that as well.
fn whole(text: &str) -> Option<Cvss> {
    let parsed = Cvss::from_str(text).ok()?;
    if let Cvss::CvssV30(half) | Cvss::CvssV31(half) = &parsed {
        let _whole = (
            half.av?, half.ac?, half.pr?, half.ui?, half.s?, half.c?, half.i?, half.a?,
        );
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::Vectors;
    use tamiz_sdk::FindingBuilder;
    use tamiz_sdk::model::Severity;

    fn of(texts: &[&str]) -> Vectors {
        let mut vectors = Vectors::default();
        for text in texts {
            vectors.add(text);
        }
        vectors
    }

    #[test]
    fn the_newest_vector_is_scored_and_nonsense_is_not() {
        assert_eq!(of(&[]).severity(), None);
        let vectors = of(&[
            "7.5",
            "AV:N/AC:L/Au:N/C:P/I:P/A:P",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N",
        ]);
        assert_eq!(vectors.severity(), Some(Severity::Critical));
        for odd in [
            "CVSS:4.0/AV:N",
            "CVSS:3.1/AV:N",
            "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
            "CVSS:4.0/X:Y",
            "AV:N/AC:L",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:Q",
        ] {
            assert_eq!(of(&[odd]).severity(), None, "{odd}");
        }
        let newest = of(&["CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"]);
        assert_eq!(newest.severity(), Some(Severity::Critical));
        let threat = of(&["CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N/E:U"]);
        assert!(threat.severity().is_some());
        assert_eq!(
            of(&["AV:N/AC:L/Au:N/C:P/I:P/A:P"]).severity(),
            Some(Severity::High)
        );
    }

    #[test]
    fn no_vector_is_lost_beside_the_best() {
        let (two, three) = (
            "AV:N/AC:L/Au:N/C:P/I:P/A:P",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        );
        let (finding, _) = of(&[two, three, two]).put(FindingBuilder::new("t", "r")).build();
        assert_eq!(finding.cvss_vector.as_deref(), Some(three));
        let extra = vec![("cvss-vectors".to_owned(), format!(r#"["{two}","{three}"]"#))];
        assert_eq!(finding.extra, extra);
        let (alone, _) = of(&[three]).put(FindingBuilder::new("t", "r")).build();
        assert!(alone.extra.is_empty());
        let damaged = "CVSS:4.0/AV:N/AC:Z";
        let (finding, _) = of(&[damaged, three]).put(FindingBuilder::new("t", "r")).build();
        assert_eq!(finding.cvss_vector.as_deref(), Some(three));
    }
}
