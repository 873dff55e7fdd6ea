//! What scanners of secrets have in common: none of them grades its findings, and each quotes the
//! secret, which must not be kept.

use std::borrow::Cow;

use tamiz_sdk::model::Severity;
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{hide, redact};

/// Shorter secrets are words that stand anywhere: hiding them would spoil paths and names, and tell
/// where they stood.
const HIDDEN_FROM_BYTES: usize = 6;

/// A secret in the source is as bad as what it opens, which nobody knows; one that was seen to work is
/// worse.
pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "gitleaks, betterleaks, trufflehog, kingfisher, detect-secrets",
    words: &[("(seen to work)", VERIFIED), ("(any other secret)", FOUND)],
};

/// Words from this length that have letters and digits are taken for secrets, too.
const TOKEN_BYTES: usize = 20;

/// Of a secret.
pub(super) const FOUND: Severity = Severity::High;

/// Of a secret that the tool tried and that opened something.
pub(super) const VERIFIED: Severity = Severity::Critical;

/// CWE-798, use of hard-coded credentials: none of these tools names a class.
pub(super) const CWE: u32 = 798;

/// Tools whose SARIF quotes secrets as snippets.
const SCANNERS: [&str; 8] = [
    "betterleaks",
    "detect-secrets",
    "ggshield",
    "gitleaks",
    "kingfisher",
    "noseyparker",
    "titus",
    "trufflehog",
];

/// Whether a tool of this name looks for secrets.
pub(crate) fn is_secret_scanner(tool: &str) -> bool {
    SCANNERS.contains(&tool)
}

/// The quoted text with its secret hidden. When the secret does not stand in it as it is, for it is
/// decoded or cut, nobody can tell which part is the secret, and all of it is hidden. A line may have more
/// secrets than the one at hand: what looks like one is hidden, too.
pub(crate) fn hidden_snippet(quoted: &str, secret: &str) -> String {
    if quoted.is_empty() {
        String::new()
    } else if !secret.is_empty() && quoted.contains(secret) {
        without_tokens(&hide(quoted, secret))
    } else {
        redact(quoted)
    }
}

/// Hides long words of letters and digits.
fn without_tokens(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "+/_-".contains(character);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|character| !is_part(character)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        shown.push_str(before);
        let has = |wanted: fn(&u8) -> bool| word.bytes().any(|byte| wanted(&byte));
        if word.len() >= TOKEN_BYTES && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) {
            shown.push_str(&redact(word));
        } else {
            shown.push_str(word);
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// A text beside a secret, such as its file's path or an error about it, without the secret.
pub(super) fn without<'text>(text: &'text str, secrets: &[&str]) -> Cow<'text, str> {
    let mut shown = Cow::Borrowed(text);
    for secret in secrets {
        if secret.len() >= HIDDEN_FROM_BYTES && shown.contains(secret) {
            shown = Cow::Owned(hide(&shown, secret));
        }
    }
    shown
}

/// An address without the name and the password that it may carry: `git clone` takes them so.
pub(super) fn without_login(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Cow::Borrowed(address);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
        None => Cow::Borrowed(address),
    }
}

#[cfg(test)]
mod tests {
    use super::{hidden_snippet, is_secret_scanner, without, without_login};

    #[test]
    fn an_address_is_kept_without_its_login() {
        for (address, kept) in [
            ("https://ann:hunter2@git.test/a.git", "https://git.test/a.git"),
            ("https://git.test/a@b", "https://git.test/a@b"),
            ("git@git.test:a.git", "git@git.test:a.git"),
        ] {
            assert_eq!(without_login(address), kept);
        }
    }

    #[test]
    fn a_text_beside_a_secret_does_not_quote_it() {
        assert_eq!(
            without("keys/hunter2-prod.env", &["hunter2"]),
            "keys/********-prod.env"
        );
        assert_eq!(without("src/app.py", &["app", ""]), "src/app.py");
    }

    #[test]
    fn a_quoted_secret_is_hidden_also_when_it_cannot_be_found() {
        let secret = "correct horse battery";
        assert_eq!(
            hidden_snippet("key = 'correct horse battery'", secret),
            "key = 'corr********y'"
        );
        for (quoted, secret) in [("hunter2", "another"), ("hunter2", "")] {
            assert!(!hidden_snippet(quoted, secret).contains("hunter2"));
        }
        assert_eq!(hidden_snippet("", ""), "");
        assert_eq!(
            hidden_snippet(
                "a = 'hunter2', b = 'AKIAZZZZTESTKEY00002', c = dir/file.py",
                "hunter2"
            ),
            "a = '********', b = 'AKIA********2', c = dir/file.py"
        );
        assert!(is_secret_scanner("gitleaks") && !is_secret_scanner("semgrep"));
    }
}
