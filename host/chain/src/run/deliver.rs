//! Notifications: through the filters of their exchange, out as they arrive.

use super::{Exchange, enter::SaidOfNotification};
use crate::{
    attributes::Attributes,
    exchange::{Client, Delivery, Direction, Head, Kind},
    filter::Hook,
    generation::Generation,
    host::Host,
    queue::queue,
    rescue::Error,
    upstream::Unsolicited,
};
use bytes::Bytes;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

impl Exchange {
    /// One notification of this exchange. An error ends the exchange: a filter rejected, or broke.
    pub(super) async fn deliver(&mut self, delivery: Delivery) -> Result<(), Error> {
        if let Some(delivery) = self.filtered(delivery).await? {
            // A client that has left hears nothing; the exchange goes on.
            let _ = self.sender.send(delivery).await;
        }
        Ok(())
    }

    async fn filtered(&mut self, mut delivery: Delivery) -> Result<Option<Delivery>, Error> {
        let generation = self.generation.clone();
        if !generation.links.iter().any(|l| l.exports(Hook::OnNotification)) {
            return Ok(Some(delivery));
        }
        let request_head = self.head.clone();
        self.head = Head {
            direction: Direction::ToClient,
            kind: Kind::Notification,
            method: delivery.message.method().into(),
            name: None,
            ..request_head.clone()
        };
        self.mark = None;
        let mut result = Ok(());
        for (depth, link) in generation.links.iter().enumerate().rev() {
            if !self.enters(link, Hook::OnNotification) {
                continue;
            }
            match self.enter_notification(depth, link, delivery.message.clone()).await {
                SaidOfNotification::Next(None) => {}
                SaidOfNotification::Next(Some(edited)) => delivery.message = edited,
                SaidOfNotification::Drop => {
                    self.head = request_head;
                    return Ok(None);
                }
                SaidOfNotification::Reject(rejection) => {
                    result = Err(Error::Rejected { plugin: link.filter.identity().name.to_string(), rejection })
                }
                SaidOfNotification::Broke(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        self.head = request_head;
        result.map(|()| Some(delivery))
    }
}

/// A notification that no exchange owns, through the filters. `None`: it is not to be delivered.
pub(crate) async fn unsolicited(host: &Arc<Host>, generation: &Arc<Generation>, head: Head, n: &Unsolicited) -> Option<Delivery> {
    let (sender, _) = queue(1);
    let client = Client {
        info: None,
        capabilities: Bytes::from_static(b"{}"),
        session: n.session.clone(),
        facts: Arc::default(),
        log_level: Mutex::default(),
    };
    let mut exchange = Exchange {
        host: host.clone(),
        generation: generation.clone(),
        client: Arc::new(client),
        principal: n.principal.clone(),
        revision: n.delivery.spoken,
        head,
        attributes: Attributes::default(),
        param_headers: None,
        request: n.delivery.message.clone(),
        versions: Vec::new(),
        sender,
        cancel: CancellationToken::new(),
        started: Instant::now(),
        upstream_took: Duration::ZERO,
        passed: Vec::new(),
        mark: None,
        cause: None,
    };
    match exchange.filtered(n.delivery.clone()).await {
        Ok(delivery) => delivery,
        Err(error) => {
            tracing::warn!(upstream = %n.upstream, %error, "a notification was held back");
            None
        }
    }
}
