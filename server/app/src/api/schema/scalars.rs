//! Scalars of the schema beyond those of the engine, each with the page that specifies it.

use std::borrow::Cow;
use std::fmt::Write as _;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContextSelectionSet, InputValueError, InputValueResult, OutputType, Positioned, Scalar, ScalarType,
    ServerResult, Value,
};
use chrono::{NaiveDate, TimeDelta};

/// As `full-date` of RFC 3339 is written.
const DAY_BYTES: usize = "2026-11-22".len();

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) NaiveDate);

/// A day in the calendar, such as `2026-11-22`: `full-date` of RFC 3339.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        // years of four digits: what lies far beyond, no column holds
        let day = (text.len() == DAY_BYTES).then(|| text.parse().ok()).flatten();
        day.map(Self)
            .ok_or_else(|| InputValueError::custom("not a day such as 2026-11-22"))
    }

    fn to_value(&self) -> Value {
        Value::from(self.0.to_string())
    }
}

/// An address. What comes in is any text: the flow that uses it says what is wrong with it, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(pub(crate) String);

/// An absolute address with its scheme, such as `https://example.com/`.
#[Scalar(name = "URL", specified_by_url = "https://url.spec.whatwg.org/")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

/// What has no type here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Json(pub(crate) serde_json::Value);

/// Any JSON value: an object, a list, a text, a number, true, false or null.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        let json = value.into_json();
        json.map(Self)
            .map_err(|_| InputValueError::custom("not a JSON value"))
    }

    fn to_value(&self) -> Value {
        JsonOf(&self.0).value()
    }
}

/// The same of a row that keeps it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonOf<'v>(pub(crate) &'v serde_json::Value);

impl JsonOf<'_> {
    fn value(self) -> Value {
        // every JSON value is one of the engine's
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

impl OutputType for JsonOf<'_> {
    fn type_name() -> Cow<'static, str> {
        <Json as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Json as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(self.value())
    }
}

/// How long something took; never less than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) TimeDelta);

/// How long something took, such as `PT1H2M3.5S`: `duration` of ISO 8601, in hours, minutes and seconds with up to three
/// decimals, because a day has no fixed length.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#appendix-A")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        // nothing of the schema takes one
        Err(InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::from(written(self.0))
    }
}

fn written(span: TimeDelta) -> String {
    let milliseconds = span.num_milliseconds().max(0);
    let (hours, rest) = (milliseconds / 3_600_000, milliseconds % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let (seconds, fraction) = (rest / 1_000, rest % 1_000);
    let mut text = "PT".to_owned();
    // writing to a text cannot fail
    for (number, unit) in [(hours, 'H'), (minutes, 'M')] {
        if number > 0 {
            let _ = write!(text, "{number}{unit}");
        }
    }
    if fraction > 0 {
        let decimals = format!("{fraction:03}");
        let _ = write!(text, "{seconds}.{}S", decimals.trim_end_matches('0'));
    } else if seconds > 0 || text.len() == 2 {
        let _ = write!(text, "{seconds}S");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_short_as_it_can_be() {
        for (milliseconds, text) in [
            (0, "PT0S"),
            (-5, "PT0S"),
            (1, "PT0.001S"),
            (1_500, "PT1.5S"),
            (60_000, "PT1M"),
            (61_250, "PT1M1.25S"),
            (3_600_000, "PT1H"),
            (90_061_000, "PT25H1M1S"),
        ] {
            assert_eq!(written(TimeDelta::milliseconds(milliseconds)), text);
        }
    }

    #[test]
    fn each_scalar_of_the_schema_says_where_it_is_specified() {
        let sdl = crate::api::schema::sdl();
        let scalars = sdl.lines().filter_map(|line| line.strip_prefix("scalar "));
        let scalars: Vec<&str> = scalars.collect();
        assert_eq!(scalars.len(), 7, "{scalars:?}");
        for scalar in scalars {
            assert!(scalar.contains(" @specifiedBy(url: \"http"), "{scalar}");
        }
    }

    #[test]
    fn any_json_is_read_and_written_as_it_is() {
        let json = serde_json::json!({ "a": [1, -2.5, null, true, "x"], "b": {} });
        let read = Json::parse(Value::from_json(json.clone()).unwrap()).unwrap();
        assert_eq!(read.0, json);
        assert_eq!(read.to_value().into_json().unwrap(), json);
        assert_eq!(JsonOf(&json).value(), read.to_value());
    }

    #[test]
    fn a_day_is_read_and_written_and_nothing_else_is_one() {
        let day = Date::parse(Value::from("2026-11-22")).unwrap();
        assert_eq!(day.to_value(), Value::from("2026-11-22"));
        let beyond = ["-262143-01-01", "+262142-12-31"].map(Value::from);
        let bad = [Value::from("2026-02-30"), Value::from("today"), Value::from(7)];
        for bad in bad.into_iter().chain(beyond) {
            assert!(Date::parse(bad.clone()).is_err(), "{bad}");
        }
    }
}
