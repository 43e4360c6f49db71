//! Sluice from outside: the binary that users start, real sockets, real children, real components.
//!
//! What the tests stand on: `turn` (who runs when), `folder`, `gateway` (the binary), `connection`, `caller` and `load` (clients),
//! `server` and `backend` (upstreams), `authority` (who grants access to them), `registry` (where plugins
//! come from), `quantile`. Each other file is one promise.

mod authority;
mod backend;
mod caller;
mod confined;
mod connection;
mod folder;
mod gateway;
mod load;
mod quantile;
mod redis;
mod registry;
mod server;
mod turn;

mod bad_input;
mod child_kill;
mod contained;
mod drain;
mod dropped;
mod embedded;
mod federation;
mod fetched;
mod fetching;
mod groups;
mod handoff;
mod interceptors;
mod isolation;
mod labels;
mod large;
mod links;
mod long;
mod migrate;
mod outbound;
mod plugins;
mod records;
mod reload;
mod required;
mod routes;
mod spans;
mod starting;
mod state;
mod stdio;
mod subcall;
mod supply;
mod swap;
mod trial;
