//! A reference client on the official Rust SDK: lists the tools of a server, calls some, and prints one JSON line with
//! the revision that was agreed, the tools and the results.
//!
//! ```text
//! conformance-rmcp-client [--modern | --legacy] [--bearer KEY] [--call TOOL=JSON]... URL
//! conformance-rmcp-client [--modern | --legacy] [--call TOOL=JSON]... --stdio -- COMMAND [ARGUMENT]...
//! ```
//! Without an era it asks for the newest revision and takes what the server has. Without `--call` it only lists.

use anyhow::{Context, bail};
use rmcp::{
    ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::{CallToolRequestParams, ClientConfig, Implementation, ProtocolVersion},
    service::{RunningService, ServiceError},
    transport::{StreamableHttpClientTransport, TokioChildProcess, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::process::Command;

#[derive(Default)]
struct Wanted {
    era: Option<Era>,
    bearer: Option<String>,
    calls: Vec<(String, Value)>,
    url: Option<String>,
    command: Vec<String>,
}

#[derive(Clone, Copy)]
enum Era {
    Modern,
    Legacy,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The workspace's reqwest has no algorithms of its own, not even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wanted = wanted(std::env::args().skip(1))?;
    let client = connected(&wanted).await?;
    let report = report(&client, wanted.calls).await?;
    client.cancel().await?;
    println!("{report}");
    Ok(())
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--modern" => wanted.era = Some(Era::Modern),
            "--legacy" => wanted.era = Some(Era::Legacy),
            "--bearer" => wanted.bearer = Some(arguments.next().context("--bearer needs a key")?),
            "--call" => wanted.calls.push(call(&arguments.next().context("--call needs TOOL=JSON")?)?),
            "--stdio" => wanted.command = arguments.by_ref().skip_while(|word| word == "--").collect(),
            url if url.starts_with("http") => wanted.url = Some(argument),
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(wanted)
}

fn call(text: &str) -> anyhow::Result<(String, Value)> {
    let (tool, arguments) = text.split_once('=').context("--call needs TOOL=JSON")?;
    Ok((tool.to_owned(), serde_json::from_str(arguments)?))
}

async fn connected(wanted: &Wanted) -> anyhow::Result<RunningService<RoleClient, ClientConfig>> {
    let lifecycle = lifecycle(wanted.era);
    let mut client = ClientConfig::default();
    client.client_info = Implementation::new("conformance-rmcp-client", "0.1.0");
    if let Some(url) = &wanted.url {
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.clone());
        if let Some(key) = &wanted.bearer {
            config = config.auth_header(key.clone());
        }
        let transport = StreamableHttpClientTransport::from_config(config);
        return Ok(client.serve_with_lifecycle(transport, lifecycle).await?);
    }
    let (program, arguments) = wanted.command.split_first().context("a URL or --stdio -- COMMAND is needed")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(client.serve_with_lifecycle(TokioChildProcess::new(command)?, lifecycle).await?)
}

fn lifecycle(era: Option<Era>) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match era {
        Some(Era::Modern) => ClientLifecycleMode::Discover { preferred_versions },
        Some(Era::Legacy) => ClientLifecycleMode::Initialize,
        None => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
    }
}

async fn report(client: &RunningService<RoleClient, ClientConfig>, calls: Vec<(String, Value)>) -> anyhow::Result<Value> {
    let version = client.peer_info().map(|server| server.protocol_version.to_string());
    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    let mut results = serde_json::Map::new();
    for (tool, arguments) in calls {
        let mut request = CallToolRequestParams::new(tool.clone());
        request.arguments = arguments.as_object().cloned();
        let result = match client.call_tool(request).await {
            Ok(result) => json!(result),
            Err(ServiceError::McpError(error)) => json!({"error": error}),
            Err(lost) => return Err(lost.into()),
        };
        results.insert(tool, result);
    }
    Ok(json!({"protocolVersion": version, "tools": tools, "results": results}))
}
