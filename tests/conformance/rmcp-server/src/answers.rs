//! Tool calls: fixed answers first, then questions, then what the tool does while the client listens.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock},
    service::RequestContext,
};

use crate::{
    catalogue, live,
    rounds::{self, Said, Turn},
    server::Fixture,
    tasks,
};

/// Answers a `tools/call`.
pub async fn call(
    fixture: &Fixture,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    if let Some(result) = catalogue::result(&request.name) {
        return Ok(catalogue::complete::<CallToolResult>(result.clone())?.into());
    }
    if let Some(answer) = tasks::call(&fixture.tasks, &request, &context).await {
        return answer;
    }
    let client = context.client_capabilities().unwrap_or_default();
    if request.name == "test_streaming_elicitation" && client.elicitation.is_none() {
        return Ok(text("Nobody to ask, so: hello!"));
    }
    let said = Said { responses: request.input_responses.clone(), state: request.request_state.clone() };
    match rounds::play(&request.name, said, &context, &fixture.codec).await {
        Some(turn) => Ok(response(turn?)),
        None => live::call(fixture, request, context).await,
    }
}

/// What a turn is to the caller of a tool.
pub fn response(turn: Turn) -> CallToolResponse {
    match turn {
        Turn::Ask(questions) => questions.into(),
        Turn::Done(answer) => text(answer),
    }
}

/// A result of one text block.
pub fn text(answer: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(answer)]).into()
}
