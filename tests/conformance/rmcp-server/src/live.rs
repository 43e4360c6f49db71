//! Tools that say something before their result: logs, progress, questions, announcements.
#![expect(deprecated, reason = "sampling and logging are deprecated in the newest revision and tested in both")]

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, InputRequests, InputRequiredResult,
        LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, SamplingCapability,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    answers::{response, text},
    catalogue,
    rounds::{self, Said, Turn, lost},
    server::{Change, Fixture},
};

const PAUSE: Duration = Duration::from_millis(50);

/// Answers a `tools/call` of a tool that talks.
pub async fn call(
    fixture: &Fixture,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    match request.name.as_ref() {
        "test_tool_with_logging" => log(fixture, &context).await,
        "test_logging_tool" => log_once(fixture, &context).await,
        "test_tool_with_progress" => progress(&context).await,
        "test_sampling" => sample(&request, &context).await,
        "test_missing_capability" => Err(missing_sampling()),
        "test_reconnection" => reconnect().await,
        "test_trigger_tool_change" => Ok(announce(fixture, Change::Tools)),
        "test_trigger_prompt_change" => Ok(announce(fixture, Change::Prompts)),
        name if catalogue::question(name).is_some() => elicit(&request, &context).await,
        name => Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
    }
}

async fn log(fixture: &Fixture, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        say(fixture, context, message).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(text("Three messages were logged."))
}

async fn log_once(fixture: &Fixture, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    say(fixture, context, "The tool ran").await?;
    Ok(text("Done."))
}

/// Logs at `info` when the session (legacy) or the request itself (modern) asked for it.
async fn say(fixture: &Fixture, context: &RequestContext<RoleServer>, message: &str) -> Result<(), ErrorData> {
    let wanted = match context.meta.protocol_version() {
        Some(_) => context.meta.log_level(),
        None => Some(fixture.log_level()),
    };
    if !wanted.is_some_and(|level| matches!(level, LoggingLevel::Debug | LoggingLevel::Info)) {
        return Ok(());
    }
    let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(message));
    context.peer.notify_logging_message(message).await.map_err(lost)
}

async fn progress(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    let token = context.meta.get_progress_token();
    for step in [0.0, 50.0, 100.0] {
        if let Some(token) = &token {
            let report = ProgressNotificationParam::new(token.clone(), step).with_total(100.0);
            context.peer.notify_progress(report).await.map_err(lost)?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(text("Progress went from 0 to 100."))
}

async fn sample(request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    if context.client_capabilities().is_none_or(|client| client.sampling.is_none()) {
        return Err(missing_sampling());
    }
    let message = json!({"role": "user", "content": {"type": "text", "text": argument(request, "prompt")}});
    let question = json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}});
    ask(question, request, context, |answer| Some(format!("LLM response: {}", answer.get("content")?))).await
}

async fn elicit(request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    if context.client_capabilities().is_none_or(|client| client.elicitation.is_none()) {
        return Ok(failure("The client cannot ask its user."));
    }
    let mut question = catalogue::question(&request.name).cloned().unwrap_or_default();
    if question.get("message").is_none() {
        question["message"] = json!(argument(request, "message"));
    }
    let question = json!({"method": "elicitation/create", "params": question});
    let tell = |answer: &Value| Some(format!("Elicitation completed: action={}, content={}", answer.get("action")?, answer["content"]));
    ask(question, request, context, tell).await
}

/// Asks one question and tells what the answer is: a refusal is one too.
async fn ask(
    question: Value,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    tell: impl Fn(&Value) -> Option<String>,
) -> Result<CallToolResponse, ErrorData> {
    let questions: InputRequests = catalogue::typed(json!({"answer": question}))?;
    let said = Said { responses: request.input_responses.clone(), state: None };
    let turn = |said: &Said| match said.responses.as_ref().and_then(|given| tell(given.get("answer")?)) {
        Some(told) => Ok(Turn::Done(told)),
        None => Ok(Turn::Ask(InputRequiredResult::from_input_requests(questions.clone()))),
    };
    Ok(response(rounds::converse(said, context, turn).await?))
}

/// A handler of this SDK cannot end its own stream, so the result comes on it; the Python fixture does hang up.
async fn reconnect() -> Result<CallToolResponse, ErrorData> {
    tokio::time::sleep(PAUSE).await;
    Ok(text("The result came without a reconnection."))
}

fn announce(fixture: &Fixture, change: Change) -> CallToolResponse {
    fixture.announce(change);
    text("Announced.")
}

fn argument<'a>(request: &'a CallToolRequestParams, name: &str) -> &'a str {
    request.arguments.as_ref().and_then(|arguments| arguments.get(name)?.as_str()).unwrap_or_default()
}

fn failure(message: &str) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(message)]).into()
}

fn missing_sampling() -> ErrorData {
    let mut needed = ClientCapabilities::default();
    needed.sampling = Some(SamplingCapability::default());
    ErrorData::missing_required_client_capability(needed)
}
