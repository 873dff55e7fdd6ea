//! What a GraphQL document would cost, decided before it is validated or run.
//!
//! [`admit`] scans the text (size, tokens, nesting: the parser recurses), parses it once, and
//! measures every operation bottom-up. A fragment is measured once however often it is spread, so
//! a document that doubles per level is refused in microseconds (without this, 1 KB of fragments
//! kept the engine busy for seconds). Lists count as often as their `first` says.
//!
//! Not here: whether the document fits the schema (the engine's validation), and how often a
//! client may ask (`guard`).

mod budget;
mod measure;
mod scan;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{ErrorExtensionValues, Request, ServerError, Value, Variables};

pub use budget::Cost;
pub use measure::Prices;
use measure::{Measure, Meter};

/// A document in bytes: hand-written queries stay under 10 KiB, generated clients under 50.
pub const QUERY_BYTES_MAX: usize = 128 * 1024;
/// Words and signs of a document; validation is roughly quadratic in them.
pub const QUERY_TOKENS_MAX: usize = 10_000;
/// Brackets inside brackets; the parser's stack grows with them.
pub const QUERY_NESTING_MAX: usize = 64;
/// Fields and fragments below each other, as the engine counts them.
pub const QUERY_LEVELS_MAX: u64 = 32;
/// Fields after all fragments are written out.
pub const QUERY_FIELDS_MAX: u64 = 2_000;
/// Fields at the root of one operation; each may open its own page of rows.
pub const QUERY_ROOT_FIELDS_MAX: u64 = 30;
/// Aliases after all fragments are written out; they multiply work without multiplying names.
pub const QUERY_ALIASES_MAX: u64 = 100;
/// Directives after all fragments are written out: `@skip` and `@include` stand on what a page switches.
pub const QUERY_DIRECTIVES_MAX: u64 = 100;
/// Directives at one place: there are two kinds for queries, and neither may be repeated.
pub const PLACE_DIRECTIVES_MAX: u64 = 4;
/// Lists of the type system inside each other: tools ask for one, and each further one multiplies
/// the answer by the size of the schema.
pub const INTROSPECTION_LISTS_MAX: u64 = 2;
/// Rows of a page whose `first` is not said.
pub const PAGE_ROWS_DEFAULT: u32 = 20;
/// Rows that a list without `first` (artifacts, runs, diagnostics of a task) counts for: what most
/// tasks have. One that is longer is stopped by the bytes of the answer.
pub const LIST_ROWS: u64 = 10;

/// The limits that an operator may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fields below fields; standard introspection needs 15.
    pub depth_max: u64,
    /// Values of the answer when every page is full: 100 rows of 15 fields are 1,600.
    pub complexity_max: u64,
    /// Whether the schema may be asked for what it is.
    pub introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: 20,
            complexity_max: 20_000,
            introspection: true,
        }
    }
}

/// An operation that may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// What kind it is.
    pub operation: OperationType,
    /// Values of its answer when every page is full: what it is paid by.
    pub points: u32,
}

/// Parses `request`'s document, refuses one that costs too much, and says what would run. The parsed
/// document stays in the request.
///
/// # Errors
/// One GraphQL error with a code in its extensions (`QUERY_TOO_…`, `GRAPHQL_PARSE_FAILED`,
/// `INTROSPECTION_DISABLED`, `OPERATION_UNKNOWN`); limits also name `limit` and `value`.
pub fn admit(request: &mut Request, prices: &Prices) -> Result<Admission, ServerError> {
    check_text(&request.query)?;
    request.parsed_query().map_err(|error| {
        let mut error = error;
        set(&mut error, "code", Value::from("GRAPHQL_PARSE_FAILED"));
        error
    })?;
    let mut variables = std::mem::take(&mut request.variables);
    let name = request.operation_name.clone();
    let outcome = match request.parsed_query() {
        Ok(document) => {
            take_defaults(document, name.as_deref(), &mut variables);
            check_document(document, name.as_deref(), &variables, prices)
        }
        Err(error) => Err(error),
    };
    request.variables = variables;
    outcome
}

/// Variables that are not given have the defaults that their operation declares. The engine knows defaults where it reads
/// arguments, but `@skip` and `@include` look at what was given alone.
fn take_defaults(document: &ExecutableDocument, name: Option<&str>, variables: &mut Variables) {
    let Some(operation) = chosen(document, name) else {
        return;
    };
    for declared in &operation.node.variable_definitions {
        if let Some(default) = &declared.node.default_value {
            let given = variables.entry(declared.node.name.node.clone());
            given.or_insert_with(|| default.node.clone());
        }
    }
}

fn check_text(query: &str) -> Result<(), ServerError> {
    at_most(
        "QUERY_TOO_LARGE",
        "bytes",
        query.len() as u64,
        QUERY_BYTES_MAX as u64,
    )?;
    let scan = scan::scan(query);
    at_most(
        "QUERY_TOO_LARGE",
        "tokens",
        scan.tokens as u64,
        QUERY_TOKENS_MAX as u64,
    )?;
    at_most(
        "QUERY_TOO_DEEP",
        "nested brackets",
        scan.nesting as u64,
        QUERY_NESTING_MAX as u64,
    )
}

fn check_document(
    document: &ExecutableDocument,
    name: Option<&str>,
    variables: &Variables,
    prices: &Prices,
) -> Result<Admission, ServerError> {
    let mut meter = Meter::new(document, variables, prices);
    let chosen = chosen(document, name);
    let mut points = 0;
    for (_, operation) in document.operations.iter() {
        let measure = meter.operation(&operation.node)?;
        if operation.node.ty == OperationType::Subscription && measure.own > 1 {
            let message = "a subscription has exactly one root field".to_owned();
            return Err(with_code("GRAPHQL_VALIDATION_FAILED", message));
        }
        at_most(
            "QUERY_TOO_MANY_ROOT_FIELDS",
            "root fields",
            measure.own,
            QUERY_ROOT_FIELDS_MAX,
        )?;
        check_measure(&measure, prices.limits)?;
        if chosen.is_some_and(|chosen| std::ptr::eq(chosen, operation)) {
            points = measure.complexity;
        }
    }
    // validation reads fragments that nobody spreads, too
    for name in document.fragments.keys() {
        check_measure(&meter.fragment(name, 0)?, prices.limits)?;
    }
    let operation = chosen.ok_or_else(|| unknown_operation(name))?;
    Ok(Admission {
        operation: operation.node.ty,
        points: u32::try_from(points).unwrap_or(u32::MAX).max(1),
    })
}

fn check_measure(measure: &Measure, limits: Limits) -> Result<(), ServerError> {
    at_most(
        "QUERY_TOO_DEEP",
        "levels with fragments",
        measure.levels,
        QUERY_LEVELS_MAX,
    )?;
    at_most("QUERY_TOO_DEEP", "levels", measure.depth, limits.depth_max)?;
    at_most(
        "QUERY_TOO_MANY_FIELDS",
        "fields",
        measure.fields,
        QUERY_FIELDS_MAX,
    )?;
    at_most(
        "QUERY_TOO_MANY_ALIASES",
        "aliases",
        measure.aliases,
        QUERY_ALIASES_MAX,
    )?;
    at_most(
        "QUERY_TOO_MANY_DIRECTIVES",
        "directives",
        measure.directives,
        QUERY_DIRECTIVES_MAX,
    )?;
    if measure.introspects && !limits.introspection {
        let message = "this server does not tell its schema: `__schema` and `__type` are switched off";
        return Err(with_code("INTROSPECTION_DISABLED", message.to_owned()));
    }
    at_most(
        "QUERY_TOO_DEEP",
        "introspection lists inside each other",
        measure.introspection_lists,
        INTROSPECTION_LISTS_MAX,
    )?;
    at_most(
        "QUERY_TOO_COMPLEX",
        "values in a full answer",
        measure.complexity,
        limits.complexity_max,
    )
}

/// The operation that would run.
fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a Positioned<OperationDefinition>> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        _ => None,
    }
}

fn unknown_operation(name: Option<&str>) -> ServerError {
    let message = match name {
        Some(name) => format!(
            "the document has no operation named `{}`",
            tamiz_core::text::cut(name, 100)
        ),
        None => "the document has several operations: say which one in `operationName`".to_owned(),
    };
    with_code("OPERATION_UNKNOWN", message)
}

fn at_most(code: &str, what: &str, value: u64, limit: u64) -> Result<(), ServerError> {
    if value <= limit {
        return Ok(());
    }
    let mut error = with_code(
        code,
        format!("the query has {value} {what}, more than the limit of {limit}"),
    );
    set(&mut error, "limit", Value::from(limit));
    set(&mut error, "value", Value::from(value));
    Err(error)
}

/// A request error with its stable code.
pub(in crate::api) fn with_code(code: &str, message: String) -> ServerError {
    let mut error = ServerError::new(message, None);
    set(&mut error, "code", Value::from(code));
    error
}

fn set(error: &mut ServerError, key: &str, value: Value) {
    error
        .extensions
        .get_or_insert_with(ErrorExtensionValues::default)
        .set(key, value);
}

#[cfg(test)]
mod tests;
