//! The bounded queue between the two ends of one exchange.
//!
//! Most exchanges never say anything but their answer, so an empty queue costs one small allocation; a general
//! channel sets aside room for dozens of messages at once, for every call.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A queue that holds at most `bound`.
pub fn queue<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { bound, state: Mutex::default() });
    (Sender(shared.clone()), Receiver(shared))
}

/// The end that speaks.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// The end that listens. When it is dropped, nothing is sent any more.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    bound: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    is_deaf: bool,
    reader: Option<Waker>,
    /// Who waits for room. Seldom anybody, and never many: each is a task of the same exchange.
    writers: Vec<Waker>,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), is_deaf: false, reader: None, writers: Vec::new() }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Puts `item` behind the others, or hands it back when there is no room or nobody listens.
    pub fn try_send(&self, item: T) -> Result<(), T> {
        self.put(item, self.0.lock()).map_err(|(item, _)| item)
    }

    /// The lock comes back with the item when there is no room.
    fn put<'s>(&self, item: T, mut state: MutexGuard<'s, State<T>>) -> Result<(), (T, MutexGuard<'s, State<T>>)> {
        if state.is_deaf || state.items.len() >= self.0.bound {
            return Err((item, state));
        }
        state.items.push_back(item);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// The same, waiting for room. Hands the item back when nobody listens.
    pub async fn send(&self, item: T) -> Result<(), T> {
        let mut item = Some(item);
        poll_fn(|context| {
            let Some(unsent) = item.take() else { return Poll::Ready(Ok(())) };
            let Err((unsent, mut state)) = self.put(unsent, self.0.lock()) else { return Poll::Ready(Ok(())) };
            if state.is_deaf {
                return Poll::Ready(Err(unsent));
            }
            if !state.writers.iter().any(|writer| writer.will_wake(context.waker())) {
                state.writers.push(context.waker().clone());
            }
            item = Some(unsent);
            Poll::Pending
        })
        .await
    }
}

impl<T> Receiver<T> {
    /// What is there now.
    pub fn try_recv(&mut self) -> Option<T> {
        Self::pop(self.0.lock()).ok()
    }

    /// The lock comes back when nothing is there.
    fn pop(mut state: MutexGuard<'_, State<T>>) -> Result<T, MutexGuard<'_, State<T>>> {
        let Some(item) = state.items.pop_front() else { return Err(state) };
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.into_iter().for_each(Waker::wake);
        Ok(item)
    }

    /// The next item. Never an end: who speaks says in another way that it is done.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<T> {
        let mut state = match Self::pop(self.0.lock()) {
            Ok(item) => return Poll::Ready(item),
            Err(state) => state,
        };
        match &mut state.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// As [`poll_next`](Self::poll_next). Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> T {
        poll_fn(|context| self.poll_next(context)).await
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_deaf = true;
        let (items, writers) = (std::mem::take(&mut state.items), std::mem::take(&mut state.writers));
        drop(state);
        drop(items);
        writers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_goes_in_comes_out_in_order_and_no_more_than_the_bound_waits() {
        let (sender, mut receiver) = queue(2);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.clone().try_send(2), Ok(()));
        assert_eq!(sender.try_send(3), Err(3));
        let late = tokio::spawn(async move { sender.send(3).await });
        tokio::task::yield_now().await;
        assert!(!late.is_finished());
        for expected in 1..=3 {
            assert_eq!(receiver.next().await, expected);
        }
        assert_eq!(late.await.unwrap(), Ok(()));
        assert_eq!(receiver.try_recv(), None);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let (sender, mut receiver) = queue(1);
        let reading = tokio::spawn(async move { receiver.next().await });
        tokio::time::sleep(Duration::from_millis(10)).await;
        sender.send("late").await.unwrap();
        assert_eq!(reading.await.unwrap(), "late");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_reader_that_has_gone() {
        let (sender, receiver) = queue(1);
        sender.send(1).await.unwrap();
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(2).await }
        });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(waiting.await.unwrap(), Err(2));
        assert_eq!(sender.try_send(3), Err(3));
    }
}
