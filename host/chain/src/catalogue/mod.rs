//! Several upstreams as one table. The table a principal sees is the table calls are resolved with.
//!
//! Raw lists are kept per upstream, list and era; views (what one kind of viewer sees) per generation.

mod cursor;
mod fetch;
mod list;
mod merge_patch;
mod offer;
mod raw;
mod template;
mod view;

pub use cursor::CursorKey;
pub use fetch::Gathered;
pub(crate) use fetch::{Asking, Currency};
pub use list::page;
pub use merge_patch::merge_patch;
pub use offer::{Change, Entry, ListKind, Offer, Read, Viewer};
pub use raw::{RawLists, Snapshot};
pub use view::{Exposed, View, Views};
