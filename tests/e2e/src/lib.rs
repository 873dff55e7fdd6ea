//! Nothing: Cargo wants a library. The tests are one binary in `tests/e2e`.
