//! A child from its start to its end: its stdin, its life, and what happens when it is over.

use super::{channel::Channel, process::Process};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    process::ChildStdin,
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Writes whole frames, so that a caller who gives up never leaves half a message behind.
pub(super) async fn write(mut stdin: ChildStdin, mut unread: mpsc::Receiver<Bytes>, stop: CancellationToken) {
    loop {
        let written = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            frame = unread.recv() => match frame {
                Some(frame) => tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    written = stdin.write_all(&frame) => written,
                },
                None => break,
            },
        };
        if written.is_err() {
            break;
        }
    }
}

/// Sees the child through to its end.
pub(super) async fn supervise(channel: Arc<Channel>, mut process: Process, reading: JoinHandle<()>, permits: [OwnedSemaphorePermit; 2]) {
    let end = watch(&channel, &mut process).await;
    process.kill_rest();
    process.clear().await;
    // What it said before it died counts. Whoever else held its stdout is dead by now.
    let _ = timeout(Duration::from_secs(1), channel.silent()).await;
    reading.abort();
    if let End::ByItself(status) = &end {
        channel.note_death();
        tracing::warn!(upstream = %channel.settings.name, %status, "child ended by itself");
    }
    channel.stop(&end.reason());
    drop(permits);
    channel.note_gone();
}

enum End {
    ByItself(String),
    Stopped,
}

impl End {
    fn reason(&self) -> String {
        match self {
            Self::ByItself(status) => format!("the child ended ({status})"),
            Self::Stopped => "the child was stopped".to_owned(),
        }
    }
}

async fn watch(channel: &Channel, process: &mut Process) -> End {
    let idle = channel.settings.child_idle;
    loop {
        tokio::select! {
            biased;
            // First: one that was told to leave and did so at once has not ended by itself.
            () = channel.stopped() => {
                process.stop(channel.grace()).await;
                return End::Stopped;
            }
            status = process.ended() => return End::ByItself(status),
            () = channel.silent() => {
                // Without a stdout it is of no use, whether or not it is about to end.
                let status = timeout(Duration::from_millis(500), process.ended()).await;
                channel.hang_up();
                return End::ByItself(match status {
                    Ok(status) => status,
                    Err(_) => format!("it had closed its stdout; {}", process.stop(channel.grace()).await),
                });
            }
            () = tokio::time::sleep_until(channel.last_used() + idle) => {
                if channel.last_used().elapsed() >= idle && !channel.may_have_task() {
                    channel.stop_if_idle("the child was idle");
                }
                // A call longer than that, a task, or somebody who listens, keeps the child, and the clock from spinning.
                if channel.is_needed() || channel.may_have_task() {
                    channel.touch();
                }
            }
        }
    }
}
