//! Secrets, made fit to be kept: a few characters to recognise one by, never more than a quarter.
//!
//! What tells one secret from another is the platform's keyed hash
//! ([`crate::Host::secret_identity`]), not these characters.

/// Shorter secrets show nothing.
const SHOWN_FROM_CHARACTERS: usize = 16;

/// Characters that are shown of a long one, at its beginning and its end together.
const SHOWN_MAX: usize = 6;

/// Stands for what is hidden, whatever its length.
const STARS: &str = "********";

/// A secret as it may be shown: at most its first four and last two characters, and those only of one
/// that has sixteen and as a quarter of it at most.
pub fn redact(secret: &str) -> String {
    let length = secret.chars().count();
    if length < SHOWN_FROM_CHARACTERS {
        return STARS.to_owned();
    }
    let shown = SHOWN_MAX.min(length / 4);
    let last = shown / 3;
    let first: String = secret.chars().take(shown - last).collect();
    let end: String = secret.chars().skip(length - last).collect();
    format!("{first}{STARS}{end}")
}

/// A text with every occurrence of a secret redacted: messages and snippets quote them.
pub fn hide(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    text.replace(secret, &redact(secret))
}

#[cfg(test)]
mod tests {
    use super::{hide, redact};

    #[test]
    fn never_more_than_a_quarter_is_shown() {
        assert_eq!(redact("hunter2"), "********");
        assert_eq!(redact("fifteen-letters"), "********");
        assert_eq!(redact("sixteen-letters!"), "six********!");
        assert_eq!(redact("AKIAIOSFODNN7EXAMPLEabcd"), "AKIA********cd");
        assert_eq!(redact("ééééééééééééééééé"), "ééé********é");
        for length in 0..200 {
            let secret: String = ('a'..='z').cycle().take(length).collect();
            let shown = redact(&secret).chars().filter(|shown| *shown != '*').count();
            assert!(shown * 4 <= length && shown <= 6, "{length}");
        }
    }

    #[test]
    fn texts_lose_the_secret_wherever_they_quote_it() {
        let secret = "AKIAIOSFODNN7EXAMPLEabcd";
        let text = hide(&format!("key={secret}; again {secret}"), secret);
        assert_eq!(text, "key=AKIA********cd; again AKIA********cd");
        assert_eq!(hide("nothing", ""), "nothing");
    }
}
