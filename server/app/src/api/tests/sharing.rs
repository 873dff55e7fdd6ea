//! What one tenant holds does not hold up another.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use tamiz_store::token::Role;

use super::{Door, PATIENCE};

#[tokio::test]
async fn a_tenant_that_holds_its_connections_does_not_hold_up_another() {
    let door = Door::open().await;
    let (busy, caller) = door.tenant("acme", Role::Owner).await;
    let (other, _) = door.tenant("globex", Role::Owner).await;
    let store = &door.platform.state.store;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(store.begin(&caller.scope).await.unwrap());
    }
    let query = "{ projects { totalCount } }";
    let mut waiting = Box::pin(door.graphql(&busy, query, json!({})));
    for _ in 0..3 {
        tokio::select! {
            answer = &mut waiting => panic!("answered without a connection: {answer}"),
            answer = door.graphql(&other, query, json!({})) => {
                assert_eq!(answer["data"]["projects"]["totalCount"], 0, "{answer}");
            }
        }
    }
    drop(held);
    let answer = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert_eq!(answer["data"]["projects"]["totalCount"], 0, "{answer}");
    door.close().await;
}

#[tokio::test]
async fn an_upload_waits_for_its_own_tenants_and_not_for_those_of_others() {
    let door = Door::open().await;
    let (slow, caller) = door.tenant("acme", Role::Analyst).await;
    let (other, other_caller) = door.tenant("globex", Role::Analyst).await;
    let (project, others) = (
        door.platform.project(&caller).await,
        door.platform.project(&other_caller).await,
    );
    let mut senders = Vec::new();
    let mut running = Vec::new();
    for _ in 0..3 {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
        sender.send(Ok(vec![1])).await.unwrap();
        senders.push(sender);
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let request = Client::new()
            .post(door.url(&format!("/v1/uploads?project={project}&fileName=slow.zip")))
            .bearer_auth(slow.reveal())
            .body(reqwest::Body::wrap_stream(pieces));
        running.push(tokio::spawn(request.send()));
    }
    // the three have their places as soon as a fourth one gets none
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let fourth = loop {
        let mut next = Box::pin(door.upload(&slow, project, "mine"));
        let waits = tokio::time::timeout(Duration::from_millis(300), &mut next)
            .await
            .is_err();
        if waits {
            break next;
        }
        assert!(tokio::time::Instant::now() < deadline, "every fourth upload ran");
    };
    let theirs = door.upload(&other, others, "theirs").await;
    assert_eq!(theirs.status(), StatusCode::CREATED);
    drop(senders);
    for response in running {
        assert_eq!(response.await.unwrap().unwrap().status(), StatusCode::CREATED);
    }
    let response = tokio::time::timeout(PATIENCE, fourth).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    door.close().await;
}
