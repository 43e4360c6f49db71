//! The operator's words as the plugin host and the chain take them.

use crate::{
    cli,
    config::{self, Config, FaultAction, PluginSettings},
};
use sluice_chain::{
    breaker::BreakerLimits,
    canary::{Bounds, Share},
    filter::Selector,
    generation::{Mode, OnFault, Policy},
    selector::{Conditions, Globs, Scope},
};
use sluice_plugin::{Limits, Power, Secret, Secrets, Settings, compiler::Compiler};
use std::{collections::BTreeMap, time::Duration};

/// This binary as a compiler, with the operator's bounds.
pub fn compiler(config: &Config) -> Compiler {
    let limits = &config.settings.limits;
    let bounded = Compiler::this_binary([cli::COMPILE]);
    Compiler { cpu: ms(limits.compile_cpu_ms), memory_bytes_max: limits.compile_memory_mib << 20, ..bounded }
}

/// What the plugin host needs to load a file.
pub fn settings(file: &str, sidecar: &str, written: &PluginSettings, message_bytes_max: u64) -> Settings {
    let mut settings = Settings::new(file);
    settings.sidecar = sidecar.into();
    settings.config = serde_json::Value::Object(written.config.clone());
    settings.grants = written.grants.iter().map(|g| g.to_string()).collect();
    settings.denied = written.deny.iter().map(|p| power(*p)).collect();
    settings.scope = match written.scope {
        config::Scope::Call => sluice_plugin::Scope::Call,
        config::Scope::Exchange => sluice_plugin::Scope::Exchange,
        config::Scope::Principal => sluice_plugin::Scope::Principal,
        config::Scope::Tenant => sluice_plugin::Scope::Tenant,
        config::Scope::All => sluice_plugin::Scope::All,
    };
    settings.limits = limits(&written.limits, message_bytes_max);
    settings
}

fn power(power: config::Power) -> Power {
    match power {
        config::Power::Payload => Power::Payload,
        config::Power::Patterns => Power::Patterns,
        config::Power::Kv => Power::Kv,
        config::Power::Secrets => Power::Secrets,
        config::Power::Log => Power::Log,
        config::Power::Metrics => Power::Metrics,
    }
}

fn limits(written: &config::PluginLimits, message_bytes_max: u64) -> Limits {
    let defaults = Limits::default();
    Limits {
        cpu: ms(written.cpu_ms),
        init_cpu: ms(written.init_cpu_ms),
        wall: ms(written.wall_ms),
        wall_waiting: ms(written.wall_waiting_ms),
        init_wall: ms(written.init_wall_ms),
        memory_bytes_max: count(written.memory_mib) << 20,
        host_calls_max: small(written.host_calls_max),
        handles_max: count(written.handles_max),
        host_bytes_max: count(written.host_bytes_max),
        message_bytes_max: count(message_bytes_max),
        instances_max: count(written.instances_max),
        overflow_max: count(written.overflow_max),
        tenant_instances_max: count(written.tenant_instances_max),
        tenant_cpu_percent_max: small(written.tenant_cpu_percent_max),
        warm_max: count(written.warm_max),
        idle: ms(written.idle_ms),
        age: ms(written.age_ms),
        calls_max: small(written.calls_max),
        log_lines_per_second: small(written.log_lines_per_second),
        tenant_log_lines_per_second: small(written.tenant_log_lines_per_second),
        kv_keys_max: count(written.kv_keys_max),
        kv_value_bytes_max: count(written.kv_value_bytes_max),
        kv_bytes_max: count(written.kv_bytes_max),
        fetches_max: count(written.fetches_max),
        fetch_bytes_max: count(written.fetch_bytes_max),
        secrets_max: count(written.secrets_max),
        secret_bytes_max: count(written.secret_bytes_max),
        ..defaults
    }
}

/// The operator's secrets as guests get handles to them.
pub fn secrets(config: &config::Config) -> Secrets {
    let secret = |written: &config::Secret| Secret::new(written.reveal().as_bytes().to_vec());
    config.settings.secrets.iter().map(|(name, written)| (name.clone(), secret(written))).collect()
}

/// What the chain does with its verdicts and faults.
pub fn policy(written: &PluginSettings) -> Policy {
    Policy {
        on_fault: OnFault::Refuse,
        on_fault_by_kind: written.on_fault.by_cause().into_iter().map(|(kind, action)| (kind.to_owned(), on_fault(action))).collect(),
        mode: match written.mode {
            config::Mode::Enforce => Mode::Enforce,
            config::Mode::Audit => Mode::Audit,
        },
        when: Conditions {
            scope: Scope::new(&Selector { methods: written.when.methods.clone(), names: written.when.names.clone() }),
            upstreams: Globs::new(&written.when.upstreams),
            tenants: Globs::new(&written.when.tenants),
            labels: labels(&written.when.labels),
        },
        required: written.required,
        breaker: BreakerLimits {
            in_a_row: small(written.breaker.in_a_row),
            window_calls: small(written.breaker.window_calls),
            window_percent: small(written.breaker.window_percent),
            window: ms(written.breaker.window_ms),
            rest: ms(written.breaker.rest_ms),
            rest_max: ms(written.breaker.rest_ms_max),
        },
    }
}

fn labels(written: &BTreeMap<String, Vec<String>>) -> Vec<(Box<str>, Globs)> {
    written.iter().map(|(key, values)| (key.as_str().into(), Globs::new(values))).collect()
}

/// Which exchanges a new version takes, and how much worse it may be.
pub fn canary(written: &config::Canary) -> (Share, Bounds) {
    let when = Conditions { tenants: Globs::new(&written.tenants), labels: labels(&written.labels), ..Conditions::default() };
    let share = Share { percent: small(written.percent), when };
    let bounds = Bounds {
        calls_min: written.calls_min,
        faults_percent_max: written.faults_percent_max,
        slower_percent_max: written.slower_percent_max,
        diverging_percent_max: written.diverging_percent_max,
    };
    (share, bounds)
}

fn on_fault(action: FaultAction) -> OnFault {
    match action {
        FaultAction::Refuse => OnFault::Refuse,
        FaultAction::Skip => OnFault::Skip,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
