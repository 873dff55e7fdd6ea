//! Ids as the schema has them: `ID` outside, a typed id inside.

use std::borrow::Cow;

use async_graphql::registry::Registry;
use async_graphql::{
    ContextSelectionSet, ID, InputType, InputValueError, InputValueResult, OutputType, Positioned,
    ServerResult, Value,
};
use tamiz_core::{
    AlertId, AlertRuleId, ArtifactId, FindingId, GlobalId, GroupId, PluginId, ProjectId, ScheduleId, TaskId,
    TenantId, TokenId, UploadId, WebhookEndpointId, WorkerId,
};

/// The id of one thing of one type. As an argument it may also be the bare UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ref<Id>(pub(super) Id);

impl<Id: GlobalId> From<Ref<Id>> for ID {
    fn from(id: Ref<Id>) -> Self {
        Self(id.0.global())
    }
}

impl<Id: GlobalId> From<Id> for Ref<Id> {
    fn from(id: Id) -> Self {
        Self(id)
    }
}

/// What a resolver answers as `id`.
pub(super) fn id_of<Id: GlobalId>(id: Id) -> ID {
    ID(id.global())
}

impl<Id: GlobalId + Send + Sync> InputType for Ref<Id> {
    type RawValueType = Id;

    fn type_name() -> Cow<'static, str> {
        <ID as InputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as InputType>::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let id = <ID as InputType>::parse(value).map_err(InputValueError::propagate)?;
        Id::from_global(&id).map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.global())
    }

    fn as_raw_value(&self) -> Option<&Id> {
        Some(&self.0)
    }
}

impl<Id: GlobalId + Send + Sync> OutputType for Ref<Id> {
    fn type_name() -> Cow<'static, str> {
        <ID as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        _context: &ContextSelectionSet<'_>,
        _field: &Positioned<async_graphql::parser::types::Field>,
    ) -> ServerResult<Value> {
        Ok(Value::String(self.0.global()))
    }
}

macro_rules! taken_out {
    ($($id:ident)+) => {
        $(impl From<Ref<$id>> for $id {
            fn from(id: Ref<$id>) -> Self {
                id.0
            }
        })+
    };
}

taken_out!(
    AlertId AlertRuleId ArtifactId FindingId GroupId PluginId ProjectId ScheduleId TaskId TenantId TokenId UploadId
    WebhookEndpointId WorkerId
);
