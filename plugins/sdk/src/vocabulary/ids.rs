//! Ids of advisories and CVSS vectors.

/// Whose ids are known: each has a prefix of its own in front of a dash.
const PREFIXES: [&str; 16] = [
    "ALSA", "BIT", "CVE", "DLA", "DSA", "GHSA", "GO", "GSD", "MAL", "OSV", "PYSEC", "RHSA", "RLSA",
    "RUSTSEC", "SNYK", "USN",
];

/// Whether a text is the id of an advisory and nothing else.
pub fn is_advisory(text: &str) -> bool {
    let mut parts = text.split('-');
    let known = parts.next().is_some_and(|prefix| PREFIXES.contains(&prefix));
    let mut count = 0;
    let rest_fits = parts.all(|part| {
        count += 1;
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b':')
    });
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit()) || text.starts_with("GHSA-");
    // Red Hat's, Alma's and Rocky's have a colon for the second dash: `RHSA-2020:1234`.
    known && rest_fits && (count >= 2 || text.contains(':')) && has_digit
}

/// The ids of advisories in a text: an address, a title, a list.
pub fn advisories(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .map(|word| word.trim_matches('-'))
        .filter(|word| is_advisory(word))
}

/// The CVSS vector in a text, as it stood: version 2 with or without its parentheses or prefix, 3.0, 3.1 or
/// 4.0. Nothing when the text is something else.
pub fn cvss_vector(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = text
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(text);
    let (metrics, first) = match text.split_once('/') {
        Some(("CVSS:3.0" | "CVSS:3.1" | "CVSS:4.0" | "CVSS:2.0", metrics)) => (metrics, None),
        Some((first, _)) => (text, Some(first)),
        None => return None,
    };
    // A vector without its version is one of version 2, which begins with these.
    if first.is_some_and(|first| !matches!(first, "AV:N" | "AV:A" | "AV:L")) {
        return None;
    }
    let fits = metrics.split('/').all(|metric| {
        metric.split_once(':').is_some_and(|(name, value)| {
            let is_word = |word: &str| {
                (1..=5).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphabetic())
            };
            is_word(name) && is_word(value)
        })
    });
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{advisories, cvss_vector, is_advisory};

    #[test]
    fn advisories_are_ids_and_nothing_else() {
        for id in [
            "GHSA-jfh8-c2jp-5v3q",
            "CVE-2021-44228",
            "RUSTSEC-2020-0071",
            "PYSEC-2021-1",
            "RHSA-2020:1234",
            "GHSA-cfgh-jmpq-rvwx",
        ] {
            assert!(is_advisory(id), "{id}");
        }
        for text in ["CVE", "CVE-2021-44228 in log4j", "GO-FAST-NOW", "cve-2021"] {
            assert!(!is_advisory(text), "{text}");
        }
        let text = "see https://osv.dev/CVE-2021-44228, (GHSA-jfh8-c2jp-5v3q) and CWE-79";
        assert_eq!(
            advisories(text).collect::<Vec<_>>(),
            ["CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q"]
        );
    }

    #[test]
    fn vectors_of_all_versions_are_known() {
        for (text, vector) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", true),
            (
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                true,
            ),
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", true),
            ("CVSS:5.0/AV:N", false),
            ("7.5", false),
            ("https://x/y", false),
            ("", false),
        ] {
            assert_eq!(cvss_vector(text), vector.then_some(text), "{text}");
        }
        assert_eq!(
            cvss_vector(" (AV:L/AC:M/Au:N/C:C/I:C/A:C) "),
            Some("AV:L/AC:M/Au:N/C:C/I:C/A:C")
        );
    }
}
