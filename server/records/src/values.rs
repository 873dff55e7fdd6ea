//! The values of one record, within what one may have of text. A guest may ask for the same large value in
//! every field: what that weighs is counted before anything is copied.
//!
//! Not here: where the values are found (`pick` and the layouts).

use std::borrow::Cow;
use std::fmt;

use tamiz_sdk::limits::RECORD_BYTES;

/// The text of all fields of one record: as much as a record has, so that each byte can be asked for once.
pub(crate) const TEXT_BYTES: usize = RECORD_BYTES;

/// One place for each field, filled in any order.
#[derive(Debug)]
pub(crate) struct Values {
    texts: Vec<Option<String>>,
    bytes_left: usize,
    is_over: bool,
}

/// The fields of a record have more text than [`TEXT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuchText;

impl fmt::Display for TooMuchText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "it has fields of more than {TEXT_BYTES} bytes together"
        )
    }
}

impl Values {
    pub(crate) fn new(fields: usize) -> Self {
        Self {
            texts: vec![None; fields],
            bytes_left: TEXT_BYTES,
            is_over: false,
        }
    }

    /// Whether there was too much; nothing is kept from then on, so that looking further is in vain.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Fills the place of a field. What stood there goes, and counts no more.
    pub(crate) fn put(&mut self, field: usize, text: Option<Cow<'_, str>>) {
        if self.is_over {
            return;
        }
        if let Some(before) = self.texts[field].take() {
            self.bytes_left += before.len();
        }
        let Some(text) = text else {
            return;
        };
        if let Some(left) = self.bytes_left.checked_sub(text.len()) {
            self.bytes_left = left;
            self.texts[field] = Some(text.into_owned());
        } else {
            self.is_over = true;
            self.texts = Vec::new();
        }
    }

    /// # Errors
    /// There was too much.
    pub(crate) fn finish(self) -> Result<Vec<Option<String>>, TooMuchText> {
        if self.is_over {
            return Err(TooMuchText);
        }
        Ok(self.texts)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{TEXT_BYTES, TooMuchText, Values};

    #[test]
    fn all_fields_share_one_bound() {
        let half = "x".repeat(TEXT_BYTES / 2);
        let mut values = Values::new(3);
        values.put(0, Some(Cow::Borrowed(&half)));
        values.put(1, Some(Cow::Borrowed(&half)));
        assert!(!values.is_over());
        values.put(2, Some(Cow::Borrowed("x")));
        assert!(values.is_over());
        values.put(0, None);
        assert_eq!(values.finish(), Err(TooMuchText));
    }

    #[test]
    fn a_field_that_is_filled_again_counts_once() {
        let whole = "x".repeat(TEXT_BYTES);
        let mut values = Values::new(2);
        for _ in 0..5 {
            values.put(0, Some(Cow::Borrowed(&whole)));
        }
        values.put(0, None);
        values.put(1, Some(Cow::Borrowed(&whole)));
        assert_eq!(values.finish().unwrap()[1].as_deref(), Some(whole.as_str()));
    }
}
