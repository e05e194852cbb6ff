//! The MCP servers we ship, as their clients meet them: a child process, in both eras.

use rmcp::model::{
    CallToolRequestParams, CallToolResult, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
    RequestMetaObject, ResourceContents, Tool,
};
use rmcp::service::RunningService;
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// No answer here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(30);

fn command(name: &str, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpdeck"));
    command.args(["mcp", name]).env("MCPDECK_DATA", data).kill_on_drop(true);
    command
}

fn eras() -> [(&'static str, ClientLifecycleMode); 2] {
    let modern = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    [("legacy", ClientLifecycleMode::Initialize), ("modern", modern)]
}

/// An rmcp client of one server.
struct Client(RunningService<RoleClient, ()>);

impl Client {
    async fn start(name: &str, data: &Path, era: ClientLifecycleMode) -> Self {
        let child = TokioChildProcess::new(command(name, data)).unwrap();
        Self(().serve_with_lifecycle(child, era).await.unwrap())
    }

    async fn legacy(name: &str, data: &Path) -> Self {
        Self::start(name, data, ClientLifecycleMode::Initialize).await
    }

    async fn raw(&self, tenant: Option<Value>, tool: &str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().unwrap().clone();
        let mut call = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        call.meta = tenant.map(tenant_meta);
        self.0.call_tool(call).await.unwrap_or_else(|error| panic!("{tool}: {error}"))
    }

    /// The structured answer of a call that must go well.
    async fn ok(&self, tenant: Option<&str>, tool: &str, arguments: Value) -> Value {
        let result = self.raw(tenant.map(|id| json!({ "id": id })), tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {:?}", result.content);
        result.structured_content.unwrap_or_else(|| panic!("{tool} answers no structure"))
    }

    /// The text of a call that the tool must refuse.
    async fn refused(&self, tool: &str, arguments: Value) -> String {
        refusal(self.raw(None, tool, arguments).await)
    }
}

fn tenant_meta(tenant: Value) -> RequestMetaObject {
    serde_json::from_value(json!({ "io.mcpdeck/tenant": tenant })).unwrap()
}

fn refusal(result: CallToolResult) -> String {
    assert_eq!(result.is_error, Some(true), "{result:?}");
    result.content[0].as_text().unwrap().text.clone()
}

#[tokio::test]
async fn both_servers_list_their_tools_in_both_eras() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [
        ("catalog", "classes classify_product compare export features learn_mapping search validate_product"),
        (
            "memory",
            "conversation_append conversation_get conversation_list conversation_search notes_add notes_delete \
             notes_list notes_search search skills_add skills_approve skills_get skills_list skills_search \
             skills_update",
        ),
    ];
    for (name, tools) in expected {
        for (era, mode) in eras() {
            let client = Client::start(name, folder.path(), mode).await;
            let listed = client.0.list_tools(None).await.unwrap().tools;
            let names: Vec<_> = listed.iter().map(|tool| tool.name.as_ref()).collect();
            assert_eq!(names.join(" "), tools, "{name}, {era}");
            listed.iter().for_each(proper);
            client.0.cancel().await.unwrap();
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "listing leaves no files");
}

/// Every tool says what it does, whether it changes anything, and describes every argument.
fn proper(tool: &Tool) {
    let name = &tool.name;
    assert!(tool.description.as_ref().is_some_and(|text| !text.is_empty()), "{name} has no description");
    let hints = tool.annotations.as_ref().unwrap_or_else(|| panic!("{name} has no annotations"));
    let reads = ["_add", "_update", "_approve", "_delete", "_append", "learn_"].iter().all(|verb| !name.contains(verb));
    assert_eq!(hints.read_only_hint, Some(reads), "{name}");
    assert_eq!(hints.destructive_hint.is_some(), !reads, "{name}");
    assert!(tool.output_schema.is_some(), "{name} has no output schema");
    let properties = tool.input_schema.get("properties").and_then(Value::as_object).unwrap();
    for (argument, schema) in properties {
        assert!(schema["description"].is_string(), "{name}.{argument} has no description");
    }
}

#[tokio::test]
async fn schemas_have_bounds_defaults_enums_and_nested_objects() {
    let folder = tempfile::tempdir().unwrap();
    let schema = async |server: &str, tool: &str| {
        let client = Client::legacy(server, folder.path()).await;
        let tools = client.0.list_tools(None).await.unwrap().tools;
        let found = tools.into_iter().find(|listed| listed.name == tool).unwrap();
        Value::Object((*found.input_schema).clone())
    };
    let append = schema("memory", "conversation_append").await;
    assert_eq!(append["properties"]["role"]["enum"], json!(["user", "assistant", "system", "tool"]));
    assert_eq!(append["properties"]["role"]["default"], "user");
    let list = schema("memory", "notes_list").await;
    let limit = &list["properties"]["limit"];
    assert_eq!((&limit["minimum"], &limit["maximum"], &limit["default"]), (&json!(1), &json!(100), &json!(20)));
    let validate = schema("catalog", "validate_product").await;
    assert!(validate["required"].as_array().unwrap().contains(&json!("customer_id")), "{validate}");
    let product = &validate["properties"]["product"]["properties"];
    assert_eq!(product["features"]["items"]["required"], json!(["feature", "value"]), "{validate:#}");
    assert_eq!(product["features"]["items"]["properties"]["feature"]["pattern"], "^EF[0-9]{6}$");
}

#[tokio::test]
async fn skills_are_added_changed_approved_and_found() {
    let folder = tempfile::tempdir().unwrap();
    for (era, mode) in eras() {
        let tenant = Some(era);
        let memory = Client::start("memory", folder.path(), mode).await;
        let draft =
            json!({"name": "restart-etim", "description": "When search hangs", "body": "1. Fence. 2. Restart."});
        let added = memory.ok(tenant, "skills_add", draft.clone()).await;
        assert_eq!((&added["status"], &added["name"]), (&json!("dev"), &json!("restart-etim")));
        let again = refusal(memory.raw(Some(json!({"id": era})), "skills_add", draft).await);
        assert!(again.contains("skills_update"), "{again}");

        let early = json!({"name": "restart-etim", "status": "stable"});
        let refused = refusal(memory.raw(Some(json!({"id": era})), "skills_approve", early.clone()).await);
        assert!(refused.contains("approve it first"), "{refused}");
        memory.ok(tenant, "skills_approve", json!({"name": "restart-etim"})).await;
        assert_eq!(memory.ok(tenant, "skills_approve", early).await["status"], "stable");
        let listed = memory.ok(tenant, "skills_list", json!({"status": "stable"})).await;
        assert_eq!(listed["skills"].as_array().unwrap().len(), 1);

        let change = json!({"name": "restart-etim", "body": "1. Fence. 2. Drain. 3. Restart."});
        let changed = memory.ok(tenant, "skills_update", change).await;
        assert_eq!((&changed["status"], &changed["description"]), (&json!("dev"), &json!("When search hangs")));
        let hits = memory.ok(tenant, "skills_search", json!({"query": "drain"})).await;
        assert_eq!(hits["hits"][0]["uri"], "memory://skills/restart-etim");
        assert_eq!(memory.ok(tenant, "skills_get", json!({"name": "restart-etim"})).await["body"], changed["body"]);
        let absent = refusal(memory.raw(Some(json!({"id": era})), "skills_get", json!({"name": "x"})).await);
        assert!(absent.contains("skills_list"), "{absent}");
    }
}

#[tokio::test]
async fn notes_and_conversations_are_kept_and_found_in_one_search() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Client::legacy("memory", folder.path()).await;
    let note =
        memory.ok(None, "notes_add", json!({"text": "Größenwechsel am Freitag", "tags": ["etim", "plan"]})).await;
    memory.ok(None, "notes_add", json!({"text": "unrelated"})).await;
    let again = json!({"text": "Größenwechsel am Freitag", "tags": ["etim", "plan"]});
    assert_eq!(memory.ok(None, "notes_add", again).await, note, "the same note is not kept twice");
    let say = |role: &str, text: &str| json!({"conversation": "on call 7/8", "role": role, "text": text});
    memory.ok(None, "conversation_append", say("user", "Wann ist der Wechsel?")).await;
    memory.ok(None, "conversation_append", say("assistant", "Am Freitag.")).await;

    let tagged = memory.ok(None, "notes_list", json!({"tag": "plan"})).await;
    assert_eq!(tagged["notes"], json!([note]));
    assert_eq!(memory.ok(None, "notes_search", json!({"query": "grossen grösse"})).await["hits"], json!([]));
    let found = memory.ok(None, "notes_search", json!({"query": "GROSSENWECHSEL größ"})).await;
    assert_eq!(found["hits"][0]["uri"], format!("memory://notes/{}", note["id"]));
    let all = memory.ok(None, "search", json!({"query": "freitag"})).await;
    assert_eq!(all["hits"].as_array().unwrap().len(), 2, "{all}");
    let spoken = memory.ok(None, "search", json!({"query": "freitag", "kind": "message"})).await;
    assert_eq!(spoken["hits"][0]["label"], "assistant");
    let one = memory.ok(None, "conversation_search", json!({"query": "wechsel wann"})).await;
    assert_eq!(one["hits"][0]["uri"], "memory://conversations/on%20call%207%2F8");

    let whole = memory.ok(None, "conversation_get", json!({"conversation": "on call 7/8"})).await;
    let texts: Vec<_> = whole["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
    assert_eq!(texts, ["Wann ist der Wechsel?", "Am Freitag."]);
    assert_eq!(memory.ok(None, "conversation_list", json!({})).await["conversations"][0]["messages"], 2);

    assert_eq!(memory.ok(None, "notes_delete", json!({"id": note["id"]})).await["deleted"], true);
    assert_eq!(memory.ok(None, "notes_delete", json!({"id": note["id"]})).await["deleted"], false);
    assert_eq!(memory.ok(None, "notes_search", json!({"query": "größenwechsel"})).await["hits"], json!([]));
}

#[tokio::test]
async fn memory_shows_resources_templates_and_prompts() {
    let folder = tempfile::tempdir().unwrap();
    for (era, mode) in eras() {
        let data = folder.path().join(era);
        let memory = Client::start("memory", &data, mode).await;
        memory.ok(None, "skills_add", json!({"name": "pack", "description": "Packing", "body": "Use boxes."})).await;
        for n in 0..120 {
            memory.ok(None, "notes_add", json!({"text": format!("note number {n}")})).await;
        }
        let listed = memory.0.list_all_resources().await.unwrap();
        assert_eq!(listed.len(), 121, "{era}: every page");
        assert_eq!(listed[0].uri, "memory://skills/pack");
        let read = async |uri: &str| match memory.0.read_resource(ReadResourceRequestParams::new(uri)).await {
            Ok(result) => match &result.contents[0] {
                ResourceContents::TextResourceContents { text, .. } => Ok(text.clone()),
                other => panic!("{other:?}"),
            },
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(read("memory://skills/pack").await, Ok("Use boxes.".to_owned()));
        assert_eq!(read(&listed[1].uri).await, Ok("note number 119".to_owned()));
        for uri in ["memory://skills/none", "memory://notes/x", "memory://../pack", "file:///etc/passwd"] {
            assert!(read(uri).await.is_err_and(|error| error.contains(uri)), "{uri}");
        }
        assert_eq!(memory.0.list_all_resource_templates().await.unwrap().len(), 3);
        assert_eq!(memory.0.list_all_prompts().await.unwrap().len(), 2);
        let mut recall = GetPromptRequestParams::new("recall");
        recall.arguments = json!({"topic": "boxes"}).as_object().cloned();
        let prompt = serde_json::to_string(&memory.0.get_prompt(recall).await.unwrap()).unwrap();
        assert!(prompt.contains("memory://skills/pack"), "{prompt}");
    }
}

#[tokio::test]
async fn one_shared_memory_keeps_tenants_apart() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Client::legacy("memory", folder.path()).await;
    for tenant in [Some("eaton"), Some("vattenfall-de"), None] {
        let text = format!("secret of {tenant:?}");
        memory.ok(tenant, "notes_add", json!({ "text": text })).await;
    }
    for tenant in [Some("eaton"), Some("vattenfall-de"), None] {
        let hits = memory.ok(tenant, "search", json!({"query": "secret"})).await;
        assert_eq!(hits["hits"].as_array().unwrap().len(), 1, "{tenant:?}: {hits}");
        assert_eq!(hits["hits"][0]["passage"].as_str().unwrap(), format!("[secret] of {tenant:?}"));
    }
    assert!(folder.path().join("tenants/eaton.db").exists() && folder.path().join("memory.db").exists());
}

#[tokio::test]
async fn a_broken_file_of_one_tenant_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tenants")).unwrap();
    let broken = folder.path().join("tenants/broken.db");
    std::fs::write(&broken, "no database ".repeat(1_000)).unwrap();
    let memory = Client::legacy("memory", folder.path()).await;
    let refused = refusal(memory.raw(Some(json!({"id": "broken"})), "notes_add", json!({"text": "x"})).await);
    assert!(refused.contains("broken.db") && !refused.contains(folder.path().to_str().unwrap()), "{refused}");
    assert_eq!(std::fs::read_to_string(&broken).unwrap(), "no database ".repeat(1_000));
    memory.ok(Some("eaton"), "notes_add", json!({"text": "x"})).await;
}

#[tokio::test]
async fn forged_tenants_are_refused_and_touch_no_file() {
    let outside = tempfile::tempdir().unwrap();
    let data = outside.path().join("data");
    let memory = Client::legacy("memory", &data).await;
    let ids = ["..", "../eaton", "eaton/../x", "/etc/passwd", "a\\b", "", "a\0b", "eaton.db", "%2e%2e"];
    let forged = ids.map(|id| json!({ "id": id })).into_iter().chain([json!({"id": 7}), json!({}), json!("eaton")]);
    for tenant in forged {
        let refused = refusal(memory.raw(Some(tenant.clone()), "notes_add", json!({"text": "x"})).await);
        assert!(refused.contains("id"), "{tenant}: {refused}");
    }
    assert!(!data.exists(), "a refused call leaves no file");

    let catalog = Client::legacy("catalog", &data).await;
    for id in ids {
        let lesson = json!({"customer_id": id, "text": "spule", "class": "EC000121"});
        let refused = catalog.refused("learn_mapping", lesson).await;
        assert!(refused.contains("customer_id"), "{id}: {refused}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn arguments_out_of_bounds_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Client::legacy("memory", folder.path()).await;
    for (tool, arguments, says) in [
        ("notes_add", json!({"text": "  "}), "`text` is empty"),
        ("notes_add", json!({"text": "x".repeat(65_537)}), "65536 are allowed"),
        ("notes_add", json!({"text": "x", "tags": ["a b"]}), "tag \"a b\""),
        ("notes_add", json!({"text": "x", "tags": vec!["t"; 9]}), "0 to 8"),
        ("notes_list", json!({"limit": 0}), "1 to 100"),
        ("search", json!({"query": "x", "limit": 101}), "1 to 100"),
        ("skills_add", json!({"name": "../x", "description": "d", "body": "b"}), "skill \"../x\""),
        ("conversation_get", json!({"conversation": "none"}), "conversation_list"),
    ] {
        let refused = memory.refused(tool, arguments).await;
        assert!(refused.contains(says), "{tool}: {refused}");
    }
    let hits = memory.ok(None, "search", json!({"query": "\" OR name:* NEAR( -"})).await;
    assert_eq!(hits["hits"], json!([]), "query syntax of the index is plain text here");
}

#[tokio::test]
async fn the_catalog_classifies_compares_and_validates() {
    let folder = tempfile::tempdir().unwrap();
    for (era, mode) in eras() {
        let catalog = Client::start("catalog", folder.path(), mode).await;
        let with = |mut arguments: Value| {
            arguments["customer_id"] = json!("eaton");
            arguments
        };
        let first = catalog.ok(None, "classes", with(json!({"limit": 3}))).await;
        assert_eq!(first["classes"].as_array().unwrap().len(), 3, "{era}");
        assert!(first["total"].as_u64().unwrap() >= 60);
        let lights = catalog.ok(None, "classes", with(json!({"group": "lighting"}))).await;
        assert!(lights["classes"].as_array().unwrap().iter().all(|class| class["group"] == "Lighting"));
        let features = catalog.ok(None, "features", with(json!({"class": "EC000111"}))).await;
        assert_eq!(features["features"][0]["values"]["number"]["unit"], "A");
        let found = catalog.ok(None, "search", with(json!({"query": "Schütz"}))).await;
        assert_eq!(found["candidates"][0]["code"], "EC000121");
        let text = json!({"text": "Leitungsschutzschalter B16 6 kA", "limit": 2});
        let classified = catalog.ok(None, "classify_product", with(text)).await;
        assert_eq!(classified["candidates"][0]["code"], "EC000111");
        assert!(classified["candidates"][0]["reason"].as_str().unwrap().contains("leitungsschutzschalter"));
        let compared = catalog.ok(None, "compare", with(json!({"classes": ["EC000111", "EC000112"]}))).await;
        assert!(compared["common"].as_array().unwrap().len() >= 3);
        assert_eq!(compared["only"][1]["class"], "EC000112");

        let product = json!({
            "class": "EC000111", "name": "B16", "manufacturer": {"name": "Eaton", "gtin": "4006381333931"},
            "features": [{"feature": "EF000101", "value": "16", "unit": "A"}, {"feature": "EF000105", "value": "Q"}],
        });
        let verdict = catalog.ok(None, "validate_product", with(json!({ "product": product }))).await;
        assert_eq!((&verdict["valid"], &verdict["problems"][0]["at"]), (&json!(false), &json!("features[1]")));
        let absent = refusal(catalog.raw(None, "features", with(json!({"class": "EC999999"}))).await);
        assert!(absent.contains("`search` finds classes"), "{absent}");
    }
}

#[tokio::test]
async fn catalog_answers_depend_on_the_customer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("customers")).unwrap();
    let own = json!({"classes": [{"code": "XC1", "name": "Warp core", "group": "Own", "also": ["Warpkern"]}]});
    std::fs::write(folder.path().join("customers/eaton.json"), own.to_string()).unwrap();
    std::fs::write(folder.path().join("customers/broken.json"), "{\"klassen\": []}").unwrap();
    let catalog = Client::legacy("catalog", folder.path()).await;
    let best = async |customer: &str, text: &str| {
        let arguments = json!({"customer_id": customer, "text": text});
        catalog.ok(None, "classify_product", arguments).await["candidates"][0].clone()
    };
    assert_eq!(best("eaton", "Warpkern 1701").await["code"], "XC1");
    assert_eq!(best("other", "Warpkern 1701").await, Value::Null);

    let lesson = json!({"customer_id": "other", "text": "Knubbel rot", "class": "ec000124"});
    assert_eq!(catalog.ok(None, "learn_mapping", lesson.clone()).await, json!({"class": "EC000124", "mappings": 1}));
    assert_eq!(catalog.ok(None, "learn_mapping", lesson).await["mappings"], 1);
    let learned = best("other", "Roter Knubbel, rot, 22 mm").await;
    assert_eq!((&learned["code"], &learned["score"]), (&json!("EC000124"), &json!(1.0)));
    assert_eq!(best("eaton", "Knubbel rot").await, Value::Null);
    let fresh = Client::legacy("catalog", folder.path()).await;
    let again = fresh.ok(None, "classify_product", json!({"customer_id": "other", "text": "knubbel rot"})).await;
    assert_eq!(again["candidates"][0]["code"], "EC000124", "what was learned outlives the process");

    for tool in ["classes", "export"] {
        let refused = catalog.refused(tool, json!({})).await;
        assert!(refused.contains("`customer_id` is missing"), "{tool}: {refused}");
    }
    let broken = catalog.refused("classes", json!({"customer_id": "broken"})).await;
    assert!(broken.contains("broken.json") && broken.contains("klassen"), "{broken}");
}

/// A child spoken to line by line.
struct Wire {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Wire {
    fn start(name: &str, data: &Path) -> Self {
        let mut child = command(name, data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, stdout: BufReader::new(stdout).lines() }
    }

    /// Sends a request of the modern era; one without an id is a notification.
    async fn send(&mut self, id: Option<u32>, method: &str, mut params: Value) {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            message["id"] = json!(id);
        }
        self.stdin.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(DEADLINE, self.stdout.next_line()).await.expect("no answer").unwrap();
        serde_json::from_str(&line.expect("the server ended")).unwrap()
    }

    async fn ends(mut self) -> std::process::ExitStatus {
        drop(self.stdin);
        tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("it does not end").unwrap()
    }
}

#[tokio::test]
async fn servers_answer_soon_and_end_with_stdin() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["catalog", "memory"] {
        let began = Instant::now();
        let mut wire = Wire::start(name, folder.path());
        wire.send(Some(1), "server/discover", json!({})).await;
        let answer = wire.next().await;
        println!("{name}: first answer after {:?}", began.elapsed());
        let versions = answer["result"]["supportedVersions"].as_array().unwrap();
        assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")), "{answer}");
        assert!(wire.ends().await.success(), "{name}");
        assert!(Wire::start(name, folder.path()).ends().await.success(), "{name} without a word");
    }
}

#[tokio::test]
async fn resources_and_prompts_are_the_tenants_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut wire = Wire::start("memory", folder.path());
    let of = |tenant: &str, mut params: Value| {
        params["_meta"] = json!({"io.mcpdeck/tenant": {"id": tenant}});
        params
    };
    wire.send(Some(1), "server/discover", json!({})).await;
    wire.next().await;
    let note = json!({"name": "notes_add", "arguments": {"text": "eaton's plan"}});
    wire.send(Some(2), "tools/call", of("eaton", note)).await;
    wire.next().await;
    for (tenant, resources) in [("eaton", 1), ("other", 0)] {
        wire.send(Some(3), "resources/list", of(tenant, json!({}))).await;
        assert_eq!(wire.next().await["result"]["resources"].as_array().unwrap().len(), resources, "{tenant}");
        wire.send(Some(4), "resources/read", of(tenant, json!({"uri": "memory://notes/1"}))).await;
        assert_eq!(wire.next().await.to_string().contains("eaton's plan"), resources == 1, "{tenant}");
        let recall = json!({"name": "recall", "arguments": {"topic": "plan"}});
        wire.send(Some(5), "prompts/get", of(tenant, recall)).await;
        assert_eq!(wire.next().await.to_string().contains("memory://notes/1"), resources == 1, "{tenant}");
    }
    wire.send(Some(6), "resources/list", of("../eaton", json!({}))).await;
    assert_eq!(wire.next().await["error"]["code"], -32602);
}

#[tokio::test]
async fn an_export_tells_progress_and_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let mut wire = Wire::start("catalog", folder.path());
    wire.send(Some(1), "server/discover", json!({})).await;
    wire.next().await;
    let export = |count: u32, delay_ms: u32, token: &str| {
        let arguments = json!({"customer_id": "eaton", "count": count, "delay_ms": delay_ms});
        json!({"name": "export", "arguments": arguments, "_meta": {"progressToken": token}})
    };
    wire.send(Some(2), "tools/call", export(3, 1, "short")).await;
    for done in 1..=3 {
        let told = wire.next().await;
        assert_eq!((&told["params"]["progressToken"], &told["params"]["total"]), (&json!("short"), &json!(3.0)));
        assert_eq!(told["params"]["progress"], json!(f64::from(done)));
    }
    assert_eq!(wire.next().await["result"]["structuredContent"]["rows"].as_array().unwrap().len(), 3);

    wire.send(Some(3), "tools/call", export(100, 5_000, "long")).await;
    wire.send(None, "notifications/cancelled", json!({"requestId": 3})).await;
    wire.send(Some(4), "tools/call", export(1, 0, "after")).await;
    // The cancelled call is not answered (or as an error); the next one is served at once.
    let mut answer = wire.next().await;
    while answer["id"] != 4 {
        assert_ne!(answer["params"]["progressToken"], "long", "{answer}");
        answer = wire.next().await;
    }
    assert_eq!(answer["result"]["structuredContent"]["rows"].as_array().unwrap().len(), 1);

    wire.send(Some(5), "tools/call", export(10_000, 5_000, "endless")).await;
    let refused = wire.next().await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(refused.to_string().contains("count * delay_ms"), "{refused}");
}

#[tokio::test]
async fn an_unknown_server_is_named_with_those_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcpdeck")).args(["mcp", "nothing"]).output().await.unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("`nothing`") && text.contains("catalog, memory"), "{text}");
}
