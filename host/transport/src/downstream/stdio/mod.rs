//! One client over a pair of byte streams: newline-delimited JSON, both eras interleaved.
//!
//! Each request says of itself whether it is modern; what does not belongs to the session that
//! `initialize` opened. Answers leave whole, in the order in which they are ready. When the client
//! closes its side, whatever is not done very soon is cancelled, and the caller closes the upstreams.

use bytes::Bytes;
use sluice_chain::{host::Host, principal::Principal};
use sluice_wire::line::LineDecoder;
use std::{future::poll_fn, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    client::Caller,
    front::{Exchanges, Front, Line, Pipe},
    refusal::Refusal,
    settings::Settings,
};

/// Lines that wait for the client to read; exchanges wait when there are more.
const LINES_QUEUE: usize = 256;
/// Bytes asked for at once.
const READ_BYTES: usize = 64 * 1024;
/// How long the last lines may take to leave.
const WRITE_OUT: Duration = Duration::from_secs(5);

/// Serves one client until it closes its side or `drain` is cancelled, then lets what is in flight
/// end (for a moment, or for the grace time), cancels the rest and returns. The caller closes the
/// upstreams afterwards.
///
/// Of `settings`, only eras, info and limits matter here. Dropping the future ends the reading at
/// once; exchanges in flight are cancelled.
///
/// # Errors
/// When reading fails. A client that no longer reads is none: it has left.
pub async fn serve_stdio<R, W>(
    reader: R,
    writer: W,
    host: Arc<Host>,
    principal: Arc<Principal>,
    settings: Settings,
    drain: CancellationToken,
) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let limits = settings.limits.clone();
    let (lines, queue) = mpsc::channel(LINES_QUEUE);
    let has_left = CancellationToken::new();
    let writing = tokio::spawn(write(writer, queue, has_left.clone()));
    let caller = Caller { transport: Arc::new(vec![("transport.kind".into(), "stdio".into())]), principal };
    let front = Arc::new(Front::new(host.clone(), caller, Arc::new(settings), lines));
    host.register_push(Arc::new(Pipe(Arc::downgrade(&front))));
    let exchanges = Exchanges::default();
    let (read, patience) = tokio::select! {
        read = read(reader, &front, &exchanges) => (read, limits.stdio_linger),
        () = has_left.cancelled() => (Ok(()), Duration::ZERO),
        () = drain.cancelled() => (Ok(()), limits.drain_grace),
    };
    host.end_subscriptions();
    let mut exchanges = exchanges.into_tasks();
    let all_ended = async { while exchanges.join_next().await.is_some() {} };
    if timeout(patience, all_ended).await.is_err() {
        // Each one cancels its exchange as it goes.
        exchanges.shutdown().await;
    }
    front.end();
    drop(front);
    let _ = timeout(WRITE_OUT, writing).await;
    read
}

/// Hands every line to the front; returns at the end of the stream.
async fn read<R: AsyncRead + Unpin>(mut reader: R, front: &Arc<Front>, exchanges: &Exchanges) -> io::Result<()> {
    let limit = front.settings().limits.json.bytes_max;
    let mut decoder = LineDecoder::new(limit);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        let count = reader.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        decoder.push(&chunk[..count]);
        while let Some(line) = decoder.next() {
            match line {
                Ok(line) => take(line, front, exchanges).await,
                Err(_) => front.refuse(Refusal::http(413, "too_large", format!("the message is longer than {limit} bytes"))).await,
            }
        }
    }
    if let Some(line) = decoder.finish() {
        take(line, front, exchanges).await;
    }
    Ok(())
}

async fn take(line: Bytes, front: &Arc<Front>, exchanges: &Exchanges) {
    match front.parse(line) {
        Ok(document) => front.take(document, exchanges).await,
        Err(refusal) => front.refuse(refusal).await,
    }
}

/// The only writer, so that lines never mix. Several that are ready leave together.
async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut queue: mpsc::Receiver<Line>, has_left: CancellationToken) -> io::Result<()> {
    let _told = has_left.drop_guard();
    let mut ready = Vec::with_capacity(LINES_QUEUE);
    while queue.recv_many(&mut ready, LINES_QUEUE).await > 0 {
        for line in ready.drain(..) {
            match line {
                Line::Whole(line) => writer.write_all(&line).await?,
                Line::Long(mut long) => {
                    while let Some(piece) = poll_fn(|context| long.poll_next(context)).await {
                        writer.write_all(&piece).await?;
                        // Who reads slowly holds its server back, and sees what there is.
                        writer.flush().await?;
                    }
                }
            }
        }
        writer.flush().await?;
    }
    Ok(())
}
