//! The transport over real sockets, around a toy schema.

mod http_tests;
mod sse_tests;
mod toy;
mod websocket_tests;
