//! How many children there may be, and which one makes room.

use super::channel::Channel;
use sluice_chain::upstream::UpstreamError;
use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The bound on the children of all upstreams, shared by them.
pub struct ChildBudget {
    room: Room,
}

impl ChildBudget {
    /// Room for so many children: 64 by the limits table.
    pub fn new(children_max: usize) -> Arc<Self> {
        Arc::new(Self { room: Room::new(children_max, "limits.children_max") })
    }
}

/// A bounded number of children.
pub(super) struct Room {
    permits: Arc<Semaphore>,
    setting: &'static str,
    tenants: Mutex<Vec<Weak<Channel>>>,
}

impl Room {
    fn new(max: usize, setting: &'static str) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)), setting, tenants: Mutex::default() }
    }

    /// Room for the children of one upstream.
    pub(super) fn of_one(max: usize) -> Self {
        Self::new(max, "limits.children_per_upstream_max")
    }

    /// Takes a place; when there is none, the child that was idle longest makes room.
    async fn take(&self, wait: Duration) -> Result<OwnedSemaphorePermit, UpstreamError> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        self.evict();
        match timeout(wait, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(UpstreamError::Busy { setting: self.setting.to_owned() }),
        }
    }

    fn evict(&self) {
        let mut living: Vec<_> = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        // What a task works on would be lost, so those that may have one go last; who only began a task and never came back
        // does not keep others out for ever.
        living.sort_by_key(|channel| (channel.may_have_task(), channel.last_used()));
        // The first that is idle goes; one that has just been given a call stays.
        let _ = living.iter().any(|channel| channel.is_open() && channel.stop_if_idle("the child made room for another"));
    }

    fn enter(&self, channel: &Arc<Channel>) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|tenant| tenant.strong_count() > 0);
        tenants.push(Arc::downgrade(channel));
    }
}

/// Takes a place of the upstream and one of all.
pub(super) async fn take(own: &Room, all: &ChildBudget, wait: Duration) -> Result<[OwnedSemaphorePermit; 2], UpstreamError> {
    Ok([own.take(wait).await?, all.room.take(wait).await?])
}

/// Lets a child be asked to make room.
pub(super) fn enter(own: &Room, all: &ChildBudget, channel: &Arc<Channel>) {
    own.enter(channel);
    all.room.enter(channel);
}
