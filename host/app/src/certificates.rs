//! The listener's certificate while traffic runs.

use crate::watch::{QUIET, Watch};
use sluice_transport::tls::ServerTls;
use std::{path::Path, sync::Arc};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// Takes the files in force whenever they change, and at SIGHUP, until `stop`. What is bad changes nothing.
pub fn keep_fresh(tls: Arc<ServerTls>, stop: CancellationToken) -> JoinHandle<()> {
    say_concerns(&tls);
    tokio::spawn(async move {
        let mut watch = Watch::on(tls.files().paths().filter_map(Path::parent).map(Path::to_owned));
        loop {
            let is_told = tokio::select! {
                () = stop.cancelled() => return,
                is_told = watch.stirred() => is_told,
            };
            if !is_told {
                if !tls.has_news() {
                    continue;
                }
                // Certificate and key are two files: whoever writes them has a moment to write both.
                sleep(QUIET).await;
            }
            reload(&tls);
        }
    })
}

fn reload(tls: &ServerTls) {
    match tls.reload() {
        Ok(()) => {
            tracing::info!(cert = %tls.files().cert.display(), "the certificate was read again; new connections see it");
            say_concerns(tls);
        }
        Err(error) => tracing::error!("{error}; new connections see the certificate that was in force before"),
    }
}

fn say_concerns(tls: &ServerTls) {
    tls.concerns().into_iter().for_each(|concern| tracing::warn!("{concern}"));
}
