//! The downstream half against clients that behave and clients that do not, over real sockets.
//!
//! Tests that prove a numbered statement of the protocol reference carry its number: `s096_…`.

mod authority;
mod bad_input;
mod card;
mod catalogue;
mod drain;
mod filters;
mod groups;
mod http2;
mod legacy;
mod modern;
mod names;
mod pace;
mod principals;
mod rounds;
mod routes;
mod sse;
mod stdio;
mod subscriptions;
mod support;
mod suspend;
mod tasks;
mod tls;
mod unix;
