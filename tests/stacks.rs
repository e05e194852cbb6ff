//! Stacks as their users meet them: deployed, kept, changed and taken down on a real engine.

use crate::containers::deck::{Deck, head};
use crate::support::engines::{IMAGE, Lab, docker, unique};
use mcpdeck::model::container::{Claim, ContainerKey};
use mcpdeck::model::message::JobOutcome;
use mcpdeck::model::stack::{PartRow, StackRow, StackState, StackStep};
use mcpdeck::model::{Act, Answer, Command, Query, Snapshot, StackId};
use serde_json::json;
use std::sync::Arc;

/// `[[stack]]` behind the tenant, with these parts.
fn stack(parts: &[String]) -> String {
    format!("[[stack]]\nname = \"shop\"\ntenant = \"eaton\"\n{}", parts.concat())
}

/// A part that runs a line of shell; `more` are further keys.
fn part(name: &str, line: &str, more: &str) -> String {
    format!(
        "[[stack.part]]\nname = \"{name}\"\nimage = \"{IMAGE}\"\npull = \"never\"\nstop_grace = \"1s\"\n\
         command = [\"sh\", \"-c\", {line:?}]\n{more}\n"
    )
}

/// A database that others reach by its name, a migration that does, and a web server.
fn shop(colour: &str) -> String {
    stack(&[
        part(
            "web",
            "trap 'exit 0' TERM; httpd -f -p 8000 -h /etc & wait",
            &format!(
                "needs = [\"migrate\"]\nready = {{ http = {{ port = 8000, path = \"/passwd\" }} }}\nenv = {{ COLOUR = \"{colour}\" }}"
            ),
        ),
        part(
            "db",
            "echo begins; httpd -p 5432 -h /etc; echo ready to serve; trap 'exit 0' TERM; sleep 600 & wait",
            "ready = { log = \"ready to serve\" }",
        ),
        part(
            "migrate",
            "wget -q -O /dev/null http://db:5432/passwd && echo migrated",
            "needs = [\"db\"]\nready = { done = true }",
        ),
    ])
}

fn deploy() -> Command {
    Command::Deploy("shop".into())
}

fn undeploy() -> Command {
    Command::Undeploy("shop".into())
}

fn row(snapshot: &Snapshot) -> Arc<StackRow> {
    snapshot.stack("shop").expect("the stack").clone()
}

fn part_row<'r>(row: &'r StackRow, name: &str) -> &'r PartRow {
    row.parts.iter().find(|part| part.name == name).expect("the part")
}

fn container(row: &StackRow, name: &str) -> ContainerKey {
    part_row(row, name).container.clone().unwrap_or_else(|| panic!("{name} has no container: {row:?}"))
}

async fn plan(deck: &Deck, undeploy: bool) -> String {
    let query = Query::StackPlan { stack: StackId::from("shop"), undeploy };
    let Answer::StackPlan(steps) = deck.handle().ask(query).await.unwrap() else { panic!("no plan") };
    let text = |step: &StackStep| match &step.refused {
        None => format!("{}: {}", step.part, step.does),
        Some(why) => format!("{}: {} REFUSED {why}", step.part, step.does),
    };
    steps.iter().map(text).collect::<Vec<_>>().join("\n")
}

async fn engine_is_up(deck: &Deck) {
    let up = |s: &Snapshot| s.engines.iter().any(|e| e.state == mcpdeck::model::container::EngineState::Up);
    deck.until("the engine answers", up).await;
}

async fn state(deck: &Deck, state: StackState) -> Arc<StackRow> {
    let snapshot = deck.until(&format!("the stack is {}", state.name()), |s| row(s).state == state).await;
    row(&snapshot)
}

fn started(lab: &Lab, key: &ContainerKey) -> String {
    let text = lab.ask("GET", &format!("/containers/{}/json", key.id), None).unwrap();
    let inspected: serde_json::Value = serde_json::from_str(&text).unwrap();
    inspected["State"]["StartedAt"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_up_in_order_stay_as_they_are_and_change_with_the_config() {
    let Some(lab) = docker("parts_come_up_in_order_stay_as_they_are_and_change_with_the_config") else { return };
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &shop("red"))).await;
    engine_is_up(&deck).await;
    assert_eq!(plan(&deck, false).await, "db: create\nmigrate: create\nweb: create");
    assert_eq!(plan(&deck, true).await.matches("nothing: it is not there").count(), 3);
    assert_eq!(deck.act(deploy()).await.unwrap(), "3 parts are ready");
    let first = state(&deck, StackState::Ready).await;
    let order: Vec<_> = ["db", "migrate", "web"].map(|name| started(&lab, &container(&first, name))).to_vec();
    assert!(order.is_sorted(), "{order:?}");
    let owner = deck.handle().state().container(&container(&first, "web")).unwrap().owner.clone();
    assert_eq!((owner.claim, owner.part.as_deref()), (Claim::Ours, Some("web")));
    assert_eq!(owner.tenant, Some("eaton".into()));
    assert_eq!(plan(&deck, false).await, "db: nothing: it runs\nmigrate: run again\nweb: nothing: it runs");

    // Once more: what runs as defined is left alone.
    deck.act(deploy()).await.unwrap();
    let second = state(&deck, StackState::Ready).await;
    assert_eq!(
        (container(&second, "db"), container(&second, "web")),
        (container(&first, "db"), container(&first, "web"))
    );

    // Another owner, and another config: it is recognised, and only what changed is made anew.
    deck.end().await;
    assert_eq!(deck.on_engine().iter().filter(|(_, state)| state == "running").count(), 2, "a stack outlives us");
    deck.own(&(head(&lab, &[]) + &shop("blue"))).await;
    let found = deck.until("it is recognised", |s| part_row(&row(s), "web").state == StackState::Ready).await;
    assert_eq!(container(&row(&found), "web"), container(&first, "web"));
    assert_eq!(
        plan(&deck, false).await,
        "db: nothing: it runs\nmigrate: run again\nweb: recreate (its definition changed)"
    );
    deck.act(deploy()).await.unwrap();
    let third = state(&deck, StackState::Ready).await;
    assert_eq!(container(&third, "db"), container(&first, "db"));
    assert_ne!(container(&third, "web"), container(&first, "web"));

    assert_eq!(
        plan(&deck, true).await,
        "web: stop and remove; its data stays\nmigrate: remove; its data stays\ndb: stop and remove; its data stays"
    );
    assert_eq!(deck.act(undeploy()).await.unwrap(), "stopped and removed");
    assert_eq!(deck.on_engine(), []);
    state(&deck, StackState::Stopped).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_hurt_behind_our_back_comes_back() {
    let Some(lab) = docker("a_part_that_is_hurt_behind_our_back_comes_back") else { return };
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &shop("red"))).await;
    deck.act(deploy()).await.unwrap();
    for hurt in ["POST /containers/ID/kill", "DELETE /containers/ID?force=1"] {
        let before = state(&deck, StackState::Ready).await;
        let web = container(&before, "web");
        let began = started(&lab, &web);
        let (method, path) = hurt.split_once(' ').unwrap();
        lab.ask(method, &path.replace("ID", &web.id), None).unwrap();
        deck.until("it is noticed", |s| part_row(&row(s), "web").state != StackState::Ready).await;
        let after = state(&deck, StackState::Ready).await;
        let again = container(&after, "web");
        assert_ne!(started(&lab, &again), began);
        assert_eq!(container(&after, "db"), container(&before, "db"), "no other part is touched");
    }
    // What an operator stops stays stopped.
    let ready = state(&deck, StackState::Ready).await;
    let web = container(&ready, "web");
    let stop = Command::Container {
        container: web.clone(),
        name: String::new(),
        act: mcpdeck::model::container::ContainerAct::Stop,
    };
    deck.act(stop).await.unwrap();
    let held = deck.until("it is held", |s| part_row(&row(s), "web").message == "stopped by ana").await;
    assert_eq!(row(&held).state, StackState::Degraded);
    let start =
        Command::Container { container: web, name: String::new(), act: mcpdeck::model::container::ContainerAct::Start };
    deck.act(start).await.unwrap();
    state(&deck, StackState::Ready).await;
    deck.act(undeploy()).await.unwrap();
    assert_eq!(deck.on_engine(), []);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_which_part_and_its_last_words_and_a_job_can_be_cancelled() {
    let Some(lab) = docker("a_failure_says_which_part_and_its_last_words_and_a_job_can_be_cancelled") else { return };
    // On a busy machine its end is seen late: that it runs must not count as ready until then.
    let never = "ready = { log = \"never\" }";
    let broken = part("broken", "echo opening >&2; echo no such table: users >&2; exit 3", never);
    let after = part("after", "sleep 600", "needs = [\"broken\"]");
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &stack(&[after.clone(), broken]))).await;
    let why = deck.act(deploy()).await.unwrap_err().to_string();
    assert!(why.contains("part broken: exited 3; it said: opening | no such table: users"), "{why}");
    let failed = state(&deck, StackState::Failed).await;
    assert_eq!(part_row(&failed, "after").message, "not started: it needs broken");
    let finding = |s: &Snapshot| s.findings.iter().any(|f| f.word == "STACK" && f.text.contains("no such table"));
    deck.until("it asks for attention", finding).await;
    deck.act(undeploy()).await.unwrap();
    deck.end().await;

    let slow = part(
        "broken",
        "echo Loading weights; sleep 600",
        "ready = { log = \"never\" }\nexpected = \"1m\"\nprogress = [[\"Loading weights\", 40]]",
    );
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &stack(&[slow, after]))).await;
    let act = Act { command: deploy(), operator: crate::support::platform::ana(), confirm: None };
    let job = deck.handle().run(act).await.unwrap();
    let told = |s: &Snapshot| {
        let row = row(s);
        let part = part_row(&row, "broken");
        part.percent == Some(40)
            && part.message.starts_with("loading weights 40 %, ")
            && part.message.ends_with(" s of about 60 s")
    };
    let snapshot = deck.until("it tells how far it is", told).await;
    assert!(snapshot.jobs[0].message.contains("broken: loading weights 40 %"), "{:?}", snapshot.jobs[0]);
    assert!(row(&snapshot).reason.starts_with("0 of 2 ready; broken: loading"), "{}", row(&snapshot).reason);
    deck.act(Command::CancelJob(job)).await.unwrap();
    let done = deck.until("it is cancelled", |s| s.jobs.iter().any(|j| j.id == job && j.outcome.is_some())).await;
    let job = done.jobs.iter().find(|j| j.id == job).unwrap();
    assert_eq!((job.outcome, job.message.as_str()), (Some(JobOutcome::Cancelled), "cancelled by ana"));
    deck.until("it is not started", |s| part_row(&row(s), "after").message == "cancelled by ana").await;
    deck.act(undeploy()).await.unwrap();
    assert_eq!(deck.on_engine(), []);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_line_asks_for_attention_and_what_does_not_fit_is_refused() {
    let Some(lab) = docker("a_watched_line_asks_for_attention_and_what_does_not_fit_is_refused") else { return };
    let model = part(
        "model",
        "sleep 0.3; echo 'RuntimeError: CUDA out of memory. Tried 20 GiB'; sleep 600",
        "watch = [\"CUDA out of memory\"]",
    );
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &stack(&[model]))).await;
    deck.act(deploy()).await.unwrap();
    let finding = |s: &Snapshot| s.findings.iter().find(|f| f.word == "LOG").cloned();
    let snapshot = deck.until("it asks for attention", |s| finding(s).is_some()).await;
    let finding = finding(&snapshot).unwrap();
    assert_eq!(finding.text, "part model said: RuntimeError: CUDA out of memory. Tried 20 GiB");
    assert_eq!((finding.object.as_str(), finding.tenants.as_slice()), ("stack shop/model", &["eaton".into()][..]));
    assert!(finding.since.0 > 0);
    deck.act(deploy()).await.unwrap();
    assert!(deck.handle().state().findings.iter().any(|f| f.word == "LOG"), "it goes on, and has still said it");
    let undeployed = deck.handle().ask(Query::Impact(Command::Shutdown)).await.unwrap();
    let Answer::Impact(impact) = undeployed else { panic!() };
    assert!(impact.follows.iter().any(|line| line.starts_with("stacks go on: shop (`mcpdeck undeploy")), "{impact:?}");
    deck.act(undeploy()).await.unwrap();
    deck.end().await;

    let huge = part("huge", "sleep 600", "limits = { memory = \"900TiB\" }");
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &stack(&[huge]))).await;
    engine_is_up(&deck).await;
    deck.until("the machine is known", |s| s.host.memory_used.is_some()).await;
    let told = plan(&deck, false).await;
    assert!(told.starts_with("huge: create REFUSED needs 921600 GiB of memory, "), "{told}");
    let Answer::Impact(impact) = deck.handle().ask(Query::Impact(deploy())).await.unwrap() else { panic!() };
    assert!(impact.refused.unwrap().contains("part huge needs 921600 GiB"));
    let why = deck.act(deploy()).await.unwrap_err().to_string();
    assert!(why.contains("free on this machine"), "{why}");
    assert_eq!(deck.on_engine(), []);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_sees_what_is_missing() {
    let Some(lab) = docker("a_dry_run_sees_what_is_missing") else { return };
    let one = |name: &str, image: &str, more: &str| {
        format!("[[stack.part]]\nname = \"{name}\"\nimage = \"{image}\"\n{more}\n")
    };
    let parts = [
        one("a", "t-nowhere/none:1", "pull = \"never\""),
        one("b", "t-nowhere/none:1", ""),
        one("c", IMAGE, "gpu = { device = 0 }"),
        one("d", IMAGE, ""),
    ];
    let gpu = "[gpu]\nlibrary = \"/nonexistent/libnvidia-ml.so.1\"\n";
    let mut deck = Deck::start(&lab, &(gpu.to_owned() + &head(&lab, &[]) + &stack(&parts))).await;
    engine_is_up(&deck).await;
    let told = plan(&deck, false).await;
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("a: create REFUSED it has no image `t-nowhere/none:1`"), "{told}");
    assert_eq!(lines[1], "b: create, after a pull of t-nowhere/none:1");
    assert!(lines[2].starts_with("c: create REFUSED needs a GPU: no driver library"), "{told}");
    assert_eq!(lines[3], "d: create");
    assert_eq!(deck.on_engine(), []);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compose_project_is_adopted_as_a_stack_and_never_removed() {
    let Some(lab) = docker("a_compose_project_is_adopted_as_a_stack_and_never_removed") else { return };
    let project = unique("stacks-etim");
    let service = |name: &str, needs: &str| {
        let labels = json!({
            "com.docker.compose.project": project,
            "com.docker.compose.service": name,
            "com.docker.compose.depends_on": needs,
        });
        let line = "trap 'exit 0' TERM; sleep 600 & wait";
        lab.create(&format!("{project}-{name}-1"), json!({ "Cmd": ["sh", "-c", line], "Labels": labels })).unwrap()
    };
    let made = [service("web", "db:service_started:false"), service("db", "")];
    let adopt =
        format!("[[stack]]\nname = \"shop\"\ntenant = \"eaton\"\nadopt = {{ compose_project = {project:?} }}\n");
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &adopt)).await;
    let seen = deck.until("it is seen", |s| row(s).parts.len() == 2).await;
    assert_eq!((row(&seen).state, row(&seen).adopted), (StackState::Stopped, true));
    assert!(plan(&deck, false).await.contains("-db-1: start"));
    assert_eq!(deck.act(deploy()).await.unwrap(), "it runs");
    let up = state(&deck, StackState::Ready).await;
    assert!(started(&lab, &container(&up, "db")) < started(&lab, &container(&up, "web")));
    deck.act(undeploy()).await.unwrap();
    state(&deck, StackState::Stopped).await;
    assert!(made.iter().all(|made| made.inspect()["State"]["Status"] == "exited"), "stopped, and still there");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_finds_its_stack_again() {
    let Some(lab) = docker("a_killed_owner_finds_its_stack_again") else { return };
    let text = head(&lab, &[]) + &shop("red");
    let mut deck = Deck::new(&lab);
    deck.serve(&text).await;
    deck.act(deploy()).await.unwrap();
    let before = state(&deck, StackState::Ready).await;
    deck.kill_owner();
    // It ends while nobody looks.
    let db = container(&before, "db");
    lab.ask("POST", &format!("/containers/{}/kill", db.id), None).unwrap();
    let ended = started(&lab, &db);
    deck.serve(&text).await;
    let found = |s: &Snapshot| s.stack("shop").is_some_and(|row| part_row(row, "web").state == StackState::Ready);
    let after = deck.until("it is found again", found).await;
    assert_eq!(container(&row(&after), "web"), container(&before, "web"));
    let whole = state(&deck, StackState::Ready).await;
    assert_ne!(started(&lab, &container(&whole, "db")), ended, "what ended meanwhile is started again");
    assert!(after.orphans.is_empty(), "{:?}", after.orphans);
    deck.act(undeploy()).await.unwrap();
    assert_eq!(deck.on_engine(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_reaches_the_router_from_its_network_and_nobody_else_does() {
    let name = "a_stack_reaches_the_router_from_its_network_and_nobody_else_does";
    let Some(lab) = docker(name) else { return };
    let line = "trap 'exit 0' TERM; until wget -q -O /dev/null $MCPDECK_URL/health; do sleep 0.1; done; \
                wget -q -O - --post-data x $MCPDECK_URL/mcp/etim 2>&1 | /busybox grep 401 && echo known by nobody; \
                echo at $MCPDECK_URL end; sleep 600 & wait";
    let asks = part("asks", line, "ready = { log = \"known by nobody\" }");
    let port = free_port();
    let config = stack(&[asks]).replacen("tenant = \"eaton\"\n", "tenant = \"eaton\"\nrouter = true\n", 1);
    let api = format!("[api]\nstack_port = {port}\nanonymous = {{ tenant = \"eaton\" }}\n");
    let mut deck = Deck::start(&lab, &(head(&lab, &[]) + &config + &api)).await;
    engine_is_up(&deck).await;
    let gateway = mcpdeck::api::Listening::open(deck.handle().clone()).await.unwrap().expect("a gateway");
    // It is ready only when it reached us, and was told that nobody is anonymous there.
    deck.act(deploy()).await.unwrap();
    let there = state(&deck, StackState::Ready).await;
    let inspected = lab.ask("GET", &format!("/containers/{}/json", container(&there, "asks").id), None).unwrap();
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let env = inspected["Config"]["Env"].as_array().unwrap().iter().filter_map(|value| value.as_str());
    let url = env.into_iter().find_map(|value| value.strip_prefix("MCPDECK_URL=")).expect("MCPDECK_URL").to_owned();
    // From another network the same address leads nowhere.
    let other = lab.run(&unique("other"), &["wget", "-T", "3", "-q", "-O", "/dev/null", &format!("{url}/health")]);
    let begun = std::time::Instant::now();
    let ended = loop {
        let state = other.inspect()["State"].clone();
        if state["Running"] == false {
            break state["ExitCode"].as_i64();
        }
        assert!(begun.elapsed().as_secs() < 30, "it neither reaches nor fails: {state}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_ne!(ended, Some(0), "it reached a network that is not its own");
    let at = url.strip_prefix("http://").unwrap().to_owned();
    deck.act(undeploy()).await.unwrap();
    let gone = async {
        while tokio::net::TcpStream::connect(&at).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the listener goes with the network");
    gateway.close(std::time::Duration::from_secs(5)).await;
    deck.end().await;
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
