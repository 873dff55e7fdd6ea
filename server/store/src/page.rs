//! Keyset pages: a stretch of an ordered list, and whether more follows.

use tamiz_core::limits::PAGE_ROWS_MAX;

/// How many rows, 1 to [`PAGE_ROWS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageLimit(u32);

impl PageLimit {
    /// `rows` if it is 1 to [`PAGE_ROWS_MAX`].
    pub const fn new(rows: u32) -> Option<Self> {
        if rows >= 1 && rows <= PAGE_ROWS_MAX {
            Some(Self(rows))
        } else {
            None
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// One more than asked for, to learn whether more follows.
    pub(crate) fn probe(self) -> i64 {
        i64::from(self.0) + 1
    }
}

/// Rows in the order that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<Row> {
    /// At most the limit.
    pub rows: Vec<Row>,
    /// More follow after the last one.
    pub has_next: bool,
}

impl<Row> Page<Row> {
    /// From rows read with [`PageLimit::probe`].
    pub(crate) fn of(mut rows: Vec<Row>, limit: PageLimit) -> Self {
        let has_next = rows.len() > limit.get() as usize;
        rows.truncate(limit.get() as usize);
        Self { rows, has_next }
    }
}
