//! A guest that does one bad thing at the place its settings name: `{"on":"request"}`.
//!
//! Everywhere else it lets pass, so a test can prove that the neighbours of the bad place are well.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

/// Where to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// In `init`.
    Init,
    /// In `authenticate`.
    Authenticate,
    /// In `on-request`.
    Request,
    /// In `on-response`.
    Response,
    /// In `on-notification`.
    Notification,
    /// In `on-catalog`.
    Catalog,
    /// In `on-done`.
    Done,
}

/// The settings of every hostile guest.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Place {
    /// Where.
    #[serde(default = "on_request")]
    pub on: On,
    /// Only for this tool, prompt or URI, where the hook has a head.
    pub name: Option<String>,
}

fn on_request() -> On {
    On::Request
}

impl Place {
    /// Whether this is the place.
    pub fn is(&self, on: On, name: Option<&str>) -> bool {
        self.on == on && (self.name.is_none() || self.name.as_deref() == name)
    }
}

/// The settings' schema.
pub const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "on": {
      "enum": ["init", "authenticate", "request", "response", "notification", "catalog", "done"],
      "default": "request"
    },
    "name": { "type": "string" }
  },
  "additionalProperties": false
}"#;

/// `misbehave!("spin-forever", spin)`: a component with every hook that calls `spin()` at its place.
#[macro_export]
macro_rules! misbehave {
    ($name:literal, $act:path) => {
        struct Guest($crate::Place);

        const _: () = {
            use ::sluice_sdk::catalog::{Answer, Entry, ListKind, Viewer};
            use ::sluice_sdk::exchange::{Exchange, Head};
            use ::sluice_sdk::identity::{Credential, Outcome};
            use ::sluice_sdk::manifest::Manifest;
            use ::sluice_sdk::plugin::*;
            use ::sluice_sdk::verdict::{NotificationVerdict, Verdict};
            use $crate::{On, Place};

            impl Guest {
                fn misbehave(&self, on: On, name: Option<&str>) {
                    if self.0.is(on, name) {
                        $act();
                    }
                }
            }

            impl Plugin for Guest {
                type Config = Place;

                fn manifest() -> Manifest {
                    Manifest::new($name, "0.1.0", "Misbehaves where it is told to.").schema($crate::SCHEMA).stateless()
                }

                fn new(place: Place) -> Result<Self, $crate::Text> {
                    let guest = Guest(place);
                    guest.misbehave(On::Init, None);
                    Ok(guest)
                }
            }

            impl Authenticate for Guest {
                fn authenticate(&self, _: &Credential, _: &Exchange) -> Outcome {
                    self.misbehave(On::Authenticate, None);
                    Outcome::Abstain
                }
            }

            impl OnRequest for Guest {
                fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
                    self.misbehave(On::Request, head.name.as_deref());
                    Verdict::Next
                }
            }

            impl OnResponse for Guest {
                fn on_response(&self, head: &Head, _: &Exchange) -> Verdict {
                    self.misbehave(On::Response, head.name.as_deref());
                    Verdict::Next
                }
            }

            impl OnNotification for Guest {
                fn on_notification(&self, head: &Head, _: &Exchange) -> NotificationVerdict {
                    self.misbehave(On::Notification, head.name.as_deref());
                    NotificationVerdict::Next
                }
            }

            impl OnCatalog for Guest {
                fn on_catalog(&self, _: &Viewer, _: ListKind, _: &[Entry]) -> Answer {
                    self.misbehave(On::Catalog, None);
                    Answer::keep_all()
                }
            }

            impl OnDone for Guest {
                fn on_done(&self, head: &Head, _: &Done, _: &Exchange) {
                    self.misbehave(On::Done, head.name.as_deref());
                }
            }
        };

        ::sluice_sdk::export!(Guest: authenticate, on_request, on_response, on_notification, on_catalog, on_done);
    };
}

#[doc(hidden)]
pub type Text = String;
