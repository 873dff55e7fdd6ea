//! How many rows there are, where only reading them tells.

/// Rows that a count reads at most: beyond it a list is long, and nobody walks its pages to the end.
pub const COUNTED_MAX: i64 = 10_000;

/// What a count of at most [`COUNTED_MAX`] rows reads: one more tells that there are more.
pub(crate) const PROBED: i64 = COUNTED_MAX + 1;

/// Rows that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCount {
    /// How many.
    pub rows: i64,
    /// There are no more.
    pub is_exact: bool,
}

impl RowCount {
    /// There are none.
    pub const NONE: Self = Self::exactly(0);

    /// What is known without reading the rows.
    pub const fn exactly(rows: i64) -> Self {
        Self { rows, is_exact: true }
    }

    /// Of `read` rows of at most [`PROBED`].
    pub(crate) const fn probed(read: i64) -> Self {
        if read > COUNTED_MAX {
            Self {
                rows: COUNTED_MAX,
                is_exact: false,
            }
        } else {
            Self::exactly(read)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_beyond_the_most_is_no_exact_count() {
        assert_eq!(RowCount::probed(0), RowCount::NONE);
        assert_eq!(RowCount::probed(COUNTED_MAX), RowCount::exactly(COUNTED_MAX));
        let more = RowCount::probed(PROBED);
        assert_eq!((more.rows, more.is_exact), (COUNTED_MAX, false));
    }
}
