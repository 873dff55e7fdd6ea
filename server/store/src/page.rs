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

/// Which stretch of an ordered list: the first or the last rows between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window<Position> {
    /// Only what comes after it in the list's order.
    pub after: Option<Position>,
    /// Only what comes before it.
    pub before: Option<Position>,
    /// How many rows.
    pub limit: PageLimit,
    /// The last rows between the places instead of the first. They come in the list's order all the same.
    pub from_end: bool,
}

impl<Position> Window<Position> {
    /// The same stretch of the list that runs the other way.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            after: self.before,
            before: self.after,
            limit: self.limit,
            from_end: !self.from_end,
        }
    }

    /// The first rows of the list.
    pub const fn first(limit: PageLimit) -> Self {
        Self {
            after: None,
            before: None,
            limit,
            from_end: false,
        }
    }

    /// The first rows after a place.
    pub const fn after(position: Option<Position>, limit: PageLimit) -> Self {
        Self {
            after: position,
            before: None,
            limit,
            from_end: false,
        }
    }
}

/// Rows in the order that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<Row> {
    /// At most the limit.
    pub rows: Vec<Row>,
    /// More follow after the last one.
    pub has_next: bool,
    /// Others come before the first one.
    pub has_previous: bool,
}

impl<Row> Page<Row> {
    /// From rows between the places of `window` in the list's order: all of them, or as many as [`PageLimit::probe`] says.
    pub fn between<Position>(mut rows: Vec<Row>, window: &Window<Position>) -> Self {
        let limit = window.limit.get() as usize;
        let more = rows.len() > limit;
        if window.from_end {
            rows.drain(..rows.len().saturating_sub(limit));
        } else {
            rows.truncate(limit);
        }
        Self {
            rows,
            // what is known without another question: rows beyond a place that was named are there
            has_next: if window.from_end {
                window.before.is_some()
            } else {
                more
            },
            has_previous: if window.from_end {
                more
            } else {
                window.after.is_some()
            },
        }
    }

    /// The same from rows in the order in which they were read: the last ones backwards.
    pub(crate) fn read<Position>(mut rows: Vec<Row>, window: &Window<Position>) -> Self {
        if window.from_end {
            rows.reverse();
        }
        Self::between(rows, window)
    }

    /// The same of many parents; a parent without rows is left out.
    pub(crate) fn between_each<Parent: Eq + Hash, Position>(
        rows: impl IntoIterator<Item = (Parent, Row)>,
        window: &Window<Position>,
    ) -> HashMap<Parent, Self> {
        let mut of_parent: HashMap<Parent, Vec<Row>> = HashMap::new();
        for (parent, row) in rows {
            of_parent.entry(parent).or_default().push(row);
        }
        of_parent
            .into_iter()
            .map(|(parent, rows)| (parent, Self::between(rows, window)))
            .collect()
    }

    /// The same page of the list that runs the other way.
    #[must_use]
    pub fn turned(mut self) -> Self {
        self.rows.reverse();
        Self {
            rows: self.rows,
            has_next: self.has_previous,
            has_previous: self.has_next,
        }
    }

    /// The same rows, for several holders.
    pub fn shared(self) -> Page<Arc<Row>> {
        Page {
            rows: self.rows.into_iter().map(Arc::new).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
        }
    }
}

impl<Row> Default for Page<Row> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            has_next: false,
            has_previous: false,
        }
    }
}
