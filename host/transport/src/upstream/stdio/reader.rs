//! What a child says on stdout, message by message.

use super::channel::Channel;
use crate::upstream::{
    inflight::{LongPart, Routed},
    outline, questions,
    shown::shown,
};
use bytes::Bytes;
use sluice_chain::{
    exchange::Delivery,
    upstream::{Unsolicited, UpstreamError},
};
use sluice_era::listen;
use sluice_wire::{
    code,
    json::{Document, Kind as JsonKind},
    line::{LineDecoder, frame},
    listen::List,
    message::{self, Kind, Message},
    method,
    revision::{Era, Revision},
};
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, process::ChildStdout, sync::mpsc, time::timeout};

/// For a child to take an answer it asked for.
const TELL_MAX: Duration = Duration::from_secs(5);

const CHUNK: usize = 64 * 1024;

/// Reads to the end of the stream.
pub(super) async fn read(mut stdout: ChildStdout, channel: Arc<Channel>) {
    let mut decoder = LineDecoder::keeping_overlong(channel.limits().response.bytes_max);
    let mut buffer = vec![0; CHUNK];
    'lines: while let Ok(read @ 1..) = stdout.read(&mut buffer).await {
        decoder.push(&buffer[..read]);
        while let Some(line) = decoder.next() {
            match (line, whose_long(&channel, &decoder)) {
                (Ok(line), _) => hear_line(&channel, line),
                (Err(too_long), None) => {
                    decoder.skip_overlong();
                    too_large(&channel, too_long.limit);
                }
                (Err(_), Some(call)) => {
                    // It says more, so it is of use.
                    let _held = channel.hold();
                    if pass_on_long(&mut stdout, &mut decoder, &mut buffer, call).await.is_err() {
                        break 'lines;
                    }
                }
            }
        }
    }
    if let Some(line) = decoder.finish() {
        hear_line(&channel, line);
    }
    channel.note_silence();
}

/// Who waits for the line that is too long to be held, if that can be told and the call takes it so.
fn whose_long(channel: &Channel, decoder: &LineDecoder) -> Option<mpsc::Sender<LongPart>> {
    let beginning = decoder.overlong();
    if beginning.len() <= channel.limits().response.bytes_max {
        return None;
    }
    let spoken = channel.spoken()?;
    channel.inflight.answer_in_pieces(outline::read([beginning], spoken))
}

/// The child has ended within a line.
struct CutOff;

/// Hands a line on as it comes, and no faster than the call takes it: until its end, nothing else that the child says is heard. When
/// nobody takes it any more, the rest is skipped.
async fn pass_on_long(
    stdout: &mut ChildStdout,
    decoder: &mut LineDecoder,
    buffer: &mut [u8],
    call: mpsc::Sender<LongPart>,
) -> Result<(), CutOff> {
    let (mut beginning, mut has_ended) = decoder.take_overlong();
    while !beginning.is_empty() {
        let part = beginning.split_to(beginning.len().min(CHUNK));
        if call.send(LongPart::Data(part)).await.is_err() {
            return Ok(if !has_ended {
                decoder.skip_rest()
            });
        }
    }
    while !has_ended {
        let Ok(read @ 1..) = stdout.read(buffer).await else { return Err(CutOff) };
        let end = memchr::memchr(b'\n', &buffer[..read]);
        let part = Bytes::copy_from_slice(&buffer[..end.unwrap_or(read)]);
        has_ended = end.is_some();
        if let Some(end) = end {
            decoder.push(&buffer[end + 1..read]);
        }
        if call.send(LongPart::Data(part)).await.is_err() {
            return Ok(if !has_ended {
                decoder.skip_rest()
            });
        }
    }
    // Whether it still listens is its own matter.
    let _ = call.send(LongPart::End).await;
    Ok(())
}

fn hear_line(channel: &Arc<Channel>, line: Bytes) {
    let document = match Document::parse(line.clone(), &channel.limits().response, channel.limits().index) {
        Ok(document) => document,
        Err(error) => return junk(channel, &line, &error),
    };
    if document.root().kind() != JsonKind::Array {
        return hear(channel, document);
    }
    // 2025-03-26 allows several messages on one line.
    for item in document.deepen().root().items() {
        match Document::parse(item.to_bytes(), &channel.limits().response, channel.limits().index) {
            Ok(document) => hear(channel, document),
            Err(error) => junk(channel, item.raw_bytes(), &error),
        }
    }
}

fn hear(channel: &Arc<Channel>, document: Document) {
    let bytes = document.bytes().clone();
    let message = match Message::decode(document) {
        Ok(message) => message,
        Err(error) => return junk(channel, &bytes, &error),
    };
    match message.kind() {
        Kind::Response | Kind::Error => {
            if !channel.listens.end(&message) && !channel.inflight.answer(message) {
                drop_it(channel, "an answer nobody waits for");
            }
        }
        Kind::Request => asked(channel, message),
        Kind::Notification => hear_notification(channel, message),
    }
}

fn hear_notification(channel: &Arc<Channel>, message: Message) {
    channel.flood.note(&channel.settings.name, message.method());
    let subscription = is_of_subscription(message.method()).then(|| listen::subscription(&message)).flatten();
    match subscription {
        Some(id) if channel.spoken().is_some_and(|spoken| spoken.era() == Era::Modern) => {
            if !channel.listens.hear(id, message, Revision::MODERN[0]) {
                drop_it(channel, "a notification of no subscription of ours");
            }
        }
        _ => match channel.inflight.route(message, channel.limits()) {
            Routed::Queued => {}
            Routed::Session(message) => pass_on(channel, message),
            Routed::Dropped(reason) => drop_it(channel, reason),
        },
    }
}

/// What modern servers say under a subscription only.
fn is_of_subscription(name: &str) -> bool {
    List::of_method(name).is_some() || matches!(name, method::NOTIFY_RESOURCES_UPDATED | method::NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED)
}

/// Hands the chain what no call owns. A modern server has nothing to say outside calls.
fn pass_on(channel: &Channel, message: Message) {
    let spoken = channel.spoken().unwrap_or(Revision::LEGACY[0]);
    if spoken.era() == Era::Modern {
        return drop_it(channel, "a notification no call asked for");
    }
    if message.method() == method::NOTIFY_RESOURCES_UPDATED {
        if !channel.listens.hear_untagged(message, spoken) {
            drop_it(channel, "word of a resource nobody asked for");
        }
        return;
    }
    channel.listener.unsolicited(Unsolicited {
        upstream: channel.settings.name.clone(),
        principal: channel.principal.clone(),
        session: None,
        delivery: Delivery { message: Arc::new(message), spoken },
    });
}

/// Sees to what a legacy server asks. A task of its own waits for the client.
fn asked(channel: &Arc<Channel>, message: Message) {
    let spoken = channel.spoken().unwrap_or(Revision::LEGACY[0]);
    let Some(id) = message.id().filter(|_| spoken.era() == Era::Legacy) else {
        return drop_it(channel, "a request from a modern server");
    };
    if message.method() == method::PING {
        return channel.say(frame(&message::result(id, b"{}")));
    }
    if let Err((code, text)) = channel.askable().permits(&message) {
        return refuse(channel, &message, code, text);
    }
    let Some(open) = channel.inflight.question(id) else {
        return refuse(channel, &message, code::INTERNAL_ERROR, "too many questions wait for their answers");
    };
    let channel = channel.clone();
    tokio::spawn(async move {
        let answering = async {
            match channel.inflight.questioned(&message).await {
                Some(to) => {
                    if let Some((answer, _turn)) = questions::ask(to, message, spoken, &open).await {
                        // It waits for this, so it reads; if not, it has itself to blame.
                        let _ = timeout(TELL_MAX, channel.tell(answer)).await;
                    }
                }
                None => {
                    channel.counters.count(|c| &c.refused_requests);
                    questions::nobodys(&message).into_iter().for_each(|answer| channel.say(frame(&answer)));
                }
            }
        };
        tokio::select! {
            biased;
            // Whoever it was for, nobody answers it any more.
            () = open.withdrawn() => {}
            () = answering => {}
            () = channel.gone() => {}
        }
    });
}

fn refuse(channel: &Channel, message: &Message, code: i64, text: &str) {
    let Some(id) = message.id() else { return };
    channel.counters.count(|c| &c.refused_requests);
    tracing::debug!(upstream = %channel.settings.name, method = %shown(message.method().as_bytes()), "refused a request from the server");
    channel.say(frame(&message::error(Some(id), code, text, None)));
}

fn junk(channel: &Channel, line: &[u8], error: &dyn std::fmt::Display) {
    let before = channel.counters.read().junk;
    channel.counters.count(|c| &c.junk);
    // Each power of two, so that a child which prints its life story does not fill the log.
    if (before + 1).is_power_of_two() {
        tracing::warn!(upstream = %channel.settings.name, %error, line = %shown(line), skipped = before + 1, "stdout holds something that is no message");
    }
}

fn drop_it(channel: &Channel, reason: &'static str) {
    channel.counters.count(|c| &c.dropped);
    tracing::debug!(upstream = %channel.settings.name, reason, "dropped a message from the server");
}

/// Nobody can tell whose answer it was; with one call in flight it can only be that one's.
fn too_large(channel: &Channel, limit: usize) {
    channel.counters.count(|c| &c.junk);
    tracing::warn!(upstream = %channel.settings.name, limit, "skipped a line over the response cap");
    channel.inflight.fail_sole(UpstreamError::TooLarge { limit_bytes: limit });
}
