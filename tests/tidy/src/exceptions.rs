//! What may break a rule, each with its reason. An entry that is no longer needed fails a test.

/// Files of more than 500 lines: path, reason.
pub(crate) const LONG_FILES: &[(&str, &str)] = &[
    (
        "plugins/sdk/src/json/reader.rs",
        "one state machine over chunks; its tests need its private states",
    ),
    (
        "plugins/sdk/src/xml/reader.rs",
        "one state machine over chunks; its tests need its private states",
    ),
    (
        "server/app/tools.toml",
        "a table of independent entries, one per tool; read by searching for a name",
    ),
];

/// Functions of more than 70 lines: path, name, reason.
pub(crate) const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Imports against the direction: path, module, reason.
pub(crate) const IMPORTS: &[(&str, &str, &str)] = &[];

/// Files outside the store with statements: path, reason.
pub(crate) const SQL: &[(&str, &str)] = &[];

/// Files that name a folder of a machine or a registry: path, reason.
pub(crate) const PLACES: &[(&str, &str)] = &[];

/// Sleeps in tests: path, how many, reason.
pub(crate) const SLEEPS: &[(&str, usize, &str)] = &[
    (
        "server/store/src/project_event_tests.rs",
        1,
        "transactions of different lengths overlap: the time is the subject",
    ),
    (
        "server/app/src/api/schema/batch.rs",
        2,
        "a fetch that takes a while, and a leader that is dropped while it hangs: the time is the subject",
    ),
    (
        "server/app/src/api/listen/tests.rs",
        1,
        "an answer that takes longer than a request may: the time is the subject",
    ),
    (
        "server/app/src/api/tests.rs",
        1,
        "a watcher must have gone idle; that nothing more comes has no condition",
    ),
    (
        "server/app/src/api/transport/tests/websocket_tests.rs",
        1,
        "a peer that is silent for longer than the server's patience: the silence is the subject",
    ),
    (
        "tests/e2e/tests/e2e/killed_imports.rs",
        1,
        "a kill comes at a drawn moment: the moment is the subject",
    ),
];

/// Variables `TAMIZ_…` that the code names and nobody sets: name, reason.
pub(crate) const VARIABLES: &[(&str, &str)] = &[];

/// Words in capital letters that are no error codes: word, what it is.
pub(crate) const NO_CODES: &[(&str, &str)] = &[];
