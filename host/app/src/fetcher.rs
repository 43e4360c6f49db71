//! The way of plugins to the network, with a line in the audit log for each request.

use crate::record::{Fetched, Recorder};
use futures_util::future::BoxFuture;
use sluice_chain::fetch::{Fetch, FetchError, Request, Response};
use sluice_transport::fetch::Client;
use std::{sync::Arc, time::Instant};

/// The guarded client, written down.
pub struct Fetcher {
    client: Client,
    recorder: Arc<Recorder>,
}

impl Fetcher {
    /// Nothing is connected to before a plugin asks.
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self { client: Client::new(), recorder }
    }
}

impl Fetch for Fetcher {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        let mut note = Note {
            recorder: self.recorder.clone(),
            began: Instant::now(),
            fetched: Fetched {
                plugin: request.plugin.clone(),
                exchange: request.exchange,
                method: request.method.clone(),
                origin: request.url.origin.to_string(),
                sent: request.body.len(),
                // Until it is known better: of a request whose hook runs out of time, the end never is.
                outcome: Err(FetchError::Timeout),
                took: Default::default(),
            },
        };
        Box::pin(async move {
            let answer = self.client.fetch(request).await;
            note.came(&answer);
            answer
        })
    }
}

/// Written down when it is dropped, however the request ended.
struct Note {
    recorder: Arc<Recorder>,
    began: Instant,
    fetched: Fetched,
}

impl Note {
    fn came(&mut self, answer: &Result<Response, FetchError>) {
        self.fetched.outcome = answer.as_ref().map(|answer| (answer.status, answer.body.len())).map_err(Clone::clone);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.fetched.took = self.began.elapsed();
        self.recorder.fetched(&self.fetched);
    }
}
