//! Relay connections: pages of an ordered list with opaque cursors.
//!
//! A cursor is base64 of JSON that names its version and the order it belongs to; a cursor of
//! another list or order is refused as `BAD_CURSOR` instead of answering nonsense.

use async_graphql::{Enum, SimpleObject};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tamiz_core::{Refusal, RefusalCode};
use tamiz_store::page::{Page, PageLimit, Window};

use super::session::Session;
use crate::api::cost::PAGE_ROWS_DEFAULT;

/// A cursor in bytes; the longest holds a path of 4 KiB.
const CURSOR_BYTES_MAX: usize = 8 * 1024;
/// Of what cursors hold; a change of it makes old ones `BAD_CURSOR`.
const VERSION: u8 = 1;

/// Where a page stands in its list.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PageInfo {
    /// More rows follow.
    has_next_page: bool,
    /// Rows came before.
    has_previous_page: bool,
    /// Of the first row.
    start_cursor: Option<String>,
    /// Of the last row; give it as `after` to go on.
    end_cursor: Option<String>,
}

/// The rows of one page. Their cursors are written when somebody asks for them.
pub(super) struct Listed<Node> {
    pub(super) nodes: Vec<Node>,
    cursor: Box<dyn Fn(&Node) -> String + Send + Sync>,
    has_next: bool,
    has_previous: bool,
}

/// Which way a list runs.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderDirection {
    /// From the least to the greatest: the oldest, the mildest, `a` before `b`.
    Asc,
    /// From the greatest to the least: the newest, the worst first.
    Desc,
}

/// Which rows a client asks a connection for (Relay's cursor connections, §4: `first` and `after`, `last` and `before`).
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
}

/// `window`, or the same of the list that runs the other way.
pub(super) fn turned_if<Position>(turned: bool, window: Window<Position>) -> Window<Position> {
    if turned { window.turned() } else { window }
}

/// The four arguments of a connection, as they came.
pub(super) fn asked(
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Asked {
    Asked {
        first,
        after,
        last,
        before,
    }
}

impl Asked {
    /// The stretch that is meant; `position` reads a cursor.
    pub(super) fn window<Position>(
        &self,
        session: &Session,
        position: impl Fn(&str) -> Result<Position, Refusal>,
    ) -> Result<Window<Position>, Refusal> {
        self.window_of(session.state.settings.graphql_page_max, position)
    }

    /// The same where a page has at most `rows_max` rows.
    pub(super) fn window_of<Position>(
        &self,
        rows_max: usize,
        position: impl Fn(&str) -> Result<Position, Refusal>,
    ) -> Result<Window<Position>, Refusal> {
        if self.first.is_some() && self.last.is_some() {
            let message = "give `first` or `last`, not both: a page has one direction";
            return Err(Refusal::new(RefusalCode::InvalidInput, message).at(&["last"]));
        }
        let (name, rows) = match self.last {
            Some(_) => ("last", self.last),
            None => ("first", self.first),
        };
        let place = |name: &'static str, cursor: &Option<String>| {
            let read = cursor.as_deref().map(&position).transpose();
            read.map_err(|refusal| refusal.at(&[name]))
        };
        Ok(Window {
            after: place("after", &self.after)?,
            before: place("before", &self.before)?,
            limit: limit_of(rows_max, name, rows)?,
            from_end: self.last.is_some(),
        })
    }
}

impl<Node> Listed<Node> {
    /// The rows of `page` as nodes; `cursor` says where one stands in the list.
    pub(super) fn of<Row>(
        page: Page<Row>,
        node: impl FnMut(Row) -> Node,
        cursor: impl Fn(&Node) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            nodes: page.rows.into_iter().map(node).collect(),
            cursor: Box::new(cursor),
            has_next: page.has_next,
            has_previous: page.has_previous,
        }
    }

    pub(super) fn page_info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next,
            has_previous_page: self.has_previous,
            start_cursor: self.nodes.first().map(&self.cursor),
            end_cursor: self.nodes.last().map(&self.cursor),
        }
    }

    /// Each row with its place.
    pub(super) fn edges<Edge>(&self, edge: impl Fn(String, Node) -> Edge) -> Vec<Edge>
    where
        Node: Clone,
    {
        let edge = |node: &Node| edge((self.cursor)(node), node.clone());
        self.nodes.iter().map(edge).collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor<Key> {
    v: u8,
    o: String,
    k: Key,
}

/// The cursor of `key` in `order`.
pub(super) fn encode<Key: Serialize>(order: &str, key: Key) -> String {
    let cursor = Cursor {
        v: VERSION,
        o: order.to_owned(),
        k: key,
    };
    // keys are numbers and texts, which always have a JSON form
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

/// The key in `text`, if it is a cursor of `order`.
pub(super) fn decode<Key: DeserializeOwned>(order: &str, text: &str) -> Result<Key, Refusal> {
    if text.len() > CURSOR_BYTES_MAX {
        return Err(bad_cursor());
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| bad_cursor())?;
    let cursor: Cursor<Key> = serde_json::from_slice(&bytes).map_err(|_| bad_cursor())?;
    if cursor.v == VERSION && cursor.o == order {
        Ok(cursor.k)
    } else {
        Err(bad_cursor())
    }
}

/// The key in the cursor of a row within its `parent`, for keys that would fit any parent.
pub(super) fn decode_within<Parent: DeserializeOwned + PartialEq, Key: DeserializeOwned>(
    order: &str,
    parent: &Parent,
    text: &str,
) -> Result<Key, Refusal> {
    let (of, key): (Parent, Key) = decode(order, text)?;
    if of == *parent { Ok(key) } else { Err(bad_cursor()) }
}

/// The cursor is not one of ours.
pub(super) fn bad_cursor() -> Refusal {
    Refusal::new(
        RefusalCode::BadCursor,
        "not a cursor of this list in this order: take those of `pageInfo` or of an edge",
    )
    .at(&["after"])
}

/// How many rows `first` of a plain list asks for.
pub(super) fn limit(session: &Session, first: Option<i32>) -> Result<PageLimit, Refusal> {
    limit_of(session.state.settings.graphql_page_max, "first", first)
}

/// How many of at most `rows_max` rows the argument called `name` asks for.
pub(super) fn limit_of(
    rows_max: usize,
    name: &'static str,
    asked: Option<i32>,
) -> Result<PageLimit, Refusal> {
    let rows_max = rows_max as u64;
    let rows = asked
        .map_or(u64::from(PAGE_ROWS_DEFAULT), |rows| {
            u64::try_from(rows).unwrap_or(0)
        })
        .min(
            // a default must not overstep an operator's smaller limit
            if asked.is_none() { rows_max } else { u64::MAX },
        );
    if rows > rows_max {
        let message = format!("`{name}` is {rows}, more than the limit of {rows_max}");
        return Err(Refusal::new(RefusalCode::PageTooLarge, message).at(&[name]));
    }
    u32::try_from(rows).ok().and_then(PageLimit::new).ok_or_else(|| {
        let message = format!("`{name}` must be 1 to {rows_max}");
        Refusal::new(RefusalCode::InvalidInput, message).at(&[name])
    })
}

/// Declares `$connection` and `$edge` over `$node`; `$counted` says how `totalCount` is found, where there is one, and the
/// comment before it what that costs. A `bounded` one reads the rows, at most
/// [`COUNTED_MAX`](tamiz_store::row_count::COUNTED_MAX).
macro_rules! connection {
    (
        $(#[$doc:meta])* $connection:ident, $edge:ident, $node:ident, $(#[$cost:meta])* bounded $counted:ty
    ) => {
        connection! {
            @ $(#[$doc])* $connection, $edge, $node, $counted,
            /// Rows of all pages under the same filter, at most 10,000; `isTotalCountExact` says whether those are all.
            $(#[$cost])*
            async fn total_count(&self, context: &async_graphql::Context<'_>) -> Result<i64, ApiError> {
                Ok(self.counted.count(Session::of(context)?).await?.rows)
            }

            /// There are no more rows than `totalCount` says.
            async fn is_total_count_exact(&self, context: &async_graphql::Context<'_>) -> Result<bool, ApiError> {
                Ok(self.counted.count(Session::of(context)?).await?.is_exact)
            }
        }
    };
    ($(#[$doc:meta])* $connection:ident, $edge:ident, $node:ident, $(#[$cost:meta])* $counted:ty) => {
        connection! {
            @ $(#[$doc])* $connection, $edge, $node, $counted,
            /// Rows of all pages under the same filter, exactly.
            $(#[$cost])*
            async fn total_count(&self, context: &async_graphql::Context<'_>) -> Result<i64, ApiError> {
                self.counted.count(Session::of(context)?).await
            }
        }
    };
    ($(#[$doc:meta])* $connection:ident, $edge:ident, $node:ident) => {
        connection! { @ $(#[$doc])* $connection, $edge, $node, }
    };
    (@ $(#[$doc:meta])* $connection:ident, $edge:ident, $node:ident, $($counted:ty, $($count:tt)+)?) => {
        $(#[$doc])*
        pub(crate) struct $connection {
            pub(super) listed: super::connection::Listed<$node>,
            $(pub(super) counted: $counted,)?
        }

        /// A row with its place in the list.
        #[derive(async_graphql::SimpleObject)]
        pub(crate) struct $edge {
            /// To continue after this row.
            cursor: String,
            /// The row.
            node: super::whole::Whole<$node>,
        }

        $(#[$doc])*
        #[async_graphql::Object]
        impl $connection {
            /// Rows with their cursors.
            async fn edges(&self) -> Vec<$edge> {
                self.listed.edges(|cursor, node| $edge {
                    cursor,
                    node: super::whole::Whole(node),
                })
            }

            /// Rows.
            async fn nodes(&self) -> Vec<super::whole::Whole<&$node>> {
                self.listed.nodes.iter().map(super::whole::Whole).collect()
            }

            /// Whether and where more follows.
            async fn page_info(&self) -> super::connection::PageInfo {
                self.listed.page_info()
            }

            $($($count)+)?
        }
    };
}

pub(super) use connection;

#[cfg(test)]
mod tests {
    use tamiz_core::ProjectId;

    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_order() {
        let id = ProjectId::fresh();
        let cursor = encode("projects", id);
        assert_eq!(decode::<ProjectId>("projects", &cursor), Ok(id));
        for (order, text) in [
            ("tasks", cursor.as_str()),
            ("projects", "x"),
            ("projects", "e30"),
            ("projects", ""),
        ] {
            let refusal = decode::<ProjectId>(order, text).unwrap_err();
            assert_eq!(refusal.code, "BAD_CURSOR", "{order} {text}");
        }
        assert!(decode::<ProjectId>("projects", &"A".repeat(CURSOR_BYTES_MAX + 1)).is_err());
    }
}
