//! Tools whose calls are tasks of the extension `io.modelcontextprotocol/tasks`, as the suite's scenarios on it want them. This SDK
//! has tasks in the modern era only.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult, InputRequests},
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use serde_json::{Value, json};

use crate::{answers::text, catalogue};

const WORK: Duration = Duration::from_millis(500);
const POLL_MS: u64 = 100;

/// Answers a call of one of these tools; `None` for others.
pub async fn call(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
    let takes = context.client_capabilities().is_some_and(|client| client.supports_tasks());
    let name = request.name.as_ref();
    Some(match name {
        "greet" => Ok(text(format!("Hello, {}!", arguments["name"].as_str().unwrap_or_default()))),
        "slow_compute" if !takes => {
            tokio::time::sleep(seconds(&arguments)).await;
            Ok(text("computed"))
        }
        "slow_compute" | "failing_job" | "protocol_error_job" | "confirm_delete" | "multi_input" | "test_tool_with_task" if !takes => {
            Err(ErrorData::missing_required_client_capability(ClientCapabilities::builder().enable_tasks().build()))
        }
        "test_tool_with_task" => escalate(tasks, request),
        "slow_compute" | "failing_job" | "protocol_error_job" | "confirm_delete" | "multi_input" => {
            let name = name.to_owned();
            Ok(begin(tasks, move |task| async move { run(&name, &arguments, task).await }))
        }
        _ => return None,
    })
}

fn begin<F>(tasks: &TaskManager, work: impl FnOnce(TaskContext) -> F) -> CallToolResponse
where
    F: Future<Output = Result<CallToolResult, TaskExit>> + Send + 'static,
{
    let options = TaskOptions::new().with_poll_interval_ms(POLL_MS);
    CreateTaskResult::new(tasks.spawn(options, |task| Box::pin(work(task)))).into()
}

async fn run(name: &str, arguments: &Value, task: TaskContext) -> Result<CallToolResult, TaskExit> {
    match name {
        "slow_compute" => tokio::select! {
            () = task.cancelled() => Err(TaskExit::Cancelled),
            () = tokio::time::sleep(seconds(arguments)) => Ok(done("computed")),
        },
        "failing_job" => {
            tokio::time::sleep(WORK).await;
            Ok(CallToolResult::error(vec![ContentBlock::text("The job failed.")]))
        }
        "protocol_error_job" => {
            tokio::time::sleep(WORK).await;
            Err(TaskExit::Error(ErrorData::internal_error("The job broke.", None)))
        }
        _ => ask(name, &task).await,
    }
}

/// Asks everything at once, and goes on when all is answered.
async fn ask(name: &str, task: &TaskContext) -> Result<CallToolResult, TaskExit> {
    let questions: InputRequests = catalogue::typed(first_round(name))?;
    let mut answers = tokio::task::JoinSet::new();
    for (key, question) in questions {
        let task = task.clone();
        answers.spawn(async move { task.request_input(key, question).await });
    }
    while let Some(answer) = answers.join_next().await {
        answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))??;
    }
    Ok(done("All questions were answered."))
}

/// Gathers its input in a round, and works on it in a task.
fn escalate(tasks: &TaskManager, request: &CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
    let name = request.input_responses.as_ref().and_then(|given| Some(given.get("user_name")?["content"]["name"].as_str()?.to_owned()));
    match name {
        Some(name) => Ok(begin(tasks, |_| async move { Ok(done(&format!("Worked for {name}."))) })),
        None => {
            let questions: InputRequests = catalogue::typed(first_round(&request.name))?;
            Ok(rmcp::model::InputRequiredResult::from_input_requests(questions).into())
        }
    }
}

fn first_round(name: &str) -> Value {
    catalogue::task_questions(name).cloned().unwrap_or(json!({}))
}

fn seconds(arguments: &Value) -> Duration {
    Duration::from_secs_f64(arguments["seconds"].as_f64().unwrap_or_default())
}

fn done(answer: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(answer)])
}
