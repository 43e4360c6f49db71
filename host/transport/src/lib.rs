//! How messages come and go.
//!
//! This room owns every socket, child process and session. It frames bytes, checks what a
//! transport must check, and translates at its own door: the chain never learns which transport
//! or era a peer speaks. It never decides whether a call may be made; that is the chain's.
//!
//! [`upstream`] faces servers and implements the chain's `Upstream`; [`downstream`] faces clients; [`fetch`] is how
//! plugins reach the network; [`tls`] serves all three; [`hop`] is this gateway among others.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod downstream;
pub mod fetch;
pub mod hop;
pub mod tls;
pub mod upstream;
