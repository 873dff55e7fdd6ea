//! The transport over real sockets, around a toy schema.

mod documents_tests;
mod http_tests;
mod safety_tests;
mod socket;
mod sse_tests;
mod toy;
mod websocket_order_tests;
mod websocket_tests;
