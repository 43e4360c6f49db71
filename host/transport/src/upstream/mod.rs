//! Toward servers.
