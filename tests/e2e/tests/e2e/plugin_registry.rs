//! Installing, choosing, granting and limiting plugins, by the operator's commands and as tenants see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::wait::PATIENCE;
use crate::harness::{App, Client, Plan, checkout, order, sha256, text, until};

const PLUGINS: &str = "{ plugins(first: 100) { nodes { id name version sha256 source state isOwn isChosen
  isDefault capabilitiesWanted capabilitiesGranted limits { memoryBytes findings instances } } } }";

/// The hostile guest, which echoes lines if it is asked to, as its version `version`.
fn guest(version: &str) -> Vec<u8> {
    let mut component = fs::read(checkout::test_plugin("hostile.wasm")).unwrap();
    let (own, version) = (b"0.1.0", version.as_bytes());
    assert_eq!(own.len(), version.len());
    // the interfaces that it imports have versions, too, behind an @
    let places: Vec<usize> = (1..component.len() - own.len())
        .filter(|at| component[*at..].starts_with(own) && component[at - 1] != b'@')
        .collect();
    let [place] = places[..] else {
        panic!("its version stands at {places:?}");
    };
    component[place..place + version.len()].copy_from_slice(version);
    component
}

/// The same guest in other bytes: a custom section at its end means nothing.
fn in_other_bytes(mut component: Vec<u8>) -> Vec<u8> {
    component.extend([0, 2, 1, b'x']);
    component
}

/// A server whose folder holds version 0.1.0 alone, and a file of version 0.2.0.
async fn with_two_versions(plan: Plan) -> (App, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hostile.wasm"), guest("0.1.0")).unwrap();
    let app = plan.set("plugin_dir", folder.path().display()).start().await;
    let newer = app.folder().join("newer.wasm");
    fs::write(&newer, guest("0.2.0")).unwrap();
    (app, folder, newer)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// A command that must fail with this exit code; answers what it says.
fn refused(app: &App, args: &[&str], code: i32) -> String {
    let output = app.run(args);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "tamiz {args:?}: {said}");
    said
}

fn installed(app: &App, file: &Path, flags: &[&str]) -> String {
    let mut args = vec!["plugin", "install", file.to_str().unwrap()];
    args.extend(flags);
    app.says(&args)
}

/// What lies in the blob store for the platform.
fn components(app: &App) -> Vec<String> {
    let folder = app.data_dir().join("blobs/p/plugin");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn plugins(client: &Client) -> Vec<Value> {
    let mut nodes = client.data(PLUGINS, json!({})).await["plugins"]["nodes"].take();
    nodes.as_array_mut().map(std::mem::take).unwrap()
}

/// Versions with a mark, newest first.
async fn versions(client: &Client, mark: &str) -> Vec<String> {
    let marked = plugins(client)
        .await
        .into_iter()
        .filter(|plugin| plugin[mark] == true);
    marked.map(|plugin| text(&plugin["version"])).collect()
}

async fn echo(client: &Client, project: &str) -> String {
    let (lines, options) = (b"a\nb\nc\n".to_vec(), json!({ "do": "echo" }));
    client.import_with(project, "lines.txt", lines, options).await
}

/// The version that read a task's report.
async fn served_by(client: &Client, task: &str) -> String {
    client.ends_as(task, "COMPLETED").await;
    let query = "query($id: ID!) { task(id: $id) { plugin { version hasRun } } }";
    let plugin = client.data(query, json!({ "id": task })).await["task"]["plugin"].take();
    assert_eq!(plugin["hasRun"], true, "{plugin:#}");
    text(&plugin["version"])
}

#[tokio::test]
async fn the_registry_follows_the_plugin_folder_of_the_server() {
    let (mut app, folder, _) = with_two_versions(Plan::new()).await;
    let acme = app.tenant("acme");
    let [first] = &plugins(&acme).await[..] else {
        panic!("one plugin is in the folder");
    };
    assert_eq!(
        (&first["version"], &first["source"]),
        (&json!("0.1.0"), &json!("BUNDLED"))
    );
    assert_eq!(text(&first["sha256"]), sha256(&guest("0.1.0")));
    let memory = ["plugin", "limit", "hostile", "memory-bytes=32MiB"];
    assert!(app.says(&memory).ends_with("memory-bytes=32MiB"));

    fs::write(folder.path().join("hostile.wasm"), guest("0.3.0")).unwrap();
    app.server().terminate();
    assert!(app.server().ends(PATIENCE).success());
    app.start_server();
    app.is_ready().await;
    let list = app.says(&["plugin", "list"]);
    assert!(list.contains("0.3.0") && !list.contains("0.1.0"), "{list}");
    let all = app.says(&["plugin", "list", "--all"]);
    assert!(all.contains("0.1.0") && all.contains("retired"), "{all}");
    assert_eq!(components(&app).len(), 2, "what is retired can still run");
    let project = acme.project("shop").await;
    assert_eq!(served_by(&acme, &echo(&acme, &project).await).await, "0.3.0");
    let newest = &plugins(&acme).await[0];
    assert_eq!(
        newest["limits"]["memoryBytes"],
        32 << 20,
        "limits outlive an upgrade: {newest:#}"
    );
    let folder = app.says(&["plugin", "list", "--folder"]);
    assert!(folder.contains("hostile-lines"), "{folder}");
}

#[tokio::test]
async fn a_component_is_installed_once_and_its_version_holds_no_other_bytes() {
    let (app, _folder, newer) = with_two_versions(Plan::new()).await;
    let first = installed(&app, &newer, &[]);
    assert!(
        first.starts_with("hostile 0.2.0 (plugin ") && first.contains("is installed"),
        "{first}"
    );
    let again = installed(&app, &newer, &[]);
    assert!(again.contains("is installed already"), "{again}");
    let digest = sha256(&guest("0.2.0"));
    let mut stored = [sha256(&guest("0.1.0")), digest.clone()];
    stored.sort();
    assert_eq!(components(&app), stored);

    let file = app.folder().join("other.wasm");
    let path = file.to_str().unwrap();
    fs::write(&file, in_other_bytes(guest("0.2.0"))).unwrap();
    let taken = refused(&app, &["plugin", "install", path], 1);
    assert!(
        taken.contains("hostile 0.2.0 is installed already with other bytes"),
        "{taken}"
    );
    assert!(taken.contains(&digest), "{taken}");
    fs::write(&file, b"\0asm is not enough").unwrap();
    let no_component = refused(&app, &["plugin", "install", path], 1);
    assert!(
        no_component.contains("the component is refused: "),
        "{no_component}"
    );
    fs::write(&file, vec![0; 32 * 1024 * 1024 + 1]).unwrap();
    let large = refused(&app, &["plugin", "install", path], 1);
    assert!(large.contains("at most 33554432 can be installed"), "{large}");
    let absent = refused(&app, &["plugin", "install", "nowhere.wasm"], 2);
    assert!(absent.contains("there is no file nowhere.wasm"), "{absent}");
    assert_eq!(components(&app), stored, "nothing of what was refused stays");
    assert_eq!(app.sql("select count(*) from control.plugin"), "2");
}

#[tokio::test]
async fn two_versions_serve_side_by_side_and_a_choice_changes_nothing_that_waits() {
    let (app, _folder, newer) = with_two_versions(Plan::new().without_worker()).await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    installed(&app, &newer, &[]);
    let before = echo(&acme, &project).await;
    let chosen = app.says(&["plugin", "choose", "codeaudit", "hostile@0.2.0"]);
    assert!(chosen.contains("serves codeaudit for every tenant"), "{chosen}");
    let after = echo(&acme, &project).await;
    app.says(&[
        "plugin",
        "choose",
        "codeaudit",
        "hostile@0.1.0",
        "--tenant",
        "acme",
    ]);
    let own = echo(&acme, &project).await;
    assert_eq!(versions(&acme, "isDefault").await, ["0.2.0"]);
    assert_eq!(versions(&acme, "isChosen").await, ["0.1.0"]);
    app.says(&["plugin", "choose", "codeaudit", "--default", "--tenant", "acme"]);
    let taken_back = echo(&acme, &project).await;

    let _worker = app.worker("a-worker");
    assert_eq!(served_by(&acme, &before).await, "0.1.0");
    assert_eq!(served_by(&acme, &after).await, "0.2.0");
    assert_eq!(served_by(&acme, &own).await, "0.1.0");
    assert_eq!(served_by(&acme, &taken_back).await, "0.2.0");

    let off = app.says(&["plugin", "disable", "hostile@0.2.0"]);
    assert!(off.contains("serves no task any more"), "{off}");
    assert_eq!(served_by(&acme, &echo(&acme, &project).await).await, "0.1.0");
    let wrong = refused(&app, &["plugin", "choose", "codeaudit", "hostile@0.2.0"], 1);
    assert!(wrong.contains("disabled"), "{wrong}");
    app.says(&["plugin", "enable", "hostile@0.2.0"]);
    assert_eq!(served_by(&acme, &echo(&acme, &project).await).await, "0.2.0");
}

#[tokio::test]
async fn a_plugin_of_one_tenant_is_nobody_elses() {
    let (app, _folder, newer) = with_two_versions(Plan::new()).await;
    let (acme, globex) = (app.tenant("acme"), app.tenant("globex"));
    let answer = installed(&app, &newer, &["--tenant", "acme", "--choose"]);
    assert!(answer.contains("is installed for acme"), "{answer}");
    assert!(answer.contains("it serves codeaudit from now on"), "{answer}");
    assert_eq!(versions(&acme, "isOwn").await, ["0.2.0"]);
    assert_eq!(versions(&acme, "isChosen").await, ["0.2.0"]);
    let theirs = plugins(&globex).await;
    assert_eq!(theirs.len(), 1, "{theirs:#?}");
    assert_eq!(theirs[0]["version"], "0.1.0");

    let (shop, store) = (acme.project("shop").await, globex.project("store").await);
    assert_eq!(served_by(&acme, &echo(&acme, &shop).await).await, "0.2.0");
    assert_eq!(served_by(&globex, &echo(&globex, &store).await).await, "0.1.0");
    let foreign = refused(
        &app,
        &[
            "plugin",
            "choose",
            "codeaudit",
            "hostile@0.2.0",
            "--tenant",
            "globex",
        ],
        1,
    );
    assert!(foreign.contains("cannot be chosen"), "{foreign}");
    let everybody = refused(&app, &["plugin", "choose", "codeaudit", "hostile@0.2.0"], 1);
    assert!(everybody.contains("cannot be chosen"), "{everybody}");
    let unknown = refused(
        &app,
        &["plugin", "install", newer.to_str().unwrap(), "--tenant", "nobody"],
        1,
    );
    assert!(unknown.contains("there is no tenant named nobody"), "{unknown}");
    let id = plugins(&acme)
        .await
        .into_iter()
        .find(|plugin| plugin["isOwn"] == true)
        .unwrap()["id"]
        .take();
    let choose = "mutation($id: ID) { choosePlugin(input: { scanType: \"codeaudit\", pluginId: $id }) {
      plugin { id } errors { code } } }";
    let admin = app.token("globex", &["--role", "admin"]);
    let refusal = admin.data(choose, json!({ "id": id })).await["choosePlugin"].take();
    assert_eq!(refusal["errors"][0]["code"], "NOT_FOUND", "{refusal:#}");
}

/// What the guest that reaches for all it can get logs as the time.
async fn time_told(app: &App, acme: &Client, project: &str) -> String {
    let times = || {
        let log = app.log();
        let told = log
            .lines()
            .filter_map(|line| Some(line.split_once("plugin log")?.1.to_owned()));
        told.filter(|line| line.contains('.')).collect::<Vec<_>>()
    };
    let before = times().len();
    let upload = acme.upload(project, "clock.txt", b"a line".to_vec()).await;
    let mut input = order(project, &upload);
    input["scanType"] = json!("reach");
    input["options"] = json!({ "do": "clock" });
    let task = text(&acme.mutate("importReport", input).await["task"]["id"]);
    acme.ends_as(&task, "COMPLETED").await;
    until("the time in the log", PATIENCE, async || {
        times().get(before).cloned()
    })
    .await
}

#[tokio::test]
async fn a_plugin_has_what_it_wants_only_once_an_operator_granted_it() {
    let plan = Plan::new().set("log_filter", "info,tamiz::worker::convert=debug");
    let (app, _folder, _) = with_two_versions(plan).await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let reach = checkout::test_plugin("reach.wasm");
    let told = installed(&app, &reach, &["--grant", "randomness"]);
    assert!(told.contains("it may use: randomness"), "{told}");
    assert!(
        told.contains("it wants clock, which is not granted: tamiz plugin grant "),
        "{told}"
    );
    let granted = async || plugins(&acme).await[0]["capabilitiesGranted"].take();
    assert_eq!(granted().await, json!(["randomness"]));
    assert_eq!(
        plugins(&acme).await[0]["capabilitiesWanted"],
        json!(["network", "clock", "randomness"])
    );

    let stands_still = time_told(&app, &acme, &project).await;
    assert_eq!(time_told(&app, &acme, &project).await, stands_still);
    let digest = sha256(&fs::read(&reach).unwrap());
    let answer = app.says(&["plugin", "grant", &digest[..8], "clock"]);
    assert!(answer.ends_with("may use: clock"), "{answer}");
    assert_eq!(granted().await, json!(["clock", "randomness"]));
    assert_ne!(time_told(&app, &acme, &project).await, stands_still);
    let list = app.says(&["plugin", "list"]);
    assert!(list.contains("(network), clock, randomness"), "{list}");
    let answer = app.says(&["plugin", "revoke", "reach", "clock"]);
    assert!(answer.ends_with("may no longer use: clock"), "{answer}");
    assert_eq!(granted().await, json!(["randomness"]));
    assert_eq!(time_told(&app, &acme, &project).await, stands_still);
}

#[tokio::test]
async fn a_grant_is_of_one_plugin_and_of_what_it_wants() {
    let (app, _folder, newer) = with_two_versions(Plan::new().without_worker()).await;
    let unwanted = refused(&app, &["plugin", "grant", "hostile", "network"], 1);
    assert!(unwanted.contains("wants nothing beyond conversion"), "{unwanted}");
    let path = newer.to_str().unwrap();
    let unwanted = refused(&app, &["plugin", "install", path, "--grant", "clock"], 1);
    assert!(
        unwanted.contains("it is installed and nothing is granted: "),
        "{unwanted}"
    );
    let ambiguous = refused(&app, &["plugin", "grant", "hostile", "network"], 1);
    assert!(ambiguous.contains("say its id"), "{ambiguous}");
    let odd = refused(&app, &["plugin", "grant", "hostile@0.2.0", "files"], 2);
    assert!(odd.contains("network, clock, randomness"), "{odd}");
}

#[tokio::test]
async fn the_smallest_of_plugin_and_plan_holds_for_a_tenant() {
    let (app, _folder, _) = with_two_versions(Plan::new()).await;
    let (acme, globex) = (app.tenant("acme"), app.tenant("globex"));
    let set = app.says(&["plan", "set", "small", "findings-max=2", "memory-bytes=128MiB"]);
    assert_eq!(set, "plan small has limits: memory-bytes=128MiB findings-max=2");
    app.says(&["tenant", "plan", "acme", "small"]);
    app.says(&[
        "plugin",
        "limit",
        "hostile",
        "findings-max=1000",
        "memory-bytes=64MiB",
    ]);
    let limits = async |client: &Client| {
        let limits = plugins(client).await[0]["limits"].take();
        [limits["findings"].as_u64(), limits["memoryBytes"].as_u64()]
    };
    assert_eq!(limits(&acme).await, [Some(2), Some(64 << 20)]);
    assert_eq!(limits(&globex).await, [Some(1000), Some(64 << 20)]);
    let plans = app.says(&["plan", "list"]);
    assert!(
        plans.contains("standard") && plans.contains("findings-max=2"),
        "{plans}"
    );
    let tenants = app.says(&["tenant", "list"]);
    assert!(tenants.contains("small"), "{tenants}");

    let project = acme.project("shop").await;
    let task = acme.ended(&echo(&acme, &project).await).await;
    assert_eq!(
        (&task["status"], &task["findings"]["totalCount"]),
        (&json!("FAILED"), &json!(2)),
        "{task:#}"
    );
    let store = globex.project("store").await;
    globex.ends_as(&echo(&globex, &store).await, "COMPLETED").await;

    for (args, code, words) in [
        (
            &["tenant", "plan", "acme", "huge"][..],
            1,
            "there is no plan named huge",
        ),
        (
            &["plan", "set", "Small", "findings-max=2"],
            2,
            "lower-case letters",
        ),
        (
            &["plan", "set", "small", "findings-max=many"],
            2,
            "findings-max=many: must be a whole number",
        ),
        (
            &["plugin", "limit", "hostile", "speed=1"],
            2,
            "is not one of memory-bytes",
        ),
        (
            &["plugin", "limit", "nobody"],
            1,
            "no installed plugin is named nobody",
        ),
    ] {
        let said = refused(&app, args, code);
        assert!(said.contains(words), "{args:?}: {said}");
    }
}
