//! Plugins that are hostile before any task of theirs runs: components that are bombs or nothing at all, and
//! plans that never end. Operators are told why, other tenants notice nothing.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{App, Plan, checkout, order, report};

/// Orders of one tenant whose plans never end: more than run at a time.
const ENDLESS_PLANS: usize = 5;
/// All of them: five seconds each, two at a time, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

fn number(mut value: u32, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A section or a vector's element: its length and its bytes.
fn sized(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    number(content.len() as u32, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A component of one module whose functions have the same type and body.
fn component(kind: &[u8], count: u32, body: &[u8]) -> Vec<u8> {
    let (mut functions, mut code) = (Vec::new(), Vec::new());
    number(count, &mut functions);
    number(count, &mut code);
    functions.extend(vec![0; count as usize]);
    for _ in 0..count {
        code.extend(sized(body));
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in [(1, [&[1], kind].concat()), (3, functions), (10, code)] {
        module.push(id);
        module.extend(sized(&content));
    }
    let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
    component.extend(sized(&module));
    component
}

fn many_functions() -> Vec<u8> {
    component(&[0x60, 0, 0], 20_001, &[0, 0x0b])
}

/// Blocks in each other.
fn nested() -> Vec<u8> {
    let mut body = vec![0];
    body.extend([0x02, 0x40].repeat(100_000));
    body.extend([0x0b].repeat(100_001));
    component(&[0x60, 0, 0], 1, &body)
}

/// Calls of two bytes that move a thousand values in and out.
fn wide_calls() -> Vec<u8> {
    let mut values = Vec::new();
    number(1_000, &mut values);
    values.extend([0x7e].repeat(1_000));
    let kind = [&[0x60], &values[..], &values[..]].concat();
    let mut body = vec![0];
    for parameter in 0..1_000 {
        body.push(0x20);
        number(parameter, &mut body);
    }
    body.extend([0x10, 0x00].repeat(250_000));
    body.push(0x0b);
    component(&kind, 1, &body)
}

/// A server that has a plugin of its own.
async fn server() -> App {
    Plan::new().start().await
}

#[tokio::test]
async fn a_bomb_is_refused_by_the_command_line_and_no_server_notices() {
    let app = server().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let file = app.folder().join("bomb.wasm");
    let path = file.to_str().unwrap();
    let before = app.says(&["plugin", "list"]);
    let cases = [
        ("not wasm", b"PK\x03\x04".to_vec(), "it is not readable wasm"),
        (
            "a core module",
            b"\0asm\x01\0\0\0".to_vec(),
            "it is a core wasm module",
        ),
        (
            "many functions",
            many_functions(),
            "it has 20001 functions, at most 20000",
        ),
        (
            "deep nesting",
            nested(),
            "it has 5001 blocks in each other, at most 5000",
        ),
        (
            "one huge body",
            wide_calls(),
            "compiling the component used up its",
        ),
        (
            "no plugin",
            component(&[0x60, 0, 0], 1, &[0, 0x0b]),
            "does not fit the world",
        ),
    ];
    for (name, bytes, reason) in cases {
        fs::write(&file, bytes).unwrap();
        for command in ["inspect", "install"] {
            let output = app.run(&["plugin", command, path]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{name}: {command} took it: {said}");
            assert!(said.contains(reason), "{name}: {command} says {said}");
        }
        // a new connection: this thread served none while the commands ran
        let acme = app.client(acme.token());
        let good = acme.import(&project, "report.json", report::semgrep(3)).await;
        acme.ends_as(&good, "COMPLETED").await;
    }
    assert_eq!(app.says(&["plugin", "list"]), before, "nothing was installed");
}

#[tokio::test]
async fn plans_that_never_end_keep_only_their_own_orders_waiting() {
    let folder = tempfile::tempdir().unwrap();
    for (from, name) in [
        (checkout::test_plugin("hostile.wasm"), "hostile.wasm"),
        (checkout::plugin("web.wasm"), "web.wasm"),
    ] {
        fs::copy(from, folder.path().join(name)).unwrap();
    }
    let app = Plan::new()
        .set("plugin_dir", folder.path().display())
        .start()
        .await;
    let (acme, other) = (app.tenant("acme"), app.tenant("other"));
    let (project, shop) = (acme.project("shop").await, other.project("shop").await);
    let archive = report::one_file();
    let upload = acme.upload(&project, "src.zip", archive).await;
    let mut orders = JoinSet::new();
    for _ in 0..ENDLESS_PLANS {
        let (acme, mut input) = (app.client(acme.token()), order(&project, &upload));
        input["options"] = json!({ "do": "loop-in-plan" });
        orders.spawn(async move { acme.mutate("startScan", input).await });
    }
    let jsonl = checkout::read("plugins/web/cases/nuclei/places.jsonl");
    let upload = other.upload(&shop, "report.jsonl", jsonl).await;
    let mut input = order(&shop, &upload);
    input["scanType"] = json!("web");
    let made = other.mutate("importReport", input).await;
    assert_eq!(made["errors"], json!([]), "{made:#}");
    assert!(
        orders.len() == ENDLESS_PLANS && orders.try_join_next().is_none(),
        "the other tenant's order came first"
    );
    let ended = tokio::time::timeout(PATIENCE, orders.join_all()).await.unwrap();
    for refused in ended {
        assert!(refused["task"].is_null(), "{refused:#}");
        assert_eq!(refused["errors"][0]["code"], "PLUGIN_FAILED", "{refused:#}");
        let message = refused["errors"][0]["message"].to_string();
        assert!(message.contains("did not finish within 5 seconds"), "{message}");
    }
    other
        .ends_as(&crate::harness::text(&made["task"]["id"]), "COMPLETED")
        .await;
}
