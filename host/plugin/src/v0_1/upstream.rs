//! `upstream`: a guest calls a tool itself.

use super::{
    bindings::sluice::filter::upstream::{Error, Host},
    exchange::Exchange,
};
use crate::{
    guest::{Guest, Phase},
    instance::one_line,
};
use sluice_chain::{
    filter::Hook,
    subcall::{CallError, ToolCall},
};
use std::time::Duration;
use wasmtime::component::Resource;

impl Host for Guest {
    async fn call_tool(
        &mut self,
        _: Resource<Exchange>,
        upstream: String,
        tool: String,
        arguments: String,
        timeout_ms: Option<u32>,
    ) -> wasmtime::Result<Result<String, Error>> {
        self.entered(upstream.len() + tool.len() + arguments.len())?;
        if !matches!(self.phase, Phase::Hook(Hook::OnRequest | Hook::OnResponse)) {
            return Ok(Err(Error::Denied("tools are called in on-request and on-response only".into())));
        }
        if !self.plugin.grants.calls(&upstream, &tool) {
            let what = one_line(&format!("\"upstream:{upstream} {tool}\""));
            return Ok(Err(Error::Denied(format!("{what} is not granted"))));
        }
        let plugin = self.plugin.clone();
        let (Some(calls), Some(within)) = (&plugin.calls, self.lent.within.clone()) else {
            return Ok(Err(Error::Denied("this host calls no tools here".into())));
        };
        let Ok(_place) = plugin.fetching.try_acquire() else {
            return Ok(Err(Error::Denied("too many requests of this plugin are under way".into())));
        };
        let left = self.budget.wall_left() * 9 / 10;
        let asked = timeout_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.into()));
        let call = ToolCall { by: plugin.name.clone(), within, upstream, tool, arguments, timeout: asked.min(left) };
        Ok(match self.budget.wait(calls.call(call)).await? {
            Ok(result) if result.len() > self.limits().fetch_bytes_max => Err(Error::TooLarge),
            Ok(result) => {
                self.hand_over(result.len())?;
                // It passed the strict parser.
                Ok(String::from_utf8_lossy(&result).into_owned())
            }
            Err(CallError::Unknown) => Err(Error::Unknown),
            Err(CallError::TooDeep) => Err(Error::Denied("too many filters wait one for another's call".into())),
            Err(CallError::Failed(code, text)) => {
                self.hand_over(text.len())?;
                Err(Error::Failed((code, text)))
            }
            Err(CallError::Timeout) => Err(Error::Timeout),
            Err(CallError::Unsuited(why)) => Err(Error::Denied(why.into())),
        })
    }
}
