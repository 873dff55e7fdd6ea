//! What a document may cost, tried with documents that cost too much.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

const SDL: &str = "
type Query { hello: String, items(first: Int, after: String): Items! }
type Items { nodes: [Item!]!, pageInfo: PageInfo!, totalCount: Int! }
type PageInfo { hasNextPage: Boolean! }
type Item { name: String, fields: Int, items(first: Int): Items!, notes: [Note!]! }
type Note { text: String, words: [String!]!, notes: [Note!]! }
";

fn code(query: &str) -> Result<OperationType, String> {
    code_with(query, serde_json::json!({}))
}

fn code_with(query: &str, variables: serde_json::Value) -> Result<OperationType, String> {
    let mut request = Request::new(query).variables(Variables::from_json(variables));
    let admitted = admit(&mut request, &Prices::from_sdl(SDL, Limits::default()));
    admitted.map(|admission| admission.operation).map_err(|error| {
        let code = crate::api::errors::code_of(&error)
            .unwrap_or("no code")
            .to_owned();
        assert!(!error.message.is_empty());
        code
    })
}

fn refused(code: &str) -> Result<OperationType, String> {
    Err(code.to_owned())
}

#[test]
fn ordinary_documents_pass_with_their_kind() {
    assert_eq!(code("{ hello }"), Ok(OperationType::Query));
    assert_eq!(code("mutation { a }"), Ok(OperationType::Mutation));
    assert_eq!(code("subscription S { a }"), Ok(OperationType::Subscription));
    assert_eq!(
        code("{ items(first: 100) { totalCount nodes { name fields } } }"),
        Ok(OperationType::Query)
    );
}

#[test]
fn a_list_without_first_has_a_price_and_the_rows_of_a_page_have_one_only() {
    assert_eq!(
        code("{ items(first: 100) { nodes { notes { text words } } } }"),
        Ok(OperationType::Query)
    );
    assert_eq!(
        code("{ items(first: 100) { nodes { notes { notes { text words notes { text } } } } } }"),
        refused("QUERY_TOO_COMPLEX")
    );
}

#[test]
fn the_introspection_of_every_tool_passes() {
    assert_eq!(code(INTROSPECTION), Ok(OperationType::Query));
}

#[test]
fn a_fragment_bomb_is_answered_in_milliseconds() {
    // the bomb of the measured incident: every level doubles
    let mut query = String::from("{ ...F0 } ");
    for level in 0..30 {
        write!(
            query,
            "fragment F{level} on Query {{ ...F{next} ...F{next} }} ",
            next = level + 1
        )
        .unwrap();
    }
    query.push_str("fragment F30 on Query { hello }");
    let started = Instant::now();
    assert_eq!(code(&query), refused("QUERY_TOO_MANY_ROOT_FIELDS"));
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?} in a debug build",
        started.elapsed()
    );
}

#[test]
fn a_bomb_below_the_root_is_counted_too() {
    let mut query = String::from("{ items { ...F0 } } ");
    for level in 0..20 {
        write!(
            query,
            "fragment F{level} on Items {{ a: totalCount ...F{next} ... {{ ...F{next} }} }} ",
            next = level + 1
        )
        .unwrap();
    }
    query.push_str("fragment F20 on Items { totalCount }");
    assert_eq!(code(&query), refused("QUERY_TOO_DEEP"));
    let shorter = query.replace("F0 }", "F8 }");
    assert_eq!(code(&shorter), refused("QUERY_TOO_MANY_FIELDS"));
}

#[test]
fn a_long_chain_of_fragments_does_not_eat_the_stack() {
    let mut query = String::from("{ ...F0 } ");
    for level in 0..1200 {
        write!(query, "fragment F{level} on Query {{ ...F{} }} ", level + 1).unwrap();
    }
    query.push_str("fragment F1200 on Query { hello }");
    assert_eq!(code(&query), refused("QUERY_TOO_DEEP"));
}

#[test]
fn a_fragment_that_contains_itself_is_refused() {
    assert_eq!(
        code("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"),
        refused("GRAPHQL_VALIDATION_FAILED")
    );
    assert_eq!(
        code("{ hello } fragment A on Query { ...A }"),
        refused("GRAPHQL_VALIDATION_FAILED")
    );
}

#[test]
fn depth_is_refused_by_bracket_level_and_field() {
    let deep = |levels: usize| format!("{}{}", "{ a ".repeat(levels), "}".repeat(levels));
    assert_eq!(code(&deep(20)), Ok(OperationType::Query));
    assert_eq!(code(&deep(21)), refused("QUERY_TOO_DEEP"));
    assert_eq!(code(&deep(3_000)), refused("QUERY_TOO_DEEP"));
    let list = format!("{{ hello(a: {}{}) }}", "[".repeat(4_000), "]".repeat(4_000));
    assert_eq!(code(&list), refused("QUERY_TOO_DEEP"));
}

#[test]
fn size_tokens_aliases_and_root_fields_are_limited() {
    assert_eq!(
        code(&format!("{{ hello }} #{}", "x".repeat(QUERY_BYTES_MAX))),
        refused("QUERY_TOO_LARGE")
    );
    assert_eq!(
        code(&format!("{{ {} }}", "hello ".repeat(QUERY_TOKENS_MAX))),
        refused("QUERY_TOO_LARGE")
    );
    assert_eq!(
        code(&format!("{{ {} }}", "hello ".repeat(31))),
        refused("QUERY_TOO_MANY_ROOT_FIELDS")
    );
    let aliases = (0..101).fold(String::new(), |mut text, number| {
        write!(text, "a{number}: name ").unwrap();
        text
    });
    assert_eq!(
        code(&format!("{{ items {{ nodes {{ {aliases} }} }} }}")),
        refused("QUERY_TOO_MANY_ALIASES")
    );
}

#[test]
fn nested_pages_multiply() {
    let nested = "query($n: Int = 100) { items(first: $n) { nodes { items(first: 100) { nodes { items(first: 10) { nodes { name } } } } } } }";
    assert_eq!(code(nested), refused("QUERY_TOO_COMPLEX"));
    assert_eq!(
        code_with(nested, serde_json::json!({ "n": 2 })),
        Ok(OperationType::Query)
    );
    assert_eq!(
        code_with(nested, serde_json::json!({ "n": 1_000_000 })),
        refused("QUERY_TOO_COMPLEX")
    );
    // pages without `first` count as the default page
    let silent = "{ items { nodes { items { nodes { items { nodes { items { nodes { name } } } } } } } } }";
    assert_eq!(code(silent), refused("QUERY_TOO_COMPLEX"));
}

#[test]
fn circles_in_the_type_system_are_refused() {
    let circle = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    assert_eq!(code(circle), refused("QUERY_TOO_DEEP"));
    let circle = "{ __type(name: \"Item\") { ...T } } fragment T on __Type { fields { type { possibleTypes { inputFields { name } } } } }";
    assert_eq!(code(circle), refused("QUERY_TOO_DEEP"));
}

#[test]
fn a_subscription_has_one_root_field() {
    assert_eq!(code("subscription { a b }"), refused("GRAPHQL_VALIDATION_FAILED"));
    assert_eq!(
        code("subscription { ...F } fragment F on S { a b: a }"),
        refused("GRAPHQL_VALIDATION_FAILED")
    );
}

#[test]
fn the_operation_must_be_clear() {
    assert_eq!(
        code("query A { hello } mutation B { b }"),
        refused("OPERATION_UNKNOWN")
    );
    assert_eq!(code("{ hello "), refused("GRAPHQL_PARSE_FAILED"));
    let mut request = Request::new("query A { hello } mutation B { b }").operation_name("B");
    assert_eq!(
        admit(&mut request, &Prices::from_sdl(SDL, Limits::default()))
            .unwrap()
            .operation,
        OperationType::Mutation
    );
    let mut request = Request::new("query A { hello }").operation_name("C");
    assert!(admit(&mut request, &Prices::from_sdl(SDL, Limits::default())).is_err());
}

#[test]
fn a_limit_names_itself_and_the_value() {
    let mut request = Request::new(format!("{{ {} }}", "hello ".repeat(40)));
    let error = admit(&mut request, &Prices::from_sdl(SDL, Limits::default())).unwrap_err();
    let extensions = serde_json::to_value(error.extensions).unwrap();
    assert_eq!(
        extensions,
        serde_json::json!({ "code": "QUERY_TOO_MANY_ROOT_FIELDS", "limit": 30, "value": 40 })
    );
}

#[test]
fn the_operation_that_would_run_is_paid_and_no_other() {
    let prices = Prices::from_sdl(SDL, Limits::default());
    for (query, name, points) in [
        ("{ hello }", None, 1),
        ("{ __typename }", None, 1),
        ("{ items(first: 10) { nodes { name } } }", None, 21),
        (
            "query A { hello } query B { items(first: 10) { nodes { name } } }",
            Some("A"),
            1,
        ),
        (
            "query A { hello } query B { items(first: 10) { nodes { name } } }",
            Some("B"),
            21,
        ),
    ] {
        let mut request = Request::new(query);
        request.operation_name = name.map(str::to_owned);
        assert_eq!(
            admit(&mut request, &prices).unwrap().points,
            points,
            "{query} {name:?}"
        );
    }
}

#[test]
fn directives_are_limited_at_one_place_and_in_all() {
    let here = |count: usize| format!("{{ hello {} }}", "@skip(if: false) ".repeat(count));
    assert!(code(&here(4)).is_ok());
    let too_many = || refused("QUERY_TOO_MANY_DIRECTIVES");
    for query in [
        here(5),
        "query Q @a @a @a @a @a { hello }".to_owned(),
        "query Q($a: Int @a @a @a @a @a) { hello }".to_owned(),
        "{ ... @a @a @a @a @a { hello } }".to_owned(),
        "{ ...F @a @a @a @a @a } fragment F on Query { hello }".to_owned(),
        "{ ...F } fragment F on Query @a @a @a @a @a { hello }".to_owned(),
    ] {
        assert_eq!(code(&query), too_many(), "{query}");
    }
    // written out: each of the thirty fragments has four, and is spread where another one is
    let mut spread = String::from("{ hello ...F0 }");
    for number in 0..26 {
        let next = number + 1;
        let _ = write!(
            spread,
            " fragment F{number} on Query {{ hello @a @a @a @a ...F{next} }}"
        );
    }
    spread.push_str(" fragment F26 on Query { hello }");
    assert_eq!(code(&spread), too_many());
}

#[test]
fn introspection_can_be_switched_off_and_type_names_stay() {
    let limits = Limits {
        introspection: false,
        ..Limits::default()
    };
    let prices = Prices::from_sdl(SDL, limits);
    let outcome = |query: &str| {
        let error = admit(&mut Request::new(query), &prices).err()?;
        crate::api::errors::code_of(&error).map(str::to_owned)
    };
    for query in [
        INTROSPECTION,
        "{ hello __type(name: \"Item\") { name } }",
        "{ a: __schema { queryType { name } } }",
        "query A { hello } query B { __schema { description } }",
        "{ hello } fragment F on Query { __schema { description } }",
    ] {
        assert_eq!(
            outcome(query).as_deref(),
            Some("INTROSPECTION_DISABLED"),
            "{query}"
        );
    }
    assert_eq!(outcome("{ __typename items { nodes { __typename } } }"), None);
    assert!(code("{ __schema { description } }").is_ok());
}

const INTROSPECTION: &str = "
query IntrospectionQuery { __schema {
    description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
} }
fragment FullType on __Type {
    kind name description specifiedByURL isOneOf
    fields(includeDeprecated: true) {
        name description args(includeDeprecated: true) { ...InputValue }
        type { ...TypeRef } isDeprecated deprecationReason
    }
    inputFields(includeDeprecated: true) { ...InputValue }
    interfaces { ...TypeRef }
    enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
    possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
    name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
}
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name
    ofType { kind name ofType { kind name } } } } } } } } } }
";

#[test]
fn variables_that_are_not_given_have_their_defaults() {
    use serde_json::json;
    let prices = Prices::from_sdl(SDL, Limits::default());
    let query = "query A($n: Int = 7, $w: Boolean = true, $x: Int) { __typename }";
    for (given, wanted) in [
        (json!({}), json!({ "n": 7, "w": true })),
        (json!({ "n": null, "w": false }), json!({ "n": null, "w": false })),
        (json!({ "x": 1 }), json!({ "n": 7, "w": true, "x": 1 })),
    ] {
        let mut request = Request::new(query).variables(Variables::from_json(given));
        admit(&mut request, &prices).unwrap();
        assert_eq!(serde_json::to_value(&request.variables).unwrap(), wanted);
    }
}
