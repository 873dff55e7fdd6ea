//! Scans that call their target, from the order to the findings: through the door and nowhere else.
//!
//! The stand-in for whatweb is a shell script in the real box that speaks HTTP by itself; where the real
//! scanners are installed they are run, too. Targets are servers of the test on 127.0.0.0/8. Not here:
//! what is refused as a target (`targets`), the door alone (unit tests of `tool`).

pub(crate) mod local;

use std::net::Ipv4Addr;

use local::{Names, Page};
use serde_json::{Value, json};

use crate::harness::tool::{Script, Tools, install};
use crate::harness::wait::SOON;
use crate::harness::{App, Client, Plan, text, until};

/// Gets the page and reports its server and title, as whatweb does.
const LOOK: &str = r#"
place="${url#http://}"; place="${place%%/*}"
exec 3<>"/dev/tcp/${place%:*}/${place##*:}" || exit 3
printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$place" >&3
answer="$(cat <&3)"
server="$(sed -n 's/^Server: \([a-z-]*\).*/\1/p' <<<"$answer")"
printf '[{"target":"%s","http_status":200,"request_config":{},"plugins":{"HTTPServer":{"string":["%s"]}}}]' \
    "$url" "$server" > /out/report
"#;

async fn app(script: Script, set: impl FnOnce(Plan) -> Plan) -> (App, Client, String) {
    let plan = Plan::new()
        .set("target_networks_allowed", "acme=127.0.0.0/8")
        .set("max_attempts", 1)
        .tools(Tools::Script(script));
    let app = set(plan).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    (app, acme, project)
}

/// Orders a quick web scan; the payload.
async fn order(client: &Client, project: &str, url: &str) -> Value {
    let target = json!({ "url": url });
    let input = json!({ "projectId": project, "scanType": "web", "target": target, "profile": "QUICK" });
    client.mutate("startScan", input).await
}

async fn scan(client: &Client, project: &str, url: &str) -> String {
    let payload = order(client, project, url).await;
    assert_eq!(payload["errors"], json!([]), "{url}");
    text(&payload["task"]["id"])
}

#[tokio::test]
async fn a_tool_finds_its_target_through_the_door_and_nothing_else() {
    let page = Page::serve(Ipv4Addr::LOCALHOST).await;
    let decoy = Page::serve(Ipv4Addr::LOCALHOST).await;
    // The same port of another address, another port of the same one, the API's own port.
    let script = format!(
        "for place in 127.0.0.9/{page} 127.0.0.1/{decoy} 127.0.0.1/$(cat \"$install/api\"); do\n\
         (exec 4<>/dev/tcp/$place) 2>/dev/null && echo \"reached $place\" >&2\n done\n{LOOK}",
        page = page.port,
        decoy = decoy.port,
    );
    let (app, acme, project) = app(Script::whatweb(&script), |plan| plan).await;
    let api = app.address().rsplit(':').next().unwrap().to_owned();
    std::fs::write(install(app.folder()).join("api"), api).unwrap();
    let task = scan(&acme, &project, &page.url()).await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["findings"]["totalCount"], 1, "{done:#}");
    let found = acme.findings(&task).await;
    assert!(text(&found[0]["message"]).contains("door-test"), "{found:#?}");
    let run = &done["toolExecutions"][0];
    assert!(run["stderr"].is_null(), "it reached something else: {run:#}");
    assert_eq!(run["metrics"]["connections"], 1, "{run:#}");
    assert!(
        run["metrics"]["networkBytesReceived"].as_u64() > Some(0),
        "{run:#}"
    );
    assert_eq!(decoy.calls(), 0);
}

#[tokio::test]
async fn a_dead_target_is_a_failed_task_and_no_clean_one() {
    let silent = format!("{LOOK}\n[ -s /out/report ] || echo '[]' > /out/report; exit 0");
    let (_app, acme, project) = app(Script::whatweb(&silent), |plan| plan).await;
    // Dead from the start: no tool is run.
    let port = local::dead_port();
    let task = scan(&acme, &project, &format!("http://127.0.0.1:{port}/")).await;
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(failed["error"]["code"], "TARGET_UNREACHABLE", "{failed:#}");
    assert_eq!(failed["toolExecutions"], json!([]));
    // Dead after the worker's question: the tool ran, ended well, and heard nothing.
    let page = Page::serve_once(Ipv4Addr::LOCALHOST).await;
    let task = scan(&acme, &project, &page.url()).await;
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(failed["error"]["code"], "TARGET_UNREACHABLE", "{failed:#}");
    assert!(
        text(&failed["error"]["message"]).starts_with("whatweb heard nothing from its target"),
        "{failed:#}"
    );
    assert_eq!(failed["toolExecutions"].as_array().map(Vec::len), Some(1));
    assert_eq!(failed["findings"]["totalCount"], 0, "{failed:#}");
    assert!(failed["scanResult"].is_null(), "nothing is closed: {failed:#}");
}

#[tokio::test]
async fn a_flood_from_the_target_ends_at_the_doors_limit() {
    let page = Page::flood(Ipv4Addr::LOCALHOST).await;
    let (_app, acme, project) = app(Script::whatweb(LOOK), |plan| plan).await;
    let task = scan(&acme, &project, &page.url()).await;
    let failed = acme.ends_as(&task, "FAILED").await;
    assert_eq!(failed["error"]["code"], "TOOL_LIMIT", "{failed:#}");
    assert_eq!(
        failed["toolExecutions"][0]["endedBy"], "traffic_limit",
        "{failed:#}"
    );
}

/// The name moves between the order and the scan, from one allowed address to another.
#[tokio::test]
async fn a_name_that_moves_is_called_where_it_was_pinned() {
    let (old, new) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let names = Names::serve(old).await;
    let page = Page::serve(old).await;
    let moved = Page::serve_at(new, page.port).await;
    let (app, acme, project) = app(Script::whatweb(LOOK), |plan| {
        plan.set("target_resolvers", names.address).without_worker()
    })
    .await;
    let url = format!("http://rebinding.test:{}/", page.port);
    let task = scan(&acme, &project, &url).await;
    names.move_to(new);
    let asked = names.questions();
    let _worker = app.worker("worker");
    acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(names.questions(), asked, "a pinned name is not asked for again");
    assert!(page.calls() >= 2, "the worker's question and the tool");
    assert_eq!(moved.calls(), 0, "the new address was called");
    // The name now leads where this tenant may not go: refused, and nothing is stored.
    names.move_to(Ipv4Addr::new(10, 0, 0, 1));
    let refused = order(&acme, &project, &url).await;
    assert_eq!(refused["errors"][0]["code"], "TARGET_FORBIDDEN", "{refused:#}");
    assert_eq!(app.sql("select count(*) from tenant.webscan_target"), "1");
    let other = app.tenant("other");
    let shed = other.project("shed").await;
    names.move_to(old);
    let refused = order(&other, &shed, &url).await;
    assert_eq!(refused["errors"][0]["code"], "TARGET_FORBIDDEN", "{refused:#}");
    assert_eq!(app.sql("select count(*) from tenant.webscan_target"), "1");
    assert_eq!(app.sql("select count(*) from control.ticket"), "0");
}

/// What is pinned changes while the first of two tools runs: the second one is not started.
#[tokio::test]
async fn a_target_is_judged_again_before_each_tool() {
    let page = Page::serve(Ipv4Addr::LOCALHOST).await;
    let script = format!("{LOOK}\nuntil [ -e \"$install/go\" ]; do sleep 0.05; done");
    let (app, acme, project) = app(Script::whatweb(&script).and_wafw00f(), |plan| plan).await;
    let task = scan(&acme, &project, &page.url()).await;
    until("the first tool's call", SOON, async || {
        (page.calls() >= 2).then_some(())
    })
    .await;
    app.sql("update tenant.webscan_target set addresses = '{10.0.0.1}'");
    app.go();
    let failed = acme.ends_as(&task, "FAILED").await;
    assert!(
        ["TARGET_FORBIDDEN", "TARGET_UNRESOLVED"].contains(&text(&failed["error"]["code"]).as_str()),
        "{failed:#}"
    );
    let runs = failed["toolExecutions"].as_array().unwrap();
    let ran: Vec<&str> = runs.iter().filter_map(|run| run["tool"].as_str()).collect();
    assert_eq!(ran, ["whatweb"], "{failed:#}");
    assert_eq!(failed["findings"]["totalCount"], 0, "{failed:#}");
}

/// The real scanners, those of the catalogue that are installed; where none is, the task waits and says
/// for which.
#[tokio::test]
async fn the_installed_scanners_find_something_about_a_real_page() {
    let page = Page::serve(Ipv4Addr::LOCALHOST).await;
    let app = Plan::new()
        .set("target_networks_allowed", "acme=127.0.0.0/8")
        .tools(Tools::Bundled)
        .start()
        .await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let here = app.run(&["worker", "--check"]);
    let here = String::from_utf8(here.stdout).unwrap();
    let serves = |tool: &str| {
        let row = format!("web        {tool} ");
        here.lines()
            .any(|line| line.starts_with(&row) && !line.contains(" missing "))
    };
    let installed: Vec<&str> = ["whatweb", "wafw00f"]
        .into_iter()
        .filter(|tool| serves(tool))
        .collect();
    let task = scan(&acme, &project, &page.url()).await;
    if installed.is_empty() {
        let mut events = acme.events(&task, 0).await;
        let first = events.event().await.expect("it waits");
        assert!(text(&first["message"]).contains("whatweb"), "{first}");
        acme.mutate("cancelTask", json!({ "taskId": task })).await;
        acme.ends_as(&task, "CANCELLED").await;
        return;
    }
    let done = acme.ends_as(&task, "COMPLETED").await;
    let runs = done["toolExecutions"].as_array().unwrap();
    let ran: Vec<&str> = runs.iter().filter_map(|run| run["tool"].as_str()).collect();
    assert_eq!(ran, installed, "{done:#}");
    assert!(done["findings"]["totalCount"].as_u64() > Some(0), "{done:#}");
}
