//! Keyset pages: a stretch of an ordered list, and whether more follows.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use tamiz_core::limits::PAGE_ROWS_MAX;

/// How many rows, 1 to [`PAGE_ROWS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageLimit(u32);

impl PageLimit {
    /// For what is looked up.
    pub const ONE: Self = Self(1);

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

    /// From rows of many parents, those of each read with [`PageLimit::probe`]; a parent without rows is left out.
    pub(crate) fn of_each<Parent: Eq + Hash>(
        rows: impl IntoIterator<Item = (Parent, Row)>,
        limit: PageLimit,
    ) -> HashMap<Parent, Self> {
        let mut of_parent: HashMap<Parent, Vec<Row>> = HashMap::new();
        for (parent, row) in rows {
            of_parent.entry(parent).or_default().push(row);
        }
        of_parent
            .into_iter()
            .map(|(parent, rows)| (parent, Self::of(rows, limit)))
            .collect()
    }

    /// The same rows, for several holders.
    pub fn shared(self) -> Page<Arc<Row>> {
        Page {
            rows: self.rows.into_iter().map(Arc::new).collect(),
            has_next: self.has_next,
        }
    }
}

impl<Row> Default for Page<Row> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            has_next: false,
        }
    }
}
