//! The conformance fixture on the official Rust SDK: every tool, resource and prompt that the official suite calls,
//! in both eras, over Streamable HTTP.
//!
//! `conformance-rmcp [PORT]` listens on loopback and prints its URL on one line; port 0 takes a free one.

mod answers;
mod catalogue;
mod http;
mod live;
mod rounds;
mod server;
mod tasks;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 0,
    };
    http::serve(port).await
}
