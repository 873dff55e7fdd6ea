//! Rows whose plain fields are resolved one after the other.
//!
//! The engine keeps a future on the heap for each field of each row: ten thousand for a thousand rows of ten fields, most
//! of which are known without waiting. A row of a page is one future, and one more for each of its fields that has fields
//! of its own. Extensions of the engine, of which there are none here, would not see the fields of such rows.

use std::borrow::Cow;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::{
    ContainerType, ContextSelectionSet, Name, OutputType, Positioned, ServerError, ServerResult, Value,
};
use futures_util::FutureExt as _;
use futures_util::future::{try_join, try_join_all};

/// A row of a page.
pub(crate) struct Whole<Row>(pub(super) Row);

impl<Row: ContainerType> OutputType for Whole<Row> {
    fn type_name() -> Cow<'static, str> {
        Row::type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Row::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let mut fields = Vec::with_capacity(context.item.node.items.len());
        if !self.collect(context, &context.item.node, &mut fields) {
            return self.0.resolve(context, field).boxed().await;
        }
        let mut values = vec![Value::Null; fields.len()];
        let (deep, plain): (Vec<_>, Vec<_>) = (0..fields.len()).partition(|place| has_fields(fields[*place]));
        let in_turn = async {
            for place in plain {
                values[place] = self.value_of(context, fields[place]).await?;
            }
            Ok::<_, ServerError>(())
        };
        if deep.is_empty() {
            in_turn.await?;
        } else {
            let at_once = try_join_all(deep.iter().map(|place| self.value_of(context, fields[*place])));
            let ((), told) = try_join(in_turn, at_once).boxed().await?;
            for (place, value) in deep.into_iter().zip(told) {
                values[place] = value;
            }
        }
        let keys = fields.iter().map(|field| field.node.response_key().node.clone());
        Ok(Value::Object(keys.zip(values).collect::<IndexMap<Name, Value>>()))
    }
}

fn has_fields(field: &Positioned<Field>) -> bool {
    !field.node.selection_set.node.items.is_empty()
}

impl<Row: ContainerType> Whole<Row> {
    /// The fields of `selection`, those of its fragments among them. False if it has what the engine knows better: two
    /// fields to be merged, fragments of other types, directives.
    fn collect<'a>(
        &self,
        context: &ContextSelectionSet<'a>,
        selection: &'a SelectionSet,
        fields: &mut Vec<&'a Positioned<Field>>,
    ) -> bool {
        let is_own = |condition: &str| self.0.introspection_type_name() == condition;
        selection.items.iter().all(|item| {
            if !item.node.directives().is_empty() {
                return false;
            }
            match &item.node {
                Selection::Field(field) => {
                    let key = field.node.response_key();
                    let is_new = fields
                        .iter()
                        .all(|other| other.node.response_key().node != key.node);
                    fields.push(field);
                    is_new
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    condition.is_none_or(|condition| is_own(&condition.node.on.node))
                        && self.collect(context, &fragment.node.selection_set.node, fields)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = context.query_env.fragments.get(&spread.node.fragment_name.node);
                    fragment.is_some_and(|fragment| {
                        is_own(&fragment.node.type_condition.node.on.node)
                            && self.collect(context, &fragment.node.selection_set.node, fields)
                    })
                }
            }
        })
    }

    async fn value_of(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        if field.node.name.node == "__typename" {
            return Ok(Value::String(self.0.introspection_type_name().into_owned()));
        }
        let context = context.with_field(field);
        Ok(self.0.resolve_field(&context).await?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Error, Interface, Object, Schema};
    use serde_json::{Value as Json, json};
    use tokio::task::yield_now;

    use super::*;

    struct Row(i32);

    #[Object]
    impl Row {
        async fn number(&self) -> i32 {
            self.0
        }

        async fn later(&self, #[graphql(default = 1)] turns: i32) -> i32 {
            for _ in 0..turns {
                yield_now().await;
            }
            self.0 * turns
        }

        fn odd(&self) -> Result<i32, Error> {
            if self.0 % 2 == 1 {
                Ok(self.0)
            } else {
                Err("even".into())
            }
        }

        async fn less(&self) -> Option<Self> {
            (self.0 > 0).then(|| Self(self.0 - 1))
        }
    }

    #[derive(Interface)]
    #[graphql(field(name = "number", ty = "i32"))]
    enum Numbered {
        Row(Row),
    }

    struct Query;

    #[Object]
    impl Query {
        async fn rows(&self) -> Vec<Row> {
            vec![Row(1), Row(2), Row(3)]
        }

        async fn full(&self) -> Vec<Whole<Row>> {
            vec![Whole(Row(1)), Whole(Row(2)), Whole(Row(3))]
        }

        async fn numbered(&self) -> Numbered {
            Numbered::Row(Row(0))
        }
    }

    /// What the engine says of rows, and of whole ones.
    async fn both(selection: &str, rest: &str) -> [Json; 2] {
        let schema = Schema::build(Query, EmptyMutation, EmptySubscription).finish();
        let ask = async |field: &str| {
            let query = format!("{{ all: {field} {{ {selection} }} }} {rest}");
            serde_json::to_value(schema.execute(query).await).unwrap()
        };
        [ask("rows").await, ask("full").await]
    }

    #[tokio::test]
    async fn whole_rows_say_what_the_engine_says() {
        let on_row = "fragment own on Row { number less { number } }";
        let on_interface = "fragment any on Numbered { number }";
        for (selection, rest) in [
            ("number", ""),
            ("later less { later } number __typename", ""),
            ("a: later(turns: 2) b: later(turns: 3) kind: __typename", ""),
            ("less { less { less { number } } }", ""),
            ("number number less { number } less { later }", ""),
            ("number @skip(if: true) later @include(if: true)", ""),
            ("... { number } ... on Row { later }", ""),
            ("... own later", on_row),
            ("... any later", on_interface),
            ("... on Row { ... own } number", on_row),
        ] {
            let [engine, whole] = both(selection, rest).await;
            assert_eq!(engine, whole, "{selection}");
            assert_eq!(engine.get("errors"), None, "{engine:#}");
            // in the order of the selection, which a map of JSON does not compare
            assert_eq!(
                engine["data"].to_string(),
                whole["data"].to_string(),
                "{selection}"
            );
        }
    }

    #[tokio::test]
    async fn a_row_that_fails_is_named_with_its_place() {
        for selection in ["number odd", "less { number } odd"] {
            let [engine, whole] = both(selection, "").await;
            assert_eq!(engine, whole, "{selection}");
            // of a row in a list the engine tells no more
            assert_eq!(whole["errors"][0]["path"], json!(["all", 1]));
        }
    }

    #[test]
    fn whole_rows_are_rows_in_the_schema() {
        let sdl = Schema::new(Query, EmptyMutation, EmptySubscription).sdl();
        assert!(sdl.contains("full: [Row!]!"), "{sdl}");
    }
}
