//! Toward clients.
