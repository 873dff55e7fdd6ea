//! JSON of a column, parsed when somebody asks: pages read hundreds of rows of which most answers show a few columns.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::types::{Json, JsonRawValue};
use sqlx::{Decode, Postgres, Type};

use crate::error::StoreError;

/// A `jsonb` column that holds a `Value`.
#[derive(Debug, Clone)]
pub struct Unparsed<Value> {
    text: Box<JsonRawValue>,
    of: PhantomData<fn() -> Value>,
}

impl<Value: DeserializeOwned> Unparsed<Value> {
    /// What it holds.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when it holds something else.
    pub fn parse(&self) -> Result<Value, StoreError> {
        serde_json::from_str(self.text.get())
            .map_err(|error| StoreError::unreadable("a JSON column", &error.to_string()))
    }
}

impl<Value> Unparsed<Value> {
    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.text.get().len() as u64
    }
}

impl<Value> Type<Postgres> for Unparsed<Value> {
    fn type_info() -> PgTypeInfo {
        Json::<()>::type_info()
    }

    fn compatible(type_info: &PgTypeInfo) -> bool {
        Json::<()>::compatible(type_info)
    }
}

impl<'r, Value> Decode<'r, Postgres> for Unparsed<Value> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let Json(text) = Json::<Box<JsonRawValue>>::decode(value)?;
        Ok(Self {
            text,
            of: PhantomData,
        })
    }
}
