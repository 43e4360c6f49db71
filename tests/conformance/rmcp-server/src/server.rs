//! The SDK's handler: which method is answered by what.
#![expect(deprecated, reason = "logging and resource subscriptions are legacy and still tested")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, LoggingLevel, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, RequestStateCodec, ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};
use serde_json::json;
use tokio::sync::broadcast;

use crate::{
    answers, catalogue,
    rounds::{self, Said, Turn},
};

type Context = RequestContext<RoleServer>;

/// A list that changed.
#[derive(Clone, Copy)]
pub enum Change {
    Tools,
    Prompts,
}

/// One session's view of the fixture; the announcements are shared by all.
#[derive(Clone)]
pub struct Fixture {
    pub codec: Arc<RequestStateCodec>,
    pub tasks: TaskManager,
    changes: broadcast::Sender<Change>,
    log_level: Arc<Mutex<LoggingLevel>>,
}

impl Fixture {
    pub fn new() -> Self {
        Self {
            codec: Arc::new(RequestStateCodec::new(*b"a key of the fixture, not a secret")),
            tasks: TaskManager::new(),
            changes: broadcast::channel(64).0,
            log_level: Arc::new(Mutex::new(LoggingLevel::Info)),
        }
    }

    /// The same fixture with a log level of its own.
    pub fn for_new_session(&self) -> Self {
        Self { log_level: Arc::new(Mutex::new(LoggingLevel::Info)), ..self.clone() }
    }

    pub fn log_level(&self) -> LoggingLevel {
        *self.log_level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every open subscription and every legacy session. Nobody listening is not an error.
    pub fn announce(&self, change: Change) {
        let _ = self.changes.send(change);
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("conformance-rmcp", "0.1.0"))
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        *self.log_level.lock().unwrap_or_else(PoisonError::into_inner) = request.level;
        Ok(())
    }

    async fn complete(&self, _: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        catalogue::complete(json!({"completion": {"values": ["test", "testing"], "total": 2, "hasMore": false}}))
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(catalogue::tools()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        catalogue::tool(name)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        answers::call(self, request, context).await
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(catalogue::prompts()))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, context: Context) -> Result<GetPromptResponse, ErrorData> {
        let said = Said { responses: request.input_responses, state: request.request_state };
        if let Some(turn) = rounds::play(&request.name, said, &context, &self.codec).await {
            return Ok(match turn? {
                Turn::Ask(questions) => questions.into(),
                Turn::Done(answer) => one_message(answer)?.into(),
            });
        }
        let given = request.arguments.into_iter().flatten();
        let arguments: BTreeMap<_, _> =
            given.map(|(name, value)| (name, value.as_str().map_or(value.to_string(), str::to_owned))).collect();
        match catalogue::messages(&request.name, &arguments) {
            Some(messages) => Ok(catalogue::complete::<GetPromptResult>(messages)?.into()),
            None => Err(ErrorData::invalid_params(format!("Unknown prompt: {}", request.name), None)),
        }
    }

    async fn list_resources(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(catalogue::resources()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(catalogue::resource_templates()))
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, _: Context) -> Result<ReadResourceResponse, ErrorData> {
        match catalogue::contents(&request.uri) {
            Some(contents) => Ok(catalogue::complete::<ReadResourceResult>(contents)?.into()),
            None => Err(ErrorData::resource_not_found("Resource not found", Some(json!({"uri": request.uri})))),
        }
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    /// A legacy session hears of changes without asking, on its own stream.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut changes = self.changes.subscribe();
        tokio::spawn(async move {
            while let Ok(change) = changes.recv().await {
                let told = match change {
                    Change::Tools => context.peer.notify_tool_list_changed().await,
                    Change::Prompts => context.peer.notify_prompt_list_changed().await,
                };
                if told.is_err() {
                    return;
                }
            }
        });
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                () = context.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            // A filter that does not want this change refuses it, which is what a filter is for.
            let _ = match change {
                Ok(Change::Tools) => context.sink().notify_tool_list_changed().await,
                Ok(Change::Prompts) => context.sink().notify_prompt_list_changed().await,
                Err(_) => return Ok(()),
            };
        }
    }
}

fn one_message(text: String) -> Result<GetPromptResult, ErrorData> {
    catalogue::complete(json!({"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}))
}
