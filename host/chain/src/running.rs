//! A running exchange, as the connection that carries it sees it.

use crate::{
    exchange::{Answer, Outgoing},
    queue::Receiver,
};
use futures_util::future::BoxFuture;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Dropping this does not end the exchange (legacy clients may leave, and a hook is never cut off); `cancel` does.
///
/// While nothing but the answer has come, the exchange runs in the task of whoever waits for it: no other task
/// has to be made and woken. From the first notification on, or when nobody waits any more, it runs in a task
/// of its own, so that no reader can hold it up.
pub struct Running {
    /// Host-wide id, shown in every error and log line.
    pub id: u64,
    /// Tells the exchange that nobody waits any more and that this means stop.
    pub cancel: CancellationToken,
    said: Option<Receiver<Outgoing>>,
    run: Run,
}

/// Where it runs. Its output is none after a cancel, or when the exchange broke.
enum Run {
    Here(BoxFuture<'static, Option<Answer>>),
    Away(JoinHandle<Option<Answer>>),
    Over(Option<Answer>),
}

impl Running {
    pub(crate) fn new(id: u64, cancel: CancellationToken, said: Receiver<Outgoing>, run: BoxFuture<'static, Option<Answer>>) -> Self {
        Self { id, cancel, said: Some(said), run: Run::Here(run) }
    }

    /// Notifications in order, then exactly one final answer, then nothing. Nothing at all after a cancel.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let ended = match &mut self.run {
            Run::Here(run) => run.as_mut().poll(context),
            Run::Away(task) => Pin::new(task).poll(context).map(|ended| ended.unwrap_or_default()),
            Run::Over(_) => Poll::Pending,
        };
        if let Poll::Ready(answer) = ended {
            self.run = Run::Over(answer);
        }
        let said = self.said.as_mut().map(|said| said.poll_next(context));
        if let Some(Poll::Ready(said)) = said {
            self.run_on();
            return Poll::Ready(Some(said));
        }
        match &mut self.run {
            Run::Over(answer) => Poll::Ready(answer.take().map(Outgoing::Final)),
            Run::Here(_) | Run::Away(_) => Poll::Pending,
        }
    }

    /// Lets it run in a task of its own, whether or not anybody waits.
    pub fn run_on(&mut self) {
        // Without a runtime the process is going down, and the exchange with it.
        if let (Run::Here(_), Ok(runtime)) = (&self.run, Handle::try_current())
            && let Run::Here(run) = std::mem::replace(&mut self.run, Run::Over(None))
        {
            self.run = Run::Away(runtime.spawn(run));
        }
    }

    /// Resolves when it has ended. Nothing it says is heard any more.
    pub fn see_off(&mut self) -> impl Future<Output = ()> + Send + 'static {
        self.run_on();
        self.said = None;
        let task = match std::mem::replace(&mut self.run, Run::Over(None)) {
            Run::Away(task) => Some(task),
            Run::Here(_) | Run::Over(_) => None,
        };
        async move {
            if let Some(task) = task {
                // Whatever it answered, nobody waits for it.
                let _ = task.await;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.run_on();
    }
}
