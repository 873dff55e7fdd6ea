//! An error with what it comes from, for people.

use std::error::Error;

/// An error and its causes, `what: why: why`, without a cause that only repeats its parent.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes() {
        let cause = std::io::Error::other("no space left");
        let error = crate::worker::WorkerError::Rules(cause);
        assert_eq!(chain(&error), "the rules are not there: no space left");
    }
}
