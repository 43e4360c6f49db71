//! A host that plugins are fetched from.

use crate::config::secret::Secret;
use crate::config::section::section;

section! {
    /// A registry, or another server that plugins are fetched from.
    pub struct RegistrySettings {
        /// Who we are there.
        pub username: Option<String> = None;
        /// The password, or what the registry gives out in its place. Without a username it is a bearer token.
        pub password: Option<Secret> = None;
        /// Whether it is reached without TLS. This machine is, where it answers none.
        pub plain_http: bool = false;
    }
}
