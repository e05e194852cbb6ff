//! An MCP server with every tool, prompt and resource that the conformance suite asks for, on rmcp. What it says is data
//! (`fixture.json`); which era it speaks is the caller's choice.

#![expect(deprecated, reason = "what the newest revision deprecates is what older clients use")]

use crate::support::web;
use rmcp::model::*;
use rmcp::service::{NotificationContext, Peer, RequestContext, RoleServer, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const LEGACY: &[ProtocolVersion] = &[ProtocolVersion::V_2025_11_25];
pub const MODERN: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];

/// What it says and offers.
static SCRIPT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("fixture.json")).unwrap());
static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(tools);
/// Between two notices of one call, so that a client sees them one by one.
const PACE: Duration = Duration::from_millis(10);

/// A running fixture.
pub struct Served {
    pub url: String,
    pub port: u16,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    /// Serves it until the test ends or stops it, on a port of its own unless given.
    pub async fn start(versions: &'static [ProtocolVersion], port: Option<u16>) -> Self {
        let fixture =
            Fixture { versions, changes: broadcast::channel(16).0, states: Arc::default(), sessions: Arc::default() };
        let sessions = Arc::new(LocalSessionManager::default());
        let stop = CancellationToken::new();
        let config = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
        let service = StreamableHttpService::new(move || Ok(fixture.clone()), sessions, config);
        let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = web::serve_at(listener, stop.clone(), move |request| {
            let service = service.clone();
            async move { service.handle(request).await }
        });
        Self { url: format!("http://127.0.0.1:{port}/mcp"), port, stop, serving: tokio::spawn(serving) }
    }

    /// Hangs up on everybody and forgets every session.
    pub async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// Serves it on a port of its own until the test ends; gives its URL.
pub async fn serve(versions: &'static [ProtocolVersion]) -> String {
    Served::start(versions, None).await.url
}

#[derive(Clone)]
struct Fixture {
    versions: &'static [ProtocolVersion],
    changes: broadcast::Sender<Changed>,
    /// Every `requestState` that was given out, with the round that it belongs to.
    states: Arc<Mutex<HashMap<String, usize>>>,
    /// Whoever greeted it; all of them hear of a change.
    sessions: Arc<Mutex<Vec<Peer<RoleServer>>>>,
}

#[derive(Clone, Copy, Debug)]
enum Changed {
    Tools,
    Prompts,
}

/// What comes of a call that asks before it answers.
enum Turn {
    Ask(InputRequiredResult),
    Answered(Value),
}

fn tools() -> Vec<Tool> {
    let named = |part: &str| SCRIPT[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let acts: Vec<String> = parse(SCRIPT["acts"].clone());
    let names = [named("plain"), named("asks_on_the_stream"), named("asks_in_rounds"), acts].concat();
    let tool = |name: String| {
        let schema = SCRIPT["schemas"].get(&name).cloned();
        let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        Tool::new(name.clone(), format!("What the suite calls {name}"), parse::<Arc<JsonObject>>(schema))
    };
    names.into_iter().filter(|name| SCRIPT["prompt_messages"].get(name).is_none()).map(tool).collect()
}

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A result as modern clients want it; rmcp takes the mark away for others.
fn complete<T: DeserializeOwned>(mut value: Value) -> T {
    value["resultType"] = "complete".into();
    parse(value)
}

fn said(text: impl ToString) -> CallToolResponse {
    complete::<CallToolResult>(json!({"content": [{"type": "text", "text": text.to_string()}]})).into()
}

/// The template with each `{name}` replaced by that argument.
fn filled(template: &Value, arguments: Option<&JsonObject>) -> Value {
    let fill = |text: String, (name, value): (&String, &Value)| {
        let value = Value::from(value.as_str().unwrap_or_default()).to_string();
        text.replace(&format!("{{{name}}}"), value.trim_matches('"'))
    };
    let text = arguments.into_iter().flatten().fold(template.to_string(), fill);
    serde_json::from_str(&text).unwrap()
}

/// True if this is an answer to that question.
fn answers(response: Option<&Value>, question: &Value) -> bool {
    let required = question["params"]["requestedSchema"]["required"].as_array();
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    response
        .is_some_and(|response| response.is_object() && names.into_iter().all(|n| !response["content"][n].is_null()))
}

/// True if a client with these capabilities can answer it.
fn can_answer(client: &ClientCapabilities, question: &Value) -> bool {
    match question["method"].as_str().unwrap_or_default() {
        "elicitation/create" => client.elicitation.is_some(),
        "sampling/createMessage" => client.sampling.is_some(),
        _ => client.roots.is_some(),
    }
}

impl Fixture {
    fn is_modern(&self) -> bool {
        self.versions == MODERN
    }

    /// The next round of a call that asks.
    fn turn(
        &self,
        rounds: &Value,
        responses: Option<InputResponses>,
        state: Option<String>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Turn, ErrorData> {
        let foreign = || ErrorData::invalid_params("this requestState is not one of ours", None);
        let known = |state: String| self.states.lock().unwrap().get(&state).copied().ok_or_else(foreign);
        let mut round = state.map(known).transpose()?.unwrap_or(0);
        let client = context.client_capabilities().unwrap_or_default();
        let rounds: Vec<serde_json::Map<String, Value>> = parse(rounds.clone());
        let responses = responses.unwrap_or_default();
        let asked = |round: usize| {
            let questions = rounds[round].clone().into_iter();
            questions.filter(|(_, question)| can_answer(&client, question)).collect::<serde_json::Map<_, _>>()
        };
        let mut questions = asked(round);
        if questions.iter().all(|(name, question)| answers(responses.get(name), question)) {
            round += 1;
            if round == rounds.len() {
                return Ok(Turn::Answered(json!(responses)));
            }
            questions = asked(round);
        }
        let state = format!("{round}-{:x}", fastrand::u64(..));
        self.states.lock().unwrap().insert(state.clone(), round);
        Ok(Turn::Ask(InputRequiredResult::new(Some(parse(questions.into())), Some(state))))
    }

    /// Asks the client while the call is under way.
    async fn ask(&self, question: Value, context: &RequestContext<RoleServer>) -> CallToolResponse {
        let method = question["method"].as_str().unwrap_or_default();
        let request = CustomRequest::new(method, question.get("params").cloned());
        match context.peer.send_request(ServerRequest::CustomRequest(request)).await {
            Ok(answer) => said(json!(answer)),
            Err(error) => said(format!("no answer: {error}")),
        }
    }

    async fn log(&self, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        if !self.is_modern() || context.meta.log_level().is_some() {
            for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, text.into());
                context.peer.notify_logging_message(message).await.map_err(gone)?;
                tokio::time::sleep(PACE).await;
            }
        }
        Ok(said("logged"))
    }

    async fn progress(&self, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        if let Some(token) = context.meta.get_progress_token() {
            for progress in [0.0, 50.0, 100.0] {
                let step = ProgressNotificationParam::new(token.clone(), progress).with_total(100.0);
                context.peer.notify_progress(step).await.map_err(gone)?;
                tokio::time::sleep(PACE).await;
            }
        }
        Ok(said("done"))
    }

    async fn change(&self, what: Changed) -> CallToolResponse {
        // Nobody may be listening, and sessions end.
        let _ = self.changes.send(what);
        let sessions = self.sessions.lock().unwrap().clone();
        for session in sessions {
            let _ = match what {
                Changed::Tools => session.notify_tool_list_changed().await,
                Changed::Prompts => session.notify_prompt_list_changed().await,
            };
        }
        said("changed")
    }

    /// Tools that ask by their result are of one era.
    fn has(&self, name: &str) -> bool {
        self.is_modern() || SCRIPT["asks_in_rounds"].get(name).is_none()
    }
}

fn gone(error: rmcp::ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let can = ServerCapabilities::builder().enable_logging().enable_completions().enable_prompts();
        let can = can.enable_prompts_list_changed().enable_resources().enable_resources_subscribe();
        let mut info = ServerConfig::new(can.enable_tools().enable_tool_list_changed().build());
        info.server_info = Implementation::new("conformance-fixture", "1.0.0");
        info
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.versions)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.sessions.lock().unwrap().push(context.peer);
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().filter(|tool| self.has(&tool.name)).cloned().collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = &*request.name;
        if let Some(answer) = SCRIPT["plain"].get(name) {
            return Ok(complete::<CallToolResult>(answer.clone()).into());
        }
        if let Some(question) = SCRIPT["asks_on_the_stream"].get(name) {
            return Ok(self.ask(filled(question, request.arguments.as_ref()), &context).await);
        }
        if let Some(rounds) = SCRIPT["asks_in_rounds"].get(name).filter(|_| self.is_modern()) {
            return Ok(match self.turn(rounds, request.input_responses, request.request_state, &context)? {
                Turn::Ask(questions) => questions.into(),
                Turn::Answered(responses) => said(responses),
            });
        }
        match name {
            "test_tool_with_logging" | "test_logging_tool" => self.log(&context).await,
            "test_tool_with_progress" | "test_streaming_elicitation" => self.progress(&context).await,
            "test_trigger_tool_change" => Ok(self.change(Changed::Tools).await),
            "test_trigger_prompt_change" => Ok(self.change(Changed::Prompts).await),
            "test_missing_capability" => {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                let client = context.client_capabilities().unwrap_or_default();
                let missing = || ErrorData::missing_required_client_capability(needed);
                client.sampling.map(|_| said("it is there")).ok_or_else(missing)
            }
            other => Err(ErrorData::invalid_params(format!("unknown tool {other}"), None)),
        }
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(parse(SCRIPT["prompts"].clone())))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if self.is_modern()
            && let Some(rounds) = SCRIPT["asks_in_rounds"].get(&request.name)
            && let Turn::Ask(questions) = self.turn(rounds, request.input_responses, request.request_state, &context)?
        {
            return Ok(questions.into());
        }
        let unknown = || ErrorData::invalid_params(format!("unknown prompt {}", request.name), None);
        let messages = SCRIPT["prompt_messages"].get(&request.name).ok_or_else(unknown)?;
        let messages = filled(messages, request.arguments.as_ref());
        Ok(complete::<GetPromptResult>(json!({"messages": messages})).into())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(parse(SCRIPT["resources"].clone())))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(parse(SCRIPT["templates"].clone())))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let number = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let made = number.map(|id| json!({"mimeType": "application/json", "text": json!({"id": id}).to_string()}));
        let unknown = || ErrorData::resource_not_found("no such resource", Some(json!({"uri": uri})));
        let mut content = made.or_else(|| SCRIPT["contents"].get(&uri).cloned()).ok_or_else(unknown)?;
        content["uri"] = uri.clone().into();
        Ok(complete::<ReadResourceResult>(json!({"contents": [content]})).into())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            let changed = tokio::select! {
                changed = changes.recv() => changed,
                () = context.cancelled() => return Ok(()),
            };
            // What was not asked for is refused by the sink, and lost by nobody.
            let _ = match changed {
                Ok(Changed::Tools) => context.sink().notify_tool_list_changed().await,
                Ok(Changed::Prompts) => context.sink().notify_prompt_list_changed().await,
                Err(_) => return Ok(()),
            };
        }
    }
}
