//! A tenant's own things as the schema shows them: uploads, tokens, the audit log, its plan; and all tenants to operators.

use std::sync::Arc;

use async_graphql::{Request, Variables};
use serde_json::{Value, json};
use tamiz_core::quota::{QuotaLimit, QuotaSet};
use tamiz_core::token::Token;
use tamiz_core::{ProjectId, TokenId, UploadId};
use tamiz_store::operator_token::Operator;
use tamiz_store::quota::limits;
use tamiz_store::token::{Caller, Role, own};
use tamiz_store::upload::{self, NewUpload, StoredBlob};

use super::tests::ask;
use super::{Engine as _, Graph, Principal};
use crate::api::errors::clean;
use crate::api::test_tenant::{Platform, findings};

async fn uploads(platform: &Platform, caller: &Caller, project: ProjectId, count: u8) {
    let mut tx = platform.store().begin(&caller.scope).await.unwrap();
    for number in 0..count {
        let blob = StoredBlob {
            storage_path: format!("t/{project}/{number}"),
            hash: [number; 32],
            size_bytes: 7,
        };
        let new = NewUpload {
            id: UploadId::fresh(),
            project,
            file_name: &format!("{number}.zip"),
            media_type: "application/zip",
            blob: &blob,
        };
        upload::create(&mut tx, &new).await.unwrap().unwrap();
    }
    tx.commit().await.unwrap();
}

/// Somebody else of the tenant.
async fn as_role(platform: &Platform, of: &Caller, role: Role) -> Caller {
    let token = Token::from_random(of.scope.tenant_id(), rand::random());
    let mut tx = platform.store().begin(&of.scope).await.unwrap();
    let made = own::create(&mut tx, "colleague", role, None, &token).await;
    made.unwrap().unwrap();
    tx.commit().await.unwrap();
    platform.store().authenticate(&token).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_newest_first_for_one_statement_however_many_projects_ask() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let mut counts = Vec::new();
    for projects in [1, 5] {
        while platform.projects_of(&acme).await < projects {
            let project = platform.project(&acme).await;
            uploads(&platform, &acme, project, 3).await;
        }
        let query = "{ projects(first: 50) { nodes { uploads(first: 2) {
            nodes { id fileName state sizeBytes sha256 task { id } project { id } } pageInfo { hasNextPage } } } } }";
        let (answer, statements) = ask(&platform, &acme, query, json!({})).await;
        for node in answer["data"]["projects"]["nodes"].as_array().unwrap() {
            let page = &node["uploads"];
            assert_eq!(page["nodes"][0]["fileName"], "2.zip", "{answer}");
            assert_eq!(page["nodes"][0]["state"], "UNUSED");
            assert_eq!(page["pageInfo"]["hasNextPage"], true);
        }
        counts.push(statements);
    }
    assert!(counts.iter().all(|count| *count <= 3), "{counts:?}");

    let page = "query($after: String) { uploads(first: 10, after: $after) {
        nodes { id } pageInfo { endCursor hasNextPage } } }";
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    for _ in 0..2 {
        let (answer, _) = ask(&platform, &acme, page, json!({ "after": after })).await;
        let page = &answer["data"]["uploads"];
        seen.extend(page["nodes"].as_array().unwrap().clone());
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen.len(), 15);
    let one = "query($id: ID!, $upload: UUID!) { node(id: $id) { __typename id } upload(id: $upload) { fileName } }";
    let variables = json!({ "id": seen[0]["id"], "upload": seen[0]["id"] });
    let (answer, _) = ask(&platform, &acme, one, variables.clone()).await;
    assert_eq!(answer["data"]["node"]["__typename"], "Upload", "{answer}");
    let globex = platform.tenant("globex").await;
    let (answer, _) = ask(&platform, &globex, one, variables).await;
    assert_eq!(answer["data"], json!({ "node": null, "upload": null }));
    platform.end().await;
}

const CREATE: &str = "mutation($input: CreateTokenInput!) { createToken(input: $input) {
    token { id name role hint revokedAt } secret errors { code path } } }";
const REVOKE: &str = "mutation($input: RevokeTokenInput!) { revokeToken(input: $input) {
    token { id revokedAt } errors { code path } } }";

#[tokio::test]
async fn an_admin_makes_and_ends_tokens_up_to_its_own_role_and_the_audit_log_tells() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let admin = as_role(&platform, &acme, Role::Admin).await;
    let analyst = as_role(&platform, &acme, Role::Analyst).await;
    let wish = |role: &str| json!({ "input": { "name": "ci", "role": role } });
    for (caller, role) in [(&admin, "OWNER"), (&analyst, "VIEWER")] {
        let (answer, _) = ask(&platform, caller, CREATE, wish(role)).await;
        let payload = &answer["data"]["createToken"];
        assert_eq!(payload["errors"][0]["code"], "NOT_ALLOWED", "{answer}");
        assert!(payload["secret"].is_null());
    }
    let (answer, _) = ask(&platform, &admin, CREATE, wish("VIEWER")).await;
    let made = &answer["data"]["createToken"];
    let secret = Token::parse(made["secret"].as_str().unwrap()).unwrap();
    let bearer = platform.store().authenticate(&secret).await.unwrap().unwrap();
    assert_eq!((bearer.role, bearer.token_name.as_str()), (Role::Viewer, "ci"));

    let id = &made["token"]["id"];
    for _ in 0..2 {
        let (answer, _) = ask(&platform, &admin, REVOKE, json!({ "input": { "tokenId": id } })).await;
        assert!(
            answer["data"]["revokeToken"]["token"]["revokedAt"].is_string(),
            "{answer}"
        );
    }
    assert!(platform.store().authenticate(&secret).await.unwrap().is_none());
    let owner = as_role(&platform, &acme, Role::Owner).await;
    let input = json!({ "input": { "tokenId": owner.token.uuid() } });
    let (answer, _) = ask(&platform, &admin, REVOKE, input).await;
    assert_eq!(
        answer["data"]["revokeToken"]["errors"][0]["code"], "NOT_ALLOWED",
        "{answer}"
    );

    let query = "{ apiTokens(first: 50) { nodes { name role revokedAt } }
        auditEvents(first: 1) { nodes { action token { name } resourceId metadata } pageInfo { endCursor } }
        created: auditEvents(filter: { action: \"token.created\" }) { nodes { action resourceId } } }";
    let (answer, _) = ask(&platform, &admin, query, json!({})).await;
    let told = &answer["data"]["auditEvents"]["nodes"][0];
    // the log names things of any kind, by what they are in it
    let bare = id.as_str().unwrap().trim_start_matches("ApiToken_");
    assert_eq!(
        (&told["action"], &told["resourceId"]),
        (&json!("token.revoked"), &json!(bare)),
        "{answer}"
    );
    assert_eq!(told["metadata"]["name"], "ci");
    assert_eq!(
        answer["data"]["created"]["nodes"],
        json!([{ "action": "token.created", "resourceId": bare }])
    );
    assert_eq!(
        answer["data"]["apiTokens"]["nodes"].as_array().unwrap().len(),
        5,
        "{answer}"
    );
    assert!(!answer.to_string().contains(secret.reveal()));
    let next = "query($after: String!) { auditEvents(after: $after) { nodes { action } } }";
    let after = &answer["data"]["auditEvents"]["pageInfo"]["endCursor"];
    let (answer, _) = ask(&platform, &admin, next, json!({ "after": after })).await;
    assert_eq!(
        answer["data"]["auditEvents"]["nodes"],
        json!([{ "action": "token.created" }])
    );

    platform.end().await;
}

#[tokio::test]
async fn tokens_and_the_audit_log_are_for_admins() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let analyst = as_role(&platform, &acme, Role::Analyst).await;
    for query in [
        "{ apiTokens { nodes { name } } }",
        "{ auditEvents { nodes { action } } }",
    ] {
        let (answer, _) = ask(&platform, &analyst, query, json!({})).await;
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "NOT_ALLOWED",
            "{answer}"
        );
    }
    platform.end().await;
}

#[tokio::test]
async fn a_tenant_tells_its_plan_limits_and_alerts_of_all_projects() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    for _ in 0..2 {
        let project = platform.project(&acme).await;
        let task = platform.task(&acme, project).await;
        platform.merge_findings(&acme, project, task, findings(5)).await;
    }
    let query = "{ viewer { tenant { id name createdAt plan { name limits { name value } pluginLimits { memoryBytes } }
        limits { name value origin } severityCounts { critical low } topRules(first: 100) { tool ruleId openAlerts } alertCounts { state severity count }
        trend(days: 2) { day severity opened fixed } } } }";
    let (answer, statements) = ask(&platform, &acme, query, json!({})).await;
    let tenant = &answer["data"]["viewer"]["tenant"];
    assert_eq!(tenant["plan"]["name"], "standard", "{answer}");
    assert!(tenant["createdAt"].is_string());
    assert!(!tenant["limits"].as_array().unwrap().is_empty());
    assert_eq!(
        tenant["severityCounts"],
        json!({ "critical": 2, "low": 2 }),
        "{answer}"
    );
    assert_eq!(tenant["alertCounts"].as_array().unwrap().len(), 5);
    assert_eq!(tenant["trend"][0]["opened"], 2);
    let top = tenant["topRules"].as_array().unwrap();
    let open = top.iter().filter_map(|rule| rule["openAlerts"].as_i64());
    assert_eq!(open.sum::<i64>(), 10, "{answer}");
    assert_eq!(
        statements, 7,
        "the tenant, its plan and what it says, limits, counters, days, rules"
    );
    let query = "{ projects { nodes { severityCounts { critical high medium low info }
        findingSeverityCounts { critical } topRules(first: 1) { openAlerts } } } }";
    let (answer, statements) = ask(&platform, &acme, query, json!({})).await;
    let each_once = json!({ "critical": 1, "high": 1, "medium": 1, "low": 1, "info": 1 });
    for node in answer["data"]["projects"]["nodes"].as_array().unwrap() {
        assert_eq!(node["severityCounts"], each_once, "{answer}");
        assert_eq!(node["topRules"].as_array().unwrap().len(), 1);
    }
    assert_eq!(statements, 4, "projects, and each kind of counter of both");
    for first in [0, 101] {
        let query = format!("{{ viewer {{ tenant {{ topRules(first: {first}) {{ tool }} }} }} }}");
        let (answer, _) = ask(&platform, &acme, &query, json!({})).await;
        assert!(answer["errors"].is_array(), "{first}: {answer}");
    }
    let node = "query($id: ID!) { node(id: $id) { ... on Tenant { name } } }";
    let (answer, _) = ask(&platform, &acme, node, json!({ "id": tenant["id"] })).await;
    assert_eq!(answer["data"]["node"]["name"], "acme", "{answer}");
    platform.end().await;
}

#[tokio::test]
async fn an_operator_sees_all_tenants_with_plans_and_limits_and_nothing_of_theirs() {
    let platform = Platform::start().await;
    let mut said = QuotaSet::default();
    said.say(QuotaLimit::TasksRunning.into(), Some(3));
    for name in ["acme", "globex", "initech"] {
        let caller = platform.tenant(name).await;
        let mut tx = platform.store().begin_control().await.unwrap();
        limits::say_for_tenant(&mut tx, caller.scope.tenant_id(), &said)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let graph = Graph::new(Arc::clone(&platform.state));
    let operator = Principal::Operator(Operator {
        token: TokenId::fresh(),
        name: "dashboard".to_owned(),
        expires_at: None,
    });
    let asks = async |query: &str, variables: Value| {
        let request = Request::new(query).variables(Variables::from_json(variables));
        let response = clean(graph.execute(&operator, request).await);
        serde_json::to_value(response).unwrap()
    };
    let query = "query($after: String) { plans { name } tenants(first: 2, after: $after) {
        nodes { name createdAt plan { name } limits { name value origin } } pageInfo { endCursor hasNextPage } } }";
    let first = asks(query, json!({})).await;
    let page = &first["data"]["tenants"];
    assert_eq!(page["nodes"][0]["name"], "acme", "{first}");
    assert_eq!(page["nodes"][1]["plan"]["name"], "standard");
    let own = json!({ "name": "tasks-running", "value": 3, "origin": "tenant" });
    assert!(
        page["nodes"][1]["limits"].as_array().unwrap().contains(&own),
        "{first}"
    );
    let next = asks(query, json!({ "after": page["pageInfo"]["endCursor"] })).await;
    assert_eq!(next["data"]["tenants"]["nodes"][0]["name"], "initech", "{next}");
    let theirs = asks("{ tenants { nodes { severityCounts { high } } } }", json!({})).await;
    assert_eq!(
        theirs["errors"][0]["extensions"]["code"], "NOT_ALLOWED",
        "{theirs}"
    );

    let acme = platform.tenant("umbrella").await;
    for query in ["{ tenants { nodes { name } } }", "{ plans { name } }"] {
        let (answer, _) = ask(&platform, &acme, query, json!({})).await;
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "NOT_ALLOWED",
            "{answer}"
        );
    }
    platform.end().await;
}
