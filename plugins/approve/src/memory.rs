//! A yes that is remembered, for a while: of one caller, for one call with the very same arguments.

use alloc::format;
use alloc::string::String;
use core::cell::OnceCell;

use sha2::{Digest, Sha256};
use sluice_sdk::kv::{Bucket, Error};

/// The bucket's name.
const BUCKET: &str = "approvals";

/// Opened with the first call that needs it, so that a store which is down does not keep the plugin from starting.
#[derive(Default)]
pub struct Memory(OnceCell<Bucket>);

/// One call of one caller.
pub struct Call<'a> {
    /// Text for who asks, which no two principals share.
    pub principal: &'a str,
    /// Where it goes.
    pub upstream: &'a str,
    /// As the client sees it.
    pub tool: &'a str,
    /// As this plugin received them, to the byte.
    pub arguments: &'a str,
}

impl Call<'_> {
    /// The same for the same call only: each part says how long it is. No part of the call can be read from it.
    fn key(&self) -> String {
        let mut digest = Sha256::new();
        for part in [self.principal, self.upstream, self.tool, self.arguments] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        format!("{:x}", digest.finalize())
    }
}

impl Memory {
    /// Has the caller's yes to this call been remembered?
    pub fn knows(&self, call: &Call<'_>) -> Result<bool, Error> {
        Ok(self.bucket()?.get(&call.key())?.is_some())
    }

    /// Remembers it.
    pub fn keep(&self, call: &Call<'_>, seconds: u32) -> Result<(), Error> {
        self.bucket()?.set(&call.key(), b"1", Some(seconds.saturating_mul(1000)))
    }

    fn bucket(&self) -> Result<&Bucket, Error> {
        if let Some(bucket) = self.0.get() {
            return Ok(bucket);
        }
        let opened = Bucket::open(BUCKET)?;
        Ok(self.0.get_or_init(|| opened))
    }
}
