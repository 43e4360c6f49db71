//! An answer of a child that is too long to be held.

use super::channel::take_back;
use crate::upstream::inflight::LongPart;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_chain::{stream::Source, upstream::UpstreamError};
use tokio::{runtime::Handle, sync::mpsc};

/// The answer to one call, as the reader of the child's output hands it on.
pub(super) struct Passing {
    parts: mpsc::Receiver<LongPart>,
    /// To tell the child that nobody wants the rest; none once there is none.
    outgoing: Option<mpsc::Sender<Bytes>>,
    id: u64,
}

impl Passing {
    pub(super) fn new(parts: mpsc::Receiver<LongPart>, outgoing: &mpsc::Sender<Bytes>, id: u64) -> Self {
        Self { parts, outgoing: Some(outgoing.clone()), id }
    }
}

impl Source for Passing {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Bytes, UpstreamError>>> {
        Box::pin(async move {
            match self.parts.recv().await {
                Some(LongPart::Data(data)) => Some(Ok(data)),
                Some(LongPart::End) => {
                    self.outgoing = None;
                    None
                }
                None => Some(Err(UpstreamError::ClosedEarly { reason: "the child ended within its answer".into() })),
            }
        })
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let (Some(outgoing), Ok(_)) = (&self.outgoing, Handle::try_current()) {
            take_back(outgoing, self.id);
        }
    }
}
