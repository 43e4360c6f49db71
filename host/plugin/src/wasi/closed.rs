//! Files and sockets: there are no directories, and no socket can be made.

use super::Closed;
use crate::guest::Guest;
use wasmtime::component::{LinkerInstance, Resource, Val};

pub(super) fn preopens(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_new("get-directories", |mut cx, _, _, results| {
        cx.data_mut().entered_alike(0)?;
        results[0] = Val::List(Vec::new());
        Ok(())
    })
}

/// A network can be held, and nothing be done with it.
pub(super) fn instance_network(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("instance-network", |mut cx, (): ()| {
        cx.data_mut().entered(0)?;
        Ok((Resource::<Closed>::new_own(0),))
    })
}

pub(super) fn tcp_create(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    deny(instance, "create-tcp-socket")
}

pub(super) fn udp_create(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    deny(instance, "create-udp-socket")
}

pub(super) fn name_lookup(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    deny(instance, "resolve-addresses")
}

fn deny(instance: &mut LinkerInstance<'_, Guest>, name: &str) -> wasmtime::Result<()> {
    instance.func_new(name, |mut cx, _, params, results| {
        cx.data_mut().entered(0)?;
        for param in params {
            // What was lent to a call has to be given back by hand here.
            if let Val::Resource(lent) = param {
                lent.try_into_resource::<Closed>(&mut cx)?;
            }
        }
        results[0] = Val::Result(Err(Some(Box::new(Val::Enum("access-denied".to_owned())))));
        Ok(())
    })
}
