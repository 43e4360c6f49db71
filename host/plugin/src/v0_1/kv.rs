//! `kv`: the plugin's own buckets and granted ones.

use super::bindings::sluice::filter::kv::{Error, Host, HostBucket, Op, Outcome};
use crate::{guest::Guest, plugin::Opened, settings::Power};
use sluice_state::{Op as StateOp, Outcome as StateOutcome, StateError};
use std::time::Duration;
use wasmtime::component::Resource;

/// An opened bucket; its handle is an index into what the instance has opened.
pub struct OpenBucket;

/// Names one instance may open.
const BUCKETS_MAX: usize = 64;
/// Operations of one batch.
const BATCH_MAX: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    /// The bucket behind a handle with the full key, when the power is there.
    fn bucket(&self, handle: &Resource<OpenBucket>, key: &str) -> Result<(Opened, String), Error> {
        if !self.may(Power::Kv) {
            return Err(Error::Denied);
        }
        let (_, opened) = self.opened.get(handle.rep() as usize).ok_or(Error::Denied)?;
        Ok((opened.clone(), [&*opened.prefix, key].concat()))
    }
}

/// Run one operation on the bucket behind a handle, bounded by the call's wall time.
macro_rules! operate {
    ($guest:ident, $handle:ident, $key:ident, |$bucket:ident, $full:ident| $operation:expr) => {{
        let (opened, full) = match $guest.bucket(&$handle, &$key) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let ($bucket, $full) = (&opened.bucket, full.as_str());
        $guest.budget.wait($operation).await?.map_err(into_error)
    }};
}

impl Host for Guest {}

impl HostBucket for Guest {
    async fn open(&mut self, name: String) -> Answer<Resource<OpenBucket>> {
        self.entered(name.len())?;
        if !self.may(Power::Kv) {
            return Ok(Err(Error::Denied));
        }
        if let Some(index) = self.opened.iter().position(|(known, _)| **known == *name) {
            return Ok(Ok(Resource::new_own(index as u32)));
        }
        if self.opened.len() >= BUCKETS_MAX {
            return Ok(Err(Error::TooLarge));
        }
        let Some(opened) = self.plugin.buckets.open(&name) else {
            return Ok(Err(Error::Denied));
        };
        self.opened.push((name.into(), opened));
        Ok(Ok(Resource::new_own(self.opened.len() as u32 - 1)))
    }

    async fn get(&mut self, handle: Resource<OpenBucket>, key: String) -> Answer<Option<Vec<u8>>> {
        self.entered(key.len())?;
        let found = operate!(self, handle, key, |bucket, key| bucket.get(key));
        self.hand_over(found.iter().flatten().map(Vec::len).sum())?;
        Ok(found)
    }

    async fn set(&mut self, handle: Resource<OpenBucket>, key: String, value: Vec<u8>, ttl_ms: Option<u32>) -> Answer<()> {
        self.entered(key.len() + value.len())?;
        Ok(operate!(self, handle, key, |bucket, key| bucket.set(key, value, ttl_ms.map(ms))))
    }

    async fn delete(&mut self, handle: Resource<OpenBucket>, key: String) -> Answer<()> {
        self.entered(key.len())?;
        Ok(operate!(self, handle, key, |bucket, key| bucket.delete(key)))
    }

    async fn incr(&mut self, handle: Resource<OpenBucket>, key: String, by: i64, ttl_ms: u32) -> Answer<i64> {
        self.entered(key.len())?;
        let by = if self.lent.again { 0 } else { by };
        Ok(operate!(self, handle, key, |bucket, key| bucket.incr(key, by, ms(ttl_ms))))
    }

    async fn take(&mut self, handle: Resource<OpenBucket>, key: String, cost: u32, burst: u32, per_second: f64) -> Answer<u32> {
        self.entered(key.len())?;
        let cost = if self.lent.again { 0 } else { cost };
        Ok(operate!(self, handle, key, |bucket, key| bucket.take(key, cost, burst, per_second)))
    }

    async fn swap(
        &mut self,
        handle: Resource<OpenBucket>,
        key: String,
        expect: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u32>,
    ) -> Answer<bool> {
        self.entered(key.len() + value.len() + expect.as_ref().map_or(0, Vec::len))?;
        Ok(operate!(self, handle, key, |bucket, key| bucket.swap(key, expect.as_deref(), value, ttl_ms.map(ms))))
    }

    async fn batch(&mut self, handle: Resource<OpenBucket>, ops: Vec<Op>) -> Answer<Vec<Result<Outcome, Error>>> {
        self.entered(0)?;
        let opened = match self.bucket(&handle, "") {
            Ok((opened, _)) => opened,
            Err(error) => return Ok(Err(error)),
        };
        if ops.len() > BATCH_MAX {
            return Ok(Err(Error::TooLarge));
        }
        let mut asked = Vec::with_capacity(ops.len());
        for op in ops {
            self.entered(size(&op))?;
            asked.push(into_op(op, &opened.prefix, self.lent.again));
        }
        let outcomes = self.budget.wait(opened.bucket.batch(asked)).await?;
        let read = |outcome: &Result<StateOutcome, StateError>| match outcome {
            Ok(StateOutcome::Value(Some(value))) => value.len(),
            _ => 0,
        };
        self.hand_over(outcomes.iter().map(read).sum())?;
        Ok(Ok(outcomes.into_iter().map(|outcome| outcome.map(into_outcome).map_err(into_error)).collect()))
    }

    async fn drop(&mut self, _: Resource<OpenBucket>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// Bytes that an operation brings along.
fn size(op: &Op) -> usize {
    match op {
        Op::Get(key) | Op::Delete(key) | Op::Incr((key, ..)) | Op::Take((key, ..)) => key.len(),
        Op::Set((key, value, _)) => key.len() + value.len(),
        Op::Swap((key, expect, value, _)) => key.len() + value.len() + expect.as_ref().map_or(0, Vec::len),
    }
}

/// `again`: what it counts was counted in an earlier round.
fn into_op(op: Op, prefix: &str, again: bool) -> StateOp {
    let full = |key: String| [prefix, &*key].concat();
    match op {
        Op::Get(key) => StateOp::Get(full(key)),
        Op::Set((key, value, ttl_ms)) => StateOp::Set(full(key), value, ttl_ms.map(ms)),
        Op::Delete(key) => StateOp::Delete(full(key)),
        Op::Incr((key, by, ttl_ms)) => StateOp::Incr(full(key), if again { 0 } else { by }, ms(ttl_ms)),
        Op::Take((key, cost, burst, per_second)) => StateOp::Take(full(key), if again { 0 } else { cost }, burst, per_second),
        Op::Swap((key, expect, value, ttl_ms)) => StateOp::Swap(full(key), expect, value, ttl_ms.map(ms)),
    }
}

fn into_outcome(outcome: StateOutcome) -> Outcome {
    match outcome {
        StateOutcome::Value(value) => Outcome::Value(value),
        StateOutcome::Done => Outcome::Done,
        StateOutcome::Count(count) => Outcome::Count(count),
        StateOutcome::WaitMs(ms) => Outcome::WaitMs(ms),
        StateOutcome::Swapped(swapped) => Outcome::Swapped(swapped),
    }
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

fn into_error(error: StateError) -> Error {
    match error {
        StateError::Unavailable(why) => Error::Unavailable(why),
        StateError::Conflict => Error::Conflict,
        StateError::TooLarge => Error::TooLarge,
    }
}
